"""What is done to jobs and queues by hand; no ticket is lost by it.

Redis takes part in no transaction of the database, so the audit is written after what was done there.
"""

from collections.abc import Callable
from typing import TypeVar

import redis

from receiver.actions.context import Context
from receiver.actions.errors import NotFoundError, QueueAwayError
from receiver.db import audit, timetable
from receiver.queue import QUEUES, admin

# To Redis, cancelling a waiting job and forgetting a failed one are the same; the audit tells them apart.
_JOB = {"retry": admin.retry, "cancel": admin.remove, "forget": admin.remove, "stop": admin.stop}
_QUEUE = {"empty": admin.empty, "retry-failed": admin.retry_all, "forget-failed": admin.forget_all}

Result = TypeVar("Result")


def change_job(context: Context, who: str, action: str, job_id: str) -> str:
    """Retry, cancel, forget or stop one job; returns its queue's name.

    Raises JobError where the job does not allow it, NotFoundError for another action, and QueueAwayError.
    """
    if action not in _JOB:
        raise NotFoundError(f"What can be done to a job is {', '.join(_JOB)}.")
    name = _ask_redis(lambda: _JOB[action](context.redis, job_id))
    _note_in_audit(
        context, who, f"{action} job", f"queue {name}", job=job_id[:200]
    )  # An id may be any text, however long.
    return name


def change_queue(context: Context, who: str, action: str, name: str) -> int:
    """Empty a queue, or retry-failed or forget-failed its jobs; returns how many.

    Raises NotFoundError for another queue or action, and QueueAwayError.
    """
    if action not in _QUEUE or name not in QUEUES:
        raise NotFoundError(f"The queues are {', '.join(QUEUES)}; what can be done to one is {', '.join(_QUEUE)}.")
    many = _ask_redis(lambda: _QUEUE[action](context.redis, name))
    _note_in_audit(context, who, action.replace("-", " "), f"queue {name}", jobs=many)
    return many


def run_now(context: Context, who: str, name: str) -> None:
    """Run a job of the timetable before its time. Raises NotFoundError and QueueAwayError."""
    with context.db.read() as session:
        timed = timetable.timed_job(session, name)
    if timed is None:
        raise NotFoundError("There is no job of this name in the timetable.")
    _ask_redis(lambda: admin.run_now(context.redis, timed.queue, timed.name))
    _note_in_audit(context, who, "run", f"job {timed.name}")


def _ask_redis(act: Callable[[], Result]) -> Result:
    # A person waits for the answer, so nothing is tried again here.
    try:
        return act()
    except (redis.RedisError, OSError):
        raise QueueAwayError(
            "Redis does not answer, so nothing was changed. Try again when it is back; tickets wait safely in the"
            " database."
        ) from None


def _note_in_audit(context: Context, who: str, action: str, subject: str, **details: str | int) -> None:
    with context.db.write() as session:
        audit.note(session, who, action, subject, context.clock(), details)
