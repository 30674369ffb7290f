"""Which processes live, as they say themselves; and which have died."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select, text, update
from sqlalchemy.orm import Session

from receiver.db.models import Process, table_of

WATCH = "watch"
_KEPT = timedelta(minutes=10)  # For how long the dead are remembered.
_BEAT = text(
    "INSERT INTO processes (id, role, place, started_at, heartbeat_at) VALUES (:id, :role, :place, :moment, :moment)"
    " ON CONFLICT (id) DO UPDATE SET heartbeat_at = :moment"
).bindparams(bindparam("moment", type_=table_of(Process).columns.heartbeat_at.type))


def beat(session: Session, name: str, role: str, place: str, now: datetime) -> None:
    """The process with this `name` of its own, which nobody else has ever had, lives."""
    session.execute(_BEAT, {"id": name, "role": role, "place": place, "moment": now})


def leave(session: Session, name: str) -> None:
    """The process ends as it should."""
    session.execute(delete(Process).where(Process.id == name))


def died(session: Session, name: str, role: str, place: str, now: datetime, last_words: str) -> None:
    """Note that the process at this place has died, under `name` where it never said that it lives."""
    found = update(Process).where(Process.role == role, Process.place == place, Process.died_at.is_(None))
    if not session.execute(found.values(died_at=now, last_words=last_words)).rowcount:  # type: ignore[attr-defined]
        row = {"role": role, "place": place, "started_at": now, "heartbeat_at": now}
        session.add(Process(id=name, **row, died_at=now, last_words=last_words))


def known(session: Session) -> Sequence[Process]:
    """Every process, those that have died lately too, the newest first."""
    return session.scalars(select(Process).order_by(Process.started_at.desc(), Process.id)).all()


def forget_old(session: Session, now: datetime) -> None:
    """Forget those of which nothing has been heard for ten minutes."""
    session.execute(delete(Process).where(Process.heartbeat_at < now - _KEPT))


def living(session: Session, since: datetime) -> dict[str, int]:
    """How many processes of each role have said since then that they live."""
    found: dict[str, int] = {}
    for process in known(session):
        if process.died_at is None and process.heartbeat_at >= since and process.role != WATCH:
            found[process.role] = found.get(process.role, 0) + 1
    return found
