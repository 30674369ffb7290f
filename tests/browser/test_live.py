"""An open page behind the real web server, whose streams keep it up to date."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from receiver.db.database import Database
from tests.conftest import ROOT, wait_until
from tests.factories import due_ticket, settle
from tests.peers.http import free_port
from tests.receiver.web.test_webhooks import listens

pytestmark = pytest.mark.full


class Server:
    """gunicorn, as `jobs up` starts it."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.port = free_port()
        for name, value in {"PORT": self.port, "WEB_WORKERS": 1, "PYTHONPATH": ROOT}.items():
            environment.setenv(name, str(value))
        command = ["-m", "gunicorn", "-c", "python:receiver.web.gunicorn_conf", "receiver.web.app:create_app()"]
        self.process = subprocess.Popen([sys.executable, *command], cwd=folder)
        wait_until(lambda: listens(self.port))

    def ask_to_stop(self) -> None:
        """As a supervisor does."""
        self.process.terminate()


@pytest.fixture
def server(db: Database, tmp_path: Path, environment: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server(tmp_path, environment)
    yield made
    made.ask_to_stop()
    made.process.wait(90)


@pytest.fixture
def site(server: Server) -> str:
    """In the place of the one that serves all other pages."""
    return f"http://127.0.0.1:{server.port}"


def test_an_open_page_changes_by_itself_and_its_stream_ends_with_the_server(
    page: Page, db: Database, server: Server
) -> None:
    waiting = page.locator("#today .tile", has_text="waiting").locator("b")
    expect(waiting).to_have_text("0")
    chart = page.locator("#by-hour canvas").first
    expect(chart).to_be_visible()
    box = page.locator("#stages").bounding_box()
    ticket = due_ticket(db, short_description="the printer burns")
    expect(waiting).to_have_text("1")
    expect(page.locator("#latest")).to_contain_text("the printer burns")
    expect(page.locator("#pulse")).to_contain_text("1 waiting")
    assert page.locator("#stages").bounding_box() == box
    settle(db, ticket, review_reason="low_confidence")
    expect(page.locator("#verdict")).to_contain_text("1 needs review")
    expect(chart).to_be_visible()
    with page.expect_event("requestfinished", lambda request: "/live/" in request.url, timeout=60_000):
        server.ask_to_stop()
