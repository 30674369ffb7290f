"""GET /api/stats: the state of the whole."""

from typing import Any

import redis
from marshmallow import Schema, fields

from receiver import queue
from receiver.db import overview, pauses
from receiver.lib.clock import now
from receiver.web.api.errors import Blueprint
from receiver.web.state import context, web_state

blueprint = Blueprint("stats", __name__, url_prefix="/api", description="The state of the whole")

_COUNTS: dict[str, Any] = {"keys": fields.String(), "values": fields.Integer()}


class EngineOut(Schema):
    """What tickets are attributed by."""

    name = fields.String(metadata={"description": "`llm` or `local`."})
    model = fields.String(allow_none=True)


class QueueOut(Schema):
    """What waits."""

    tickets = fields.Integer(metadata={"description": "Tickets that are due."})
    oldest_seconds = fields.Integer(metadata={"description": "How long the first of them is due."})
    redis = fields.String(metadata={"description": "`up`, or why it does not answer; tickets wait safely meanwhile."})
    jobs = fields.Dict(**_COUNTS, metadata={"description": "Jobs that wait, by queue."})
    paused = fields.Boolean(metadata={"description": "Whether a person has paused classification."})


class AlarmOut(Schema):
    """An alarm that is up."""

    name = fields.String()
    code = fields.String(metadata={"description": "What is wrong; `message` says it in words."})
    message = fields.String()
    since = fields.String(metadata={"format": "date-time"})


class StatsOut(Schema):
    """The state of the whole."""

    tickets = fields.Dict(**_COUNTS, metadata={"description": "How many, by status."})
    deliveries = fields.Dict(**_COUNTS, metadata={"description": "How many, by status."})
    queue = fields.Nested(QueueOut)
    engine = fields.Nested(EngineOut)
    cost = fields.Dict(metadata={"description": "Tokens of all time; calls, tokens and money of today (UTC) by model."})
    alarms = fields.List(fields.Nested(AlarmOut))


@blueprint.get("/stats")
@blueprint.response(200, StatsOut)
def stats() -> dict[str, object]:
    """Counts by status, the queues, the engine and what it cost."""
    settings = context().settings
    with context().db.read() as session:
        found = overview.counts(session, now())
        paused = pauses.current(session) is not None
    found["queue"] = found.pop("due") | redis_state() | {"paused": paused}
    found["engine"] = {
        "name": "llm" if settings.uses_llm else "local",
        "model": settings.llm_model if settings.uses_llm else None,
    }
    return found


def redis_state() -> dict[str, object]:
    """Whether Redis answers, and how many jobs wait in each queue."""
    # The connection that gives up after 50 ms: the rest of the answer does not need Redis.
    try:
        return {"redis": "up", "jobs": queue.depths(web_state().redis)}
    except (redis.RedisError, OSError) as error:
        return {"redis": f"away: {type(error).__name__}", "jobs": {}}
