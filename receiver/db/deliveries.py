"""Deliveries: recording one message and its tickets in a single transaction, once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, text, update
from sqlalchemy.orm import Session, defer

from receiver.db import outbox, source_daily_stats, tickets
from receiver.db.models import (
    ACCEPTED,
    DISMISSED,
    DUPLICATE,
    PARTIAL,
    QUARANTINED,
    REPLAYED,
    WEBHOOK,
    Delivery,
    table_of,
)
from receiver.db.tickets import IncomingTicket

MOST_COUNTED = 1_000
_OF_ARRIVAL = (
    *("source", "key", "received_at", "headers", "body_sha256"),
    *("origin", "verification", "peer", "own_shape"),
)
_OUTCOME = ("status", "accepted", "updated", "duplicates", "rejected", "error")


@dataclass(frozen=True)
class Arrival:
    """A genuine message: `key` is the sender's delivery id; see Delivery for what the others mean."""

    source: str
    key: str
    headers: dict[str, str]
    body: bytes
    body_sha256: str
    received_at: datetime
    origin: str = WEBHOOK
    verification: str | None = None
    peer: str | None = None
    own_shape: bool = False


@dataclass(frozen=True)
class Content:
    """What was found in a body: usable tickets, the rejected ones as {"index", "id", "errors"}, or one `error`.

    `ignored` says why a body that is in order brings nothing; `key` is the delivery's own name, if the body has one.
    Where it `completes`, the helpdesk is asked for what the tickets lack, and for those of which no more than the name
    was sent, the `named`.
    """

    tickets: Sequence[IncomingTicket] = ()
    rejected: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    ignored: str | None = None
    key: str | None = None
    completes: bool = False
    named: Sequence[str] = ()


# What every delivery executes is built once: building a statement costs more than SQLite takes to run it.
_ORIGINAL = select(Delivery.id).where(
    Delivery.source == bindparam("source"), Delivery.key == bindparam("key"), Delivery.original_id.is_(None)
)
_SAME_BODY = (
    select(Delivery.id)
    .where(
        Delivery.source == bindparam("source"),
        Delivery.body_sha256 == bindparam("body_sha256"),
        Delivery.original_id.is_(None),
    )
    .order_by(Delivery.id)
    .limit(1)
)
_INSERT = insert(table_of(Delivery)).returning(Delivery.id)


def original(session: Session, source: str, key: str, body_sha256: str | None = None) -> Delivery | None:
    """The first delivery that came with this key, or, where a key proves nothing, with the same body."""
    found = session.connection().execute(_ORIGINAL, {"source": source, "key": key}).scalar()
    if not found and body_sha256:
        found = session.connection().execute(_SAME_BODY, {"source": source, "body_sha256": body_sha256}).scalar()
    return session.get_one(Delivery, found) if found else None


def record(session: Session, arrival: Arrival, content: Content) -> Delivery:
    """Write a delivery that was not seen before, with its tickets; all of it or nothing.

    Of one that brings nothing but erased tickets the bytes are not kept.
    """
    merged = tickets.merge(session, arrival.source, content.tickets)
    only_erased = merged.erased > 0 and merged.erased == len(content.tickets) + len(content.rejected)
    delivery = _insert(
        session,
        arrival,
        body=None if only_erased else arrival.body,
        status=_status(content, merged),
        accepted=len(merged.new),
        updated=merged.updated,
        duplicates=merged.duplicates,
        rejected=content.rejected,
        error=content.error or content.ignored,
        original_id=None,
        conflict=False,
    )
    tickets.record(session, arrival.source, delivery.id, merged, arrival.received_at)
    if content.completes:
        written = tickets.written(session, arrival.source, merged)
        outbox.plan_completing(session, arrival.source, written, content.named, arrival.received_at)
    return delivery


def _insert(session: Session, arrival: Arrival, **values: Any) -> Delivery:
    """The row of an arrival, as it stands in the record now."""
    values |= {name: getattr(arrival, name) for name in _OF_ARRIVAL}
    source_daily_stats.add(session, arrival.source, arrival.received_at, values["accepted"], values["status"])
    return Delivery(id=session.connection().execute(_INSERT, values).scalar_one(), **values)


def _status(content: Content, merged: tickets.Merge) -> str:
    if content.ignored:
        return ACCEPTED
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


