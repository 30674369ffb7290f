"""Undoing a review: the ticket, its classification, its example and its answers are again as they were before."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from receiver.db import classifications, counters, examples, outbox, review_outcomes
from receiver.db.models import REVIEWED, Classification, DigestTicket, ExampleRow, Ticket

_MOMENTS = ("at_risk_at", "due_at")
_VALUES = ("status", "category", "request_type", "settled", "crashes", "error", "delivery_id")


class NothingToUndoError(Exception):
    """The ticket has no review that this person could undo; the text says why."""


def kept(session: Session, ticket: Ticket, current: Classification | None) -> dict[str, Any]:
    """What a review is about to change, as JSON, to be stored beside it."""
    moments = {name: value.isoformat() for name in _MOMENTS if (value := getattr(ticket, name))}
    example = session.scalar(select(ExampleRow).where(ExampleRow.ticket_id == ticket.id))
    return {
        **{name: getattr(ticket, name) for name in _VALUES},
        **moments,
        "classification_id": current and current.id,
        "example": example and [example.category, example.request_type],
        "answers": [],
    }


def undo(session: Session, ticket_id: int, who: str, now: datetime) -> Ticket | None:
    """Make the ticket what it was before `who` reviewed it, and the only trace of that the audit's.

    A digest that has told of the review keeps it as history, and the next one tells of the ticket again. A helpdesk
    that was told is told again. None where there is no such ticket. Raises NothingToUndoError.
    """
    told = _told(session, ticket_id)
    # The lock of this number comes before a ticket's everywhere, or two writers could wait for each other.
    settled = counters.add(session, "settled", 1) if told else None
    ticket = session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        return None
    review, before = _undoable(ticket, classifications.current(session, ticket_id), who)
    _put_back(session, ticket, before, settled)
    _drop(session, review, before, now, told=told)
    examples.forget(session, ticket_id)
    if before["example"]:
        category, request_type = before["example"]
        examples.remember(session, ticket_id, category, request_type, now)
    _learn_again(session, before["answers"])
    review_outcomes.settle(session, ticket)
    return ticket


def _told(session: Session, ticket_id: int) -> bool:
    """Whether a digest has told of the classification that is current."""
    current = select(Classification.id).where(Classification.ticket_id == ticket_id, Classification.current)
    query = select(DigestTicket.digest_id).where(DigestTicket.classification_id.in_(current.scalar_subquery()))
    return session.scalar(query.limit(1)) is not None


def _undoable(ticket: Ticket, current: Classification | None, who: str) -> tuple[Classification, dict[str, Any]]:
    if current is None or current.before is None or ticket.status != REVIEWED:
        raise NothingToUndoError("There is no review of this ticket to undo.")
    if current.reviewer != who:
        raise NothingToUndoError(f"{current.reviewer} has reviewed this ticket since; review it again instead.")
    if current.before["delivery_id"] != ticket.delivery_id:
        raise NothingToUndoError("The ticket's text has changed since it was reviewed; review it again instead.")
    return current, current.before


def _put_back(session: Session, ticket: Ticket, before: dict[str, Any], settled: int | None) -> None:
    for name in _VALUES:
        setattr(ticket, name, before[name])
    for name in _MOMENTS:
        setattr(ticket, name, datetime.fromisoformat(before[name]) if name in before else None)
    if settled is not None and ticket.settled is not None:
        ticket.settled = settled
    session.flush()


def _drop(session: Session, review: Classification, before: dict[str, Any], now: datetime, *, told: bool) -> None:
    """The review goes; where a digest or the helpdesk knows of it, it stays as history."""
    review.current, review.before = False, None
    session.flush()
    if before["classification_id"]:
        earlier = update(Classification).where(Classification.id == before["classification_id"])
        session.execute(earlier.values(current=True).execution_options(synchronize_session=False))
    written = outbox.take_back(session, review.id, before["classification_id"], now)
    if written or told:
        review.undone = True
    else:
        session.execute(delete(Classification).where(Classification.id == review.id))


def _learn_again(session: Session, answers: Iterable[tuple[int, str]]) -> None:
    for classification_id, key in answers:
        session.execute(
            update(Classification)
            .where(Classification.id == classification_id)
            .values(cache_key=key)
            .execution_options(synchronize_session=False)
        )
