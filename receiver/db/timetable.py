"""The timetable as the record knows it: what is run how often, and how it went last."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from receiver.db.models import TimedJob


def announce(session: Session, jobs: Iterable[tuple[str, str, int]]) -> None:
    """Make these the jobs of the timetable: name, queue and seconds; what is known of their last runs stays."""
    names = []
    for name, queue, seconds in jobs:
        session.merge(TimedJob(name=name, queue=queue, seconds=seconds))
        names.append(name)
    session.execute(delete(TimedJob).where(TimedJob.name.not_in(names)))


def ran(session: Session, name: str, started_at: datetime, ended_at: datetime, error: str | None) -> None:
    """Note how a run of a timed job went; a job that nobody has announced is not noted."""
    values = {"started_at": started_at, "ended_at": ended_at, "error": error}
    session.execute(update(TimedJob).where(TimedJob.name == name).values(**values))


def timed_jobs(session: Session) -> Sequence[TimedJob]:
    """The jobs of the timetable, the most frequent first."""
    return session.scalars(select(TimedJob).order_by(TimedJob.seconds, TimedJob.name)).all()


def timed_job(session: Session, name: str) -> TimedJob | None:
    """One job of the timetable."""
    return session.get(TimedJob, name)
