"""The overview in a browser."""

import pytest
from playwright.sync_api import Page, expect

from receiver.db import latencies
from receiver.db.database import Database
from receiver.lib.clock import now
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.factories import due_ticket, open_circuit, settle

pytestmark = pytest.mark.full


def test_where_there_is_no_stream_the_page_asks(page: Page, db: Database) -> None:
    page.route(
        "**/live/*", lambda route: route.continue_() if "once" in route.request.url else route.fulfill(status=204)
    )
    page.reload()
    due_ticket(db)
    expect(page.locator("#pulse")).to_contain_text("1 waiting")


def test_the_overview_keeps_nobody_out_and_fits_a_phone(
    page: Page, db: Database, accessible: Check, fits: Check
) -> None:
    settle(db, due_ticket(db), review_reason="low_confidence")
    open_circuit(db)
    with db.write() as session:
        for stage in latencies.STAGES:
            latencies.note(session, stage, [5, 90, 1800], now())
    page.reload()
    # No worker serves this test's queues, and the engine is out.
    expect(page.locator("#verdict")).to_contain_text("2 things need you")
    expect(page.locator("#verdict")).to_contain_text("The engine is out")
    accessible(page)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    fits(page)
