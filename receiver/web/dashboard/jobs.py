"""Jobs: queues, workers and their jobs as Redis has them, the timetable, and what a person may do with them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import redis
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from receiver import queue
from receiver.db import alarms, audit, moments, pauses, tickets, timetable
from receiver.db.models import TimedJob
from receiver.lib.clock import now
from receiver.queue import admin, inspection
from receiver.queue.admin import JobError
from receiver.web import auth
from receiver.web.state import context

blueprint = Blueprint("jobs_pages", __name__, url_prefix="/jobs")

_AWAY = "Redis does not answer, so nothing was changed. Try again when it is back; tickets wait safely in the database."


@blueprint.get("")
def jobs_page() -> ResponseReturnValue:
    """The queues, the workers, the jobs and the timetable."""
    return render_template("jobs.html", moment=now(), **found())


def found() -> dict[str, Any]:
    """Everything the page shows; without Redis, what the record knows."""
    moment = now()
    with context().db.read() as session:
        pause = pauses.current(session)
        waiting, since = tickets.due(session)
        timed = timetable.timed_jobs(session)
        backed_up = moments.noted(session, moments.BACKED_UP)
    return {
        "backed_up": backed_up,
        "seen": _seen(),
        "pause": pause and (alarms.sentence(pauses.ALARM, {"who": pause.who}), pause.since),
        "due": (waiting, since if since and since < moment else None),
        "timed": [_timed(job) for job in timed],
    }


def _timed(job: TimedJob) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in ("name", "queue", "seconds", "started_at", "ended_at", "error")}
    return values | {"due_at": job.started_at and job.started_at + timedelta(seconds=job.seconds)}


def _seen() -> inspection.Seen | None:
    try:
        return inspection.look(_redis(), now())
    except (redis.RedisError, OSError):
        return None


def _redis() -> "redis.Redis":
    return context().redis


@blueprint.post("/pause")
@auth.require_role(auth.OPERATOR)
def pause() -> ResponseReturnValue:
    """Classify nothing from now on."""
    who, moment = auth.caller(), now()
    with context().db.write() as session:
        if pauses.begin(session, who, moment):
            audit.note(session, who, "pause", "classification", moment)
    return _back("Classification is paused. Tickets are accepted, and wait.")


@blueprint.post("/resume")
@auth.require_role(auth.OPERATOR)
def resume() -> ResponseReturnValue:
    """Go on where it was paused."""
    who = auth.caller()
    with context().db.write() as session:
        if pauses.end(session):
            audit.note(session, who, "resume", "classification", now())
    context().wake(queue.CLASSIFY)
    return _back("Classification goes on.")


class _Change(NamedTuple):
    """What a button does to one job, or to a queue, and what is said when it is done."""

    make: Callable[..., Any]
    told: str


_TO_A_JOB = {
    "retry": _Change(admin.retry, "The job waits in its queue again."),
    "cancel": _Change(admin.remove, "The job is cancelled."),
    "forget": _Change(admin.remove, "The job is forgotten."),
    "stop": _Change(admin.stop, "The job is being stopped; what it held is due again in a moment."),
}
_TO_A_QUEUE = {
    "empty": _Change(admin.empty, "Emptied {queue}: {many:,} jobs are thrown away, and no ticket is."),
    "retry-failed": _Change(admin.retry_all, "{many:,} jobs wait in {queue} again."),
    "forget-failed": _Change(admin.forget_all, "{many:,} failed jobs of {queue} are forgotten."),
}


@blueprint.post("/<action>")
@auth.require_role(auth.OPERATOR)
def change_job(action: str) -> ResponseReturnValue:
    """Do something to one job; its id comes as a field, because Redis may hold any text as one."""
    change, job_id = _TO_A_JOB.get(action) or abort(404), request.form.get("job", "")
    try:
        name = change.make(_redis(), job_id)
    except JobError as error:
        return _back(str(error), "error")
    except (redis.RedisError, OSError):
        return _back(_AWAY, "error")
    _note(f"{action} job", f"queue {name}", {"job": job_id[:200]})
    return _back(change.told)


@blueprint.post("/queues/<name>/<action>")
@auth.require_role(auth.OPERATOR)
def change_queue(name: str, action: str) -> ResponseReturnValue:
    """Do something to all waiting or failed jobs of a queue."""
    change = _TO_A_QUEUE.get(action) if name in queue.QUEUES else None
    if change is None:
        abort(404)
    try:
        many = change.make(_redis(), name)
    except (redis.RedisError, OSError):
        return _back(_AWAY, "error")
    _note(action.replace("-", " "), f"queue {name}", {"jobs": many})
    return _back(change.told.format(queue=name, many=many))


@blueprint.post("/timetable/<name>/run")
@auth.require_role(auth.OPERATOR)
def run_now(name: str) -> ResponseReturnValue:
    """Run a job of the timetable before its time."""
    with context().db.read() as session:
        timed = timetable.timed_job(session, name)
    if timed is None:
        abort(404)
    try:
        admin.run_now(_redis(), timed.queue, timed.name)
    except (redis.RedisError, OSError):
        return _back(_AWAY, "error")
    _note("run", f"job {timed.name}", {})
    return _back(f"{timed.name} runs as soon as its worker is free.")


def _note(action: str, subject: str, details: dict[str, Any]) -> None:
    """Redis takes part in no transaction of the record, so what was done there is noted after it."""
    with context().db.write() as session:
        audit.note(session, auth.caller(), action, subject, now(), details)


def _back(words: str, kind: str = "") -> ResponseReturnValue:
    flash(words, kind)
    return redirect(url_for("jobs_pages.jobs_page"))
