"""What a person does to tickets, on a page or through the API: review, undo, redrive. Each is noted in the audit."""

from collections.abc import Sequence

from flask import current_app
from sqlalchemy.orm import Session

from receiver import queue
from receiver.catalog import Catalog, current
from receiver.db import audit, review_undo, reviews, tickets
from receiver.db.models import Ticket
from receiver.db.reviews import Review
from receiver.intake import sources
from receiver.lib.clock import now
from receiver.web import auth

_AT_ONCE = 20  # Reviews in one transaction, so that whoever else writes has a turn in between.


def catalog() -> Catalog:
    """The catalog in force. Raises CatalogError."""
    return current.current_catalog(current_app.extensions["db"], current_app.extensions["settings"], asks=False)


def review(ticket_id: int, choice: tuple[str, str] | None, seen: int | None = None) -> Review | None:
    """Review one ticket as whoever is signed in; `reviews.review` says what is raised, and CatalogError."""
    entries = catalog()
    with current_app.extensions["db"].write() as session:
        return _review(session, ticket_id, choice, entries, seen)


def confirm(ticket_ids: Sequence[int]) -> int:
    """Confirm what these tickets are attributed to; how many of them had an answer to confirm. Raises CatalogError."""
    entries, done = catalog(), 0
    for start in range(0, len(ticket_ids), _AT_ONCE):
        with current_app.extensions["db"].write() as session:
            done += sum(_confirms(session, ticket_id, entries) for ticket_id in ticket_ids[start : start + _AT_ONCE])
    return done


def _confirms(session: Session, ticket_id: int, entries: Catalog) -> bool:
    try:
        return _review(session, ticket_id, None, entries, None) is not None
    except reviews.NothingToConfirmError:
        return False


def _review(
    session: Session, ticket_id: int, choice: tuple[str, str] | None, entries: Catalog, seen: int | None
) -> Review | None:
    who, moment, clock = auth.caller(), now(), current_app.extensions["settings"].sla_clock
    writes = sources.writing_back(current_app.extensions["sources"])
    found = reviews.review(session, ticket_id, choice, entries, who, moment, writes, clock, seen)
    if found:
        action, details = noted(found)
        audit.note(session, who, action, f"ticket {ticket_id}", moment, details)
    return found


def noted(found: Review) -> tuple[str, dict[str, str]]:
    """What the audit says of a review: the action, and its details."""
    was = found.before and f"{found.before[0]} / {found.before[1]}"
    now_is = f"{found.classification.category} / {found.classification.request_type}"
    action = "confirm" if was == now_is else "correct"
    return action, {"to": now_is} | ({"from": was} if was and was != now_is else {})


def undo(ticket_id: int) -> Ticket | None:
    """Undo the review of a ticket by whoever is signed in. Raises undoing.NothingToUndoError."""
    who, moment = auth.caller(), now()
    with current_app.extensions["db"].write() as session:
        ticket = review_undo.undo(session, ticket_id, who, moment)
        if ticket:
            audit.note(session, who, "undo review", f"ticket {ticket_id}", moment)
    if ticket:
        current_app.extensions["waker"].wake(queue.CLASSIFY)  # It may have been waiting for that.
    return ticket


def redrive(ticket_ids: Sequence[int]) -> list[int]:
    """Have these tickets classified again; those of them that no person has reviewed."""
    who, moment = auth.caller(), now()
    with current_app.extensions["db"].write() as session:
        done = [ticket_id for ticket_id in ticket_ids if tickets.make_due(session, ticket_id, moment)]
        for ticket_id in done:
            audit.note(session, who, "redrive", f"ticket {ticket_id}", moment)
    if done:
        current_app.extensions["waker"].wake(queue.CLASSIFY)
    return done
