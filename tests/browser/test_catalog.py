"""Catalog as a person has it before them."""

import pytest
from playwright.sync_api import Page, expect

from receiver.db import catalogs
from receiver.db.database import Database
from receiver.lib.clock import now
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check

pytestmark = pytest.mark.full

OLD = "categories: [{name: Access Management, requests: [{name: Account Unlock}, {name: Token Ring}]}]"


def test_catalog_keeps_nobody_out_and_fits_a_phone(page: Page, db: Database, accessible: Check, fits: Check) -> None:
    with db.write() as session:
        catalogs.remember(session, "old", OLD, now())
    page.goto("/catalog")
    page.get_by_text("Reset forgotten password", exact=True).click()
    accessible(page)
    page.get_by_role("link", name="What changed").click()
    expect(page.get_by_role("heading", name="Removed")).to_be_visible()
    accessible(page)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    fits(page)
    page.goto("/catalog")
    fits(page)
    accessible(page)


def test_an_entry_is_found_and_opened_by_keyboard(page: Page) -> None:
    page.goto("/catalog")
    page.keyboard.press("f")
    page.keyboard.type("yubikey")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page).to_have_url("/catalog?q=yubikey")
    expect(page.get_by_text("Users write")).to_be_visible()  # The only one there is opens by itself.
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Users write")).to_be_hidden()
