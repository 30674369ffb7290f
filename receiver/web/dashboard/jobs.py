"""Jobs: queues, workers and their jobs as Redis has them, the timetable, and what a person may do with them."""

from datetime import timedelta

import redis
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from receiver.actions import classification
from receiver.actions import jobs as actions
from receiver.actions.errors import QueueAwayError
from receiver.db import alarms, moments, pauses, tickets, timetable
from receiver.lib.clock import now
from receiver.queue import inspection
from receiver.queue.admin import JobError
from receiver.web import auth
from receiver.web.state import context

blueprint = Blueprint("jobs_pages", __name__, url_prefix="/jobs")

_TIMED_COLUMNS = ("name", "queue", "seconds", "started_at", "ended_at", "error")


@blueprint.get("")
def jobs_page() -> ResponseReturnValue:
    """The queues, the workers, the jobs and the timetable."""
    return render_template("jobs.html", moment=now(), **page_values())


def page_values() -> dict[str, object]:
    """Everything the page shows; without Redis, what the database knows."""
    moment = now()
    try:
        seen = inspection.look(context().redis, moment)
    except (redis.RedisError, OSError):
        seen = None
    with context().db.read() as session:
        pause = pauses.current(session)
        waiting, since = tickets.due(session)
        timed = timetable.timed_jobs(session)
        backed_up = moments.noted(session, moments.BACKED_UP)
    return {
        "backed_up": backed_up,
        "seen": seen,
        "pause": pause and (alarms.sentence(pauses.ALARM, {"who": pause.who}), pause.since),
        "due": (waiting, since if since and since < moment else None),
        # Plain values and not rows: the live pages compare two readings to see what has changed.
        "timed": [
            {name: getattr(job, name) for name in _TIMED_COLUMNS}
            | {"due_at": job.started_at and job.started_at + timedelta(seconds=job.seconds)}
            for job in timed
        ],
    }


@blueprint.post("/pause")
@auth.require_role(auth.OPERATOR)
def pause() -> ResponseReturnValue:
    """Classify nothing from now on."""
    classification.pause(context(), auth.caller())
    return _back_to_jobs("Classification is paused. Tickets are accepted, and wait.")


@blueprint.post("/resume")
@auth.require_role(auth.OPERATOR)
def resume() -> ResponseReturnValue:
    """Go on where it was paused."""
    classification.resume(context(), auth.caller())
    return _back_to_jobs("Classification goes on.")


_TOLD_OF_A_JOB = {
    "retry": "The job waits in its queue again.",
    "cancel": "The job is cancelled.",
    "forget": "The job is forgotten.",
    "stop": "The job is being stopped; what it held is due again in a moment.",
}
_TOLD_OF_A_QUEUE = {
    "empty": "Emptied {queue}: {many:,} jobs are thrown away, and no ticket is.",
    "retry-failed": "{many:,} jobs wait in {queue} again.",
    "forget-failed": "{many:,} failed jobs of {queue} are forgotten.",
}


@blueprint.post("/<action>")
@auth.require_role(auth.OPERATOR)
def change_job(action: str) -> ResponseReturnValue:
    """Retry, cancel, forget or stop one job."""
    try:
        # The id is a field and no part of the address, because any text may be the id of a job in Redis.
        actions.change_job(context(), auth.caller(), action, request.form.get("job", ""))
    except (JobError, QueueAwayError) as error:
        return _back_to_jobs(str(error), "error")
    return _back_to_jobs(_TOLD_OF_A_JOB[action])


@blueprint.post("/queues/<name>/<action>")
@auth.require_role(auth.OPERATOR)
def change_queue(name: str, action: str) -> ResponseReturnValue:
    """Do something to all waiting or failed jobs of a queue."""
    try:
        many = actions.change_queue(context(), auth.caller(), action, name)
    except QueueAwayError as error:
        return _back_to_jobs(str(error), "error")
    return _back_to_jobs(_TOLD_OF_A_QUEUE[action].format(queue=name, many=many))


@blueprint.post("/timetable/<name>/run")
@auth.require_role(auth.OPERATOR)
def run_now(name: str) -> ResponseReturnValue:
    """Run a job of the timetable before its time."""
    try:
        actions.run_now(context(), auth.caller(), name)
    except QueueAwayError as error:
        return _back_to_jobs(str(error), "error")
    return _back_to_jobs(f"{name} runs as soon as its worker is free.")


def _back_to_jobs(words: str, kind: str = "") -> ResponseReturnValue:
    flash(words, kind)
    return redirect(url_for("jobs_pages.jobs_page"))
