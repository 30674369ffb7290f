"""Digests as a person has them before them."""

import pytest
from playwright.sync_api import Dialog, Page, expect

from jobs.digests import send
from receiver import queue
from receiver.db import digests
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.factories import due_ticket, settle
from tests.receiver.web.test_digests_page import build_preview

pytestmark = pytest.mark.full


@pytest.fixture
def sent(config: Settings, db: Database) -> None:
    """One digest that was sent, and one that is held."""
    settle(db, due_ticket(db), review_reason="low_confidence")
    assert send.send_now(db, config)
    settle(db, due_ticket(db))
    held = send.send_now(db, config)
    assert held
    with db.write() as session:
        digests.mark(session, held.id, "held", now(), error="the connection broke; the mail may have arrived")


@pytest.mark.usefixtures("sent")
def test_digests_keep_nobody_out_and_fit_a_phone(page: Page, accessible: Check, fits: Check) -> None:
    for path in ("/digests", "/digests/2"):
        page.goto(path)
        accessible(page)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        fits(page)


@pytest.mark.usefixtures("sent")
def test_a_held_digest_is_decided_by_keyboard(page: Page) -> None:
    page.goto("/digests")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="may have arrived")).to_be_visible()
    page.get_by_role("button", name="It arrived").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("mark as sent by")).to_be_visible()


@pytest.mark.usefixtures("sent")
def test_the_mail_is_seen_as_it_looks_and_cannot_do_anything(page: Page) -> None:
    page.goto("/digests/1")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="1 ticket, 1 needs review")).to_be_visible()
    assert frame.locator("img").evaluate("picture => picture.naturalWidth") > 500
    page.get_by_text("As text").click()
    expect(page.get_by_text("1 ticket was attributed")).to_be_visible()


def test_a_preview_shows_itself_when_a_worker_has_built_it(page: Page, db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    page.goto("/digests")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("A worker builds it")).to_be_visible()
    with queue.connect(config.redis_url) as connection:
        build_preview(connection)
    expect(page.frame_locator("iframe").get_by_role("heading", name="1 ticket, 0 need review")).to_be_visible()
    page.on("dialog", _accept)
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_role("heading", name="digest 1")).to_be_visible()


def _accept(dialog: Dialog) -> None:
    assert "now, to the outbox" in dialog.message
    dialog.accept()
