"""A job of ours, as every process reads it: nothing that Redis holds decides what is imported, run or called."""

from typing import Any

from rq import Queue
from rq.job import Job
from rq.utils import decode_redis_hash

CLASSIFY_JOB = "jobs.classification.classify.classify_due"
DIGEST_JOB = "jobs.digests.send.send_due"
PREVIEW_JOB = "jobs.digests.send.preview_job"
OUTGOING_JOB = "jobs.helpdesks.outbox.run_due"

TIMED_JOBS = frozenset(
    {
        "jobs.operations.maintenance.sweep",
        "jobs.operations.retention.retain",
        "jobs.helpdesks.reconcile.reconcile_due",
        DIGEST_JOB,
        "jobs.digests.send.alert",
        "jobs.classification.current_catalog.reload_catalog",
        "jobs.classification.training.train",
        "jobs.operations.audit_check.verify_audit",
        "jobs.operations.backup.backup_due",
    }
)
JOBS = TIMED_JOBS | {CLASSIFY_JOB, PREVIEW_JOB, OUTGOING_JOB}

# What release 0.1 called these jobs. Redis may still hold some of them after an upgrade; release 0.3 may forget them.
FORMER_PATHS = {
    "jobs.classify.classify_due": CLASSIFY_JOB,
    "jobs.digest.send_due": DIGEST_JOB,
    "jobs.digest.preview_job": PREVIEW_JOB,
    "jobs.digest.alert": "jobs.digests.send.alert",
    "jobs.outgoing.errands.run_due": OUTGOING_JOB,
    "jobs.maintenance.sweep": "jobs.operations.maintenance.sweep",
    "jobs.retention.retain": "jobs.operations.retention.retain",
    "jobs.reconcile.reconcile_due": "jobs.helpdesks.reconcile.reconcile_due",
    "jobs.catalog_in_force.reload_catalog": "jobs.classification.current_catalog.reload_catalog",
    "jobs.training.train": "jobs.classification.training.train",
    "jobs.watch.verify_audit": "jobs.operations.audit_check.verify_audit",
    "jobs.backup.backup_due": "jobs.operations.backup.backup_due",
}

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

    def _deserialize_data(self) -> None:
        """Read what it runs, by the name that this has today."""
        super()._deserialize_data()  # type: ignore[no-untyped-call]
        self._func_name = FORMER_PATHS.get(str(self._func_name), self._func_name)

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

    enqueue_dependents = move_dependents_to_ready
