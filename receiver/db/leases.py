"""Leases: who classifies which ticket, and what happens to the tickets of a worker that died."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, literal, select, true, update
from sqlalchemy.orm import Session

from receiver.db import counters, latencies
from receiver.db.models import FAILED, Ticket
from receiver.db.tickets import is_received

# A lease is short and renewed while its holder lives, so a dead worker's tickets are free again within seconds.
LEASE = timedelta(seconds=10)
RENEW_SECONDS = 3.0
MAX_CRASHES = 3
# Tickets whose worker died are tried again in ever smaller company, so that the one at fault fails alone.
_SUSPECTS_AT_ONCE = {1: 8, 2: 1}

# The partial index of suspects is used only where the query spells out the same constant.
_crashed = Ticket.crashes > literal(0, literal_execute=True)


def claim(
    session: Session,
    lease: str,
    limit: int,
    now: datetime,
    source: str | None = None,
    but_not: Sequence[int] = (),
) -> Sequence[Ticket]:
    """Up to `limit` tickets that are due, oldest first, now under `lease`; of one `source` where it is named.

    Whoever still waits for an answer to an earlier text of a ticket names it in `but_not`: under the same lease that
    answer would be saved for the newer text.
    """
    return _claim(session, lease, 0, limit, now, source, but_not)


def claim_suspects(
    session: Session, lease: str, now: datetime, source: str | None = None, limit: int = 8
) -> Sequence[Ticket]:
    """A few due tickets whose worker died; they must be settled before anything else is claimed."""
    waiting = (is_received, _crashed, Ticket.lease.is_(None), Ticket.claimable_at <= now, _of(source))
    crashes = session.scalar(select(Ticket.crashes).where(*waiting).limit(1))
    limit = min(limit, _SUSPECTS_AT_ONCE.get(crashes, 1)) if crashes else 0
    return _claim(session, lease, crashes or 0, limit, now, source) if limit else []


def _claim(
    session: Session,
    lease: str,
    crashes: int,
    limit: int,
    now: datetime,
    source: str | None,
    but_not: Sequence[int] = (),
) -> Sequence[Ticket]:
    others = [Ticket.id.not_in(but_not)] if but_not else []
    due = session.execute(
        select(Ticket.id, Ticket.claimable_at)
        .where(is_received, Ticket.claimable_at <= now, Ticket.lease.is_(None), Ticket.crashes == crashes)
        .where(_of(source), *others)
        .order_by(Ticket.claimable_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    waits = ((now - since) / timedelta(milliseconds=1) for _, since in due)
    latencies.note(session, latencies.WAIT, waits, now)
    return session.scalars(
        update(Ticket)
        .where(Ticket.id.in_([ticket_id for ticket_id, _ in due]))
        .values(lease=lease, claimable_at=now + LEASE, attempts=Ticket.attempts + 1)
        .returning(Ticket),
        execution_options={"synchronize_session": False},
    ).all()


def _of(source: str | None) -> ColumnElement[bool]:
    return Ticket.source == source if source else true()


def renew(session: Session, lease: str, now: datetime) -> None:
    """Hold on to every ticket under `lease`."""
    session.execute(update(Ticket).where(Ticket.lease == lease).values(claimable_at=now + LEASE))


def release(
    session: Session,
    ticket_ids: Iterable[int],
    lease: str,
    at: datetime,
    error: str | None = None,
    *,
    counts: bool = True,
) -> None:
    """Give tickets back, to be claimed again from `at`; an attempt that ended without an `error` never `counts`."""
    session.execute(
        update(Ticket)
        .where(Ticket.id.in_(list(ticket_ids)), Ticket.lease == lease)
        .values(lease=None, claimable_at=at, error=error, attempts=Ticket.attempts - (0 if error and counts else 1))
    )


def expire(session: Session, now: datetime) -> int:
    """Free the tickets whose lease ran out because its worker died; returns how many there were.

    A ticket that has seen its worker die three times becomes `failed`, with the reason.
    """
    # Only what is received has a lease.
    return _expire(session, (Ticket.lease.is_not(None), Ticket.claimable_at <= now), now)


def end(session: Session, lease: str, now: datetime) -> int:
    """Free the tickets of a lease whose worker is known to have died, as `expire` does."""
    return _expire(session, (Ticket.lease == lease,), now)


def _expire(session: Session, held: tuple[ColumnElement[bool], ...], now: datetime) -> int:
    rows = session.execute(
        update(Ticket)
        .where(*held)
        .values(lease=None, claimable_at=now, crashes=Ticket.crashes + 1)
        .returning(Ticket.id, Ticket.crashes),
        execution_options={"synchronize_session": False},
    ).all()
    for ticket_id, crashes in rows:
        if crashes >= MAX_CRASHES:
            reason = f"the worker died {crashes} times while classifying this ticket; redrive it to try again"
            fail(session, ticket_id, reason)
    return len(rows)


def fail(session: Session, ticket_id: int, reason: str, lease: str | None = None) -> None:
    """Give a ticket up: it becomes `failed`, with the reason, until somebody redrives it.

    Nothing happens where `lease` is no longer the ticket's.
    """
    settled = counters.add(session, "settled", 1)
    values = {"status": FAILED, "error": reason, "lease": None, "settled": settled}
    session.execute(update(Ticket).where(Ticket.id == ticket_id, Ticket.lease == lease).values(**values))


def any_due(session: Session, now: datetime) -> bool:
    """Whether anything can be claimed at once."""
    query = select(Ticket.id).where(is_received, Ticket.claimable_at <= now, Ticket.lease.is_(None)).limit(1)
    return session.scalar(query) is not None


def any_suspect(session: Session, now: datetime, source: str | None = None) -> bool:
    """Whether a ticket whose worker died can be claimed."""
    waiting = (is_received, _crashed, Ticket.lease.is_(None), Ticket.claimable_at <= now, _of(source))
    return session.scalar(select(Ticket.id).where(*waiting).limit(1)) is not None


def recover_future(session: Session, now: datetime) -> None:
    """Make claimable what a clock that has since been set back put far into the future."""
    far = now + timedelta(hours=1)
    session.execute(update(Ticket).where(is_received, Ticket.claimable_at > far).values(claimable_at=now))
