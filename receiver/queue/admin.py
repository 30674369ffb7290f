"""What a person may do with jobs: retry, cancel, stop, run now, and empty a queue. Nothing here loses a ticket."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer

from receiver.queue import PREVIEW_JOB, QUEUES, SHORT_TTL, TRAINING, OurJob, queue

AT_ONCE = 500


class JobError(Exception):
    """The job cannot be changed; the text says why."""


_GONE = "There is no such job any more; it may have ended meanwhile."


def _fetched_job(connection: "redis.Redis", job_id: str) -> Job:
    """The job as RQ reads it. Raises JobError, also where Redis holds something else under its name."""
    try:
        job = OurJob.fetch(job_id, connection=connection, serializer=JSONSerializer)
    except NoSuchJobError:
        raise JobError(_GONE) from None
    # RQ trusts what it reads: a field that is missing, or no number or time, fails in one of these ways.
    except (ValueError, TypeError, AttributeError, LookupError, AssertionError):
        raise JobError("What Redis holds under this name is no job of ours; it is left alone.") from None
    if job.origin not in QUEUES:
        raise JobError("It is in no queue of ours; it is left alone.")
    return job


def retry(connection: "redis.Redis", job_id: str) -> str:
    """Put a failed job into its queue again; returns the queue's name. Raises JobError and redis.RedisError."""
    job = _fetched_job(connection, job_id)
    try:
        queue(job.origin, connection).failed_job_registry.requeue(job)
    except InvalidJobOperation:
        raise JobError("It has not failed, or somebody else has retried it.") from None
    return job.origin


def remove(connection: "redis.Redis", job_id: str) -> str:
    """Cancel a job that waits, or forget one that has failed; returns its queue's name. Raises JobError."""
    job = _fetched_job(connection, job_id)
    if job.get_status(refresh=False) == JobStatus.STARTED:
        raise JobError("It runs already; stop it instead.")
    job.delete()
    return job.origin


def stop(connection: "redis.Redis", job_id: str) -> str:
    """Have a running job killed; returns its queue's name. Raises JobError.

    What it held is due again when its lease has run out.
    """
    job = _fetched_job(connection, job_id)
    try:
        if job.get_status(refresh=False) != JobStatus.STARTED:
            raise JobError("It does not run; it has ended, or not begun.")
        send_stop_job_command(connection, job_id, JSONSerializer)
    except (InvalidJobOperation, NoSuchJobError):
        raise JobError(_GONE) from None
    return job.origin


def empty(connection: "redis.Redis", name: str) -> int:
    """Throw away every job that waits in a queue; returns how many. What is due stays due, and the sweep wakes it."""
    target = queue(name, connection)
    return _drop_in_batches(connection, target.count, lambda: connection.lpop(target.key, AT_ONCE))


def retry_all(connection: "redis.Redis", name: str) -> int:
    """Retry the failed jobs of a queue, the newest `AT_ONCE`; returns how many."""
    registry, retried = queue(name, connection).failed_job_registry, 0
    for job_id in registry.get_job_ids(0, AT_ONCE - 1, desc=True, cleanup=False):
        with suppress(JobError):  # Somebody else was faster, or what stands there is no job.
            retry(connection, job_id)
            retried += 1
    return retried


def forget_all(connection: "redis.Redis", name: str) -> int:
    """Forget the failed jobs of a queue; returns how many."""
    registry = queue(name, connection).failed_job_registry
    many: Any = connection.zcard(registry.key)
    return _drop_in_batches(
        connection, many, lambda: [entry for entry, _ in _as_list(connection.zpopmin(registry.key, AT_ONCE))]
    )


def forget_older(connection: "redis.Redis", job: Job, keep: int) -> None:
    """Of a job's failed runs, of which this is one, forget all but the newest `keep`. Raises redis.RedisError."""
    if job.func_name == PREVIEW_JOB:
        return  # Each was asked for by a person, who looks for it.
    registry = queue(job.origin, connection).failed_job_registry
    ids = [entry.decode("utf-8", "replace") for entry in _as_list(connection.zrevrange(registry.key, 0, AT_ONCE - 1))]
    pipeline = connection.pipeline(transaction=False)
    for job_id in ids:
        pipeline.hget(OurJob.key_for(job_id), "description")
    name = str(job.func_name).encode()
    same = [job_id for job_id, told in zip(ids, pipeline.execute(), strict=True) if told == name]
    # Failures of one second are in no order, so the run at hand is kept by its name.
    for job_id in [other for other in same if other != job.id][keep - 1 :]:
        with connection.pipeline() as together:
            together.zrem(registry.key, job_id)
            together.unlink(OurJob.key_for(job_id), OurJob.dependents_key_for(job_id), Result.get_key(job_id))
            together.execute()


def _drop_in_batches(connection: "redis.Redis", many: int, take: Callable[[], Any]) -> int:
    """Delete the jobs that `take` takes out of a list, `AT_ONCE` a time: RQ's own script would hold up everybody."""
    dropped = 0
    for _ in range(0, many, AT_ONCE):
        names = [entry.decode("utf-8", "replace") for entry in _as_list(take())]
        if not names:
            break
        keys = [key for name in names for key in (OurJob.key_for(name), OurJob.dependents_key_for(name))]
        connection.unlink(*keys, *map(Result.get_key, names))
        dropped += len(names)
    return dropped


def _as_list(answer: Any) -> list[Any]:
    return answer or []


def preview(connection: "redis.Redis", plan: str) -> None:
    """Enqueue a preview of a plan's digest, unless one waits or is being built. Raises redis.RedisError.

    It goes to the queue of what has time, so that no digest waits for previews, however many people ask for.
    """
    job_id = f"preview-{hashlib.sha256(plan.encode()).hexdigest()[:16]}"
    target = queue(TRAINING, connection)
    # Not RQ's unique=True, which also refuses while an ended preview of this plan is still kept.
    known = target.fetch_job(job_id)
    if known is not None and known.get_status() in (JobStatus.QUEUED, JobStatus.STARTED):
        return
    target.enqueue(
        PREVIEW_JOB, plan, job_id=job_id, result_ttl=SHORT_TTL, failure_ttl=7 * 86400, description=PREVIEW_JOB
    )


def run_now(connection: "redis.Redis", name: str, job: str, *words: str) -> None:
    """Enqueue a job by its dotted path, with these words for it. Raises redis.RedisError."""
    queue(name, connection).enqueue(job, *words, result_ttl=SHORT_TTL, failure_ttl=7 * 86400, description=job)
