"""The overview: is all well, and what needs whom."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar, cast

import redis
from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from receiver.db import alarms, digests, latencies, overview, tickets
from receiver.db.latencies import ACCEPT, HOUR, MINUTE, WHOLE
from receiver.db.models import Classification, Ticket
from receiver.digests import schedules
from receiver.digests.schedules import Plan
from receiver.lib.clock import now
from receiver.queue import inspection
from receiver.web.dashboard import alarm_help
from receiver.web.dashboard.tickets import midnight
from receiver.web.state import context, web_state

blueprint = Blueprint("overview_pages", __name__)

_LATEST = 8
_MINUTES, _HOURS = 60, 24
# The web processes write their counts up to so many seconds late.
_WRITTEN_SECONDS = 5

T = TypeVar("T")


@blueprint.get("/")
def overview_page() -> ResponseReturnValue:
    """The state of the whole on one page."""
    return render_template("overview.html", moment=now(), **page_values())


def page_values() -> dict[str, object]:
    """Everything the page shows; two readings of an unchanged database are equal, so that a stream sends nothing."""
    config, moment = context().settings, now()
    with context().db.read() as session:
        counts = overview.counts(session, moment)
        since = tickets.due(session)[1]
        left = overview.left_over(session)
        midnight_today = midnight(moment, config.digest_timezone)
        first_of_today = _read_once("first", midnight_today, lambda: tickets.first_since(session, midnight_today))
        shown = {
            "today": overview.received_since(session, first_of_today),
            "troubles": [alarm_help.of(alarm) for alarm in alarms.current(session)],
            "stages": _latencies(session, moment),
            "by_minute": _throughput(session, moment, MINUTE, _MINUTES),
            "by_hour": _throughput(session, moment, HOUR, _HOURS),
            "sources": overview.last_deliveries(session, list(context().sources)),
            "digests": [_planned_digest(session, plan, moment) for plan in schedules.current(config).plans.values()],
            "latest": [_latest_ticket(*pair) for pair in tickets.page(session, {}, _LATEST)],
        }
    # After the session: Redis may be slow to answer, and a connection to the database is not held meanwhile.
    workers = _look_at_workers()
    if workers and workers.failed:
        left["job.failed"] = workers.failed
    return shown | {
        "left_over": [alarm_help.left_over(name, count) for name, count in left.items()],
        "all": counts["tickets"],
        "due": (counts["due"]["tickets"], since if since and since < moment else None),
        "cost": counts["cost"]["today"],
        "workers": workers,
        "budget": config.llm_daily_budget,
        "source_names": list(context().sources),
    }


def _read_once(name: str, key: object, read: Callable[[], T]) -> T:
    """Read by each process once, and again only where the key has changed."""
    kept = web_state().overview
    if name not in kept or kept[name][0] != key:
        kept[name] = (key, read())
    return cast(T, kept[name][1])


def _latencies(session: Session, moment: datetime) -> tuple[str, dict[str, latencies.Quantiles | None]]:
    """The quantiles of every stage in the last hour, or where nothing happened then in the last day."""
    histograms, period = latencies.since(session, moment - timedelta(hours=1)), "last hour"
    if not histograms:
        histograms, period = latencies.since(session, moment - timedelta(days=1)), "last day"
    return period, {stage: latencies.quantiles(histograms.get(stage, {})) for stage in latencies.STAGES}


def _throughput(session: Session, moment: datetime, seconds: int, many: int) -> dict[str, object]:
    """How many tickets were received and classified in each of so many slots that have ended."""
    # Only slots whose counts are all written, see `LatencyBuffer`.
    ended = (int(moment.timestamp()) - _WRITTEN_SECONDS) // seconds * seconds
    slots = range(ended - many * seconds, ended, seconds)
    since = datetime.fromtimestamp(slots.start, UTC)
    counts = _read_once(f"by {seconds}", ended, lambda: latencies.throughput(session, since, seconds))
    lines = (("received", ACCEPT), ("classified", WHOLE))
    series = [{"label": label, "values": [counts.get((at, stage), 0) for at in slots]} for label, stage in lines]
    return {"x": list(slots), "series": series}


class PlannedDigest(NamedTuple):
    """A digest of the plan: when it goes out next and to how many, and how the last one went."""

    name: str
    at: datetime
    recipients: int
    last: tuple[str, datetime, int] | None


def _planned_digest(session: Session, plan: Plan, moment: datetime) -> PlannedDigest:
    last = digests.latest(session, plan.name)
    outcome = (last.status, last.sent_at or last.created_at, last.tickets) if last else None
    return PlannedDigest(plan.name, plan.next_slot(moment), len(plan.recipients), outcome)


class LatestTicket(NamedTuple):
    """A ticket in the list of the latest; plain values, which two readings can be compared by."""

    id: int
    external_id: str
    subject: str
    category: str
    request_type: str
    confidence: float | None
    status: str
    received_at: datetime


def _latest_ticket(ticket: Ticket, classification: Classification | None) -> LatestTicket:
    confidence = classification.confidence if classification else None
    return LatestTicket(
        ticket.id,
        ticket.external_id,
        ticket.short_description,
        ticket.category or "",
        ticket.request_type or "",
        confidence,
        ticket.status,
        ticket.received_at,
    )


class Workers(NamedTuple):
    """How many workers live and are silent, how many jobs wait and have failed, and the queues that none serves."""

    alive: int
    silent: int
    waiting: int
    failed: int
    unserved: list[str]


def _look_at_workers() -> Workers | None:
    try:
        found = inspection.look(context().redis, now())
    except (redis.RedisError, OSError):
        return None
    silent = sum(worker.silent for worker in found.workers)
    waiting, failed = (sum(getattr(each, kind) for each in found.queues) for kind in ("waiting", "failed"))
    unserved = [each.name for each in found.queues if not each.workers]
    return Workers(len(found.workers) - silent, silent, waiting, failed, unserved)
