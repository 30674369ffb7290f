"""Alarms: what an operator must know, for as long as it is true."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from receiver.db.models import Alarm, table_of

_IS_UP = select(table_of(Alarm).columns.name).where(Alarm.name == bindparam("asked"))


def raise_(session: Session, name: str, message: str, now: datetime) -> bool:
    """Keep the alarm `name` up with this message; True where it was silent before."""
    alarm = session.get(Alarm, name)
    if alarm is None:
        session.add(Alarm(name=name, message=message, since=now))
        return True
    alarm.message = message
    return False


def clear(session: Session, name: str) -> bool:
    """The cause of the alarm `name` is gone; True where it was up. Most often it is silent, and only looked at."""
    if not session.scalar(_IS_UP, {"asked": name}):
        return False
    session.execute(delete(Alarm).where(Alarm.name == name))
    return True


def current(session: Session) -> Sequence[Alarm]:
    """Every alarm that is up, the oldest first."""
    return session.scalars(select(Alarm).order_by(Alarm.since)).all()


def message(session: Session, name: str) -> str | None:
    """What the alarm `name` says; None while it is silent."""
    return session.scalar(select(Alarm.message).where(Alarm.name == name))
