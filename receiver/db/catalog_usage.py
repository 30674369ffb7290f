"""What the record knows of the catalog's entries: how many tickets each has, and how many of them were learned from."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from receiver.db.models import EntryCounter, ExampleRow

Entry = tuple[str, str]
"""A category and a request type."""


def tickets(session: Session) -> dict[Entry, int]:
    """The tickets that are attributed to each entry, also to those that have left the catalog."""
    rows = session.execute(
        select(EntryCounter.category, EntryCounter.request_type, EntryCounter.tickets).where(EntryCounter.tickets > 0)
    )
    return {(category, request_type): count for category, request_type, count in rows}


def learned(session: Session) -> dict[Entry, int]:
    """The reviewed tickets that engines learn each entry from."""
    entry = (ExampleRow.category, ExampleRow.request_type)
    rows = session.execute(select(*entry, func.count()).group_by(*entry))
    return {(category, request_type): count for category, request_type, count in rows}
