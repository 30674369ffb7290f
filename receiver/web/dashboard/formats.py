"""How pages write numbers and moments: the Jinja filters, the same on every page."""

import math
from datetime import UTC, datetime, timedelta

from flask import Flask

from receiver.db import review_reasons
from receiver.db.models import Ticket
from receiver.lib import sla
from receiver.lib.clock import now
from receiver.web.state import context

_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def init_app(app: Flask) -> None:
    """Give the app's templates these filters."""
    texts = (ago_text, moment, count, percent, duration, span, money, words, clock_text, in_unit, rough)
    for name in (*texts, sla_state, sla_start):
        app.jinja_env.filters[name.__name__] = name
    app.jinja_env.filters["review_reason"] = review_reasons.sentence


def ago_text(at: datetime) -> str:
    """How long ago, or in how long: `12 min ago`, `in 3 h`."""
    seconds = (now() - at).total_seconds()
    # Also hides that the clocks of two machines differ a little.
    if abs(seconds) < 5:
        return "now"
    size, unit = next((step for step in _STEPS if abs(seconds) >= step[0]), (1, "s"))
    many = math.floor(abs(seconds) / size)
    return f"{many} {unit} ago" if seconds > 0 else f"in {many} {unit}"


def moment(at: datetime) -> str:
    """A moment to the second, for a tooltip: `2026-03-01 08:00:12 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def count(number: float) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,.0f}"


def percent(share: float | None) -> str:
    """A share of one, with one digit: `87.6 %`."""
    return "" if share is None else f"{share * 100:.1f} %"


def duration(milliseconds: float | None) -> str:
    """`340 ms`, `2.1 s`, and from a minute on as `span` has it."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 60_000 else span(milliseconds / 1000)


def span(length: float | timedelta) -> str:
    """A longer time in its two largest units: `3 d 4 h`; seconds or a timedelta."""
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    parts: list[str] = []
    rest = abs(seconds)
    for size, unit in _STEPS:
        many, rest = divmod(rest, size)
        if many or (parts and len(parts) < 2):
            parts.append(f"{many} {unit}" if many else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def rough(length: timedelta) -> str:
    """A longer time, rounded: `3 d`, `21 h`, `40 min`; up to two days in hours."""
    seconds = abs(length.total_seconds())
    size, unit = next((step for step in _STEPS if seconds >= step[0] * (2 if step[1] == "d" else 1)), (1, "s"))
    return f"{math.floor(seconds / size)} {unit}"


def money(amount: float) -> str:
    """An amount of the price table's currency; four digits below a cent."""
    return f"{amount:.4f}" if 0 < abs(amount) < 0.01 else f"{amount:,.2f}"


def words(name: str) -> str:
    """A name in the database, such as `needs_review`, as a person reads it: `needs review`."""
    return name.replace("_", " ")


def clock_text(seconds: float, kind: str = "time") -> str:
    """A moment of a chart, in seconds since 1970: a day, or a day and a minute (UTC)."""
    return f"{datetime.fromtimestamp(seconds, UTC):{'%Y-%m-%d' if kind == 'day' else '%Y-%m-%d %H:%M'}}"


def in_unit(value: float | None, unit: str) -> str:
    """A number of a chart in its unit: percent, ms, money, or none."""
    if value is None:
        return ""
    written = {"percent": percent, "ms": duration, "money": money}.get(unit)
    return written(value) if written else f"{value:,.2f}".rstrip("0").rstrip(".")


def sla_start(ticket: Ticket) -> datetime:
    """When a ticket's SLA clock started."""
    clock: sla.Clock = context().settings.sla_clock
    return clock.start(ticket.source_created_at, ticket.received_at)


def sla_state(ticket: Ticket, at: datetime) -> str:
    """The state of a ticket's SLA: on_track, at_risk, past_due, or none."""
    return sla.state(ticket.due_at, ticket.at_risk_at, at)
