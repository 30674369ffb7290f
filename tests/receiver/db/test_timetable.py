"""The timetable in the record: announced by the scheduler, and how the jobs of it went by the workers."""

from datetime import timedelta

import pytest
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from jobs.operations import maintenance, scheduler
from jobs.operations.worker import OwnJob
from receiver import queue
from receiver.db import timetable
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.lib.settings import Settings

SWEEP = "jobs.operations.maintenance.sweep"


def sweep_by_a_worker(config: Settings) -> None:
    with queue.connect(config.redis_url) as connection:
        target = queue.queue(queue.MAINTENANCE, connection)
        target.enqueue(SWEEP)
        worker = SimpleWorker([target], connection=connection, job_class=OwnJob, serializer=JSONSerializer)
        worker.work(burst=True, logging_level="CRITICAL")


def test_the_announced_timetable_replaces_the_one_before_and_keeps_what_is_known(db: Database) -> None:
    moment = now()
    with db.write() as session:
        timetable.announce(session, [("a", "digest", 30), ("gone", "digest", 5)])
        timetable.ran(session, "a", moment, moment + timedelta(seconds=1), None)
        timetable.ran(session, "nobody announced this", moment, moment, None)
    with db.write() as session:
        timetable.announce(session, [("a", "digest", 60), ("b", "digest", 10)])
    with db.read() as session:
        found = [(job.name, job.seconds, job.started_at) for job in timetable.timed_jobs(session)]
    assert found == [("b", 10, None), ("a", 60, moment)]


def test_a_worker_notes_how_a_timed_job_went(db: Database, config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler.announce(db)
    sweep_by_a_worker(config)
    with db.read() as session:
        job = timetable.timed_job(session, SWEEP)
        assert len(timetable.timed_jobs(session)) == len(scheduler.TIMETABLE)
    assert job is not None
    assert job.started_at is not None
    assert job.ended_at is not None
    assert now() - timedelta(minutes=1) < job.started_at <= job.ended_at
    assert job.error is None
    monkeypatch.setattr(maintenance, "now", lambda: 1 / 0)
    sweep_by_a_worker(config)
    with db.read() as session:
        job = timetable.timed_job(session, SWEEP)
    assert job is not None
    assert job.error == "ZeroDivisionError"
