"""The alarms: what an operator must know before a user notices. Nothing here needs what it watches.

Every web process and every supervisor has a watch, and one of them at a time looks: it says so in the database, and
when it falls silent another takes over. Who lives is judged by what changes while one looks, on one's own clock, so
machines whose clocks differ raise no alarm.
"""

import itertools
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from receiver import queue
from receiver.db import alarms, deliveries, processes, refusals, tickets
from receiver.db.database import Database
from receiver.db.heartbeat import SCHEDULER, place
from receiver.db.models import Process
from receiver.intake import sources
from receiver.lib.clock import now
from receiver.lib.settings import Settings

EVERY_SECONDS = 10.0
# A worker writes a heartbeat at least every 15 seconds, whatever it does. Two may be lost.
SILENT_SECONDS = 40.0
# Two looks may be lost before another watch takes over.
_LEADS_SECONDS = 25.0
_DEATHS, _DEATHS_WITHIN = 3, timedelta(minutes=3)
STUCK_SECONDS = 120
# A source's habit is read from its last deliveries; from fewer than ten nothing is concluded.
_HABIT_OF, _HABIT_AT_LEAST = 50, 10
_LONGEST_HABIT_TIMES, _SHORTEST_SILENCE = 3, timedelta(hours=1)
WORKERS = tuple(f"worker {name}" for name in queue.QUEUES)

log = logging.getLogger(__name__)


class Trouble(NamedTuple):
    """What is wrong, as receiver.db.alarms keeps it."""

    code: str
    detail: Mapping[str, Any] = MappingProxyType({})


def run(db: Database, config: Settings, ending: threading.Event) -> None:
    """Look every `EVERY_SECONDS` until `ending` is set. An unreachable database is logged once."""
    watch, is_away, failed = Watch(db, config), False, ""
    while not ending.is_set():
        try:
            watch.look()
            is_away = False
        except (SQLAlchemyError, OSError) as error:
            if not is_away:
                log.error("The database cannot be used, so nothing is watched: %s", type(error).__name__)
            is_away = True
        except Exception as error:  # A mistake in one look must not end all watching; it is logged once.
            if repr(error) != failed:
                log.exception("A look for trouble failed")
            failed = repr(error)
        ending.wait(EVERY_SECONDS)
    with suppress(SQLAlchemyError, OSError):
        watch.leave()


