"""What waits for a reviewer: the oldest due first, along an index that holds nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, literal, select, tuple_
from sqlalchemy.orm import Session

from receiver.db import counters
from receiver.db.models import Classification, Ticket
from receiver.db.review_reasons import ReviewReason
from receiver.db.ticket_query import LOOKED_AT, needs_review

REASONS: dict[str, ColumnElement[bool]] = {
    "low confidence": Classification.review_reason == ReviewReason.LOW_CONFIDENCE,
    "disagreement": Classification.agreement.is_(False),
    "steering": Classification.steers.is_(True),
    "fallback": Classification.fallback.is_(True),
    "out of catalog": Classification.review_reason == ReviewReason.OUT_OF_CATALOG,
}
COUNTED = 1_000
_AT_ONCE = 500


@dataclass(frozen=True)
class Left:
    """How many tickets wait for a review, and how many of these are due before `night`: COUNTED at most."""

    waiting: int
    today: int


def left(session: Session, night: datetime) -> Left:
    """What is left to review; `night` is when the day ends for those who review."""
    due = select(Ticket.id).where(needs_review, Ticket.due_at < night).limit(COUNTED).subquery()
    today = session.scalar(select(func.count()).select_from(due)) or 0
    return Left(counters.value(session, "ticket.needs_review"), today)


def waiting(
    session: Session, limit: int, after: int | None = None, reason: str = "", category: str = ""
) -> Sequence[int]:
    """Up to `limit` tickets to review behind the ticket `after`, for one reason or of one category where it is named.

    Of a long queue, it looks at the first LOOKED_AT tickets.
    """
    query = select(Ticket.id).where(needs_review).order_by(Ticket.due_at, Ticket.id)
    if after is not None and (due_at := session.scalar(select(Ticket.due_at).where(Ticket.id == after))):
        place = tuple_(literal(due_at, Ticket.due_at.type), literal(after))
        query = query.where(tuple_(Ticket.due_at, Ticket.id) > place)
    conditions = [REASONS[reason]] if reason in REASONS else []
    conditions += [Classification.category == category] if category else []
    if not conditions:
        return session.scalars(query.limit(limit)).all()
    found: list[int] = []
    with session.scalars(query.limit(LOOKED_AT).execution_options(yield_per=_AT_ONCE)) as ids:
        for chunk in ids.partitions():
            found += _kept(session, chunk, conditions)
            if len(found) >= limit:
                break
    return found[:limit]


def _kept(session: Session, ids: Sequence[int], conditions: Sequence[ColumnElement[bool]]) -> list[int]:
    current = (Classification.ticket_id.in_(ids), Classification.current)
    kept = set(session.scalars(select(Classification.ticket_id).where(*current, *conditions)))
    return [ticket_id for ticket_id in ids if ticket_id in kept]
