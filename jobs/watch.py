"""The alarms: what an operator must know before a user notices."""

import itertools
import logging
import shutil
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from receiver import queue, settings, sources
from receiver.clock import now
from receiver.log import configure
from receiver.record import alarms, audit, deliveries, tickets
from receiver.record.database import opened
from receiver.settings import Settings

STUCK_SECONDS = 120
_HABIT_OF, _HABIT_AT_LEAST = 50, 10
_LONGEST_HABIT_TIMES, _SHORTEST_SILENCE = 3, timedelta(hours=1)

log = logging.getLogger(__name__)


def watch() -> None:
    """The job that looks for trouble, by the timetable. Safe to run twice: an alarm is up or it is not."""
    config = settings.load()
    configure(config.log_level)
    moment = now()
    waits = queue.oldest_waits(queue.connect(config.redis_url), moment)
    with opened(config.database_url) as record, record.write() as session:
        _set(session, moment, "backlog", _backlog(session, config, moment))
        _set(session, moment, "disk", _disk(config))
        _set(session, moment, "queue", _stuck(waits))
        for name in sources.configured(config):
            arrivals = deliveries.latest_arrivals(session, name, _HABIT_OF)
            _set(session, moment, f"source:{name}", silence(name, arrivals, moment))


def verify_audit() -> None:
    """The daily job that reads the whole audit. Safe to run twice: it only reads, and an alarm is up or it is not."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as record:
        with record.read() as session:
            wrong = audit.verify(session)
        told = f"the audit was tampered with: {wrong}; compare it with a backup" if wrong else None
        with record.write() as session:
            _set(session, now(), "audit", told)


def _set(session: Session, moment: datetime, name: str, message: str | None) -> None:
    if message is None:
        alarms.clear(session, name)
    elif alarms.sound(session, name, message, moment):
        log.error("Alarm: %s", message)


def _backlog(session: Session, config: Settings, moment: datetime) -> str | None:
    waiting, since = tickets.due(session)
    if since is None or moment - since < timedelta(minutes=config.backlog_alarm_minutes):
        return None
    minutes = round((moment - since).total_seconds() / 60)
    return f"{waiting} tickets wait to be classified, the first of them for {minutes} minutes"


def _disk(config: Settings) -> str | None:
    free = shutil.disk_usage(config.data_dir).free // 2**20
    return f"only {free} MB are free where DATA_DIR is" if free < config.disk_alarm_mb else None


def _stuck(waits: dict[str, float]) -> str | None:
    stuck = [name for name, seconds in waits.items() if seconds > STUCK_SECONDS]
    return f"no worker takes jobs from the queue {', '.join(stuck)}; start python -m jobs worker" if stuck else None


def silence(source: str, arrivals: list[datetime], moment: datetime) -> str | None:
    """What to say where a source is silent for three times its longest recent pause, and an hour at least."""
    if len(arrivals) < _HABIT_AT_LEAST:
        return None
    habit = max(later - earlier for later, earlier in itertools.pairwise(arrivals))
    silent = moment - arrivals[0]
    if silent < max(habit * _LONGEST_HABIT_TIMES, _SHORTEST_SILENCE):
        return None
    hours = silent.total_seconds() / 3600
    return f"the source {source} has sent nothing for {hours:.1f} hours, which is not its habit; check its webhook"