class Watch:
    """Looks for trouble, and raises and clears alarms; remembers the heartbeats that it has seen."""

    def __init__(self, db: Database, config: Settings) -> None:
        self._db, self._config = db, config
        self._redis = queue.connect(config.redis_url, timeout=2.0)
        self._name = uuid4().hex
        self._seen: dict[str, tuple[datetime, float]] = {}
        self._looked = self._watches_since = float("-inf")
        self._redis_fails = 0

    def look(self) -> None:
        """Look once, unless another watch does. Raises SQLAlchemyError and OSError if the database is away."""
        moment = now()
        with self._db.read() as session:
            leader = next((row for row in processes.known(session) if row.role == processes.WATCH), None)
        if leader and leader.id != self._name and abs(moment - leader.heartbeat_at) < timedelta(seconds=_LEADS_SECONDS):
            return
        # Redis is asked before the transaction begins: it may be slow to fail, and senders wait for our lock.
        trouble, waits = self._ask_redis(moment)
        self._redis_fails = self._redis_fails + 1 if trouble else 0
        with self._db.write() as session:
            if leader and leader.id != self._name:
                processes.leave(session, leader.id)
            processes.beat(session, self._name, processes.WATCH, place(), moment)
            processes.forget_old(session, moment)
            # A single failure may be a server that is being started again.
            if self._redis_fails != 1:
                _set(session, moment, trouble, "redis")
            if trouble is None:
                stuck = [name for name, seconds in waits.items() if seconds > STUCK_SECONDS]
                _set(session, moment, Trouble("stuck", {"queues": ", ".join(stuck)}) if stuck else None, "queue")
            self._look_at_processes(session, moment, is_redis_up=trouble is None)
        # A transaction of its own: a mistake in SOURCES_FILE fails it, and what was found above is still kept.
        with self._db.write() as session:
            self._look_at_tickets(session, moment)

    def leave(self) -> None:
        """Let another watch look at once."""
        with self._db.write() as session:
            processes.leave(session, self._name)

    def _ask_redis(self, moment: datetime) -> tuple[Trouble | None, dict[str, float]]:
        """What is wrong with Redis, and for how long the first job of each queue waits."""
        try:
            queue.check_suitable(self._redis)
            queue.probe(self._redis)
            return None, queue.oldest_waits(self._redis, moment)
        except queue.UnsuitableError as error:
            return Trouble("redis_unsuitable", {"problem": str(error)}), {}
        except (redis.RedisError, OSError) as error:
            return Trouble("redis_away", {"reason": queue.reason(error)}), {}

    def _look_at_processes(self, session: Session, moment: datetime, *, is_redis_up: bool) -> None:
        """Look for processes that die again and again, and for roles that nobody fills."""
        clock = time.monotonic()
        known = [row for row in processes.known(session) if row.role != processes.WATCH]
        living: Counter[str] = Counter()
        dead: list[Process] = []
        for row in known:
            # The age of a heartbeat is counted from when we first saw it, on our own clock: a process's may be wrong.
            # One that we see for the first time counts as alive.
            heartbeat, seen_at = self._seen.get(row.id, (None, clock))
            seen_at = seen_at if heartbeat == row.heartbeat_at else clock
            self._seen[row.id] = (row.heartbeat_at, seen_at)
            if row.died_at or clock - seen_at >= SILENT_SECONDS:
                dead.append(row)
            else:
                living[row.role] += 1
        for role in (SCHEDULER, *WORKERS, *(row.role for row in known)):
            _set(session, moment, _dying(role, dead, moment), "process", role)
        # Without Redis no worker can serve, and some end: that is one alarm, not seven. And until every process has had
        # the time for a heartbeat, nobody is missed.
        if not is_redis_up or clock - self._looked > SILENT_SECONDS:
            self._watches_since = clock
        self._looked = clock
        is_sure = clock - self._watches_since >= SILENT_SECONDS
        for role in (SCHEDULER, *WORKERS):
            if living[role] or is_sure:
                kind, _, name = role.partition(" ")
                missing = Trouble("no_worker", {"queue": name}) if name else Trouble("no_scheduler")
                _set(session, moment, None if living[role] else missing, kind, name)

    def _look_at_tickets(self, session: Session, moment: datetime) -> None:
        """Look at the backlog, the disk, refused requests and sources that have gone silent."""
        config = self._config
        waiting, since = tickets.due(session)
        waits = moment - since if since else timedelta(0)
        is_late = since is not None and waits >= timedelta(minutes=config.backlog_alarm_minutes)
        backlog = Trouble("backlog", {"tickets": waiting, "minutes": round(waits.total_seconds() / 60)})
        _set(session, moment, backlog if is_late else None, "backlog")

        free = shutil.disk_usage(config.data_dir).free // 2**20
        is_full = free < config.disk_alarm_mb
        _set(session, moment, Trouble("disk", {"megabytes": free}) if is_full else None, "disk")

        refused = [
            {"kind": found.kind, "source": found.source, "count": found.count, "address": found.address}
            for found in refusals.recent(session, moment)
            if found.count >= refusals.MANY
        ]
        attack = Trouble("refused", {"minutes": refusals.WINDOW.seconds // 60, "refused": refused})
        _set(session, moment, attack if refused else None, "refused")

        for name in sources.configured(config):
            arrivals = deliveries.latest_arrivals(session, name, _HABIT_OF)
            _set(session, moment, silence(name, arrivals, moment), "source", name)


def _set(session: Session, moment: datetime, trouble: Trouble | None, kind: str, subject: str = "") -> None:
    if trouble is None:
        if alarms.clear(session, kind, subject):
            log.warning("The alarm is over: %s", f"{kind}:{subject}" if subject else kind)
    elif told := alarms.raise_(session, kind, moment, trouble.code, subject, **trouble.detail):
        log.error("Alarm: %s", told)


def _dying(role: str, dead: Sequence[Process], moment: datetime) -> Trouble | None:
    """The trouble where processes of this role die again and again, if they do."""
    lately = [row for row in dead if row.role == role and moment - (row.died_at or row.heartbeat_at) < _DEATHS_WITHIN]
    # Processes that were started together and went down with their machine count as one death.
    many = len({row.started_at.replace(microsecond=0) for row in lately})
    if many < _DEATHS:
        return None
    words = next((row.last_words for row in lately if row.last_words), None)
    minutes = _DEATHS_WITHIN.seconds // 60
    return Trouble("dies", {"role": role, "deaths": many, "minutes": minutes, "last_words": words})


def silence(source: str, arrivals: list[datetime], moment: datetime) -> Trouble | None:
    """The trouble where a source is silent for three times its longest recent pause, and for an hour at least."""
    if len(arrivals) < _HABIT_AT_LEAST:
        return None
    habit = max(later - earlier for later, earlier in itertools.pairwise(arrivals))
    silent = moment - arrivals[0]
    if silent < max(habit * _LONGEST_HABIT_TIMES, _SHORTEST_SILENCE):
        return None
    return Trouble("silent", {"source": source, "hours": f"{silent.total_seconds() / 3600:.1f}"})
