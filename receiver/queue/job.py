"""A job of ours, as every process reads it: nothing that Redis holds decides what is imported, run or called."""

from typing import Any

from rq import Queue
from rq.job import Job
from rq.utils import decode_redis_hash

CLASSIFY_JOB = "jobs.classify.classify_due"
DIGEST_JOB = "jobs.digest.send_due"
PREVIEW_JOB = "jobs.digest.preview_job"
OUTGOING_JOB = "jobs.outgoing.errands.run_due"

TIMED_JOBS = frozenset(
    {
        "jobs.maintenance.sweep",
        "jobs.retention.retain",
        "jobs.reconcile.reconcile_due",
        DIGEST_JOB,
        "jobs.digest.alert",
        "jobs.catalog_in_force.reload_catalog",
        "jobs.training.train",
        "jobs.watch.verify_audit",
        "jobs.backup.backup_due",
    }
)
JOBS = TIMED_JOBS | {CLASSIFY_JOB, PREVIEW_JOB, OUTGOING_JOB}

# What of a job's hash is read. Not callbacks, webhooks, dependencies, repetitions, groups and rate limits, which we do
# not use: each of them is a name that would be imported, an address that would be called, or another job to run.
_READ = frozenset(
    {
        "created_at",
        "data",
        "description",
        "ended_at",
        "enqueued_at",
        "failure_ttl",
        "last_heartbeat",
        "origin",
        "result_ttl",
        "started_at",
        "status",
        "timeout",
        "ttl",
        "worker_name",
    }
)


class OurJob(Job):
    """A job that runs nothing but ours, whatever somebody with access to Redis has written into it."""

    def restore(self, raw_data: Any) -> None:
        """Take over what Redis holds of the job, of that only what we use. Raises NoSuchJobError."""
        kept = {name: value for name, value in decode_redis_hash(raw_data).items() if name in _READ}
        super().restore(kept)

    @property
    def func(self) -> Any:
        """The function to run. Raises ValueError where it is not one of JOBS."""
        if self.func_name not in JOBS:
            raise ValueError("this is not a job of ours, so it is not run")
        return super().func


class OurQueue(Queue):
    """A queue of our jobs, none of which waits for another."""

    job_class = OurJob

    def move_dependents_to_ready(self, *_args: Any, **_options: Any) -> dict[str, list[str]]:
        """Nothing: whoever can write to Redis could name any job as a dependent."""
        return {}

    def enqueue_dependents(self, *_args: Any, **_options: Any) -> dict[str, list[str]]:
        """Nothing, as above."""
        return {}
