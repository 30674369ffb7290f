"""What is done to classification itself: pause it, have tickets classified again, look for a newer catalog."""

from collections.abc import Sequence

from receiver import queue
from receiver.actions.context import Context
from receiver.catalog import Catalog, current
from receiver.db import audit, pauses, tickets

# Shorter than REQUEST_TIMEOUT may be, because a person waits for the answer.
_RELOAD_SECONDS = 20.0


def pause(context: Context, who: str) -> None:
    """Classify nothing from now on; tickets are accepted, and wait."""
    moment = context.clock()
    with context.db.write() as session:
        if pauses.begin(session, who, moment):
            audit.note(session, who, "pause", "classification", moment)


def resume(context: Context, who: str) -> None:
    """Go on where it was paused."""
    with context.db.write() as session:
        if pauses.end(session):
            audit.note(session, who, "resume", "classification", context.clock())
    context.wake(queue.CLASSIFY)


def redrive(context: Context, who: str, ticket_ids: Sequence[int]) -> list[int]:
    """Have these tickets classified again; returns those of them that no person has reviewed."""
    moment = context.clock()
    with context.db.write() as session:
        done = [ticket_id for ticket_id in ticket_ids if tickets.make_due(session, ticket_id, moment)]
        for ticket_id in done:
            audit.note(session, who, "redrive", f"ticket {ticket_id}", moment)
    if done:
        context.wake(queue.CLASSIFY)
    return done


def reload_catalog(context: Context, who: str) -> Catalog:
    """Look at the catalog's location now; what is good there comes into force. Raises CatalogError.

    The audit is written where the version is remembered, in one transaction.
    """
    seconds = min(context.settings.request_timeout, _RELOAD_SECONDS)
    found = current.reload(context.db, context.settings, seconds, who)
    context.wake(queue.CLASSIFY)  # For tickets that waited for a good one.
    return found
