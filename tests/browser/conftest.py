"""Chromium in front of the real application: real HTTP, the real record, and nobody's console may complain."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from demo import browser as chromium
from receiver.db import sign_in
from receiver.db.database import Database
from receiver.lib.clock import now

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}  # All that the other scheme could have made worse.
# To bring the whole of axe's answer here takes as long as to find it.
_VIOLATIONS = """async rules => (await axe.run(document, rules)).violations
    .map(rule => [rule.id, rule.nodes.map(node => node.html)])"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium; `make test` has made sure that there is one."""
    expect.set_options(timeout=60_000)  # As patient as wait_until: a busy machine is slow, not wrong.
    with chromium.browser() as found:
        yield found


@contextmanager
def window(browser: Browser, site: str, **options: Any) -> Iterator[BrowserContext]:
    """A browser's window at `site`; light, and as wide as a desk has it, unless the options say otherwise."""
    usual = {"viewport": DESK, "color_scheme": "light"}
    made = browser.new_context(base_url=site, **(usual | options))
    made.set_default_timeout(60_000)
    yield made
    made.close()


@contextmanager
def watched(context: BrowserContext) -> Iterator[Page]:
    """A new page. At the end of the block its console is empty: no error, no broken policy."""
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: _note(complaints, message))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    _be_patient(page)
    yield page
    assert complaints == []


@pytest.fixture
def context(browser: Browser, site: str) -> Iterator[BrowserContext]:
    """A window at this test's application."""
    with window(browser, site) as made:
        yield made


@pytest.fixture
def stranger(context: BrowserContext) -> Iterator[Page]:
    """A page nobody has signed in on."""
    with watched(context) as page:
        yield page


def _be_patient(page: Page) -> None:
    """Let a key wait for the page's scripts, as the eyes of a person make their hand wait for the page."""
    press = page.keyboard.press

    def patient(key: str) -> None:
        page.wait_for_load_state()
        press(key)

    page.keyboard.press = patient  # type: ignore[method-assign, assignment]


def _note(complaints: list[str], message: ConsoleMessage) -> None:
    expected = re.search(
        r"(status of|Status Error Code) 4\d\d", message.text
    )  # What a test provokes is the server's answer, not a fault.
    if message.type in ("error", "warning") and not expected:
        complaints.append(message.text)


@pytest.fixture
def page(stranger: Page, db: Database) -> Page:
    """A page on which an admin has signed in."""
    with db.write() as session:
        token = sign_in.issue(session, now())
    stranger.goto(f"/sign-in/{token}")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    return stranger


@pytest.fixture
def accessible() -> Callable[[Page], None]:
    """Fails where axe-core finds that a page, as it stands, keeps somebody out (WCAG 2.1 AA), light or dark."""

    def check(page: Page) -> None:
        page.evaluate(_AXE)
        assert page.evaluate(_VIOLATIONS, _RULES) == []
        is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        page.emulate_media(color_scheme="light" if is_dark else "dark")
        assert page.evaluate(_VIOLATIONS, _COLOURS) == []
        page.emulate_media(color_scheme="dark" if is_dark else "light")

    return check


@pytest.fixture
def fits() -> Callable[[Page], None]:
    """Fails where a page is wider than its window, so that a phone would scroll sideways."""

    def check(page: Page) -> None:
        wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window

    return check
