"""The streams behind open pages: what they bring, how many there may be, and that they end when they shall."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from receiver.db import sign_in
from receiver.db.database import Database
from receiver.db.models import BrowserSession
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.dashboard import live, overview
from tests.conftest import wait_until
from tests.factories import due_ticket, person


class Browser(requests.Session):
    """Somebody who is signed in at a real server, for whom it has a thread of its own."""

    def __init__(self, site: str) -> None:
        super().__init__()
        self.site = site

    def ask(self, page: str = "overview", **options: Any) -> requests.Response:
        return self.get(f"{self.site}/live/{page}", timeout=60, allow_redirects=False, **options)

    def listen(self, page: str = "overview") -> requests.Response:
        answer = self.ask(page, stream=True)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        return answer


@pytest.fixture
def browser(site: str, db: Database) -> Iterator[Browser]:
    who = person(db, auth.VIEWER)
    with db.write() as session:
        token = sign_in.issue(session, now(), who)
    with Browser(site) as made:
        link = f"{site}/sign-in/{token}"
        [csrf] = re.findall(r'name="csrf_token" value="([^"]+)"', made.get(link, timeout=60).text)
        made.post(link, {"csrf_token": csrf}, timeout=60)
        yield made


def _events(answer: requests.Response) -> Iterator[str]:
    """The HTML of one event after another; what only keeps the stream alive is left out."""
    for line in answer.iter_lines(chunk_size=1):
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_a_stream_brings_what_changes_when_it_changes(
    browser: Browser, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_EVERY_SECONDS", 0.02)
    answer = browser.listen()
    events = _events(answer)
    assert "No ticket waits" in next(events)
    due_ticket(db, short_description="the printer burns")
    changed = ""
    while "1 ticket is on the way" not in changed:
        changed = next(events)
    assert "the printer burns" in changed
    assert 'id="stages"' not in changed  # Which is as it was.


def test_a_stream_ends_where_its_person_is_signed_out(
    browser: Browser, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(live, "_LET_IN_AGAIN_SECONDS", 0.05)
    events = _events(browser.listen())
    assert "No ticket waits" in next(events)
    with db.write() as session:
        session.query(BrowserSession).delete()
    assert len(list(events)) < 5


def test_however_many_pages_are_open_the_record_is_read_once(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[int] = []

    def found() -> dict[str, Any]:
        readings.append(1)
        return overview.page_values()

    monkeypatch.setattr(live, "_EVERY_SECONDS", 60)
    monkeypatch.setitem(live.PAGES, "overview", live.Page("overview_now.html", found))
    for answer in [browser.listen() for _ in range(5)]:
        next(_events(answer))
    assert len(readings) == 1


def test_who_finds_no_room_is_told_and_asks_for_the_same_now_and_then(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_free", threading.BoundedSemaphore(1))
    first = browser.listen()
    refused = browser.ask()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert 'id="today"' in browser.ask("overview?once").text
    first.close()
    wait_until(lambda: browser.ask(stream=True).status_code == 200)


def test_a_process_that_ends_ends_its_streams(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ending", threading.Event())
    events = _events(browser.listen("jobs"))
    assert "jobs-queues" in next(events)
    live.ending.set()
    assert list(events) == []


def test_a_stream_outlives_a_record_that_is_away(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> dict[str, Any]:
        raise OperationalError("SELECT", {}, Exception())

    monkeypatch.setitem(live.PAGES, "overview", live.Page("overview_now.html", away))
    told = next(_events(browser.listen()))
    assert 'id="pulse"' in told
    assert 'id="today"' not in told


def test_only_people_see_them(client: FlaskClient) -> None:
    assert client.get("/live/overview").status_code == 302
    assert client.get("/live/overview?once").status_code == 302


def test_there_is_no_stream_of_another_name(browser: Browser) -> None:
    assert browser.ask("passwords").status_code == 404


def test_a_page_that_is_merely_open_keeps_nobody_signed_in(browser: Browser, db: Database) -> None:
    def seen_at() -> datetime:
        with db.read() as session:
            return session.query(BrowserSession).one().seen_at

    with db.write() as session:
        session.query(BrowserSession).one().seen_at = long_ago = now() - timedelta(hours=11)
    assert browser.ask("frame?once").status_code == 200
    assert seen_at() == long_ago
    assert browser.get(f"{browser.site}/").status_code == 200
    assert seen_at() > long_ago