def outcome(delivery: Delivery) -> dict[str, Any]:
    """What a delivery brought, as its row has it."""
    return {name: getattr(delivery, name) for name in _OUTCOME}


def replay(session: Session, delivery: Delivery, content: Content, now: datetime) -> dict[str, Any]:
    """Write what is found in a delivery now, and return it as its new outcome.

    Tickets that a later delivery has changed stay as they are, unless both versions are dated and this one is newer.
    What is thin is completed again, because the text of a mended mapping takes the place of what was completed.
    Where nothing usable is found, a delivery that had brought tickets keeps its outcome; one that is now `ignored`
    leaves the quarantine.
    """
    passed = tickets.superseded(session, delivery.source, content.tickets, delivery.id)
    merged = tickets.merge(session, delivery.source, [t for t in content.tickets if t.external_id not in passed])
    tickets.record(session, delivery.source, delivery.id, merged, now)
    if content.completes:
        written = tickets.written(session, delivery.source, merged)
        named = [name for name in content.named if name not in passed]
        outbox.plan_completing(session, delivery.source, written, named, now)
    found = {
        "status": _replayed_status(content),
        "accepted": len(merged.new),
        "updated": merged.updated,
        "duplicates": merged.duplicates + sum(ticket.external_id in passed for ticket in content.tickets),
        "rejected": content.rejected,
        "error": content.error or content.ignored,
    }
    if content.tickets or delivery.status == QUARANTINED:
        session.execute(update(Delivery).where(Delivery.id == delivery.id).values(**found))
    return found


def _replayed_status(content: Content) -> str:
    if content.tickets and content.rejected:
        return PARTIAL
    return REPLAYED if content.tickets or content.ignored else QUARANTINED


def dismiss(session: Session, delivery_id: int) -> bool:
    """Take note that a person has looked and nothing more in the delivery is a ticket; False where nothing is open."""
    is_open = (Delivery.id == delivery_id, Delivery.status.in_([QUARANTINED, PARTIAL]))
    found = session.execute(update(Delivery).where(*is_open).values(status=DISMISSED).returning(Delivery.id))
    return found.first() is not None


def kept_since(
    session: Session, source: str, since: datetime, status: str | None, limit: int, after: int | None = None
) -> list[int]:
    """The ids of up to `limit` deliveries of a source whose bytes are kept, oldest first, with ids above `after`."""
    query = (
        select(Delivery.id)
        .where(Delivery.source == source, Delivery.received_at >= since, Delivery.body.is_not(None))
        .where(Delivery.id > (after or 0))
        .order_by(Delivery.id)
        .limit(limit)
    )
    return list(session.scalars(query.where(Delivery.status == status) if status else query))


def latest(session: Session, source: str) -> Delivery | None:
    """A source's last delivery, without its body."""
    query = select(Delivery).options(defer(Delivery.body, raiseload=True)).where(Delivery.source == source)
    return session.scalars(query.order_by(Delivery.id.desc()).limit(1)).first()


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


# As the partial index has it: to SQLite, what SQLAlchemy would write (`conflict = 1`) is another expression.
_is_conflict = text('deliveries."conflict"')


def page(
    session: Session,
    limit: int,
    before: int | None = None,
    *,
    source: str | None = None,
    status: str | None = None,
    conflict: bool = False,
) -> Sequence[Delivery]:
    """Up to `limit` deliveries without their bodies, newest first, with ids below `before`."""
    query = _newest().limit(limit)
    if source:
        query = query.where(Delivery.source == source)
    if status:
        query = query.where(Delivery.status == status)
    if conflict:
        query = query.where(_is_conflict)
    return session.scalars(query if before is None else query.where(Delivery.id < before)).all()


def quarantined(session: Session, source: str) -> int:
    """How many deliveries of a source are in quarantine, counted up to MOST_COUNTED."""
    found = select(Delivery.id).where(Delivery.source == source, Delivery.status == QUARANTINED).limit(MOST_COUNTED)
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0


def redeliveries(session: Session, delivery_id: int, limit: int) -> Sequence[Delivery]:
    """The latest of those that repeat a delivery, without their bodies."""
    return session.scalars(_newest().where(Delivery.original_id == delivery_id).limit(limit)).all()


def _newest() -> Select[Delivery]:
    return select(Delivery).options(defer(Delivery.body, raiseload=True)).order_by(Delivery.id.desc())
