"""The ways of an admin, a reviewer and an operator through the stack as `jobs up` starts it, by keyboard alone."""

import io
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest
import requests
import yaml
from playwright.sync_api import Browser, Locator, Page, expect

from receiver.db import audit, database, due_tickets
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.intake import signatures
from receiver.lib.clock import now
from receiver.lib.secret_files import new_webhook_secret
from tests.browser.conftest import PHONE, watched, window
from tests.browser.test_frame import Check
from tests.browser.test_review import LAPTOP, before_me, find_laptop, left_over
from tests.conftest import wait_until
from tests.factories import ticket_json
from tests.jobs.operations.test_pipeline import environment_of
from tests.jobs.operations.test_supervisor import PATIENCE, Stack, up
from tests.peers import http, llm, smtp
from tests.peers.http import Answer, Request, free_port
from tests.peers.smtp import MailServer

pytestmark = pytest.mark.durable

SECRET, PASSWORD = new_webhook_secret(), "correct horse battery"
VPN = "VPN Connection Issue"
UNSURE = ("no tunnel", "no printer", "no mouse", "no badge", "no mail")


@dataclass(frozen=True)
class Site:
    """A running stack, its record, the mail server it sends to, and the file of its sources."""

    stack: Stack
    db: Database
    mails: MailServer
    sources_file: Path

    def push(self, *subjects: str, source: str = "standard", field: str = "short_description") -> None:
        """As a helpdesk does: one signed delivery, with a ticket for each subject."""
        body = json.dumps([ticket_json(short_description=None) | {field: subject} for subject in subjects]).encode()
        headers = signatures.sign_standard(SECRET, f"msg_{time.monotonic_ns()}", int(time.time()), body)
        url = f"{self.stack.url}/webhooks/{source}"
        requests.post(url, body, headers=headers | {"Content-Type": "application/json"}, timeout=10)

    def ticket(self, subject: str) -> tuple[str, str | None] | None:
        """The status and the request type of the ticket that has this subject."""
        with self.db.read() as session:
            found = session.query(Ticket).filter_by(short_description=subject).first()
            return (found.status, found.request_type) if found else None

    def becomes(self, status: str, *subjects: str) -> None:
        """Wait until the tickets of these subjects have this status."""
        wait_until(lambda: [(self.ticket(subject) or ("",))[0] for subject in subjects] == [status] * len(subjects))

    def restart_web(self) -> None:
        """Let the web server end, as an operator who has changed a setting does, and wait for the next one."""
        before = self.stack.roles()["web"]
        os.kill(before, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{before}").exists(), PATIENCE)
        wait_until(self._answers, PATIENCE)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.stack.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False


def _map_subject_to(name: str, path: Path) -> None:
    desk = {"profile": "standard", "secrets": [SECRET], "fields": {"id": "id", "short_description": name}}
    path.write_text(yaml.safe_dump({"sources": {"desk": desk}}))


def _answer(request: Request) -> Answer:
    """A model that is sure of everything but of what is missing."""
    asked = request.json["messages"][-1]["content"].rpartition("<ticket>\n")[2]
    sure = 0.4 if asked.startswith(UNSURE) else 0.95
    return llm.proposal(VPN, sure, "It says so.", alternatives=["Wi-Fi/LAN Connectivity", LAPTOP])


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One stack for all of these tests, between a model and a mail server."""
    folder = tmp_path_factory.mktemp("ways")
    _map_subject_to("headline", folder / "sources.yaml")
    with ExitStack() as running:
        model = running.enter_context(http.serve(llm.endpoint(_answer)))
        mails = running.enter_context(smtp.serve(MailServer()))
        environ = environment_of(
            folder, REDIS_URL="", PORT=free_port(), WEBHOOK_SECRET=SECRET, SOURCES_FILE=folder / "sources.yaml",
            OPENAI_BASE_URL=f"{model.url}/v1", SMTP_HOST="127.0.0.1", SMTP_PORT=mails.port, SMTP_USE_TLS="false",
            FROM_EMAIL="tickets@example.com", RECIPIENT_EMAIL="boss@example.com", WEB_WORKERS=1,
        )  # fmt: skip
        stack = running.enter_context(up(folder, environ))
        db = running.enter_context(database.opened(f"sqlite:///{folder}/data/tickets.db"))
        yield Site(stack, db, mails, folder / "sources.yaml")


@pytest.fixture(scope="module")
def invited(stacked: Site, browser: Browser) -> dict[str, str]:
    """The first start: the printed link makes the first account, an admin's, who invites a reviewer and an operator."""
    [link] = re.findall(rf"{stacked.stack.url}/sign-in/\S+", stacked.stack.printed())
    with window(browser, stacked.stack.url) as context, watched(context) as page:
        page.goto(link)
        expect(page.get_by_role("heading", name="The first account")).to_be_visible()
        _reach(page, page.get_by_label("Name"))
        _send(page, "Ada", "ada@example.com", PASSWORD)
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        links = {}
        for role in ("reviewer", "operator"):
            _follow(page, page.locator(".rail").get_by_role("link", name="People"))
            _reach(page, page.get_by_label("Name"))
            _fill(page, role.title(), f"{role}@example.com", role)
            _follow(page, page.get_by_role("button", name="Make the invitation"))
            links[role] = page.locator("pre.once").inner_text()
    return links


@pytest.fixture
def site(stacked: Site) -> str:
    """In the place of the one that serves all other pages."""
    return stacked.stack.url


@pytest.fixture
def good(accessible: Check, fits: Check) -> Check:
    """Fails where a page as it stands keeps somebody out, or is wider than its window."""

    def check(page: Page) -> None:
        accessible(page)
        fits(page)

    return check


def _reach(page: Page, wanted: Locator) -> None:
    """Go from field to field until this one has the focus, as whoever has no mouse does."""
    for _ in range(100):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"No way leads to {wanted}.")


