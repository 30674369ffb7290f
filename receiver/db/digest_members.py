"""What digests hold: the members of one that was claimed, and those of one that would be claimed now."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.orm import Session

from receiver.db import counters
from receiver.db.digest_filters import EVERYTHING, Filter, at_risk, members, soonest_due
from receiver.db.digests import SCHEDULED, last_settled
from receiver.db.models import FAILED, NEEDS_REVIEW, Classification, Digest, DigestTicket, Ticket
from receiver.db.tickets import Pair
from receiver.lib import clock


def rows(session: Session, digest_id: int) -> Iterator[Pair]:
    """The members with the classification they had when the digest was claimed, in the workbook's order."""
    query = (
        select(Ticket, Classification)
        .join(DigestTicket, DigestTicket.ticket_id == Ticket.id)
        .outerjoin(Classification, Classification.id == DigestTicket.classification_id)
        .where(DigestTicket.digest_id == digest_id)
    )
    yield from _in_order(session, query)


def pending(
    session: Session, name: str = SCHEDULED, chosen: Filter = EVERYTHING, now: datetime | None = None
) -> Iterator[Pair]:
    """What the digest `name` claimed now would hold, in the workbook's order."""
    settled = last_settled(session, name), counters.value(session, "settled")
    current = and_(Classification.ticket_id == Ticket.id, Classification.current)
    query = select(Ticket, Classification).outerjoin(Classification, current)
    yield from _in_order(session, query.where(members(name, chosen, settled, now or clock.now())))


def pending_counts(session: Session, name: str, chosen: Filter, now: datetime) -> Sequence[tuple[str | None, int, int]]:
    """What the digest `name` claimed now would hold: category, tickets, and how many of them to review."""
    settled = last_settled(session, name), counters.value(session, "settled")
    unsure = func.sum(case((Ticket.status.in_([NEEDS_REVIEW, FAILED]), 1), else_=0))
    counted = func.count()
    query = select(Ticket.category, counted, unsure).where(members(name, chosen, settled, now))
    rows = session.execute(query.group_by(Ticket.category).order_by(counted.desc(), Ticket.category))
    return [(category, count, to_review) for category, count, to_review in rows]


def pending_soonest(session: Session, name: str, chosen: Filter, now: datetime, limit: int) -> Sequence[Ticket]:
    """Up to `limit` of these that are at risk, the soonest due first."""
    settled = last_settled(session, name), counters.value(session, "settled")
    return soonest_due(session, members(name, chosen, settled, now) & at_risk(now), limit)


def counts(session: Session, digest: Digest | None) -> dict[tuple[str | None, str | None], int] | None:
    """A digest's tickets by category and request type, as they were classified then; None of no digest."""
    if digest is None:
        return None
    query = (
        select(Classification.category, Classification.request_type, func.count())
        .select_from(DigestTicket)
        .outerjoin(Classification, Classification.id == DigestTicket.classification_id)
        .where(DigestTicket.digest_id == digest.id)
        .group_by(Classification.category, Classification.request_type)
    )
    return {(category, request_type): count for category, request_type, count in session.execute(query)}


def _in_order(session: Session, query: Select[Ticket, Classification]) -> Iterator[Pair]:
    ordered = query.order_by(
        func.lower(func.coalesce(Classification.category, "")),
        func.lower(func.coalesce(Classification.request_type, "")),
        func.lower(Ticket.short_description),
        Ticket.id,
    )
    found = session.execute(ordered.execution_options(yield_per=1000))
    yield from ((ticket, classification) for ticket, classification in found)
