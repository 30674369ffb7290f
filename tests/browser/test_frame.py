"""What stands around every page, as a person with a keyboard, a phone or a dark screen meets it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from receiver.db.database import Database
from tests.browser.conftest import PHONE
from tests.factories import due_ticket, settle

Check = Callable[[Page], None]


@pytest.mark.full
def test_nobody_is_kept_out(page: Page, db: Database, accessible: Check) -> None:
    settle(db, due_ticket(db), review_reason="low_confidence")
    page.reload()
    accessible(page)


def test_a_phone_has_the_pages_below_and_the_rest_in_a_sheet(page: Page, accessible: Check, fits: Check) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    expect(page.get_by_role("navigation", name="Pages, on a phone")).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages", exact=True)).to_be_hidden()
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("dialog", name="More pages")).to_be_visible()
    fits(page)
    accessible(page)


def test_the_keys_are_told_and_work(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search tickets")).to_be_focused()


def test_the_theme_stays_as_a_person_chose_it(page: Page) -> None:
    page.get_by_label("Account and display").click()
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
