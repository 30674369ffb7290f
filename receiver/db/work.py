"""The durable work queue: one table, and one set of steps for every kind of work.

`put` makes work due, `claim` takes it under a lease that its owner renews, and then it is acknowledged (`ack`), tried
again later (`retry`) or given up (`bury`) until a person redrives it. Whoever has lost the lease changes nothing: each
step says whether the work was still the owner's. Redis knows nothing of all this; a job there is only a wake-up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, CursorResult, bindparam, delete, func, literal, select, text, update
from sqlalchemy.orm import Session

from receiver.db.database import PARAMETERS
from receiver.db.models import DEAD, DUE, LEASED, Work
from receiver.lib.retry_policy import WORK

# The partial indexes are used only where a query spells out their own constants.
_is_due = Work.state == literal(DUE, literal_execute=True)
_is_leased = Work.state == literal(LEASED, literal_execute=True)
is_dead = Work.state == literal(DEAD, literal_execute=True)
_has_crashed = Work.crashes > literal(0, literal_execute=True)
_UNSYNCHRONIZED = {"synchronize_session": False}
_AFRESH = {
    "state": DUE,
    "lease_owner": None,
    "lease_until": None,
    "attempts": 0,
    "crashes": 0,
    "error_code": None,
    "error": None,
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """A piece of work under its owner's lease; `due_since` is when it could first have been claimed."""

    subject_id: int
    attempts: int
    due_since: datetime


# Built once, because every delivery and every classification executes them.
_AFRESH_IN_PLACE = (
    "ON CONFLICT (kind, subject_id) DO UPDATE SET source = excluded.source, state = 'due', run_at = excluded.run_at,"
    " lease_owner = NULL, lease_until = NULL, attempts = 0, crashes = 0, error_code = NULL, error = NULL"
)
_COLUMNS = "kind, subject_id, source, state, run_at, attempts, crashes"
_RUN_AT = bindparam("run_at", type_=Work.run_at.type)
_PUT = text(
    f"INSERT INTO work ({_COLUMNS}) VALUES (:kind, :subject_id, :source, 'due', :run_at, 0, 0) {_AFRESH_IN_PLACE}"  # noqa: S608 - Nothing in it comes from outside.
).bindparams(_RUN_AT)
_PUT_NEWER = text(
    f"INSERT INTO work ({_COLUMNS}) SELECT :kind, id, source, 'due', :run_at, 0, 0 FROM tickets WHERE id > :after"  # noqa: S608 - As above.
    f" {_AFRESH_IN_PLACE}"
).bindparams(_RUN_AT)
_ACK = text("DELETE FROM work WHERE kind = :kind AND subject_id = :subject_id AND lease_owner = :owner")


def put(session: Session, kind: str, subject_ids: Sequence[int], source: str | None, run_at: datetime) -> None:
    """Make work due at `run_at`, new or known; attempts start again, and whoever holds it loses it."""
    shared = {"kind": kind, "source": source, "run_at": run_at}
    if subject_ids:
        session.connection().execute(_PUT, [shared | {"subject_id": subject_id} for subject_id in subject_ids])


def put_newer_tickets(session: Session, kind: str, after: int, run_at: datetime) -> None:
    """As `put`, for all tickets whose ids are above `after`."""
    session.connection().execute(_PUT_NEWER, {"kind": kind, "after": after, "run_at": run_at})


def claim(
    session: Session,
    kind: str,
    owner: str,
    limit: int,
    now: datetime,
    *conditions: ColumnElement[bool],
) -> list[Claimed]:
    """Up to `limit` pieces of due work, the longest due first, now under `owner`'s lease.

    `conditions` narrow them further, by columns of Work. Where a kind's policy says in what company crashed work is
    tried, that is left for `claim_crashed`.
    """
    unsuspected = (Work.crashes == 0,) if WORK[kind].company_after_crash else ()
    return _claim(session, kind, owner, limit, now, *unsuspected, *conditions)


def claim_crashed(
    session: Session, kind: str, owner: str, limit: int, now: datetime, *which: ColumnElement[bool]
) -> list[Claimed]:
    """As `claim`, of the work whose owner died; in ever smaller company, so that what is at fault fails alone."""
    crashed = select(Work.crashes).where(Work.kind == kind, _is_due, _has_crashed, Work.run_at <= now, *which)
    crashes = session.scalar(crashed.limit(1))
    if crashes is None:
        return []
    company = WORK[kind].company_after_crash.get(crashes, 1)
    return _claim(session, kind, owner, min(limit, company), now, Work.crashes == crashes, *which)


