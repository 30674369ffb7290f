"""The pause of classification: an alarm that a person has put up. Tickets are accepted all the same, and wait."""

from datetime import datetime

from sqlalchemy.orm import Session

from receiver.db import alarms
from receiver.db.models import Alarm

ALARM = "paused"


def begin(session: Session, by: str, now: datetime) -> bool:
    """Nothing is classified from now on, on behalf of `by`; False where it is paused already."""
    if current(session) is not None:
        return False
    told = f"classification is paused by {by}; tickets are accepted and wait in the record, until it is resumed on Jobs"
    return alarms.raise_(session, ALARM, told, now)


def end(session: Session) -> bool:
    """Classification goes on; False where it was not paused."""
    if current(session) is None:
        return False
    alarms.clear(session, ALARM)
    return True


def current(session: Session) -> Alarm | None:
    """The alarm of the pause, where there is one."""
    return session.get(Alarm, ALARM)
