"""The timetable, and RQ's own cron that runs it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from rq.cron import CronJob, CronScheduler

from jobs.classification import current_catalog, training
from jobs.digests import send
from jobs.helpdesks import reconcile
from jobs.operations import audit_check, backup, maintenance, retention
from receiver import queue
from receiver.db import timetable
from receiver.db.database import Database
from receiver.db.heartbeat import SCHEDULER, Heartbeat
from receiver.lib.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timed:
    """A job that runs every so many `seconds`. Each may run twice, late, or in two schedulers at once."""

    job: Callable[[], None]
    queue: str
    seconds: int

    @property
    def name(self) -> str:
        """The dotted path by which a worker finds the job."""
        return f"{self.job.__module__}.{self.job.__name__}"


TIMETABLE = (
    Timed(maintenance.sweep, queue.MAINTENANCE, seconds=5),
    Timed(retention.retain, queue.MAINTENANCE, seconds=3600),
    Timed(reconcile.reconcile_due, queue.OUTGOING, seconds=60),
    Timed(send.send_due, queue.DIGEST, seconds=30),
    Timed(send.alert, queue.DIGEST, seconds=60),
    # Not among the maintenance, where a slow source would keep the sweep waiting.
    Timed(current_catalog.reload_catalog, queue.DIGEST, seconds=300),
    Timed(training.train, queue.TRAINING, seconds=86_400),
    Timed(backup.backup_due, queue.TRAINING, seconds=900),
    # A minute for a million entries; nobody waits for it.
    Timed(audit_check.verify_audit, queue.TRAINING, seconds=86_400),
)


class _JsonCronJob(CronJob):
    """RQ's cron job, put into our queue: RQ's own would be pickled."""

    def enqueue(self, connection: Any) -> Any:
        target = queue.queue(self.queue_name, connection)
        if any(job.func_name == self.func_name for job in target.get_jobs()):
            return None  # Behind a worker that is away, one waiting run is as good as many.
        return target.enqueue(self.func_name, description=self.func_name, **self.job_options)


def announce(db: Database) -> None:
    """Write the timetable into the record, for the page that shows how its jobs went."""
    with db.write() as session:
        timetable.announce(session, [(timed.name, timed.queue, timed.seconds) for timed in TIMETABLE])


def run(config: Settings, heartbeat: Heartbeat | None = None) -> None:
    """Run the timetable until asked to stop. Raises redis.RedisError where Redis is away, UnsuitableError."""
    connection = queue.connect(config.redis_url)
    queue.check_suitable(connection)
    # One scheduler serves a stack, so what is said here is said once.
    for told in (queue.eviction(connection), queue.forgets(connection)):
        if told:
            log.warning("Redis %s", told)
    heartbeat = heartbeat or Heartbeat(config.database_url, SCHEDULER)
    try:
        scheduler(config, heartbeat).start()
    except (redis.RedisError, OSError):
        heartbeat.leave()  # It is Redis that is in trouble; that is told by itself.
        raise
    heartbeat.leave()


class _Scheduler(CronScheduler):
    """RQ's scheduler, which says in the record too that it lives."""

    def __init__(self, *args: Any, heartbeat: Heartbeat | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heartbeat = heartbeat

    def heartbeat(self) -> None:
        if self._heartbeat:
            self._heartbeat.beat()
        super().heartbeat()


def scheduler(config: Settings, heartbeat: Heartbeat | None = None) -> CronScheduler:
    """The scheduler of the timetable, not yet started."""
    cron = _Scheduler(queue.connect(config.redis_url), logging_level="WARNING", heartbeat=heartbeat)
    for timed in TIMETABLE:
        job = _JsonCronJob(timed.queue, timed.job, interval=timed.seconds, result_ttl=60, failure_ttl=86_400)
        cron.get_jobs().append(job)
    return cron