def _follow(page: Page, wanted: Locator) -> None:
    _reach(page, wanted)
    page.keyboard.press("Enter")


def _go(page: Page, key: str, heading: str) -> None:
    """Go to a page by `g` and its letter."""
    page.keyboard.press("g")
    page.keyboard.press(key)
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def _fill(page: Page, *texts: str) -> None:
    """Write into one field after the other; in a choice, the first letters of what is chosen."""
    for number, text in enumerate(texts):
        if number:
            page.keyboard.press("Tab")
        page.keyboard.type(text)


def _send(page: Page, *texts: str) -> None:
    _fill(page, *texts)
    page.keyboard.press("Enter")


def _accept_invitation(page: Page, link: str) -> None:
    page.goto(link)
    _reach(page, page.get_by_label("Password"))
    _send(page, PASSWORD)
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def test_the_link_of_the_first_start_works_once(stacked: Site, invited: dict[str, str], stranger: Page) -> None:
    [link] = re.findall(rf"{stacked.stack.url}/sign-in/\S+", stacked.stack.printed())
    stranger.goto(link)
    expect(stranger.get_by_role("alert")).to_contain_text("This link was used before")
    assert len(set(invited.values())) == len(invited)
    with stacked.db.read() as session:
        found = [(entry.who, entry.action) for entry in audit.page(session, 4)]
        said = [entry for entry in found if entry[1] != "sign in"]
    assert said == [("ada@example.com", "invite")] * 2 + [("ada@example.com", "create account")]


def test_a_reviewers_way(stacked: Site, invited: dict[str, str], stranger: Page, good: Check) -> None:
    """In the dark, on a screen as wide as a phone's."""
    page = stranger
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    stacked.push(*UNSURE)
    _accept_invitation(page, invited["reviewer"])
    _sign_out_and_in(page, good)
    stacked.becomes("needs_review", *UNSURE)
    _go(page, "r", "Review")
    taken = _decide(page, good)
    assert stacked.ticket("no printer") == ("reviewed", taken)
    assert stacked.ticket("no mouse") == ("reviewed", LAPTOP)
    page.keyboard.press("u")
    before_me(page, "no mouse")
    left_over(page, 3)
    assert stacked.ticket("no mouse") == ("needs_review", VPN)
    for _ in range(2):
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Done for today")).to_be_visible()
    left_over(page, 1)
    good(page)
    assert {stacked.ticket(subject) for subject in ("no tunnel", "no mouse", "no mail")} == {("reviewed", VPN)}
    _find(page, good)
    assert stacked.ticket("no badge") == ("needs_review", VPN)


def _sign_out_and_in(page: Page, good: Check) -> None:
    _follow(page, page.get_by_label("Account and display"))
    good(page)
    _follow(page, page.get_by_role("button", name="Sign out"))
    expect(page.get_by_label("E-mail")).to_be_focused()
    good(page)
    _send(page, "reviewer@example.com", PASSWORD)
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def _decide(page: Page, good: Check) -> str:
    """Confirm a ticket, take the next-best entry of another, which is returned, correct a third, and skip one."""
    before_me(page, "no tunnel")
    left_over(page, 5)
    good(page)
    page.keyboard.press("Enter")
    before_me(page, "no printer")
    left_over(page, 4)
    taken: str = page.locator("[data-card]:not([hidden]) [data-key='1'] span").evaluate("it => it.firstChild.data")
    page.keyboard.press("1")
    before_me(page, "no mouse")
    left_over(page, 3)
    find_laptop(page)
    good(page)
    page.keyboard.press("Enter")
    before_me(page, "no badge")
    page.keyboard.press("s")
    before_me(page, "no mail")
    left_over(page, 2)
    return taken


