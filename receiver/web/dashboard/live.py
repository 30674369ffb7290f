"""Live pages: while a page is open, a stream brings what has changed of it.

However many pages are open, a process reads the database once every `_EVERY_SECONDS`, and no stream holds a connection
to it. A stream has a thread of its own, so their number is limited; a page that finds no room asks every few seconds.
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

# Of the 600 threads of a process; the others are for senders and for pages.
MOST_STREAMS = 100
_EVERY_SECONDS = 1.5
# Texts such as "3 min ago" change although nothing has happened.
_AT_LEAST_SECONDS = 10.0
# Then the browser opens a new stream, which passes the guards again.
_LONGEST_SECONDS = 120.0
# How long an open page may go on after its person was signed out or disabled.
_LET_IN_AGAIN_SECONDS = 3.0
_BEFORE_ELEMENT = re.compile(r'^(?=<\w+ id="[\w-]+" data-now)', re.MULTILINE)

ending = threading.Event()
"""Set when this process is asked to end: then every stream ends at once, and browsers come back to the next process."""

_free = threading.BoundedSemaphore(MOST_STREAMS)


class _SharedReading:
    """What a page shows, read again where the last reading is too old."""

    def __init__(self, read: Callable[[], dict[str, object]]) -> None:
        self._read, self._turn = read, threading.Lock()
        self._at = 0.0
        self._last: dict[str, object] | None = None

    def __call__(self) -> dict[str, object] | None:
        """The reading that all streams share; None where the database is away."""
        with self._turn:
            if time.monotonic() - self._at >= _EVERY_SECONDS:
                try:
                    self._last = self._read()
                except SQLAlchemyError:
                    self._last = None
                # Taken after reading, so that a slow database is not asked without a pause.
                self._at = time.monotonic()
            return self._last


@dataclass(frozen=True)
class Page:
    """The elements of a page that are kept up to date, and where their contents come from."""

    template: str
    read: Callable[[], dict[str, object]]


FRAME = "frame"
PAGES = {
    FRAME: Page("frame_now.html", dict),
    "overview": Page("overview_now.html", overview.page_values),
    "jobs": Page("jobs_now.html", jobs.page_values),
}


@blueprint.get("/<name>")
def live(name: str) -> ResponseReturnValue:
    """A page's elements as they change, as server-sent events; with `once` as they are now."""
    page = PAGES.get(name) or abort(404)
    reading = web_state().live.setdefault(name, _SharedReading(page.read))
    if "once" in request.args:
        return _render_elements(page, reading())
    if not _free.acquire(blocking=False):
        raise ServiceUnavailable("As many pages are open as this process serves; ask with ?once.", retry_after=10)
    stream = Response(stream_with_context(_stream_events(page, reading)), mimetype="text/event-stream")
    # nginx would collect what we send until its buffer is full.
    stream.headers["X-Accel-Buffering"] = "no"
    stream.call_on_close(_free.release)
    return stream


def _render_elements(page: Page, found: dict[str, object] | None) -> str:
    """The HTML of everything that may have changed, each element with its id."""
    around = render_template(PAGES[FRAME].template)
    if found is None or page.template == PAGES[FRAME].template:
        return around
    return around + render_template(page.template, moment=now(), **found)


def _stream_events(page: Page, reading: Callable[[], dict[str, object] | None]) -> Iterator[str]:
    """Server-sent events: the elements that have changed, each time that something has."""
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
            elements = _BEFORE_ELEMENT.split(_render_elements(page, found[0]))
            # Now and then all of them: the browser skips an element that its person is using at the moment.
            changed = [element for element in elements if is_long_ago or element not in there]
            told, told_at, there = found, time.monotonic() if is_long_ago else told_at, set(elements)
        # Browsers ignore a comment. Sending one fails when the client has gone, and that ends this stream.
        yield f"data: {json.dumps(''.join(changed))}\n\n" if changed else ":\n\n"
        ending.wait(_EVERY_SECONDS)
