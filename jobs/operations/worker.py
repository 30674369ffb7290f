"""One RQ worker for one queue, and what its forked jobs inherit."""

import importlib
import logging
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from types import FrameType
from typing import Any

import redis
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from jobs.classification import classify, learning
from jobs.classification.current_catalog import current_catalog
from jobs.classification.engines import local
from receiver import queue
from receiver.catalog import CatalogError
from receiver.db import due_tickets, timetable
from receiver.db.database import opened
from receiver.db.heartbeat import Heartbeat
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.queue import TIMED_JOBS, admin

log = logging.getLogger(__name__)

_FAILURES_KEPT = 10  # Of one job that is no timed one; all of them only wake, so one is retried as well as another.


class OwnJob(queue.OurJob):
    """A job of ours; how it went is noted where it is one of the timetable."""

    def perform(self) -> Any:
        """Run it."""
        if self.func_name not in TIMED_JOBS:
            return super().perform()
        started_at = now()
        try:
            return super().perform()
        finally:
            _note_run(str(self.func_name), started_at, sys.exception())


def _note_run(name: str, started_at: datetime, error: BaseException | None) -> None:
    try:
        with opened(settings.load().database_url) as db, db.write() as session:
            timetable.ran(session, name, started_at, now(), type(error).__name__ if error else None)
    except (SQLAlchemyError, OSError) as away:  # That it is not noted must not make it fail.
        log.warning("How %s went is not noted: %s", name, type(away).__name__)


class ClassificationWorker(Worker):
    """RQ's worker, whose jobs hear that it is asked to stop, and find the engine loaded."""

    job_class = OwnJob
    queue_class = queue.OurQueue
    max_connection_wait_time = 5.0  # Seconds between two tries while Redis is away; RQ waits for up to a minute.

    def __init__(self, *args: Any, heartbeat: Heartbeat, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heartbeat = heartbeat

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Say that this worker lives: in the record, so that it is known without Redis, and in Redis."""
        self._heartbeat.beat()
        super().heartbeat(timeout, pipeline)

    def clean_group_registries(self) -> None:
        """Nothing: we have no groups, and RQ would read their jobs as if they were pickled."""

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        classify.stopping.set()  # For a job that is forked from now on.
        if self.horse_pid:
            with suppress(ProcessLookupError):  # It may just have ended by itself.
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGTERM, _note_stop)

    def fork_work_horse(self, job: Any, origin: Any) -> None:
        if origin.name == queue.CLASSIFY:
            warm(settings.load())
        super().fork_work_horse(job, origin)

    def handle_job_failure(self, job: Job, queue: Queue, *args: Any, **options: Any) -> None:
        """Remember why it failed, and forget what failed the same way before: of such there may be thousands."""
        super().handle_job_failure(job, queue, *args, **options)
        with suppress(redis.RedisError, OSError):
            admin.forget_older(self.connection, job, keep=1 if job.func_name in TIMED_JOBS else _FAILURES_KEPT)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """Free at once what a job held that died; otherwise the sweep does when its lease has run out."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        if job.func_name != queue.CLASSIFY_JOB:
            return
        try:
            with opened(settings.load().database_url) as db, db.write() as session:
                freed = due_tickets.end(session, job.id, now())
        except (SQLAlchemyError, OSError) as error:
            log.error("A job died, and what it held waits for the sweep: %s", type(error).__name__)
            return
        log.warning("A job died; the %d tickets it held are due again", freed)
        with suppress(redis.RedisError, OSError):  # The sweep wakes too.
            queue.wake(queue.CLASSIFY, self.connection)


def _note_stop(_signal: int, _frame: FrameType | None) -> None:
    classify.stopping.set()


def warm(config: Settings) -> None:
    """Load what a classify job needs, so that the jobs forked from here start with it."""
    with opened(config.database_url) as db:
        try:
            catalog = current_catalog(db, config)
        except CatalogError:
            return  # The job itself will say so, where it is seen.
        if config.uses_llm:
            importlib.import_module(
                "jobs.classification.engines.llm"
            )  # Half a second; an engine itself would keep connections.
        # Where a model answers, this one is the second opinion.
        learning.refresh(db, local.for_catalog(catalog), catalog)


def work(name: str, config: Settings, heartbeat: Heartbeat | None = None) -> None:
    """Serve the queue `name` until asked to stop.

    Raises redis.RedisError where Redis is away at the start, and UnsuitableError where it is of a wrong kind.
    """
    connection = queue.connect(config.redis_url)
    queue.check_suitable(connection)
    heartbeat = heartbeat or Heartbeat(config.database_url, f"worker {name}")
    # RQ's own intervals would find a dead worker's job after ten minutes and more.
    worker = ClassificationWorker(
        [queue.queue(name, connection)],
        connection=connection,
        serializer=JSONSerializer,
        worker_ttl=30,
        maintenance_interval=10,
        job_monitoring_interval=5,
        log_job_description=False,
        heartbeat=heartbeat,
    )
    worker.work(logging_level="WARNING")
    if classify.stopping.is_set():  # Else it ends for want of Redis, or of a mistake.
        heartbeat.leave()
