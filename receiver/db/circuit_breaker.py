"""The outage of an engine: it begins after failures in a row, and one ticket at a time probes whether it is over.

While the alarm is up, every worker together asks the engine once in ten seconds, or as late as the engine itself
demands; the other tickets wait with the reason and keep their attempts. The first answer ends the outage.
"""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from receiver.db import alarms, counters, timetable
from receiver.db.alarms import Raised
from receiver.db.models import TimetableEntry

ALARM = "engine"
FAILURES_IN_A_ROW = 10
PROBE_EVERY = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)
LATELY = timedelta(seconds=10)
_FAILURES, _PROBE, _ANSWERED = "engine.failures", "engine.probe", "engine.answered"


def failed(session: Session, message: str, now: datetime) -> bool:
    """Count a failure of the engine; True where it belongs to an outage, whose alarm is then up."""
    if counters.add(session, _FAILURES, 1) < FAILURES_IN_A_ROW and current(session) is None:
        return False
    begin(session, message, now)
    return True


def begin(session: Session, message: str, now: datetime, pause: timedelta = PROBE_EVERY) -> None:
    """The engine is out, or still is; it is left alone for `pause`."""
    alarms.raise_(session, ALARM, now, error=message)
    entry = session.get(TimetableEntry, _PROBE) or TimetableEntry(name=_PROBE, last_slot=now)
    pause = min(max(pause, PROBE_EVERY), LONGEST_PAUSE)
    wrong = entry.last_slot > now + LONGEST_PAUSE
    entry.last_slot = now + pause if wrong else max(entry.last_slot, now + pause)
    session.add(entry)


def end(session: Session) -> None:
    """Whatever was wrong with the engine is over."""
    counters.reset(session, _FAILURES)
    alarms.clear(session, ALARM)


def answered(session: Session, now: datetime) -> None:
    """The engine has answered, so there is no outage."""
    end(session)
    timetable.note(session, _ANSWERED, now)


def answered_lately(session: Session, now: datetime) -> bool:
    """Whether the engine has answered within the last seconds, to whichever worker."""
    entry = session.get(TimetableEntry, _ANSWERED)
    return entry is not None and abs(now - entry.last_slot) < LATELY


def current(session: Session) -> Raised | None:
    """The alarm of the outage, where there is one."""
    return alarms.known(session, ALARM)


def take_probe(session: Session, now: datetime) -> bool:
    """Whether the caller may ask the engine about one ticket; nobody else may for a while then."""
    entry = session.get(TimetableEntry, _PROBE, with_for_update=True)
    if entry is None:
        session.add(TimetableEntry(name=_PROBE, last_slot=now + PROBE_EVERY))
        return True
    if now < entry.last_slot <= now + LONGEST_PAUSE:  # What is later was written by a clock that was wrong.
        return False
    entry.last_slot = now + PROBE_EVERY
    return True
