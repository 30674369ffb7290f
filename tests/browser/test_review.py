"""The reviewer's way, by keyboard: confirm, take a next-best entry, correct by searching, skip, undo."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Dialog, Page, expect

from receiver.catalog import Catalog
from receiver.db import audit, catalogs
from receiver.db.database import Database
from receiver.db.models import ExampleRow, Ticket
from receiver.lib.clock import now
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.factories import due_ticket, review, settle

pytestmark = pytest.mark.full

SUBJECTS = ("no tunnel", "no printer", "no mouse", "no badge", "no mail")
LAPTOP = "Laptop Repair/Replacement"


@pytest.fixture
def queue(db: Database, shipped: Catalog) -> Database:
    """Five tickets that wait for a person, the first of them due first."""
    with db.write() as session:
        catalogs.remember(session, shipped.version, shipped.text, now())
    for hours, subject in enumerate(SUBJECTS, 1):
        settle(
            db,
            due_ticket(db, short_description=subject, long_description=f"There is {subject} since today."),
            now() + timedelta(hours=hours),
            review_reason="low_confidence",
            confidence=0.4,
            reasoning=f"The requester says there is {subject}",
            alternatives=["Wi-Fi/LAN Connectivity", LAPTOP],
        )
    return db


def _ticket(db: Database, subject: str) -> tuple[str, str | None]:
    with db.read() as session:
        ticket = session.query(Ticket).filter_by(short_description=subject).one()
        return ticket.status, ticket.request_type


def before_me(page: Page, subject: str) -> None:
    expect(page.locator("[data-card]:not([hidden]) h2")).to_have_text(subject)
    expect(page.locator("[data-card]:not([hidden]) h2")).to_be_focused()


def left_over(page: Page, count: int) -> None:
    expect(page.locator("#review-left b")).to_have_text(str(count))


def find_laptop(page: Page) -> None:
    """Look an entry up in the catalog; `Enter` takes it."""
    page.keyboard.press("c")
    expect(page.get_by_role("combobox", name="Entry of the catalog")).to_be_focused()
    page.keyboard.type("laptop rep")
    expect(page.get_by_role("listbox").get_by_role("option", selected=True)).to_contain_text(LAPTOP)


def test_the_whole_way_by_keyboard(page: Page, queue: Database) -> None:
    page.goto("/review")
    before_me(page, "no tunnel")
    page.keyboard.press("Enter")
    before_me(page, "no printer")
    page.keyboard.press("1")
    before_me(page, "no mouse")
    left_over(page, 3)
    find_laptop(page)
    page.keyboard.press("Enter")
    before_me(page, "no badge")
    page.keyboard.press("s")
    before_me(page, "no mail")
    left_over(page, 2)
    assert _ticket(queue, "no tunnel") == ("reviewed", "VPN Connection Issue")
    assert _ticket(queue, "no printer") == ("reviewed", "Wi-Fi/LAN Connectivity")
    assert _ticket(queue, "no mouse") == ("reviewed", LAPTOP)
    assert _ticket(queue, "no badge")[0] == "needs_review"

    page.keyboard.press("u")
    before_me(page, "no mouse")
    left_over(page, 3)
    assert _ticket(queue, "no mouse") == ("needs_review", "VPN Connection Issue")
    page.keyboard.press("2")
    before_me(page, "no mail")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Done for today")).to_be_visible()
    expect(page.get_by_role("link", name="Go through what you skipped")).to_be_visible()
    left_over(page, 1)
    with queue.read() as session:
        actions = [entry.action for entry in reversed(audit.page(session, 10))]
        assert session.query(ExampleRow).count() == 4
    first, undone, last = actions[-6:-4], actions[-4:-2], actions[-2:]
    assert undone == ["correct", "undo review"]
    assert sorted(first) == sorted(last) == ["confirm", "correct"]  # Two that are quick may be saved in either order.


def test_a_quick_hand_loses_nothing(page: Page, queue: Database) -> None:
    page.goto("/review")
    before_me(page, "no tunnel")
    for _ in range(3):
        page.keyboard.press("Enter")
    before_me(page, "no badge")
    page.keyboard.press("Enter")
    before_me(page, "no mail")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Done for today")).to_be_visible()
    expect(page.locator("#review-left")).to_have_text("none left")
    assert {_ticket(queue, subject) for subject in SUBJECTS} == {("reviewed", "VPN Connection Issue")}


def test_what_somebody_else_did_meanwhile_is_said_and_kept(page: Page, queue: Database, shipped: Catalog) -> None:
    page.goto("/review")
    before_me(page, "no tunnel")
    review(queue, 1, shipped, "Hardware Support", LAPTOP)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Ada has reviewed this ticket meanwhile")
    before_me(page, "no printer")
    assert _ticket(queue, "no tunnel") == ("reviewed", LAPTOP)


def test_nobody_is_kept_out(page: Page, queue: Database, accessible: Check, fits: Check) -> None:
    page.emulate_media(reduced_motion="reduce")
    for path in ("/review", "/tickets", "/tickets/1"):
        page.goto(path)
        accessible(page)
    page.keyboard.press("c")
    expect(page.get_by_role("listbox").get_by_role("option").first).to_be_visible()
    accessible(page)
    page.keyboard.press("Escape")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in ("/review", "/tickets", "/tickets/1"):
        page.goto(path)
        fits(page)
        accessible(page)


def test_nothing_to_review_is_a_pleasant_thing(page: Page, accessible: Check) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto("/review")
    expect(page.get_by_role("heading", name="Done for today")).to_be_visible()
    accessible(page)


def test_several_at_once_in_tickets_by_keyboard(page: Page, queue: Database) -> None:
    said: list[str] = []
    page.on("dialog", accepting(said))
    page.goto("/tickets?status=needs_review")
    for key in ("j", "x", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_contain_text("Confirmed 3 tickets.")
    assert said == ["Confirm what 3 tickets are attributed to? They become reviewed."]
    assert page.url.endswith("/tickets?status=needs_review")
    expect(page.locator("[data-row]")).to_have_count(2)


def accepting(said: list[str]) -> Callable[[Dialog], None]:
    def accept(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.accept()

    return accept
