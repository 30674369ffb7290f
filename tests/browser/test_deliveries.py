"""Deliveries as an operator has them before them."""

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from receiver.lib import secret_files
from receiver.lib.settings import Settings
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.browser.test_review import accepting
from tests.factories import signed, ticket_json

pytestmark = pytest.mark.full


@pytest.fixture
def arrived(app: Flask, config: Settings) -> None:
    """Something of every kind, the last of it broken."""
    sender, secret = app.test_client(), secret_files.webhook_secrets(config)[0]
    long = ticket_json(id="A-very-long-name-" * 9, short_description="Donaudampfschifffahrtsgesellschaft" * 5)
    batch = [ticket_json(), long, ticket_json(requester_email="nobody")]
    for body, key in (
        (batch, "msg_a"),
        (batch, "msg_a"),
        ([long], "msg_a"),
        (b'{"id": 1, "text": "a "quote""}', "msg_b"),
    ):
        sender.post("/webhooks/standard", **signed(secret, body, key))


@pytest.mark.usefixtures("arrived")
def test_deliveries_keep_nobody_out_and_fit_a_phone(page: Page, accessible: Check, fits: Check) -> None:
    for path in ("/deliveries", "/deliveries/1", "/deliveries/4"):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(path)
        accessible(page)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        fits(page)


@pytest.mark.usefixtures("arrived")
def test_a_broken_delivery_is_found_chosen_and_replayed_by_keyboard(page: Page) -> None:
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/deliveries")
    page.get_by_label("Status").first.select_option("quarantined")
    expect(page).to_have_url("/deliveries?source=&status=quarantined")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    said: list[str] = []
    page.on("dialog", accepting(said))
    page.get_by_role("button", name="Replay", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Replayed")).to_be_visible()
    assert said[0].startswith("Read 1 delivery again")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Delivery 4")).to_be_visible()
    expect(page.get_by_role("heading", name="Replays")).to_be_visible()


@pytest.mark.usefixtures("arrived")
def test_all_that_can_be_replayed_are_selected_at_once(page: Page) -> None:
    page.goto("/deliveries")
    every = page.get_by_label("Select every delivery of this page")
    every.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("3 selected")).to_be_visible()  # The fourth repeats another.
    page.get_by_label("Select delivery 1").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("2 selected")).to_be_visible()
    assert every.evaluate("box => box.indeterminate")
