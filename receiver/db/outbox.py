"""Outgoing calls: what a helpdesk is to be asked or told about a ticket, once each, however often it is tried.

The row of a call says what; the row of its work says when, by `receiver.db.work`, and goes when the call has an
outcome. Whoever changes both begins with the work, so that no two of them wait for each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, exists, func, insert, select, update
from sqlalchemy.orm import Session

from receiver.db import circuit_breaker, tickets, work
from receiver.db.database import PARAMETERS
from receiver.db.models import (
    CLASSIFY,
    COMPLETE,
    DEAD,
    DONE,
    RECEIVED,
    SUPERSEDED,
    WRITE_BACK,
    Classification,
    OutgoingCall,
    Ticket,
    Work,
)

KINDS = (COMPLETE, WRITE_BACK)  # What completes a ticket goes first.
# A thin ticket waits so long to be completed before it is classified with what is there; below the hour after which
# the sweep takes a waiting time for the mistake of a clock.
PATIENCE = timedelta(minutes=30)
# Why a write-back is a dead letter: the receiver of its webhook wants no more.
UNSUBSCRIBED = "unsubscribed"
_MINUTE = timedelta(minutes=1)
_UNSYNCHRONIZED = {"synchronize_session": False}


class Claimed(NamedTuple):
    """A call under its owner's lease, and how often it has been tried, with this time."""

    call: OutgoingCall
    attempts: int


def plan_write_back(
    session: Session, source: str, classification: Classification, writes: Mapping[str, bool], now: datetime
) -> None:
    """Have the helpdesk told of a saved classification that is its ticket's current one; earlier ones need not be.

    `writes` names the sources that want it, and whether they want uncertain ones, which go to review, too.
    """
    if source not in writes:
        return
    _supersede(session, WRITE_BACK, [classification.ticket_id])
    if classification.review_reason is None or writes[source]:
        _plan(session, WRITE_BACK, source, [(classification.ticket_id, classification.id)], now)


def plan_completing(session: Session, source: str, written: Sequence[int], named: Sequence[str], now: datetime) -> None:
    """Have those of the tickets that a delivery has `written` without a requester completed before they are classified.

    `named` are the tickets of a delivery that says no more than their names, so that one that is known may have changed
    all the same: they are asked for again, and stay classified meanwhile.
    """
    again = sorted(set(tickets.ids(session, source, named)) - set(written))
    # What is asked for on behalf of an earlier version is out of date, also where this one lacks nothing.
    _supersede(session, COMPLETE, [*written, *again])
    asked = [*_put_off(session, written, now + PATIENCE), *again]
    _plan(session, COMPLETE, source, [(ticket_id, None) for ticket_id in asked], now)


def _put_off(session: Session, ticket_ids: Sequence[int], until: datetime) -> list[int]:
    """Have those of the due tickets that have no requester wait; returns which."""
    found: list[int] = []
    for chunk in _chunks(ticket_ids):
        thin = (Ticket.id.in_(chunk), Ticket.status == RECEIVED, Ticket.requester_email.is_(None))
        found += session.scalars(select(Ticket.id).where(*thin))
    work.put_off(session, CLASSIFY, found, until)
    return found


def _plan(session: Session, kind: str, source: str, about: Sequence[tuple[int, int | None]], now: datetime) -> None:
    """Have calls made `about` tickets, or classifications of theirs."""
    if not about:
        return
    rows = [
        {
            "kind": kind,
            "source": source,
            "ticket_id": ticket_id,
            "classification_id": told,
            "steps": 0,
            "created_at": now,
        }
        for ticket_id, told in about
    ]
    calls = session.scalars(insert(OutgoingCall).returning(OutgoingCall.id), rows).all()
    work.put(session, kind, calls, source, now)


def _supersede(session: Session, kind: str, ticket_ids: Sequence[int]) -> None:
    """Nobody needs what is to be asked or told of these tickets any more; dead letters stay, with their reason."""
    for chunk in _chunks(ticket_ids):
        of_tickets = (OutgoingCall.kind == kind, OutgoingCall.ticket_id.in_(chunk), OutgoingCall.outcome.is_(None))
        if calls := session.scalars(select(OutgoingCall.id).where(*of_tickets)).all():
            _end(session, work.cancel(session, kind, calls, Work.state != DEAD), SUPERSEDED)


def _end(session: Session, call_ids: Sequence[int], outcome: str) -> None:
    for chunk in _chunks(call_ids):
        ended = update(OutgoingCall).where(OutgoingCall.id.in_(chunk)).values(outcome=outcome)
        session.execute(ended, execution_options=_UNSYNCHRONIZED)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + PARAMETERS] for start in range(0, len(ids), PARAMETERS))


def take_back(session: Session, classification_id: int, earlier_id: int | None, now: datetime) -> bool:
    """A classification is no longer meant; whether its helpdesk may have been told of it.

    Where it was, or where this one was planned in the place of the `earlier` one, that is told (again).
    """
    call = session.scalar(select(OutgoingCall).where(OutgoingCall.classification_id == classification_id))
    if call is None:
        return False
    work.cancel(session, WRITE_BACK, [call.id])
    attempted = call.attempted_at is not None
    if attempted:
        call.outcome = SUPERSEDED
    else:
        session.delete(call)
    session.flush()
    if earlier_id is not None:
        replaced = () if attempted else (OutgoingCall.outcome == SUPERSEDED,)
        _tell_again(session, [OutgoingCall.classification_id == earlier_id, *replaced], now)
    return attempted


