"""Moments that jobs note: when something was last done, or until when something is left alone."""

from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from receiver.db.models import Moment, table_of

BACKED_UP = "backed_up"
# Both of these are of a source each.
RECONCILED, RECONCILE_PAUSED_UNTIL = "reconciled", "reconcile_paused_until"

_NOTE = text(
    "INSERT INTO moments (kind, subject, at) VALUES (:kind, :subject, :at)"
    " ON CONFLICT (kind, subject) DO UPDATE SET at = :at"
).bindparams(bindparam("at", type_=table_of(Moment).columns.at.type))


def noted(session: Session, kind: str, subject: str = "") -> datetime | None:
    """The moment that was noted last, if any was."""
    found = session.get(Moment, (kind, subject), populate_existing=True)
    return found.at if found else None


def note(session: Session, kind: str, at: datetime, subject: str = "") -> None:
    """Note a moment in the place of the one before."""
    session.execute(_NOTE, {"kind": kind, "subject": subject, "at": at})
