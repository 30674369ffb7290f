"""Quality as a person has it before them."""

import pytest
from playwright.sync_api import Page, expect

from receiver.catalog import Catalog
from receiver.db.database import Database
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.factories import due_ticket, review, settle

pytestmark = pytest.mark.full


@pytest.fixture
def reviewed(db: Database, shipped: Catalog) -> None:
    """Answers of both kinds, right and wrong."""
    for number in range(6):
        ticket = due_ticket(db)
        settle(db, ticket, confidence=0.3 + number / 10, review_reason="low_confidence" if number < 3 else None)
        choice = ("Security", "Report Phishing/Suspicious Email") if number % 2 else ()
        review(db, ticket, shipped, *choice)


@pytest.mark.usefixtures("reviewed")
def test_quality_keeps_nobody_out_and_fits_a_phone(page: Page, accessible: Check, fits: Check) -> None:
    page.goto("/quality")
    expect(page.locator(".plot canvas")).to_be_visible()
    for summary in page.locator("main summary").all():
        summary.click()
    accessible(page)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    fits(page)
    accessible(page)


@pytest.mark.usefixtures("reviewed")
def test_a_window_a_source_and_a_category_are_chosen_without_a_mouse(page: Page) -> None:
    page.goto("/quality")
    page.get_by_role("link", name="7 days").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url("/quality?days=7")
    page.wait_for_load_state()  # The page's script is what goes where a choice leads.
    page.get_by_label("Source").select_option("standard")
    expect(page).to_have_url("/quality?days=7&source=standard")
    page.get_by_role("rowheader").get_by_role("link", name="Security").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All categories / Security")).to_be_visible()
