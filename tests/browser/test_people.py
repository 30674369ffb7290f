"""The first start, signing in, and what people do about people, by keyboard and on a phone."""

import re
from collections.abc import Callable

import pyotp
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import delete

from receiver.db import audit, sign_in
from receiver.db.database import Database
from receiver.db.models import Person
from receiver.lib.clock import now
from tests.browser.conftest import PHONE
from tests.conftest import ADMIN, PASSWORD
from tests.factories import person

pytestmark = pytest.mark.full

Check = Callable[[Page], None]


def _type(page: Page, *texts: str) -> None:
    """Fill the fields in their order, from the focused one on, and press enter in the last."""
    for number, text in enumerate(texts):
        page.keyboard.type(text)
        page.keyboard.press("Tab" if number < len(texts) - 1 else "Enter")


def test_a_first_start_leads_to_an_account_and_back_in(stranger: Page, db: Database, accessible: Check) -> None:
    with db.write() as session:
        session.execute(delete(Person))
        link = f"/sign-in/{sign_in.issue(session, now())}"
    stranger.goto("/")
    expect(stranger.get_by_text("python -m jobs token --sign-in")).to_be_visible()
    stranger.goto(link)
    accessible(stranger)
    stranger.get_by_label("Name").focus()
    _type(stranger, "Ada", "ada@example.com", "too short")
    expect(stranger.get_by_text("Between 12 and 200 characters")).to_be_visible()
    accessible(stranger)
    stranger.get_by_label("Password").focus()
    _type(stranger, "correct horse battery")
    expect(stranger.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    stranger.get_by_label("Account and display").click()
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.get_by_label("E-mail")).to_be_focused()
    _type(stranger, "ada@example.com", "correct horse battery")
    expect(stranger.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def test_a_wrong_password_is_told_and_the_page_that_was_wanted_comes_after(stranger: Page, db: Database) -> None:
    stranger.goto("/people")
    _type(stranger, ADMIN, "not this one")
    expect(stranger.get_by_role("alert")).to_contain_text("wrong")
    expect(stranger.get_by_label("Password")).to_be_focused()
    _type(stranger, PASSWORD)
    expect(stranger.get_by_role("heading", name="People", level=1)).to_be_visible()


def test_somebody_is_invited_made_an_operator_and_disabled(page: Page, db: Database) -> None:
    page.goto("/people")
    page.get_by_label("Name").focus()
    _type(page, "Lin", "lin@example.com")
    expect(page.get_by_text(re.compile(r"/sign-in/\S{40}"))).to_be_visible()
    page.get_by_role("link", name="Back to People").click()
    expect(page.get_by_role("heading", name="People", level=1)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Lin", level=1)).to_be_visible()
    page.get_by_label("Role").select_option("operator")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status")).to_contain_text("Lin is operator now")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status")).to_contain_text("signed out everywhere")
    expect(page.get_by_role("button", name="Enable")).to_be_visible()


def test_a_token_is_shown_once_and_revoked(page: Page) -> None:
    page.goto("/account")
    page.get_by_label("What it is for").fill("nightly export")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_text(re.compile(r"^ta_\S{40,}$"))).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("row", name="nightly export").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status")).to_contain_text("is revoked")


def test_a_second_factor_is_set_up_on_a_phone_and_asked_for(stranger: Page, accessible: Check, fits: Check) -> None:
    page = stranger
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto("/account/second-factor")
    _type(page, ADMIN, PASSWORD)
    expect(page.get_by_label("Your password")).to_be_visible()
    accessible(page)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Show the secret").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    accessible(page)
    fits(page)
    totp = pyotp.TOTP(page.locator(".once").inner_text().replace(" ", ""))
    page.get_by_label("Code", exact=True).fill(totp.now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("link", name="I have kept them")).to_be_visible()
    codes = page.locator(".once").inner_text().split()
    assert len(codes) == 10
    accessible(page)
    fits(page)
    page.context.clear_cookies()
    page.goto("/sign-in")
    expect(page.get_by_label("E-mail")).to_be_focused()
    _type(page, ADMIN, PASSWORD)
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    accessible(page)
    fits(page)
    _type(page, codes[0])
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def test_nobody_is_kept_out_of_these_pages(page: Page, db: Database, accessible: Check, fits: Check) -> None:
    long = person(db, name="Maximiliane Freifrau von Hohenlohe-Langenburg", email=f"{'max' * 20}@example.com")
    with db.write() as session:
        for number in range(60):
            audit.note(session, f"{'max' * 20}@example.com", "change role", f"person {long.id}", now(), {"to": number})
    for path in ("/people", f"/people/{long.id}", "/account", "/audit"):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(path)
        accessible(page)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        fits(page)
