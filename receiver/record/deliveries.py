"""Deliveries: recording one message and its tickets in a single transaction, once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session, defer

from receiver.record import tickets
from receiver.record.models import ACCEPTED, DUPLICATE, PARTIAL, QUARANTINED, Delivery, table_of
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


# What every delivery executes is built once: building a statement costs more than SQLite takes to run it.
_ORIGINAL = select(Delivery.id).where(
    Delivery.source == bindparam("source"), Delivery.key == bindparam("key"), Delivery.original_id.is_(None)
)
_INSERT = insert(table_of(Delivery)).returning(Delivery.id)


def original(session: Session, source: str, key: str) -> Delivery | None:
    """The first delivery that came with this key."""
    found = session.connection().execute(_ORIGINAL, {"source": source, "key": key}).scalar()
    return session.get_one(Delivery, found) if found else None


def record(session: Session, arrival: Arrival, content: Content) -> Delivery:
    """Write a delivery that was not seen before, with its tickets; all of it or nothing."""
    merged = tickets.merge(session, arrival.source, content.tickets)
    delivery = _insert(
        session,
        arrival,
        body=arrival.body,
        status=_status(content, merged),
        accepted=len(merged.new),
        updated=merged.updated,
        duplicates=merged.duplicates,
        rejected=content.rejected,
        error=content.error,
        original_id=None,
        conflict=False,
    )
    tickets.record(session, arrival.source, delivery.id, merged, arrival.received_at)
    return delivery


def _insert(session: Session, arrival: Arrival, **values: Any) -> Delivery:
    """The row of an arrival, as it stands in the record now."""
    columns = {name: getattr(arrival, name) for name in ("source", "key", "received_at", "headers", "body_sha256")}
    values |= columns
    return Delivery(id=session.connection().execute(_INSERT, values).scalar_one(), **values)


def _status(content: Content, merged: tickets.Merge) -> str:
    if not content.tickets:
        return QUARANTINED
    if content.rejected:
        return PARTIAL
    return ACCEPTED if merged.new or merged.updated else DUPLICATE


def record_redelivery(session: Session, arrival: Arrival, first: Delivery) -> Delivery:
    """Note that `first` came again; the same key with another body is a conflict, whose bytes are kept."""
    conflict = first.body_sha256 != arrival.body_sha256
    return _insert(
        session,
        arrival,
        body=arrival.body if conflict else None,
        status=DUPLICATE,
        accepted=0,
        updated=0,
        duplicates=first.accepted + first.updated + first.duplicates,
        rejected=[],
        error=None,
        original_id=first.id,
        conflict=conflict,
    )


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
