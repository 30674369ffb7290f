"""Live pages: while a page is open, a stream brings what has changed of it.

However many pages are open, a process reads the record once every `_EVERY_SECONDS`; no stream holds a connection to it.
A stream has a thread of its own, so their number is limited, and who finds no room asks every few seconds instead.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable

from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.dashboard import jobs, overview
from receiver.web.state import web_state

blueprint = Blueprint("live_pages", __name__, url_prefix="/live")

MOST_STREAMS = 100  # Of the 600 threads of a process; the others are for senders and for pages.
_EVERY_SECONDS = 1.5
_AT_LEAST_SECONDS = 10.0  # What is said in "3 min ago" changes by itself.
_LONGEST_SECONDS = 120.0  # Then the browser opens a new one, and its person is let in anew or not.

_LET_IN_AGAIN_SECONDS = 3.0  # So long may a page that is open go on when its person is signed out or disabled.
_BEFORE_ELEMENT = re.compile(r'^(?=<\w+ id="[\w-]+" data-now)', re.MULTILINE)

ending = threading.Event()
"""Set when this process is asked to end: then every stream ends at once, and browsers come back to the next process."""

_free = threading.BoundedSemaphore(MOST_STREAMS)


class _Shared:
    """What a page shows, read again where the last reading is too old."""

    def __init__(self, read: Callable[[], dict[str, object]]) -> None:
        self._read, self._turn = read, threading.Lock()
        self._at = 0.0
        self._last: dict[str, object] | None = None

    def __call__(self) -> dict[str, object] | None:
        """The reading that all streams share; None where the record is away."""
        with self._turn:
            if time.monotonic() - self._at >= _EVERY_SECONDS:
                self._last, self._at = self._fresh(), time.monotonic()
            return self._last

    def _fresh(self) -> dict[str, object] | None:
        try:
            return self._read()
        except SQLAlchemyError:
            return None


@dataclass(frozen=True)
class Page:
    """The elements of a page that are kept up to date, and where their contents come from."""

    template: str
    read: Callable[[], dict[str, object]]


FRAME = "frame"
PAGES = {
    FRAME: Page("frame_now.html", dict),
    "overview": Page("overview_now.html", overview.found),
    "jobs": Page("jobs_now.html", jobs.found),
}


@blueprint.get("/<name>")
def live(name: str) -> ResponseReturnValue:
    """A page's elements as they change, as server-sent events; with `once` as they are now."""
    page = PAGES.get(name) or abort(404)
    reading = _reading(name, page)
    if "once" in request.args:
        return _elements(page, reading())
    if not _free.acquire(blocking=False):
        raise ServiceUnavailable("As many pages are open as this process serves; ask with ?once.", retry_after=10)
    stream = Response(stream_with_context(_events(page, reading)), mimetype="text/event-stream")
    stream.headers["X-Accel-Buffering"] = "no"  # Or nginx would keep what we send until it is much.
    stream.call_on_close(_free.release)
    return stream


def _reading(name: str, page: Page) -> Callable[[], dict[str, object] | None]:
    return web_state().live.setdefault(name, _Shared(page.read))


def _elements(page: Page, found: dict[str, object] | None) -> str:
    """The HTML of everything that may have changed, each element with its id."""
    around = render_template(PAGES[FRAME].template)
    if found is None or page.template == PAGES[FRAME].template:
        return around
    return around + render_template(page.template, moment=now(), **found)


def _events(page: Page, reading: Callable[[], dict[str, object] | None]) -> Iterator[str]:
    let_in_at = time.monotonic()
    ends = let_in_at + _LONGEST_SECONDS
    told: tuple[object, object] | None = None
    told_at = 0.0
    there: set[str] = set()
    yield "retry: 2000\n\n"
    while not ending.is_set() and time.monotonic() < ends:
        if time.monotonic() - let_in_at > _LET_IN_AGAIN_SECONDS:
            if not auth.is_still_in():
                return  # The browser comes back, and is sent to sign in.
            let_in_at = time.monotonic()
        found = (reading(), web_state().system_status())
        changed: list[str] = []
        is_long_ago = time.monotonic() - told_at > _AT_LEAST_SECONDS
        if found != told or is_long_ago:
            elements = _BEFORE_ELEMENT.split(_elements(page, found[0]))
            # Now and then all of them, for a browser leaves alone what somebody is in at the moment.
            changed = [element for element in elements if is_long_ago or element not in there]
            told, told_at, there = found, time.monotonic() if is_long_ago else told_at, set(elements)
        # A comment is read by nobody, but where nobody is there any more, this is how one finds out.
        yield f"data: {json.dumps(''.join(changed))}\n\n" if changed else ":\n\n"
        ending.wait(_EVERY_SECONDS)
