"""The audit: every change that a person or a program asked for, in a chain of hashes."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.record import tallies
from receiver.record.models import AuditEntry

_TALLY = "audit"
_ONCE = 1000


def note(
    session: Session, who: str, action: str, subject: str, now: datetime, details: dict[str, Any] | None = None
) -> AuditEntry:
    """Write that `who` did `action` (a verb) to `subject` ("ticket 7"), in the transaction of the change itself.

    The `details` are small and JSON; neither a secret nor a ticket's text belongs into them: no entry can be erased.
    """
    number = tallies.add(session, _TALLY, 1)  # Its lock lets one writer at a time see the last link of the chain.
    entry = AuditEntry(number=number, at=now, who=who, action=action, subject=subject, details=details or {})
    before = session.scalar(select(AuditEntry.hash).where(AuditEntry.number == number - 1))
    entry.hash = _link(entry, before or "")
    session.add(entry)
    session.flush()
    return entry


def verify(session: Session) -> str | None:
    """What is wrong with the first entry that is not as it was written; None where all of them are."""
    number, before = 0, ""
    while found := _after(session, number):
        for entry in found:
            number += 1
            if entry.number != number:
                return f"entry {number} is missing"
            if entry.hash != _link(entry, before):
                return f"entry {number} was edited, or the one before it was cut out or put in"
            before = entry.hash
    last = tallies.value(session, _TALLY)
    if number == last:
        return None
    return f"entry {number + 1} is missing" if number < last else f"entry {last + 1} was added"


def page(session: Session, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
    """Up to `limit` entries, newest first, with numbers below `before`."""
    query = select(AuditEntry).order_by(AuditEntry.number.desc()).limit(limit)
    return session.scalars(query.where(AuditEntry.number < before) if before is not None else query).all()


def about(session: Session, subject: str, limit: int = 50) -> Sequence[AuditEntry]:
    """The latest entries about one subject, newest first."""
    query = select(AuditEntry).where(AuditEntry.subject == subject)
    return session.scalars(query.order_by(AuditEntry.number.desc()).limit(limit)).all()


def _after(session: Session, number: int) -> Sequence[AuditEntry]:
    query = select(AuditEntry).where(AuditEntry.number > number).order_by(AuditEntry.number).limit(_ONCE)
    return session.scalars(query).all()


def _link(entry: AuditEntry, before: str) -> str:
    at = entry.at.astimezone(UTC).isoformat()
    said = [before, entry.number, at, entry.who, entry.action, entry.subject, entry.details]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
