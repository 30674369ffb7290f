"""What Redis says of queues, workers and jobs; whoever can write there is not trusted, so all of it is short text."""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from rq import Worker
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

from receiver.queue import QUEUES, queue

MOST = 50  # Jobs of a kind and queue that are looked at, and workers; the counts are of all.
_LONGEST, _LONGEST_TRACEBACK = 200, 16_384
_JOB = ("description", "status", "enqueued_at", "started_at", "ended_at", "worker_name")
_WORKER = ("queues", "state", "last_heartbeat", "birth", "pid", "hostname", "death")
_WORKER_COUNTS = ("successful_job_count", "failed_job_count")
_REGISTRIES = {"running": StartedJobRegistry, "scheduled": ScheduledJobRegistry, "failed": FailedJobRegistry}
_SILENT = timedelta(seconds=60)  # A worker says that it lives every 30 seconds at least.


_Place = tuple[str, str, float]  # A job's queue, its id, and its score in a registry.


@dataclass(frozen=True)
class JobSeen:
    """A job as its queue has it; `at` is when it is scheduled for."""

    id: str
    queue: str
    name: str
    status: str
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    at: datetime | None = None
    worker: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class WorkerSeen:
    """A worker and what it says of itself; `silent` where it has said nothing for too long."""

    name: str
    queues: str
    state: str
    heartbeat_at: datetime | None
    born_at: datetime | None
    place: str
    done: int
    failed: int
    silent: bool


@dataclass(frozen=True)
class QueueSeen:
    """How many jobs of a queue wait, run, are scheduled and have failed, and for how long the first has waited."""

    name: str
    waiting: int
    running: int
    scheduled: int
    failed: int
    oldest_seconds: float | None
    workers: int


@dataclass(frozen=True)
class Seen:
    """Everything at one moment; of each kind of jobs the first or the newest ones."""

    queues: Sequence[QueueSeen]
    workers: Sequence[WorkerSeen]
    waiting: Sequence[JobSeen]
    running: Sequence[JobSeen]
    scheduled: Sequence[JobSeen]
    failed: Sequence[JobSeen]


def look(connection: "redis.Redis", now: datetime) -> Seen:
    """The queues, the workers and the jobs, in four round trips. Raises redis.RedisError."""
    counts, found = _counts_and_ids(connection)
    jobs = _read_jobs(connection, found)
    workers = sorted(_read_workers(connection, now), key=lambda worker: (worker.queues, worker.name))
    queues = []
    for name in QUEUES:
        since = next((job.enqueued_at for job in jobs["waiting"] if job.queue == name), None)
        seen = QueueSeen(
            name,
            **{kind: counts[kind, name] for kind in ("waiting", *_REGISTRIES)},
            oldest_seconds=max(0.0, (now - since).total_seconds()) if since else None,
            workers=sum(name in worker.queues.split(",") and not worker.silent for worker in workers),
        )
        queues.append(seen)
    return Seen(queues, workers, **jobs)


def _counts_and_ids(connection: "redis.Redis") -> tuple[dict[tuple[str, str], int], dict[str, list[_Place]]]:
    """How many jobs there are by kind and queue, and where the first of each kind are."""
    pipeline = connection.pipeline(transaction=False)
    for name in QUEUES:
        target = queue(name, connection)
        pipeline.llen(target.key)
        pipeline.lrange(target.key, 0, MOST - 1)
        for kind, registry in _REGISTRIES.items():
            key = registry(queue=target).key
            pipeline.zcard(key)
            pipeline.zrange(key, 0, MOST - 1, desc=kind == "failed", withscores=True)
    answers = iter(pipeline.execute())
    counts: dict[tuple[str, str], int] = {}
    found: dict[str, list[_Place]] = {kind: [] for kind in ("waiting", *_REGISTRIES)}
    for name in QUEUES:
        for kind, placed in found.items():
            counts[kind, name] = next(answers)
            for row in next(answers):
                entry, score = row if isinstance(row, tuple) else (row, 0.0)
                # A running one is written as its id, a colon and the id of its execution.
                placed.append((name, _short_text(entry).partition(":")[0], float(score)))
    return counts, found


def _read_jobs(connection: "redis.Redis", found: dict[str, list[_Place]]) -> dict[str, list[JobSeen]]:
    # Not by RQ's Job.fetch_many, which trusts what it reads and fails on a job that somebody has written into Redis.
    pipeline = connection.pipeline(transaction=False)
    for kind, rows in found.items():
        for _, job_id, _ in rows:
            pipeline.hmget(Job.key_for(job_id), _JOB)
            if kind == "failed":
                pipeline.xrevrange(Result.get_key(job_id), count=1)
    answers = iter(pipeline.execute())
    jobs: dict[str, list[JobSeen]] = {kind: [] for kind in found}
    for kind, rows in found.items():
        for name, job_id, score in rows:
            fields = dict(zip(_JOB, map(_short_text, next(answers)), strict=True))
            try:
                at = datetime.fromtimestamp(score, UTC) if score > 0 else None
            except (ValueError, OverflowError, OSError):  # A score is any number that a float can be.
                at = None
            seen = JobSeen(
                job_id,
                name,
                fields["description"],
                fields["status"],
                **{moment: _parsed_time(fields[moment]) for moment in ("enqueued_at", "started_at", "ended_at")},
                at=at,
                worker=fields["worker_name"],
                traceback=_unpacked_traceback(next(answers)) if kind == "failed" else "",
            )
            jobs[kind].append(seen)
    return jobs


def _read_workers(connection: "redis.Redis", now: datetime) -> list[WorkerSeen]:
    members: Any = connection.smembers(Worker.redis_workers_keys)
    keys = sorted(members)[:MOST]
    pipeline = connection.pipeline(transaction=False)
    for key in keys:
        pipeline.hmget(key, (*_WORKER, *_WORKER_COUNTS))
    workers = []
    for key, values in zip(keys, pipeline.execute(), strict=True):
        fields = dict(zip((*_WORKER, *_WORKER_COUNTS), map(_short_text, values), strict=True))
        if fields["death"] or not fields["queues"]:
            continue  # It has ended, or Redis forgot it between the two questions.
        heartbeat = _parsed_time(fields["last_heartbeat"])
        seen = WorkerSeen(
            _short_text(key).removeprefix(Worker.redis_worker_namespace_prefix),
            fields["queues"],
            fields["state"],
            heartbeat,
            _parsed_time(fields["birth"]),
            f"{fields['hostname']} {fields['pid']}".strip(),
            _parsed_count(fields["successful_job_count"]),
            _parsed_count(fields["failed_job_count"]),
            heartbeat is None or now - heartbeat > _SILENT,
        )
        workers.append(seen)
    return workers


def _short_text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _parsed_count(text: str) -> int:
    # Redis may hold any text: int() fails on a very long number, and takes the digits of other scripts.
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _parsed_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unpacked_traceback(results: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> str:
    """Why a job failed, of a long one the end; what is packed there may be a bomb, so it is unpacked to a limit."""
    fields = results[0][1] if results else {}
    packed = (fields or {}).get(b"exc_string", b"")
    try:
        plain = zlib.decompressobj().decompress(base64.b64decode(packed), 2**20)
    except (zlib.error, binascii.Error, ValueError):
        return ""
    text = plain.decode("utf-8", "replace")
    return text if len(text) <= _LONGEST_TRACEBACK else f"…{text[-_LONGEST_TRACEBACK:]}"
