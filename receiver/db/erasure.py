"""Erasing a requester from the tables, and finding where else an address stands."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, ColumnElement, Table, Text, case, cast, delete, func, null, or_, select, update
from sqlalchemy import String as StringType
from sqlalchemy.orm import Session

from receiver.db import linear_models, outbox, pii_search, tombstones
from receiver.db.models import (
    CLASSIFIED,
    CLASSIFY,
    RETRY_FALLBACK,
    REVIEWED,
    Base,
    Classification,
    Delivery,
    Digest,
    DigestTicket,
    OutgoingCall,
    Ticket,
    Work,
    table_of,
)

MASK = "[erased]"
# An account has a page of its own, and no entry of the audit can be changed.
_FIXED = {"people", "audit"}
_ONCE = 1000


@dataclass(frozen=True)
class Erasure:
    """How many rows were erased, and the digests whose files held the tickets."""

    tickets: int
    deliveries: int
    digest_ids: tuple[int, ...]


@dataclass(frozen=True)
class Mention:
    """A row that is not the person's and names the address; `ticket_id` is whose text it is, where it is a ticket's."""

    table: str
    column: str
    key: tuple[Any, ...]
    ticket_id: int | None


def erase_requester(session: Session, requester: str) -> Erasure:
    """Delete the tickets of this address with all that hangs on them, and empty every raw delivery that names it.

    The deliveries' rows stay without their bytes, and the tickets' names as digests, so that neither a redelivery nor a
    replay, a later event or a look at the helpdesk brings them back. Digests keep their counts. Where a ticket was
    reviewed, a linear model may have been trained with its text: then every model goes, and the next training makes one
    without it. This reads every raw body: it is an operator's rare act and not bound to be fast.
    """
    return _erase(session, func.lower(Ticket.requester_email) == requester.lower(), set(holding(session, requester)))


def erase_again(session: Session, digests: Iterable[str]) -> tuple[int, set[str]]:
    """Erase what a backup would bring back: `digests` are the tombstones of today. Returns how many tickets, and whose.

    Who asked for it then wants it still: what else names one of their addresses is emptied or masked too.
    """
    digests, gone = set(digests), []
    addresses: set[str] = set()
    names = select(Ticket.id, Ticket.source, Ticket.external_id, Ticket.requester_email)
    for row in session.execute(names.execution_options(yield_per=_ONCE)) if digests else ():
        if tombstones.digest(row.source, row.external_id) in digests:
            gone.append(row.id)
            addresses |= {row.requester_email.lower()} if row.requester_email else set()
    erased = 0
    for address in sorted(addresses):
        erased += erase_requester(session, address).tickets
        mask(session, address)
    for start in range(0, len(gone), _ONCE):  # Those of which no address is known yet, and those of before.
        erased += _erase(session, Ticket.id.in_(gone[start : start + _ONCE]), set()).tickets
    tombstones.put_digests(session, digests)
    return erased, addresses


def _erase(session: Session, theirs: ColumnElement[bool], emptied: set[int]) -> Erasure:
    ticket_ids = select(Ticket.id).where(theirs)
    digest_ids = session.scalars(
        select(DigestTicket.digest_id).where(DigestTicket.ticket_id.in_(ticket_ids)).distinct()
    ).all()
    named = session.execute(select(Ticket.source, Ticket.external_id).where(Ticket.id.in_(ticket_ids))).all()
    tombstones.put(session, [(source, name) for source, name in named])
    emptied |= set(session.scalars(select(Ticket.delivery_id).where(Ticket.id.in_(ticket_ids)).distinct()).all())
    for delivery_id in emptied:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(body=None, rejected=[]))
    reviewed = Classification.ticket_id.in_(ticket_ids) & Classification.reviewer.is_not(None)
    if session.scalar(select(Classification.id).where(reviewed).limit(1)):
        linear_models.forget_all(session)
    erased = _delete(session, theirs)
    return Erasure(erased, len(emptied), tuple(digest_ids))


def _delete(session: Session, condition: ColumnElement[bool]) -> int:
    """Delete tickets with all rows that hang on them; returns how many tickets."""
    ticket_ids = select(Ticket.id).where(condition)
    calls = select(OutgoingCall.id).where(OutgoingCall.ticket_id.in_(ticket_ids))
    made = select(Classification.id).where(Classification.ticket_id.in_(ticket_ids))
    for kinds, subjects in (((CLASSIFY,), ticket_ids), (outbox.KINDS, calls), ((RETRY_FALLBACK,), made)):
        session.execute(delete(Work).where(Work.kind.in_(kinds), Work.subject_id.in_(subjects)))
    for table in reversed(Base.metadata.sorted_tables):  # Children first; a table that comes later is one of them.
        for column in table.c:
            if column.references(table_of(Ticket).c.id):
                session.execute(delete(table).where(column.in_(ticket_ids)))
    deleted = delete(Ticket).where(condition).returning(Ticket.id)
    return len(session.execute(deleted, execution_options={"synchronize_session": False}).all())


def forget_before(session: Session, moment: datetime, limit: int) -> int:
    """Delete up to `limit` tickets that arrived before `moment` and of which nobody owes anything; returns how many.

    That is so where a ticket is classified or reviewed, and every kind of digest has covered it. What was learned from
    it goes too; digests keep their counts. One that its helpdesk sends again later is a new ticket.
    """
    until = func.max(Digest.settled_until).label("until")
    covered = select(until).group_by(Digest.name).having(until > 0).subquery()
    over = select(func.min(covered.c.until)).scalar_subquery()
    old = (
        select(Ticket.id)
        .where(Ticket.received_at < moment, Ticket.status.in_([CLASSIFIED, REVIEWED]), Ticket.settled <= over)
        .order_by(Ticket.id)
        .limit(limit)
    )
    found = session.scalars(old).all()
    return _delete(session, Ticket.id.in_(found)) if found else 0


def holding(session: Session, requester: str) -> list[int]:
    """The ids of the deliveries whose raw bytes hold the address, in any of the ways that `traces` knows."""
    bodies = select(Delivery.id, Delivery.body).where(Delivery.body.is_not(None)).execution_options(yield_per=100)
    return [delivery_id for delivery_id, body in session.execute(bodies) if body and pii_search.holds(body, requester)]


def mentions(session: Session, address: str) -> list[Mention]:
    """Every row of every table that names the address and is neither the person's ticket nor a raw body.

    What hangs on a ticket of the person is not among them: it goes with it. Nor are accounts and the audit.
    """
    return list(_found(session, address, is_fixed=False))


def fixed(session: Session, address: str) -> list[Mention]:
    """Where the address stands in an account or in the audit, which nothing can erase."""
    return list(_found(session, address, is_fixed=True))


def is_part(session: Session, address: str) -> bool:
    """Whether somebody's text holds the address only as a part of a longer one."""
    return any(_found(session, address, is_fixed=False, holds=lambda _: True))


