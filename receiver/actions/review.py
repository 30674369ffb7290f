"""What people do to tickets: confirm or correct what they are attributed to, and undo that."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from receiver import queue
from receiver.actions.context import Context
from receiver.actions.errors import ConflictError, InvalidError, NotFoundError
from receiver.catalog import Catalog, current
from receiver.db import audit, reviews, tickets
from receiver.db.models import Ticket
from receiver.db.reviews import Entry, Review
from receiver.db.tickets import Pair
from receiver.intake import sources
from receiver.lib.sla import Clock

# Reviews in one transaction. Few, so that senders can write in between.
_AT_ONCE = 20
_NO_TICKET = "There is no ticket with this id."


class NothingToConfirmError(ConflictError):
    """The ticket has no answer that could be confirmed."""


class UnknownEntryError(InvalidError):
    """What the person chose is not in the catalog; the text names what is near."""


def get(session: Session, ticket_id: int) -> Pair:
    """The ticket with this id and its current classification. Raises NotFoundError."""
    found = tickets.with_classification(session, ticket_id)
    if found is None:
        raise NotFoundError(_NO_TICKET)
    return found


def catalog(context: Context) -> Catalog:
    """The catalog in force. Raises CatalogError."""
    return current.current_catalog(context.db, context.settings, asks=False)


def review(
    context: Context, who: str, ticket_id: int, choice: tuple[str, str] | None, seen: int | None = None
) -> Review:
    """Make a ticket `choice` (category, request type) or, without one, confirm what it is attributed to.

    `seen` is the classification that the person had before them, 0 for none. Raises NotFoundError,
    NothingToConfirmError, UnknownEntryError, ChangedMeanwhileError and CatalogError.
    """
    entries = catalog(context)
    with context.db.write() as session:
        found = _review(context, who, session, ticket_id, choice, entries, seen)
    if found is None:
        raise NotFoundError(_NO_TICKET)
    return found


def confirm(context: Context, who: str, ticket_ids: Sequence[int]) -> int:
    """Confirm what these tickets are attributed to; how many of them had an answer to confirm. Raises CatalogError."""
    entries, done = catalog(context), 0
    for start in range(0, len(ticket_ids), _AT_ONCE):
        with context.db.write() as session:
            for ticket_id in ticket_ids[start : start + _AT_ONCE]:
                try:
                    done += _review(context, who, session, ticket_id, None, entries, None) is not None
                except NothingToConfirmError:
                    continue  # The caller compares the count with the selection.
    return done


def _review(
    context: Context,
    who: str,
    session: Session,
    ticket_id: int,
    choice: tuple[str, str] | None,
    entries: Catalog,
    seen: int | None,
) -> Review | None:
    moment, clock = context.clock(), context.settings.sla_clock
    writes = sources.writing_back(context.sources)
    found = decide(session, ticket_id, choice, entries, who, moment, writes, clock, seen)
    if found:
        action, details = noted(found)
        audit.note(session, who, action, f"ticket {ticket_id}", moment, details)
    return found


def decide(
    session: Session,
    ticket_id: int,
    choice: tuple[str, str] | None,
    catalog: Catalog,
    reviewer: str,
    moment: datetime,
    writes: Mapping[str, bool] | None = None,
    clock: Clock | None = None,
    seen: int | None = None,
) -> Review | None:
    """Review a ticket in the caller's transaction; the caller writes the audit. See `review` and `reviews.settle`."""
    held = reviews.hold(session, ticket_id, seen)
    if held is None:
        return None
    before = held.before
    if choice:
        kind = catalog.find(*choice)
        if kind is None:
            raise UnknownEntryError(f"{' / '.join(choice)} is not in the catalog. {catalog.near(*choice)}")
    elif before and held.is_attributed:
        # Confirming means the entry of today: its SLA may have changed since the engine answered.
        kind = catalog.find(before.category, before.request_type)
        if kind is None:
            raise NothingToConfirmError(
                f"{before.category} / {before.request_type} has left the catalog; send category and request_type."
            )
    else:
        raise NothingToConfirmError(
            f"The ticket is {held.ticket.status}, so there is no answer to confirm; send category and request_type to"
            " say what it is, or wait until it is classified."
        )
    entry = Entry(kind.category, kind.name, kind.sla, catalog.version)
    return reviews.settle(session, held, entry, reviewer, moment, writes, clock)


def noted(found: Review) -> tuple[str, dict[str, str]]:
    """What the audit says of a review: the action, and its details."""
    was = found.before and f"{found.before[0]} / {found.before[1]}"
    now_is = f"{found.classification.category} / {found.classification.request_type}"
    action = "confirm" if was == now_is else "correct"
    return action, {"to": now_is} | ({"from": was} if was and was != now_is else {})


def undo(context: Context, who: str, ticket_id: int) -> Ticket:
    """Undo one's own review of a ticket. Raises NotFoundError and NothingToUndoError."""
    moment = context.clock()
    with context.db.write() as session:
        ticket = reviews.undo(session, ticket_id, who, moment)
        if ticket is None:
            raise NotFoundError(_NO_TICKET)
        audit.note(session, who, "undo review", f"ticket {ticket_id}", moment)
    # It may be due again, as it was before the review.
    context.wake(queue.CLASSIFY)
    return ticket
