"""Tries again the calls to helpdesks that have failed."""

from receiver.actions.context import Context
from receiver.db import audit, outbox


def redrive(context: Context, who: str, source: str | None) -> int:
    """Make the failed calls to a source due again, or those to all of them; returns how many."""
    moment = context.clock()
    with context.db.write() as session:
        many = outbox.redrive(session, source, moment)
        subject = f"outgoing calls of {source or 'every source'}"
        audit.note(session, who, "redrive", subject, moment, {"calls": many})
    return many