def _find(page: Page, good: Check) -> None:
    """The one that was skipped, by a word of it."""
    page.keyboard.press("/")
    page.keyboard.type("badge")
    page.keyboard.press("Enter")
    expect(page.locator("[data-row]")).to_have_count(1)
    good(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="no badge", level=1)).to_be_visible()
    good(page)


def test_an_operators_way(stacked: Site, invited: dict[str, str], stranger: Page, good: Check) -> None:
    """By daylight, at a desk."""
    page = stranger
    page.on("dialog", lambda dialog: dialog.accept())
    _accept_invitation(page, invited["operator"])
    stacked.push("the gate is shut")
    expect(_latest(page, "the gate is shut")).to_have_text("classified")
    good(page)
    _pause_and_resume(page, stacked, good)
    _replay(page, stacked, good)
    _send_digest(page, stacked, good)
    _redrive(page, stacked, good)


def _pause_and_resume(page: Page, site: Site, good: Check) -> None:
    _go(page, "j", "Jobs")
    good(page)
    _follow(page, page.get_by_role("button", name="Pause classification"))
    expect(page.get_by_role("button", name="Resume classification")).to_be_visible()
    site.push("the lift is stuck")
    _go(page, "o", "Overview")
    expect(page.locator("#verdict")).to_contain_text("Classification is paused")
    expect(_latest(page, "the lift is stuck")).to_have_text("received")
    good(page)
    _kill_its_worker_thrice(site.db)
    expect(_latest(page, "the lift is stuck")).to_have_text("failed")
    site.push("the door squeaks")
    _go(page, "j", "Jobs")
    _follow(page, page.get_by_role("button", name="Resume classification"))
    expect(page.get_by_role("button", name="Pause classification")).to_be_visible()
    site.becomes("classified", "the door squeaks")


def _latest(page: Page, subject: str) -> Locator:
    """The status that the overview shows of a ticket."""
    return page.locator("#latest tr", has_text=subject).locator(".status")


def _kill_its_worker_thrice(db: Database) -> None:
    """What waits becomes a dead letter, as if three workers had died of it."""
    moment = now()
    with db.write() as session:
        assert due_tickets.claim(session, "gone", 1, moment)
        due_tickets.end(session, "gone", moment)
        for _ in range(1, due_tickets.POLICY.most_crashes):
            assert due_tickets.claim_crashed(session, "gone", moment)
            due_tickets.end(session, "gone", moment)


def _replay(page: Page, site: Site, good: Check) -> None:
    """A delivery that the mapping of its source cannot read, and that is read once the mapping is mended."""
    site.push("the roof leaks", source="desk", field="summary")
    _go(page, "d", "Deliveries")
    _reach(page, page.get_by_label("Status").first)
    page.keyboard.type("quarantined")
    expect(page.locator("[data-row]")).to_have_count(1)
    good(page)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="As it arrived")).to_be_visible()
    good(page)
    delivery = page.url
    page.goto("about:blank")  # An open page would complain that its server is away.
    _map_subject_to("summary", site.sources_file)
    site.restart_web()
    page.goto(delivery)
    _follow(page, page.get_by_role("button", name="Replay"))
    expect(page.get_by_role("heading", name="Replayed")).to_be_visible()
    expect(page.locator("[data-row]")).to_contain_text("1 new")
    good(page)
    site.becomes("classified", "the roof leaks")


def _send_digest(page: Page, site: Site, good: Check) -> None:
    _follow(page, page.locator(".rail").get_by_role("link", name="Digests"))
    _follow(page, page.get_by_role("button", name="Send now"))
    expect(page.locator("#content .facts .status")).to_have_text("sent")
    good(page)
    [mail] = site.mails.messages
    assert site.mails.recipients == [["boss@example.com"]]
    [workbook] = mail.iter_attachments()
    rows = openpyxl.load_workbook(io.BytesIO(workbook.get_content()))["Tickets"].values
    assert "the roof leaks" in [row[1] for row in rows]


def _redrive(page: Page, site: Site, good: Check) -> None:
    _go(page, "t", "Tickets")
    _reach(page, page.get_by_label("Any status"))
    page.keyboard.type("failed")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_text("the worker died 3 times")).to_be_visible()
    good(page)
    _follow(page, page.get_by_role("button", name="Classify again"))
    expect(page.get_by_role("status")).to_contain_text("The ticket will be classified again.")
    site.becomes("classified", "the lift is stuck")
