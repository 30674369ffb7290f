"""What stands around every page: the rail, the engine's state, what waits for review."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, request
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from receiver.db import alarms, counters, tickets
from receiver.lib.roles import ADMIN, OPERATOR, VIEWER
from receiver.web import auth

_FRESH_SECONDS = 1.0
_LIVE = ("overview_pages.overview_page", "jobs_pages.jobs_page")


@dataclass(frozen=True)
class Place:
    """A page the rail leads to, for people of this `role`; its blueprint is `<name>_pages`, `key` follows `g`."""

    name: str
    label: str
    path: str
    key: str | None = None
    below: bool = False
    pocket: bool = False
    role: str = VIEWER


PLACES = (
    Place("overview", "Overview", "/", "o", pocket=True),
    Place("review", "Review", "/review", "r", pocket=True),
    Place("tickets", "Tickets", "/tickets", "t", pocket=True),
    Place("deliveries", "Deliveries", "/deliveries", "d"),
    Place("jobs", "Jobs", "/jobs", "j", pocket=True),
    Place("digests", "Digests", "/digests"),
    Place("quality", "Quality", "/quality"),
    Place("catalog", "Catalog", "/catalog"),
    Place("sources", "Sources", "/sources"),
    Place("people", "People", "/people", below=True, role=ADMIN),
    Place("audit", "Audit", "/audit", below=True, role=OPERATOR),
)


@dataclass(frozen=True)
class Pulse:
    """The state of the whole in a word: `state` is good, warn or bad, `review` what waits for a person."""

    state: str
    engine: str
    text: str
    review: int


def init_app(app: Flask) -> None:
    """Give every template the frame."""
    app.context_processor(_around)


def _around() -> dict[str, Any]:
    if not current_user or not current_user.is_authenticated or _must_set_up():
        return {"places": (), "pulse": None}
    known = current_app.blueprints
    return {
        "places": [place for place in PLACES if f"{place.name}_pages" in known and auth.may(place.role)],
        "at_place": _at_place(),
        "live": _at_place() if request.endpoint in _LIVE else "frame",
        "pulse": current_app.extensions["pulse"](),
    }


def _must_set_up() -> bool:
    """Whether the pages are closed yet, so that the frame has nothing to lead to. A record that is away is told."""
    try:
        return auth.must_set_up()
    except SQLAlchemyError:
        return True


def _at_place() -> str:
    return (request.blueprint or "").removesuffix("_pages")


def kept_pulse() -> Callable[[], Pulse]:
    """The pulse, read again where the last reading is two seconds old or this request changes something."""
    last: list[tuple[float, Pulse]] = []

    def pulse() -> Pulse:
        if not last or request.method != "GET" or time.monotonic() - last[0][0] > _FRESH_SECONDS:
            last[:] = [(time.monotonic(), _read())]
        return last[0][1]

    return pulse


def _read() -> Pulse:
    settings = current_app.extensions["settings"]
    engine = settings.llm_model if settings.uses_llm else "local engine"
    try:
        with current_app.extensions["record"].read() as session:
            up = alarms.current(session)
            waiting, _ = tickets.due(session)
            review = counters.value(session, "ticket.needs_review")
    except SQLAlchemyError:
        return Pulse("bad", engine, "record away", 0)
    if up:
        return Pulse("bad", engine, f"{len(up)} alarm{'s' if len(up) > 1 else ''}", review)
    return Pulse("warn", engine, f"{waiting:,} waiting", review) if waiting else Pulse("good", engine, "idle", review)
