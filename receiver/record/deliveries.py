"""Deliveries: recording one message and its tickets in a single transaction, once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, defer

from receiver.record import tickets
from receiver.record.models import ACCEPTED, DUPLICATE, PARTIAL, QUARANTINED, Delivery
from receiver.record.tickets import IncomingTicket


@dataclass(frozen=True)
class Arrival:
    """A genuine message: `key` is the sender's delivery id."""

    source: str
    key: str
    headers: dict[str, str]
    body: bytes
    body_sha256: str
    received_at: datetime


@dataclass(frozen=True)
class Content:
    """What was found in a body: usable tickets, the rejected ones as {"index", "id", "errors"}, or one `error`."""

    tickets: Sequence[IncomingTicket] = ()
    rejected: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


def original(session: Session, source: str, key: str) -> Delivery | None:
    """The first delivery that came with this key."""
    return session.scalar(
        select(Delivery).where(Delivery.source == source, Delivery.key == key, Delivery.original_id.is_(None))
    )


def record(session: Session, arrival: Arrival, content: Content) -> Delivery:
    """Write a delivery that was not seen before, with its tickets; all of it or nothing."""
    merged = tickets.merge(session, arrival.source, content.tickets)
    delivery = Delivery(
        source=arrival.source,
        key=arrival.key,
        received_at=arrival.received_at,
        headers=arrival.headers,
        body=arrival.body,
        body_sha256=arrival.body_sha256,
        status=_status(content, merged),
        accepted=len(merged.new),
        updated=merged.updated,
        duplicates=merged.duplicates,
        rejected=content.rejected,
        error=content.error,
    )
    session.add(delivery)
    session.flush()
    tickets.record(session, arrival.source, delivery.id, merged, arrival.received_at)
    return delivery


def _status(content: Content, merged: tickets.Merge) -> str:
    if not content.tickets:
        return QUARANTINED
    if content.rejected:
        return PARTIAL
    return ACCEPTED if merged.new or merged.updated else DUPLICATE


def record_redelivery(session: Session, arrival: Arrival, first: Delivery) -> Delivery:
    """Note that `first` came again; the same key with another body is a conflict, whose bytes are kept."""
    conflict = first.body_sha256 != arrival.body_sha256
    redelivery = Delivery(
        source=arrival.source,
        key=arrival.key,
        received_at=arrival.received_at,
        headers=arrival.headers,
        body=arrival.body if conflict else None,
        body_sha256=arrival.body_sha256,
        status=DUPLICATE,
        duplicates=first.accepted + first.updated + first.duplicates,
        rejected=[],
        original_id=first.id,
        conflict=conflict,
    )
    session.add(redelivery)
    session.flush()
    return redelivery


def latest_arrivals(session: Session, source: str, limit: int) -> list[datetime]:
    """When a source's last deliveries arrived, newest first."""
    query = select(Delivery.received_at).where(Delivery.source == source).order_by(Delivery.id.desc()).limit(limit)
    return list(session.scalars(query))


def empty_before(session: Session, moment: datetime, limit: int) -> int:
    """Drop the raw bytes of up to `limit` deliveries older than `moment`; returns of how many."""
    old = select(Delivery.id).where(Delivery.body.is_not(None), Delivery.received_at < moment).limit(limit)
    emptied = session.execute(
        update(Delivery).where(Delivery.id.in_(old.scalar_subquery())).values(body=None).returning(Delivery.id),
        execution_options={"synchronize_session": False},
    )
    return len(emptied.all())


def page(session: Session, status: str | None, limit: int, before: int | None = None) -> Sequence[Delivery]:
    """Up to `limit` deliveries without their bodies, newest first, with ids below `before`."""
    query = select(Delivery).options(defer(Delivery.body, raiseload=True)).order_by(Delivery.id.desc()).limit(limit)
    if status:
        query = query.where(Delivery.status == status)
    if before is not None:
        query = query.where(Delivery.id < before)
    return session.scalars(query).all()
