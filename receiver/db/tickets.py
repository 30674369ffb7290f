"""Tickets: merging what a delivery brings into what is known, and reading them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, select, update
from sqlalchemy.orm import Session, defer
from sqlalchemy.orm.attributes import set_committed_value

from receiver.db import counters, due_tickets, examples, search_index, tombstones, work
from receiver.db.bulk_insert import BulkInsert
from receiver.db.database import PARAMETERS
from receiver.db.models import CLASSIFY, RECEIVED, REVIEWED, Classification, Ticket, table_of
from receiver.lib import text_limits

TEXT_FIELDS = ("short_description", "long_description", "requester_email", "priority", "url")

Pair = tuple[Ticket, Classification | None]


@dataclass(frozen=True, slots=True)
class IncomingTicket:
    """A ticket as a source sent it, validated."""

    external_id: str
    short_description: str
    long_description: str = ""
    requester_email: str | None = None
    priority: str | None = None
    url: str | None = None
    source_created_at: datetime | None = None
    source_updated_at: datetime | None = None


@dataclass
class Merge:
    """What a delivery's tickets change: the new ones, the changed ones with their row's id, and the rest.

    The `duplicates` include the `erased`, which never come back.
    """

    new: dict[str, IncomingTicket] = field(default_factory=dict)
    changed: dict[int, IncomingTicket] = field(default_factory=dict)
    confirmed: dict[int, datetime | None] = field(default_factory=dict)
    updated: int = 0
    duplicates: int = 0
    erased: int = 0


def merge(session: Session, source: str, incoming: Sequence[IncomingTicket]) -> Merge:
    """Compare `incoming`, in order of arrival, with the record; of two versions the newer `updated_at` wins."""
    result = Merge()
    rows = _known(session, source, {ticket.external_id for ticket in incoming})
    ids = {row.external_id: row.id for row in rows}
    latest: dict[str, Any] = {row.external_id: row for row in rows}
    erased = tombstones.erased(session, source, {ticket.external_id for ticket in incoming} - set(ids))
    result.erased = result.duplicates = sum(ticket.external_id in erased for ticket in incoming)
    for ticket in (ticket for ticket in incoming if ticket.external_id not in erased):
        name, before = ticket.external_id, latest.get(ticket.external_id)
        same = before is not None and _same_text(ticket, before)
        if before is not None and (same or is_older(ticket, before)):
            result.duplicates += 1
            if not _is_newer(ticket, before):
                continue
        else:
            result.updated += before is not None
        latest[name] = version = _dated(ticket, before)
        if name not in ids:
            result.new[name] = version
        elif same and ids[name] not in result.changed:
            result.confirmed[ids[name]] = version.source_updated_at
        else:
            result.changed[ids[name]] = version
    return result


# Built once, because every delivery executes them.
_INSERT = BulkInsert(
    table_of(Ticket),
    each=IncomingTicket.__slots__,
    shared=("source", "delivery_id", "received_at", "status", "attempts"),
)
_LAST = select(func.max(table_of(Ticket).c.id))
_NEW = {"status": RECEIVED, "attempts": 0}
_KNOWN = select(
    *(Ticket.id, Ticket.external_id, Ticket.delivery_id, Ticket.source_updated_at, Ticket.arrived_sha256),
    *(getattr(Ticket, name) for name in TEXT_FIELDS),
).where(Ticket.source == bindparam("source"), Ticket.external_id.in_(bindparam("names", expanding=True)))


def _known(session: Session, source: str, names: Iterable[str]) -> Sequence[Row[Any]]:
    found: list[Row[Any]] = []
    pending = sorted(names)
    for start in range(0, len(pending), PARAMETERS):
        chunk = {"source": source, "names": pending[start : start + PARAMETERS]}
        found.extend(session.connection().execute(_KNOWN, chunk))
    return found


def superseded(session: Session, source: str, incoming: Sequence[IncomingTicket], delivery_id: int) -> set[str]:
    """The names of those of `incoming` that a delivery after this one has changed, and no date says they are newer."""
    # An undated change takes over the date of the version before it, so that equal dates say nothing.
    newest = {ticket.external_id: ticket for ticket in sorted(incoming, key=_updated_at)}
    return {
        row.external_id
        for row in _known(session, source, newest)
        if row.delivery_id > delivery_id and not (row.source_updated_at and _is_newer(newest[row.external_id], row))
    }


def _updated_at(ticket: IncomingTicket) -> datetime:
    return ticket.source_updated_at or datetime.min.replace(tzinfo=UTC)


def is_older(ticket: IncomingTicket, before: Any) -> bool:
    """Whether the source says that `ticket` is an earlier version than `before`."""
    return bool(
        ticket.source_updated_at and before.source_updated_at and ticket.source_updated_at < before.source_updated_at
    )


def _is_newer(ticket: IncomingTicket, before: Any) -> bool:
    at, known = ticket.source_updated_at, before.source_updated_at
    return bool(at and (known is None or at > known))


def _dated(ticket: IncomingTicket, before: Any) -> IncomingTicket:
    """The ticket; where its source gave no time of change, it is taken to be as new as the version before it."""
    if ticket.source_updated_at or before is None:
        return ticket
    return replace(ticket, source_updated_at=before.source_updated_at)


def _same_text(ticket: IncomingTicket, before: Any) -> bool:
    """Whether nothing has changed since a version; where that was completed, since it arrived."""
    if arrived := getattr(before, "arrived_sha256", None):
        return bool(arrived == _text_sha256(ticket))
    return all(getattr(ticket, name) == getattr(before, name) for name in TEXT_FIELDS)


def _text_sha256(ticket: Any) -> str:
    text = json.dumps([getattr(ticket, name) for name in TEXT_FIELDS])
    return hashlib.sha256(text.encode()).hexdigest()


def missing(session: Session, source: str, incoming: Sequence[IncomingTicket]) -> set[str]:
    """The names of those tickets that are not in the record, or only in an earlier version than their `updated_at`.

    Erased ones are not missed.
    """
    names = {ticket.external_id for ticket in incoming}
    known = {row.external_id: row for row in _known(session, source, names)}
    erased = tombstones.erased(session, source, names - set(known))
    found = set()
    for ticket in incoming:
        before = known.get(ticket.external_id)
        if before is None or _has_changed(ticket, before):
            found.add(ticket.external_id)
    return found - erased


def _has_changed(ticket: IncomingTicket, before: Any) -> bool:
    return bool(before.source_updated_at and _is_newer(ticket, before) and not _same_text(ticket, before))


def complete(session: Session, thin: Ticket, values: dict[str, Any], now: datetime) -> None:
    """Put in what the helpdesk's API knows of a thin ticket, and have it classified, unless a person reviewed it.

    One that is classified already is so again only where its text has changed. Nothing is written where a later
    delivery has changed the ticket since `thin` was read. The same thin text may come again, as our own changes make
    the helpdesk send it: `merge` knows it by its digest.
    """
    arrived = thin.arrived_sha256 or _text_sha256(thin)
    unchanged = (Ticket.id == thin.id, Ticket.delivery_id == thin.delivery_id)
    completed = session.execute(
        update(Ticket).where(*unchanged).values(arrived_sha256=arrived, **values).returning(Ticket.status)
    ).first()
    if completed is None:
        return
    changed = {name for name, value in values.items() if getattr(thin, name) != value}
    if changed & {"short_description", "long_description"}:
        examples.forget(session, thin.id)  # Nobody reviewed this text.
    if changed or completed.status == RECEIVED:
        make_due(session, thin.id, now)


def record(session: Session, source: str, delivery_id: int, merged: Merge, now: datetime) -> None:
    """Write what `merge` found. New and changed tickets are due at once, unless a person has reviewed them.

    What a person reviewed stays an example only while its text is the one they read.
    """
    if merged.new:
        arrival = {"source": source, "delivery_id": delivery_id, "received_at": now}
        before = session.connection().execute(_LAST).scalar() or 0
        _INSERT.execute(session.connection(), map(_values, merged.new.values()), arrival | _NEW)
        # Ids are given out in order, and nobody else writes meanwhile.
        work.put_newer_tickets(session, CLASSIFY, before, now)
        search_index.add_newest(session, len(merged.new))
    for ticket_id, updated_at in merged.confirmed.items():
        session.execute(update(Ticket).where(Ticket.id == ticket_id).values(source_updated_at=updated_at))
    if merged.changed:
        texts = {key: (ticket.short_description, ticket.long_description) for key, ticket in merged.changed.items()}
        examples.forget_unlike(session, texts)
    for ticket_id, ticket in merged.changed.items():
        session.execute(
            update(Ticket)
            .where(Ticket.id == ticket_id)
            .values(delivery_id=delivery_id, arrived_sha256=None, **_columns(ticket))
        )
        make_due(session, ticket_id, now)


def written(session: Session, source: str, merged: Merge) -> list[int]:
    """The ids of the tickets that `record` has made or changed."""
    return [*merged.changed, *ids(session, source, list(merged.new))]


_values = attrgetter(*IncomingTicket.__slots__)


def _columns(ticket: IncomingTicket) -> dict[str, Any]:
    return {name: getattr(ticket, name) for name in IncomingTicket.__slots__}


def make_due(session: Session, ticket_id: int, now: datetime) -> bool:
    """Have a ticket classified again; whoever holds a lease on it loses it. False where a person reviewed it."""
    result = session.execute(
        update(Ticket)
        .where(Ticket.id == ticket_id, Ticket.status != REVIEWED)
        .values(status=RECEIVED, attempts=0, error=None, settled=None)
        .returning(Ticket.source)
    )
    source = result.scalar()
    if source is None:
        return False
    work.put(session, CLASSIFY, [ticket_id], source, now)
    return True


def with_classification(session: Session, ticket_id: int) -> Pair | None:
    """A ticket and its current classification."""
    row = session.execute(joined().where(Ticket.id == ticket_id)).first()
    return (row[0], row[1]) if row else None


def page(session: Session, filters: dict[str, str], limit: int, before: int | None = None) -> list[Pair]:
    """Up to `limit` pairs of ticket and current classification as a list shows them, newest first, below `before`.

    `filters` name values of columns; `lists` has what else a list can be of.
    """
    query = joined().order_by(Ticket.id.desc()).limit(limit)
    exact = [getattr(Ticket, name) == value for name, value in filters.items()]
    if before is not None:
        exact.append(Ticket.id < before)
    return as_listed(session, query.where(*exact))


def joined() -> Any:
    """Tickets with their current classifications."""
    current = and_(Classification.ticket_id == Ticket.id, Classification.current)
    return select(Ticket, Classification).outerjoin(Classification, current)


def due(session: Session) -> tuple[int, datetime | None]:
    """How many tickets wait to be classified, and since when the first of them has been due."""
    return counters.value(session, f"ticket.{RECEIVED}"), due_tickets.first_due(session)


def first_since(session: Session, moment: datetime) -> int:
    """The id of the first ticket that was received at this moment or later: ids are given out as tickets arrive."""
    low, high = 1, (session.scalar(select(func.max(Ticket.id))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = session.scalar(select(Ticket.received_at).where(Ticket.id >= middle).order_by(Ticket.id).limit(1))
        low, high = (middle + 1, high) if at is not None and at < moment else (low, middle)
    return low


def of_delivery(session: Session, delivery_id: int, limit: int) -> Sequence[Ticket]:
    """Up to `limit` of the tickets whose present text came with this delivery, as a list shows them."""
    query = joined().where(Ticket.delivery_id == delivery_id).order_by(Ticket.id).limit(limit)
    return [ticket for ticket, _ in as_listed(session, query)]


def as_listed(session: Session, query: Any) -> list[Pair]:
    """What a query of `joined` finds, without the tickets' texts and with no more of a subject than is kept today.

    Records of before may hold texts of megabytes, and a page shows fifty of them.
    """
    texts = (Ticket.short_description, Ticket.long_description)
    subject = func.substr(Ticket.short_description, 1, text_limits.MOST_SUBJECT)
    found = []
    for ticket, classification, shown in session.execute(query.add_columns(subject).options(*map(defer, texts))):
        set_committed_value(ticket, "short_description", shown)
        found.append((ticket, classification))
    return found


def ids(session: Session, source: str, external_ids: Sequence[str]) -> list[int]:
    """The ids of a source's tickets of these names."""
    return [row.id for row in _known(session, source, external_ids)]
