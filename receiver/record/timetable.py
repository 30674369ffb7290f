"""When a timed job last did what it does, or may do it again."""

from datetime import datetime

from sqlalchemy.orm import Session

from receiver.record.models import TimetableEntry


def noted(session: Session, name: str) -> datetime | None:
    """The moment noted under this name."""
    entry = session.get(TimetableEntry, name)
    return entry.last_slot if entry else None


def note(session: Session, name: str, moment: datetime) -> None:
    """Note a moment under this name, in the place of the one before."""
    entry = session.get(TimetableEntry, name, with_for_update=True) or TimetableEntry(name=name)
    entry.last_slot = moment
    session.add(entry)
