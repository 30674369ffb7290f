"""The audit: every change that a person or a program asked for, in a chain of hashes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from receiver.db import counters
from receiver.db.models import AuditEntry, table_of

_TALLY = "audit"
_ONCE = 1000
_LARGEST = 2**63 - 1


def note(
    session: Session, who: str, action: str, subject: str, now: datetime, details: dict[str, Any] | None = None
) -> AuditEntry:
    """Write that `who` did `action` (a verb) to `subject` ("ticket 7"), in the transaction of the change itself.

    The `details` are small and JSON; neither a secret nor a ticket's text belongs into them: no entry can be erased.
    """
    number = counters.add(session, _TALLY, 1)  # Its lock lets one writer at a time see the last link of the chain.
    entry = AuditEntry(number=number, at=now, who=who, action=action, subject=subject, details=details or {})
    before = session.scalar(select(AuditEntry.hash).where(AuditEntry.number == number - 1))
    entry.hash = _link(entry, before or "")
    session.add(entry)
    session.flush()
    return entry


def verify(session: Session, anchor: str | None = None) -> str | None:
    """What is wrong with the first entry that is not as it was written; None where all of them are.

    Whoever may write into the database can recompute the whole chain. An `anchor`, what `head` gave earlier and was
    kept elsewhere, shows that too.
    """
    last = counters.value(session, _TALLY)
    return _broken(session, 0, "") or _lost(session, last) or (_moved(session, anchor) if anchor else None)


def verify_latest(session: Session, many: int) -> str | None:
    """As `verify`, of the latest `many` entries only, whatever was before them."""
    last = counters.value(session, _TALLY)
    start = max(0, last - many)
    before = session.scalar(select(AuditEntry.hash).where(AuditEntry.number == start))
    return _broken(session, start, before or "") or _lost(session, last)


def head(session: Session) -> str:
    """The last entry's number and hash, to be kept elsewhere: `verify` tells whether the chain still leads there."""
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).first()
    return f"{last.number}:{last.hash}" if last else "0:"


def size(session: Session) -> int:
    """How many entries there are."""
    return counters.value(session, _TALLY)


def _broken(session: Session, number: int, before: str) -> str | None:
    """What is wrong first after entry `number`, whose hash is `before`."""
    while found := _after(session, number):
        for entry in found:
            number += 1
            if entry.number != number:
                return f"entry {number} is missing"
            if entry.hash != _link(entry, before):
                return f"entry {number} was edited, or the one before it was cut out or put in"
            before = entry.hash
    return None


def _lost(session: Session, last: int) -> str | None:
    """Whether entries were cut off at the end, or added past the count."""
    number = session.scalar(select(func.max(AuditEntry.number))) or 0
    if number == last:
        return None
    return f"entry {number + 1} is missing" if number < last else f"entry {last + 1} was added"


def _moved(session: Session, anchor: str) -> str | None:
    number, _, known = anchor.partition(":")
    at = int(number) if number.isdecimal() and number.isascii() else -1
    found = session.scalar(select(AuditEntry.hash).where(AuditEntry.number == min(at, _LARGEST)))
    if found == known or anchor == "0:":
        return None
    return f"entry {number} is not the one of the anchor: the chain was written anew, up to there or from before it"


def page(
    session: Session, limit: int, before: int | None = None, filters: Mapping[str, str] | None = None
) -> Sequence[AuditEntry]:
    """Up to `limit` entries, newest first, with numbers below `before`, of this `who`, `action` or `subject`."""
    query = select(AuditEntry).where(*_like(filters or {})).order_by(AuditEntry.number.desc()).limit(limit)
    return session.scalars(query.where(AuditEntry.number < before) if before is not None else query).all()


def _like(filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """The conditions; where a subject is named, which has few entries, no index but its own is of use."""
    columns: dict[str, Any] = {name: getattr(AuditEntry, name) for name in filters}
    if "subject" in columns:
        columns |= {name: column.concat("") for name, column in columns.items() if name != "subject"}
    return [columns[name] == value for name, value in filters.items()]


def about(session: Session, subject: str, limit: int = 50) -> Sequence[AuditEntry]:
    """The latest entries about one subject, newest first."""
    query = select(AuditEntry).where(AuditEntry.subject == subject)
    return session.scalars(query.order_by(AuditEntry.number.desc()).limit(limit)).all()


def first_about(session: Session, subjects: Sequence[str]) -> dict[str, str]:
    """Who did the first thing that was done to each of these subjects; those without any are left out."""
    first = select(func.min(AuditEntry.number)).where(AuditEntry.subject.in_(subjects)).group_by(AuditEntry.subject)
    rows = session.execute(select(AuditEntry.subject, AuditEntry.who).where(AuditEntry.number.in_(first)))
    return {row.subject: row.who for row in rows}


def _after(session: Session, number: int) -> Sequence[Any]:
    """Some entries after `number`, as plain rows: a chain may be long."""
    query = select(*table_of(AuditEntry).columns).where(AuditEntry.number > number).order_by(AuditEntry.number)
    return session.execute(query.limit(_ONCE)).all()


def _link(entry: Any, before: str) -> str:
    at = entry.at.astimezone(UTC).isoformat()
    said = [before, entry.number, at, entry.who, entry.action, entry.subject, entry.details]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