def _found(
    session: Session, address: str, *, is_fixed: bool, holds: Callable[[str], bool] | None = None
) -> Iterator[Mention]:
    """Tables that come later are looked through too: this asks the models which columns hold text."""
    own = select(Ticket.id).where(func.lower(Ticket.requester_email) == address.lower())
    for table in Base.metadata.sorted_tables:
        if (table.name in _FIXED) != is_fixed:
            continue
        ticket_id = _ticket_of(table)
        for column in table.c:
            if not isinstance(column.type, StringType | JSON):
                continue
            keys = list(table.primary_key.columns)
            query = select(ticket_id if ticket_id is not None else null(), column, *keys)
            query = query.where(_holds(column, address))
            if ticket_id is not None:
                query = query.where(or_(ticket_id.is_(None), ticket_id.not_in(own)))
            for row in session.execute(query).all():
                if holds(_text(row[1])) if holds else pii_search.whole(_text(row[1]), address):
                    yield Mention(table.name, column.name, tuple(row[2:]), row[0])


def _ticket_of(table: Table) -> ColumnElement[int] | None:
    """The ticket on which a row hangs; None where the rows of a table hang on none."""
    if table.name == Work.__tablename__:
        its_call = select(OutgoingCall.ticket_id).where(
            OutgoingCall.kind == table.c.kind, OutgoingCall.id == table.c.subject_id
        )
        return case((table.c.kind == CLASSIFY, table.c.subject_id), else_=its_call.scalar_subquery())
    return table.c.id if table.name == Ticket.__tablename__ else table.c.get("ticket_id")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _holds(column: Column[Any], address: str) -> ColumnElement[bool]:
    """Whether a text holds the address in any case; JSON writes letters beyond ASCII as escapes."""
    text = func.lower(cast(column, Text))
    if not isinstance(column.type, JSON) or address.isascii():
        return text.contains(address.lower(), autoescape=True)
    escaped = address.lower().encode("ascii", "backslashreplace").decode()
    return text.contains(address.lower(), autoescape=True) | text.contains(escaped, autoescape=True)


def mask(session: Session, address: str) -> int:
    """Write `[erased]` over the address wherever `mentions` finds it; returns how many places that were.

    Where it stood in a reviewed ticket, every linear model goes, as in `erase_requester`.
    """
    found = mentions(session, address)
    for mention in found:
        table = Base.metadata.tables[mention.table]
        column = table.c[mention.column]
        keys = zip(table.primary_key.columns, mention.key, strict=True)
        this = [key == value for key, value in keys]
        old = session.execute(select(column).where(*this)).scalar_one_or_none()
        if old is not None:
            session.execute(update(table).where(*this).values({column.name: _masked(old, address)}))
    texts = {mention.ticket_id for mention in found} - {None}
    reviewed = select(Classification.id).where(Classification.reviewer.is_not(None))
    if texts and session.scalar(reviewed.where(Classification.ticket_id.in_(texts)).limit(1)):
        linear_models.forget_all(session)
    session.expire_all()
    return len(found)


def _masked(value: Any, address: str) -> Any:
    if isinstance(value, str):
        return pii_search.masked(value, address, MASK)
    if isinstance(value, dict):
        return {_masked(name, address): _masked(inner, address) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, address) for inner in value]
    return value
