"""Redis is transport: the queues, and the wake-ups put into them. Only this folder of the receiver knows RQ."""

import logging
import threading
import time
from datetime import UTC, datetime

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from receiver.queue.connection import UnsuitableError, check_suitable, connect, eviction, forgets, probe, reason
from receiver.queue.job import CLASSIFY_JOB, DIGEST_JOB, JOBS, OUTGOING_JOB, PREVIEW_JOB, TIMED_JOBS, OurJob, OurQueue

__all__ = [
    "CLASSIFY_JOB",
    "DIGEST_JOB",
    "JOBS",
    "OUTGOING_JOB",
    "PREVIEW_JOB",
    "TIMED_JOBS",
    "OurJob",
    "OurQueue",
    "UnsuitableError",
    "check_suitable",
    "connect",
    "eviction",
    "forgets",
    "probe",
    "reason",
]

CLASSIFY, DIGEST, MAINTENANCE, OUTGOING, TRAINING = "classify", "digest", "maintenance", "outgoing", "training"
QUEUES = (CLASSIFY, DIGEST, MAINTENANCE, OUTGOING, TRAINING)

# A classify job stops claiming after its budget and then waits for what is in flight. A mail server may take minutes
# for each recipient; a digest job that was killed at it would leave a digest of which nobody knows.
TIMEOUTS = {CLASSIFY: 1800, DIGEST: 7200, MAINTENANCE: 60, OUTGOING: 1800, TRAINING: 3600}
SHORT_TTL = 600
# After a wake-up, so that a flood of deliveries does not ask Redis once for each.
_PAUSE_SECONDS = 0.05

log = logging.getLogger(__name__)


def queue(name: str, connection: "redis.Redis") -> Queue:
    """The queue `name`; what it carries is JSON, so nothing from Redis is ever unpickled."""
    return OurQueue(name, connection=connection, serializer=JSONSerializer, default_timeout=TIMEOUTS[name])


def wake(name: str, connection: "redis.Redis", enough: int = 1) -> None:
    """Enqueue the wake-up of queue `name`, unless `enough` of them wait unstarted already.

    One that has not started will see everything that is due when it does.
    """
    target = queue(name, connection)
    # Two processes may both see one too few; a job too many finds nothing due and ends.
    if target.count < enough:
        job = {CLASSIFY: CLASSIFY_JOB, DIGEST: DIGEST_JOB, OUTGOING: OUTGOING_JOB}[name]
        target.enqueue(job, result_ttl=SHORT_TTL, failure_ttl=7 * 86400, description=job)


def try_wake(name: str, url: str) -> None:
    """Wake queue `name` if Redis answers within a second; where it does not, the sweep finds what is due."""
    try:
        wake(name, connect(url, timeout=1.0))
    except (redis.RedisError, OSError) as error:
        log.warning("Redis is away: %s; the sweep will wake what is due", reason(error))


class Waker:
    """Wakes a queue from a thread of its own, so that no request ever waits for Redis.

    Wake-ups asked for while one is on its way, or just after it, are one: the job it starts sees everything that is
    due. A wake-up that fails is forgotten, because the sweep finds what is due.
    """

    def __init__(self, url: str, enough: int) -> None:
        self._connection = connect(url, timeout=0.25)
        self._enough = enough
        self._wanted: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._away = False

    def wake(self, name: str) -> None:
        """Ask for the queue `name` to be woken; returns at once."""
        with self._changed:
            self._wanted.add(name)
            if self._thread is None:  # Not in __init__: the web server forks after the app is made.
                self._thread = threading.Thread(target=self._wake_wanted, name="waker", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _wake_wanted(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                name = self._wanted.pop()
            try:
                wake(name, self._connection, self._enough)
                self._away = False
            except (redis.RedisError, OSError) as error:
                if not self._away:  # Once for each time that Redis is away, not once for each delivery.
                    log.warning("Redis is away: %s; the sweep will wake what is due", reason(error))
                self._away = True
            time.sleep(_PAUSE_SECONDS)


def oldest_waits(connection: "redis.Redis", now: datetime) -> dict[str, float]:
    """For how many seconds the first job of each queue has been waiting. Raises redis.RedisError."""
    waits = {}
    for name in QUEUES:
        first = queue(name, connection).get_jobs(length=1)
        enqueued = first[0].enqueued_at if first else None
        waits[name] = (now - enqueued.replace(tzinfo=UTC)).total_seconds() if enqueued else 0.0
    return waits


def depths(connection: "redis.Redis") -> dict[str, int]:
    """How many jobs wait in each queue. Raises redis.RedisError."""
    return {name: queue(name, connection).count for name in QUEUES}
