"""The timetable, and the schedulers that run it."""

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import redis
import time_machine
from rq.cron import CronScheduler

from jobs.operations import scheduler
from receiver import queue
from receiver.db import due_tickets
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import ROOT, wait_until
from tests.factories import due_ticket, outrun_leases, queued

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def connection(config: Settings) -> "Iterator[redis.Redis]":
    with queue.connect(config.redis_url) as made:
        yield made


def payloads(connection: "redis.Redis") -> list[Any]:
    return [connection.hget(key, "data") for key in connection.scan_iter("rq:job:*")]


@pytest.mark.parametrize("timed", scheduler.TIMETABLE, ids=lambda timed: timed.job.__name__)
def test_every_entry_names_a_job_a_worker_can_find(timed: scheduler.Timed, config: Settings) -> None:
    job = next(job for job in scheduler.scheduler(config).get_jobs() if job.func is timed.job)
    module, _, name = job.func_name.rpartition(".")
    assert getattr(import_module(module), name) is timed.job
    assert timed.queue in queue.QUEUES
    assert timed.seconds > 0


def test_the_jobs_are_enqueued_as_json_without_any_argument(config: Settings, connection: "redis.Redis") -> None:
    scheduler.scheduler(config).enqueue_jobs()
    sent = [json.loads(zlib.decompress(data)) for data in payloads(connection)]
    assert sorted(entry[0] for entry in sent) == sorted(
        f"{timed.job.__module__}.{timed.job.__name__}" for timed in scheduler.TIMETABLE
    )
    assert {(len(entry), json.dumps(entry[1:])) for entry in sent} == {(4, "[null, [], {}]")}


def test_behind_a_worker_that_is_away_one_run_of_each_waits(config: Settings, connection: "redis.Redis") -> None:
    entries = [timed.queue for timed in scheduler.TIMETABLE]
    with time_machine.travel(START, tick=False) as clock:
        cron = scheduler.scheduler(config)
        for _ in range(20):
            cron.enqueue_jobs()
            clock.shift(timedelta(hours=1))
        assert queue.depths(connection) == {name: entries.count(name) for name in queue.QUEUES}
        queue.queue(queue.MAINTENANCE, connection).empty()
        cron.enqueue_jobs()
        assert queue.depths(connection) == {name: entries.count(name) for name in queue.QUEUES}


def test_each_entry_is_due_at_once_and_then_after_its_interval(config: Settings, connection: "redis.Redis") -> None:
    runs = {timed.job: 0 for timed in scheduler.TIMETABLE}
    with time_machine.travel(START, tick=False) as clock:
        cron = scheduler.scheduler(config)
        for _ in range(61):
            for job in cron.enqueue_jobs():
                assert job.func is not None
                runs[job.func] += 1
                queue.queue(job.queue_name, connection).empty()
            clock.shift(1)
    assert runs == {timed.job: 60 // timed.seconds + 1 for timed in scheduler.TIMETABLE}


@pytest.mark.full
def test_two_schedulers_at_once_do_no_harm(
    db: Database, config: Settings, connection: "redis.Redis", tmp_path: Path
) -> None:
    held = due_ticket(db)
    with db.write() as session:
        due_tickets.claim(session, "dead-worker", 1, now())
        outrun_leases(session)
    commands = [("scheduler",), ("scheduler",), ("worker", "maintenance")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", "jobs", *command], env=environment, stderr=log)
            for command in commands
        ]
        try:
            wait_until(lambda: len(CronScheduler.all(connection)) == 2)
            wait_until(lambda: swept(db, held) and not queue.depths(connection)["maintenance"])
            depths = queue.depths(connection)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            codes = [process.wait(90) for process in processes]
    assert codes == [0, 0, 0], (tmp_path / "log").read_text()
    with db.read() as session:
        ticket = session.get_one(Ticket, held)
    assert (ticket.status, queued(db)[held].crashes) == ("received", 1)
    assert depths["classify"] == 1
    assert depths["digest"] <= 2 * sum(timed.queue == queue.DIGEST for timed in scheduler.TIMETABLE)
    assert CronScheduler.all(connection) == []


def swept(db: Database, ticket_id: int) -> bool:
    return queued(db)[ticket_id].lease_owner is None
