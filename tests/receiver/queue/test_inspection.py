"""What the jobs page sees in Redis, whoever wrote it there, and what a person may do with it."""

import base64
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from rq import SimpleWorker
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer

from receiver import queue
from receiver.lib.clock import now
from receiver.queue import admin, inspection
from receiver.queue.admin import JobError
from tests.conftest import wait_until

HOSTILE = "<script>alert(1)</script>\x00" + "x" * 5000


@pytest.fixture
def connection(redis_url: str) -> "Iterator[redis.Redis]":
    with queue.connect(redis_url) as connected:
        yield connected


def enqueued(connection: "redis.Redis", path: str = "time.time", *arguments: Any, name: str = queue.TRAINING) -> Job:
    return queue.queue(name, connection).enqueue(path, *arguments, description=path)


def failed(connection: "redis.Redis", path: str = "os.nothing_of_this_name", name: str = queue.TRAINING) -> Job:
    job = enqueued(connection, path, name=name)
    worker = SimpleWorker([queue.queue(name, connection)], connection=connection, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="CRITICAL")
    return job


def test_nothing_is_seen_in_an_empty_server(connection: "redis.Redis") -> None:
    found = inspection.look(connection, now())
    assert [each.name for each in found.queues] == list(queue.QUEUES)
    assert {(each.waiting, each.running, each.failed, each.oldest_seconds) for each in found.queues} == {
        (0, 0, 0, None)
    }
    assert (found.workers, found.waiting, found.running, found.scheduled, found.failed) == ([], [], [], [], [])


def test_what_waits_and_what_is_scheduled_is_seen_with_its_times(connection: "redis.Redis") -> None:
    job = enqueued(connection)
    queue.queue(queue.DIGEST, connection).enqueue_in(timedelta(hours=1), "time.time", description="later")
    found = inspection.look(connection, now() + timedelta(seconds=90))
    training = next(each for each in found.queues if each.name == queue.TRAINING)
    assert (training.waiting, round(training.oldest_seconds or 0)) == (1, 90)
    assert [(each.id, each.queue, each.name, each.status) for each in found.waiting] == [
        (job.id, queue.TRAINING, "time.time", "queued")
    ]
    (later,) = found.scheduled
    assert later.name == "later"
    assert later.at is not None
    assert later.at - now() > timedelta(minutes=59)


def test_a_failed_job_is_seen_with_its_traceback_and_retried_once(connection: "redis.Redis") -> None:
    job = failed(connection)
    (found,) = inspection.look(connection, now()).failed
    assert (found.id, found.queue, found.status) == (job.id, queue.TRAINING, "failed")
    assert "nothing_of_this_name" in found.traceback
    assert admin.retry(connection, job.id) == queue.TRAINING
    assert queue.depths(connection)[queue.TRAINING] == 1
    with pytest.raises(JobError, match="has not failed"):
        admin.retry(connection, job.id)


def test_all_failed_jobs_of_a_queue_are_retried_or_forgotten(connection: "redis.Redis") -> None:
    for _ in range(3):
        failed(connection)
    assert admin.retry_all(connection, queue.TRAINING) == 3
    assert queue.depths(connection)[queue.TRAINING] == 3
    queue.queue(queue.TRAINING, connection).empty()
    for _ in range(2):
        failed(connection)
    assert admin.forget_all(connection, queue.TRAINING) == 2
    assert inspection.look(connection, now()).failed == []


def test_a_waiting_job_is_cancelled_and_a_queue_emptied(connection: "redis.Redis") -> None:
    first, _, _ = (enqueued(connection) for _ in range(3))
    assert admin.remove(connection, first.id) == queue.TRAINING
    with pytest.raises(JobError, match="no such job"):
        admin.remove(connection, first.id)
    assert admin.empty(connection, queue.TRAINING) == 2
    assert queue.depths(connection)[queue.TRAINING] == 0


def test_a_job_of_the_timetable_is_run_before_its_time(connection: "redis.Redis") -> None:
    admin.run_now(connection, queue.DIGEST, "jobs.digests.send.send_due")
    (job,) = inspection.look(connection, now()).waiting
    assert (job.queue, job.name) == (queue.DIGEST, "jobs.digests.send.send_due")


WORKER = (
    "import sys, redis, rq; from rq.serializers import JSONSerializer as J\n"
    "rq.Worker(['training'], connection=redis.Redis.from_url(sys.argv[1]), serializer=J).work()"
)


def test_a_running_job_is_seen_with_its_worker_and_stopped(connection: "redis.Redis", redis_url: str) -> None:
    job = enqueued(connection, "time.sleep", 60)
    with pytest.raises(JobError, match="does not run"):
        admin.stop(connection, job.id)
    process = subprocess.Popen([sys.executable, "-c", WORKER, redis_url], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(job.worker for job in inspection.look(connection, now()).running))
        _check_running(connection, job)
        admin.stop(connection, job.id)
        wait_until(lambda: job.get_status() == JobStatus.STOPPED)
    finally:
        process.kill()
        process.wait()


def _check_running(connection: "redis.Redis", job: Job) -> None:
    found = inspection.look(connection, now())
    (worker,) = found.workers
    assert (worker.queues, worker.state, worker.silent) == ("training", "busy", False)
    assert [(each.id, each.worker) for each in found.running] == [(job.id, worker.name)]
    assert inspection.look(connection, now() + timedelta(minutes=10)).workers[0].silent
    with pytest.raises(JobError, match="runs already"):
        admin.remove(connection, job.id)


def test_what_a_stranger_writes_into_redis_is_short_text_and_no_bomb(connection: "redis.Redis") -> None:
    target = queue.queue(queue.CLASSIFY, connection)
    connection.rpush(target.key, HOSTILE, b"\xff\xfe", "a:b")
    connection.hset(Job.key_for("bad"), mapping={"description": HOSTILE, "enqueued_at": "never", "status": HOSTILE})
    connection.zadd(FailedJobRegistry(queue=target).key, {"bad": float("inf"), "worse": -5})
    bomb = base64.b64encode(zlib.compress(b"0" * 50_000_000))
    connection.xadd(Result.get_key("bad"), {"exc_string": bomb})
    connection.xadd(Result.get_key("worse"), {"exc_string": "no base64!"})
    connection.sadd("rq:workers", "rq:worker:evil", "other")
    connection.hset("rq:worker:evil", mapping={"queues": HOSTILE, "pid": "x" * 99, "successful_job_count": "9" * 99})
    found = inspection.look(connection, now())
    texts = [text for job in (*found.waiting, *found.failed) for text in (job.id, job.name, job.status)]
    assert max(map(len, texts)) <= 200
    assert [len(job.traceback) for job in found.failed] == [16_385, 0]
    assert [(worker.name, worker.done) for worker in found.workers] == [("evil", 0)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"data": "x"},
        {"data": "x", "origin": "elsewhere"},
        {"data": "x", "origin": "classify", "status": "owned", "created_at": "2026-01-01T00:00:00Z"},
        {"data": "x", "origin": "classify", "timeout": "soon"},
        {"data": "x", "origin": b"\xff\xfe"},
    ],
)
@pytest.mark.parametrize("change", [admin.retry, admin.remove, admin.stop])
def test_a_strangers_entry_is_left_alone(connection: "redis.Redis", change: Any, fields: Any) -> None:
    if fields:
        connection.hset(Job.key_for("bad"), mapping=fields)
    with pytest.raises(JobError):
        change(connection, "bad")
    assert connection.exists(Job.key_for("bad")) == bool(fields)