def overtaken(session: Session, call: OutgoingCall, now: datetime) -> None:
    """Have a newer write-back done again where this one, superseded while it was on its way, may have arrived last."""
    outcome = session.scalar(select(OutgoingCall.outcome).where(OutgoingCall.id == call.id))
    if outcome == SUPERSEDED:
        newer = (OutgoingCall.ticket_id == call.ticket_id, OutgoingCall.kind == WRITE_BACK, OutgoingCall.id > call.id)
        _tell_again(session, [*newer, OutgoingCall.outcome == DONE], now)


def _tell_again(session: Session, which: Sequence[ColumnElement[bool]], now: datetime) -> None:
    """Have write-backs done anew, from their first step."""
    for call in session.scalars(select(OutgoingCall).where(*which)).all():
        work.put(session, WRITE_BACK, [call.id], call.source, now)
        call.outcome, call.steps = None, 0
    session.flush()


def circuit(source: str) -> str:
    """By which name the circuit breaker knows a source's helpdesk; while it is open, the source is left alone."""
    return f"helpdesk:{source}"


def sources_due(session: Session, now: datetime) -> list[str]:
    """The sources of which at least one call can be claimed."""
    waiting = [source for source in work.sources_due(session, KINDS, now) if source]
    return [source for source in waiting if circuit_breaker.may_call(session, circuit(source), now)]


def claim(session: Session, source: str, owner: str, now: datetime, per_minute: int) -> Claimed | None:
    """The next call to a source, now under `owner`'s lease; what completes a ticket goes first.

    None where none is due, where the source is left alone, or where `per_minute` of them were begun within the last
    minute.
    """
    if not circuit_breaker.may_call(session, circuit(source), now):
        return None
    recent = (OutgoingCall.source == source, OutgoingCall.attempted_at > now - _MINUTE)
    if (session.scalar(select(func.count()).where(*recent)) or 0) >= per_minute:
        return None
    for kind in KINDS:
        for claimed in work.claim(session, kind, owner, 1, now, Work.source == source):
            call = session.get_one(OutgoingCall, claimed.subject_id)
            call.attempted_at = now
            session.flush()
            return Claimed(call, claimed.attempts)
    return None


def note_steps(session: Session, call: OutgoingCall, owner: str, steps: int) -> None:
    """Remember how many requests of a call have succeeded, unless somebody else has it by now."""
    held = exists().where(Work.kind == call.kind, Work.subject_id == call.id, Work.lease_owner == owner)
    noted = update(OutgoingCall).where(OutgoingCall.id == call.id, held).values(steps=steps)
    session.execute(noted, execution_options=_UNSYNCHRONIZED)


def finish(session: Session, call: OutgoingCall, owner: str, outcome: str = DONE) -> bool:
    """A call is over; False, and nothing is written, where it was superseded or another's meanwhile."""
    if not work.ack(session, call.kind, call.id, owner):
        return False
    _end(session, [call.id], outcome)
    return True


def unsubscribe(session: Session, source: str, why: str) -> None:
    """The receiver of a source's webhook wants no more: all that it was to be told is a dead letter."""
    work.give_up(session, WRITE_BACK, UNSUBSCRIBED, why, Work.source == source)


def redrive(session: Session, source: str | None, now: datetime) -> int:
    """Make every dead letter, or those of one source, due again; returns how many there were.

    They are tried at once, also where the helpdesk is left alone: whoever asks for this has mended it. A write-back
    whose classification is no longer the current one stays as it is.
    """
    of_source = (Work.source == source,) if source else ()
    dead = select(Work.source).where(Work.kind.in_(KINDS), work.is_dead, *of_source).distinct()
    sources = session.scalars(dead).all()
    is_current = exists().where(
        OutgoingCall.id == Work.subject_id,
        Classification.id == OutgoingCall.classification_id,
        Classification.current,
    )
    asked = work.redrive(session, COMPLETE, now, *of_source)
    told = work.redrive(session, WRITE_BACK, now, is_current, *of_source)
    for each in sources:
        circuit_breaker.close(session, circuit(str(each)))
    return len(asked) + len(told)


_with_work = and_(Work.kind == OutgoingCall.kind, Work.subject_id == OutgoingCall.id)


def dead(session: Session, source: str | None, limit: int) -> list[tuple[OutgoingCall, Work]]:
    """The newest dead letters, of all or of one source, each with its work, which has the reason."""
    query = select(OutgoingCall, Work).join(Work, _with_work).where(Work.kind.in_(KINDS), work.is_dead)
    if source:
        query = query.where(Work.source == source)
    return [(call, its) for call, its in session.execute(query.order_by(OutgoingCall.id.desc()).limit(limit))]


def about(session: Session, ticket_id: int, limit: int = 50) -> list[tuple[OutgoingCall, Work | None]]:
    """What a ticket's helpdesk was to be asked or told, newest first, each with its work where it is not over."""
    query = select(OutgoingCall, Work).outerjoin(Work, _with_work).where(OutgoingCall.ticket_id == ticket_id)
    return [(call, its) for call, its in session.execute(query.order_by(OutgoingCall.id.desc()).limit(limit))]