def _claim(
    session: Session, kind: str, owner: str, limit: int, now: datetime, *conditions: ColumnElement[bool]
) -> list[Claimed]:
    found = session.execute(
        select(Work.id, Work.run_at)
        .where(Work.kind == kind, _is_due, Work.run_at <= now, *conditions)
        .order_by(Work.run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    due_since = {row.id: row.run_at for row in found}
    if not due_since:
        return []
    leased = session.execute(
        update(Work)
        .where(Work.id.in_(due_since))
        .values(state=LEASED, lease_owner=owner, lease_until=now + WORK[kind].lease, attempts=Work.attempts + 1)
        .returning(Work.id, Work.subject_id, Work.attempts),
        execution_options=_UNSYNCHRONIZED,
    ).all()
    claimed = [Claimed(row.subject_id, row.attempts, due_since[row.id]) for row in leased]
    return sorted(claimed, key=lambda each: each.due_since)


def renew(session: Session, kind: str, owner: str, now: datetime) -> bool:
    """Hold on to all that `owner` has of this kind; False where that is nothing."""
    held = update(Work).where(Work.lease_owner == owner, Work.kind == kind).values(lease_until=now + WORK[kind].lease)
    return _count(session, held) > 0


def is_held(session: Session, kind: str, subject_id: int, owner: str) -> bool:
    """Whether a piece of work is still under this owner's lease."""
    return session.scalar(select(Work.id).where(*_held(kind, [subject_id], owner))) is not None


def ack(session: Session, kind: str, subject_id: int, owner: str) -> bool:
    """The work is done; False where it is not the owner's any more."""
    ours = {"kind": kind, "subject_id": subject_id, "owner": owner}
    return session.connection().execute(_ACK, ours).rowcount > 0


def retry(
    session: Session,
    kind: str,
    subject_ids: Sequence[int],
    owner: str,
    run_at: datetime,
    error_code: str | None = None,
    error: str | None = None,
    *,
    counts: bool = True,
) -> bool:
    """Give work back, to be claimed again from `run_at`; False where none of it was the owner's any more.

    An attempt that was not made, because the peer was not asked or the owner was told to stop, does not count.
    """
    values = {
        "state": DUE,
        "run_at": run_at,
        "lease_owner": None,
        "lease_until": None,
        "error_code": error_code,
        "error": error,
        "attempts": Work.attempts if counts else Work.attempts - 1,
    }
    updates = (update(Work).where(*_held(kind, chunk, owner)).values(**values) for chunk in _chunks(subject_ids))
    return sum(_count(session, each) for each in updates) > 0


def bury(
    session: Session, kind: str, subject_id: int, owner: str | None, error_code: str, error: str | None = None
) -> bool:
    """Give work up: a dead letter, with the reason, until a person redrives it. False where it is not the owner's.

    Without an `owner` it is work that nobody holds.
    """
    values = {"state": DEAD, "lease_owner": None, "lease_until": None, "error_code": error_code, "error": error}
    return _count(session, update(Work).where(*_held(kind, [subject_id], owner)).values(**values)) > 0


def reschedule(session: Session, kind: str, subject_id: int, run_at: datetime) -> None:
    """Have work claimed again from `run_at`, whoever holds it; its attempts stay. Work that is not known is put."""
    values = {"state": DUE, "run_at": run_at, "lease_owner": None, "lease_until": None}
    known = update(Work).where(Work.kind == kind, Work.subject_id == subject_id).values(**values)
    if not _count(session, known):
        put(session, kind, [subject_id], None, run_at)


def redrive(session: Session, kind: str, now: datetime, *which: ColumnElement[bool]) -> list[int]:
    """Make dead letters due again, all or those `which` by columns of Work; the ids of their subjects."""
    again = update(Work).where(Work.kind == kind, is_dead, *which).values(**_AFRESH, run_at=now)
    return list(session.scalars(again.returning(Work.subject_id), execution_options=_UNSYNCHRONIZED))


def cancel(session: Session, kind: str, subject_ids: Sequence[int], *which: ColumnElement[bool]) -> list[int]:
    """Nobody needs the work any more, in whatever state it is; whoever holds it loses it.

    All of it, or that `which` by columns of Work; the ids of its subjects.
    """
    cancelled: list[int] = []
    for chunk in _chunks(subject_ids):
        unwanted = delete(Work).where(Work.kind == kind, Work.subject_id.in_(chunk), *which)
        cancelled += session.scalars(unwanted.returning(Work.subject_id), execution_options=_UNSYNCHRONIZED)
    return cancelled


def give_up(session: Session, kind: str, error_code: str, error: str, *which: ColumnElement[bool]) -> list[int]:
    """As `bury`, whoever holds it: all that waits and all that is being done, of it that `which` by columns of Work.

    The ids of its subjects.
    """
    values = {"state": DEAD, "lease_owner": None, "lease_until": None, "error_code": error_code, "error": error}
    given_up = update(Work).where(Work.kind == kind, Work.state != DEAD, *which).values(**values)
    return list(session.scalars(given_up.returning(Work.subject_id), execution_options=_UNSYNCHRONIZED))


def put_off(session: Session, kind: str, subject_ids: Sequence[int], until: datetime) -> None:
    """Have due work that nobody holds wait until then."""
    for chunk in _chunks(subject_ids):
        which = (Work.kind == kind, _is_due, Work.subject_id.in_(chunk))
        session.execute(update(Work).where(*which).values(run_at=until), execution_options=_UNSYNCHRONIZED)


def expire(session: Session, kind: str, now: datetime, *which: ColumnElement[bool]) -> list[tuple[int, int]]:
    """Make due what is held under leases that ran out, because their owners died; each subject's id and its crashes.

    All of it, or that `which` by columns of Work. The caller gives up what has seen too many owners die.
    """
    return _free(session, now, Work.kind == kind, _is_leased, Work.lease_until <= now, *which)


def end(session: Session, kind: str, owner: str, now: datetime) -> list[tuple[int, int]]:
    """As `expire`, for all of this kind that an owner holds who is known to have died."""
    return _free(session, now, Work.kind == kind, Work.lease_owner == owner)


def _free(session: Session, now: datetime, *held: ColumnElement[bool]) -> list[tuple[int, int]]:
    values = {"state": DUE, "run_at": now, "lease_owner": None, "lease_until": None, "crashes": Work.crashes + 1}
    rows = session.execute(
        update(Work).where(*held).values(**values).returning(Work.subject_id, Work.crashes),
        execution_options=_UNSYNCHRONIZED,
    )
    return [(row.subject_id, row.crashes) for row in rows]


def any_due(session: Session, kinds: Sequence[str], now: datetime, *which: ColumnElement[bool]) -> bool:
    """Whether work of one of these kinds can be claimed at once."""
    query = select(Work.id).where(Work.kind.in_(kinds), _is_due, Work.run_at <= now, *which).limit(1)
    return session.scalar(query) is not None


def subjects_due(session: Session, kind: str, now: datetime) -> Sequence[int]:
    """What the work that can be claimed at once is about: the ids, lowest first."""
    query = select(Work.subject_id).where(Work.kind == kind, _is_due, Work.run_at <= now)
    return session.scalars(query.order_by(Work.subject_id)).all()


def sources_due(session: Session, kinds: Sequence[str], now: datetime) -> Sequence[str | None]:
    """Whose work of one of these kinds can be claimed at once, each source once."""
    return session.scalars(
        select(Work.source).where(Work.kind.in_(kinds), _is_due, Work.run_at <= now).distinct()
    ).all()


def any_dead(session: Session, kinds: Sequence[str], *which: ColumnElement[bool]) -> bool:
    """Whether there are dead letters of one of these kinds."""
    return session.scalar(select(Work.id).where(Work.kind.in_(kinds), is_dead, *which).limit(1)) is not None


def any_crashed(session: Session, kind: str, now: datetime, *which: ColumnElement[bool]) -> bool:
    """Whether work whose owner died can be claimed."""
    query = select(Work.id).where(Work.kind == kind, _is_due, _has_crashed, Work.run_at <= now, *which).limit(1)
    return session.scalar(query) is not None


def first_due(session: Session, kind: str, *which: ColumnElement[bool]) -> datetime | None:
    """From when the first piece of waiting work can be claimed, or its lease ends; None where none waits."""
    due = session.scalar(select(func.min(Work.run_at)).where(Work.kind == kind, _is_due, *which))
    leased = session.scalar(select(func.min(Work.lease_until)).where(Work.kind == kind, _is_leased, *which))
    return min((at for at in (due, leased) if at), default=None)


def of(session: Session, kind: str, subject_id: int) -> Work | None:
    """The row of a piece of work, for a page that tells of it; None where it is done or was never to be done."""
    return session.scalar(select(Work).where(Work.kind == kind, Work.subject_id == subject_id))


def recover_future(session: Session, now: datetime) -> None:
    """Bring back to the present what a clock that has since been set back put far into the future."""
    for kind, policy in WORK.items():
        of_kind, far = Work.kind == kind, now + policy.longest_wait
        session.execute(update(Work).where(of_kind, _is_due, Work.run_at > far).values(run_at=now))
        # Whoever is at it has the usual time to end.
        held = update(Work).where(of_kind, _is_leased, Work.lease_until > far)
        session.execute(held.values(lease_until=now + policy.lease))


def _held(kind: str, subject_ids: Sequence[int], owner: str | None) -> tuple[ColumnElement[bool], ...]:
    return Work.kind == kind, Work.subject_id.in_(subject_ids), Work.lease_owner == owner


def _count(session: Session, statement: object) -> int:
    result = cast("CursorResult[tuple[()]]", session.execute(statement, execution_options=_UNSYNCHRONIZED))  # type: ignore[call-overload]
    return result.rowcount


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + PARAMETERS] for start in range(0, len(ids), PARAMETERS))
