"""Errands: what a helpdesk is to be asked or told about a ticket, once each, however often it is tried."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from receiver.db import tickets
from receiver.db.database import PARAMETERS
from receiver.db.models import (
    COMPLETE,
    DONE,
    FAILED,
    PENDING,
    RECEIVED,
    SUPERSEDED,
    WRITE_BACK,
    Classification,
    Errand,
    Ticket,
)

LEASE = timedelta(minutes=3)
# A thin ticket waits so long to be completed before it is classified with what is there; below the hour after which
# the sweep takes a waiting time for the mistake of a clock.
PATIENCE = timedelta(minutes=30)
_LONGEST_WAIT = timedelta(hours=30)
_MINUTE = timedelta(minutes=1)

# The partial index of pending errands is used only where the query spells out the same constant.
_is_pending = Errand.status == literal(PENDING, literal_execute=True)


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
        row = {"kind": WRITE_BACK, "classification_id": classification.id, "ticket_id": classification.ticket_id}
        _insert(session, [row], source, now)


def take_back(session: Session, classification_id: int, earlier_id: int | None, now: datetime) -> bool:
    """A classification is no longer meant; whether its helpdesk may have been told of it.

    Where it was, or where this one was planned in the place of the `earlier` one, that is told (again).
    """
    errand = session.scalar(select(Errand).where(Errand.classification_id == classification_id))
    if errand is None:
        return False
    attempted = errand.attempts > 0
    if attempted:
        errand.status = SUPERSEDED
    else:
        session.delete(errand)
    session.flush()
    again = (Errand.classification_id == earlier_id, *(() if attempted else (Errand.status == SUPERSEDED,)))
    values = {"status": PENDING, "steps": 0, "attempts": 0, "claimable_at": now, "error": None, "error_code": None}
    session.execute(update(Errand).where(*again).values(**values))
    return attempted


def plan_completing(session: Session, source: str, written: Sequence[int], named: Sequence[str], now: datetime) -> None:
    """Have those of the tickets that a delivery has `written` without a requester completed before they are classified.

    `named` are the tickets of a delivery that says no more than their names, so that one that is known may have changed
    all the same: they are asked for again, and stay classified meanwhile.
    """
    again = sorted(set(tickets.ids(session, source, named)) - set(written))
    # What is asked for on behalf of an earlier version is out of date, also where this one lacks nothing.
    _supersede(session, COMPLETE, [*written, *again])
    asked = [*_put_off(session, written, now + PATIENCE), *again]
    rows = [{"kind": COMPLETE, "classification_id": None, "ticket_id": ticket_id} for ticket_id in asked]
    _insert(session, rows, source, now)


def _put_off(session: Session, ticket_ids: Sequence[int], until: datetime) -> list[int]:
    """Have those of the due tickets that have no requester wait; returns which."""
    found: list[int] = []
    for chunk in _chunks(ticket_ids):
        thin = (Ticket.id.in_(chunk), Ticket.status == RECEIVED, Ticket.requester_email.is_(None))
        found += session.scalars(
            update(Ticket).where(*thin).values(claimable_at=until).returning(Ticket.id),
            execution_options={"synchronize_session": False},
        )
    return found


def _supersede(session: Session, kind: str, ticket_ids: Sequence[int]) -> None:
    for chunk in _chunks(ticket_ids):
        stale = (_is_pending, Errand.kind == kind, Errand.ticket_id.in_(chunk))
        session.execute(update(Errand).where(*stale).values(status=SUPERSEDED))


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + PARAMETERS] for start in range(0, len(ids), PARAMETERS))


def _insert(session: Session, rows: Sequence[dict[str, Any]], source: str, now: datetime) -> None:
    common = {"source": source, "status": PENDING, "steps": 0, "attempts": 0, "created_at": now, "claimable_at": now}
    if rows:
        session.execute(insert(Errand), [row | common for row in rows])


def sources_due(session: Session, now: datetime) -> Sequence[str]:
    """The sources of which at least one errand can be taken."""
    return session.scalars(select(Errand.source).where(_is_pending, Errand.claimable_at <= now).distinct()).all()


def any_due(session: Session, now: datetime) -> bool:
    """Whether an errand can be taken."""
    return session.scalar(select(Errand.id).where(_is_pending, Errand.claimable_at <= now).limit(1)) is not None


def take(session: Session, source: str, now: datetime, per_minute: int) -> Errand | None:
    """The next errand of a source, now this caller's for the time of a lease; what completes a ticket goes first.

    None where none is due, or where `per_minute` of them were taken within the last minute.
    """
    recent = (Errand.source == source, Errand.attempted_at > now - _MINUTE)
    if (session.scalar(select(func.count()).where(*recent)) or 0) >= per_minute:
        return None
    due = (
        select(Errand.id)
        .where(_is_pending, Errand.source == source, Errand.claimable_at <= now)
        .order_by(Errand.kind, Errand.claimable_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.scalar(
        update(Errand)
        .where(Errand.id == due.scalar_subquery())
        .values(claimable_at=now + LEASE, attempted_at=now, attempts=Errand.attempts + 1)
        .returning(Errand),
        execution_options={"synchronize_session": False},
    )


def note_steps(session: Session, errand: Errand, steps: int, now: datetime) -> bool:
    """Remember how many requests of an errand have succeeded, and hold on to it; False where it is no longer ours."""
    return _change(session, errand, steps=steps, claimable_at=now + LEASE)


def mark(
    session: Session, errand: Errand, status: str, error: str | None = None, error_code: str | None = None
) -> bool:
    """Settle an errand; False, and nothing is written, where it was superseded or taken over meanwhile."""
    return _change(session, errand, status=status, error=error, error_code=error_code)


def overtaken(session: Session, errand: Errand) -> None:
    """Have a newer write-back done again where this one, superseded while it was on its way, may have arrived last."""
    if session.get_one(Errand, errand.id).status != SUPERSEDED:
        return
    newer = (Errand.ticket_id == errand.ticket_id, Errand.kind == WRITE_BACK, Errand.id > errand.id)
    again = {"status": PENDING, "steps": 0, "claimable_at": Errand.created_at}
    session.execute(update(Errand).where(*newer, Errand.status == DONE).values(**again))


def set_back(
    session: Session, errand: Errand, at: datetime, error: str, error_code: str, *, counts: bool = True
) -> bool:
    """Have an errand tried again from `at`; the attempt may not count."""
    attempts = errand.attempts - (0 if counts else 1)
    return _change(session, errand, claimable_at=at, error=error, error_code=error_code, attempts=attempts)


def _change(session: Session, errand: Errand, **values: Any) -> bool:
    ours = (Errand.id == errand.id, _is_pending, Errand.attempts == errand.attempts)
    return session.scalar(update(Errand).where(*ours).values(**values).returning(Errand.id)) is not None


def hold_source(session: Session, source: str, until: datetime) -> None:
    """Leave a source alone until then, as it has demanded."""
    earlier = (_is_pending, Errand.source == source, Errand.claimable_at < until)
    session.execute(update(Errand).where(*earlier).values(claimable_at=until))


def give_up(session: Session, source: str, kind: str, error: str, error_code: str) -> None:
    """Make every pending errand of a kind a dead letter."""
    pending = (_is_pending, Errand.source == source, Errand.kind == kind)
    session.execute(update(Errand).where(*pending).values(status=FAILED, error=error, error_code=error_code))


def redrive(session: Session, source: str | None, now: datetime) -> int:
    """Make every dead letter, or those of one source, due again; returns how many there were.

    A write-back whose classification is no longer the current one stays as it is.
    """
    current = select(Classification.id).where(Classification.current)
    again = (
        Errand.status == literal(FAILED, literal_execute=True),
        or_(Errand.classification_id.is_(None), Errand.classification_id.in_(current)),
        *((Errand.source == source,) if source else ()),
    )
    values = {"status": PENDING, "attempts": 0, "claimable_at": now, "error": None, "error_code": None}
    rows = session.scalars(
        update(Errand).where(*again).values(**values).returning(Errand.id),
        execution_options={"synchronize_session": False},
    )
    return len(rows.all())


def failed(session: Session, limit: int) -> Sequence[Errand]:
    """The newest dead letters."""
    is_failed = Errand.status == literal(FAILED, literal_execute=True)
    return session.scalars(select(Errand).where(is_failed).order_by(Errand.id.desc()).limit(limit)).all()


def about(session: Session, ticket_id: int, limit: int = 50) -> Sequence[Errand]:
    """What a ticket's helpdesk was to be asked or told, newest first."""
    query = select(Errand).where(Errand.ticket_id == ticket_id).order_by(Errand.id.desc()).limit(limit)
    return session.scalars(query).all()


def any_failed(session: Session, source: str, error_code: str | None = None) -> bool:
    """Whether a source has dead letters; where an `error_code` is named, of this reason."""
    is_failed = Errand.status == literal(FAILED, literal_execute=True)
    query = select(Errand.id).where(is_failed, Errand.source == source)
    return session.scalar((query.where(Errand.error_code == error_code) if error_code else query).limit(1)) is not None


def recover_future(session: Session, now: datetime) -> None:
    """Make due what a clock that has since been set back put far into the future."""
    far = now + _LONGEST_WAIT
    session.execute(update(Errand).where(_is_pending, Errand.claimable_at > far).values(claimable_at=now))
