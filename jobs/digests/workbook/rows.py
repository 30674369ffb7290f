"""Tickets as rows of the sheets `Tickets` and `Needs review`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from jobs.digests.translations import Words
from jobs.digests.workbook import cells
from jobs.digests.workbook.sheets import Column, Linked, Toned
from jobs.digests.workbook.totals import needs_review
from receiver.db import review_reasons
from receiver.db.models import FAILED, NEEDS_REVIEW, Classification, Ticket
from receiver.lib import sla

REVIEW_COLUMNS = (
    "Request ID", "Short Description", "Category", "Request Type", "Confidence", "Next Best", "Second Best", "Reason",
)  # fmt: skip
_FORMATS = {"Confidence": cells.PERCENT, "Received": cells.TIME, "Due": cells.TIME}
_ALIGNED = {"Confidence": "center", "Received": "left", "Due": "left"}
_TONES = {sla.AT_RISK: cells.WARN_TEXT, sla.PAST_DUE: cells.SOFT}


class Entry(NamedTuple):
    """What a row is made of."""

    ticket: Ticket
    classification: Classification | None
    state: str
    words: Words
    address: str | None
    zone: ZoneInfo


def columns(names: tuple[str, ...], words: Words, zone: ZoneInfo, *, wraps: bool = False) -> list[Column]:
    """The columns of these English names, with headings in the language of `words`, and the clock of their times."""
    clock = words["summary"]["clock"].format(zone=zone.key)
    return [
        Column(
            words["columns"][name],
            _FORMATS.get(name),
            _ALIGNED.get(name),
            wraps,
            clock if name in ("Received", "Due") else None,
        )
        for name in names
    ]


def row(entry: Entry, names: tuple[str, ...]) -> list[Any]:
    """The values of these columns."""
    return [_VALUES[name](entry) for name in names]


def review_row(entry: Entry) -> list[Any]:
    """The row of a ticket that a person should look at; its name leads to the dashboard where that has an address."""
    found = row(entry, REVIEW_COLUMNS)
    if entry.address:
        found[0] = Linked(entry.ticket.external_id, f"{entry.address}/tickets/{entry.ticket.id}")
    return found


def _of_classification(name: str) -> Callable[[Entry], Any]:
    return lambda entry: getattr(entry.classification, name) if entry.classification else None


def _sla_value(entry: Entry) -> float | None:
    value = entry.classification.sla_value if entry.classification else None
    return int(value) if value is not None and value == int(value) else value


def _status(entry: Entry) -> Any:
    if entry.classification is None:
        return Toned(entry.words["statuses"][FAILED], cells.BAD_TEXT)
    if needs_review(entry.ticket, entry.classification):
        return Toned(entry.words["statuses"][NEEDS_REVIEW], cells.WARN_TEXT)
    return entry.words["statuses"][entry.ticket.status]


def _due(entry: Entry) -> Any:
    due = _plain_time(entry.ticket.due_at, entry.zone)
    return Toned(due, _TONES[entry.state]) if entry.state in _TONES else due


def _plain_time(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """Excel knows no time zones; the cells are on the digest's clock, which the sheets name."""
    return moment.astimezone(zone).replace(tzinfo=None, microsecond=0) if moment else None


def _next_best(place: int) -> Callable[[Entry], str | None]:
    def found(entry: Entry) -> str | None:
        alternatives = entry.classification.alternatives if entry.classification else []
        return str(alternatives[place]) if len(alternatives) > place else None

    return found


def _reason(entry: Entry) -> str:
    if entry.classification is None:
        return entry.ticket.error or ""
    return f"{review_reasons.sentence(entry.classification)}; {entry.classification.reasoning}"


_VALUES: dict[str, Callable[[Entry], Any]] = {
    "Request ID": lambda entry: entry.ticket.external_id,
    "Short Description": lambda entry: entry.ticket.short_description,
    "Long Description": lambda entry: entry.ticket.long_description,
    "Requester Email": lambda entry: entry.ticket.requester_email,
    "Category": _of_classification("category"),
    "Request Type": _of_classification("request_type"),
    "SLA Value": _sla_value,
    "SLA Unit": _of_classification("sla_unit"),
    "Confidence": _of_classification("confidence"),
    "Status": _status,
    "Received": lambda entry: _plain_time(entry.ticket.received_at, entry.zone),
    "Due": _due,
    "Next Best": _next_best(0),
    "Second Best": _next_best(1),
    "Reason": _reason,
}
