"""The pause of classification, which a person begins and ends. Tickets are accepted all the same, and wait."""

from datetime import datetime

from sqlalchemy.orm import Session

from receiver.db.models import Pause

ALARM = "paused"
CLASSIFICATION = "classification"


def begin(session: Session, by: str, now: datetime) -> bool:
    """Nothing is classified from now on, on behalf of `by`; False where it is paused already."""
    if current(session) is not None:
        return False
    session.add(Pause(scope=CLASSIFICATION, who=by, since=now))
    session.flush()
    return True


def end(session: Session) -> bool:
    """Classification goes on; False where it was not paused."""
    pause = current(session)
    if pause is None:
        return False
    session.delete(pause)
    session.flush()
    return True


def current(session: Session) -> Pause | None:
    """The pause, where there is one."""
    return session.get(Pause, CLASSIFICATION)
