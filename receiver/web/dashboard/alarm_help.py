"""What the overview says about each alarm: its title, what to do, and on which page."""

from dataclasses import dataclass
from datetime import datetime

from receiver.db.alarms import Raised


@dataclass(frozen=True)
class Trouble:
    """An alarm for a person: its title, its message, what to do, and the page to do it on."""

    kind: str
    title: str
    message: str
    advice: str
    place: str
    since: datetime


# Title, advice and page by the kind of an alarm. Its message says what is wrong, so this says what to do.
_ADVICE = {
    "engine": (
        "The engine is out",
        "Check its key, its address and its status page; tickets wait, and go on by themselves.",
        "jobs",
    ),
    "stand_ins": (
        "Another engine stands in",
        "Mend what the message names; tickets that can be are asked about again by themselves.",
        "jobs",
    ),
    "budget": (
        "Today's budget is spent",
        "Raise LLM_DAILY_BUDGET, or wait until midnight UTC; the local engine stands in.",
        "jobs",
    ),
    "catalog": (
        "The catalog cannot be loaded",
        "Mend what SERVICE_CATALOG_URL names and reload it; the last good one serves.",
        "catalog",
    ),
    "backlog": (
        "Tickets wait too long",
        "See whether workers run; more WORKERS or LLM_CONCURRENCY make it faster.",
        "jobs",
    ),
    "redis": (
        "Redis is away",
        "Start it, or mend REDIS_URL; nothing is lost, and what waits goes on by itself.",
        "jobs",
    ),
    "worker": ("A queue is not served", "Start the worker that the message names.", "jobs"),
    "scheduler": ("There is no scheduler", "Start it; digests and retries wait for it.", "jobs"),
    "process": ("A process dies again and again", "Its log says more; it is started again meanwhile.", "jobs"),
    "queue": ("A queue has no worker", "Start the worker that the message names.", "jobs"),
    "disk": ("The disk is nearly full", "Free space, or keep raw bodies for fewer days (RAW_RETENTION_DAYS).", ""),
    "refused": (
        "Somebody is being turned away again and again",
        "An attack, or a helpdesk or program whose secret was changed on one side only; block the address, or mend it.",
        "audit",
    ),
    "paused": ("Classification is paused", "Resume it on Jobs when you are ready.", "jobs"),
    "source": (
        "A source is silent",
        "Send a test from the helpdesk, and see whether its webhook is still on.",
        "sources",
    ),
    "reconcile": (
        "A helpdesk's API does not answer",
        "Check its credential; tickets that are pushed arrive all the same.",
        "sources",
    ),
    "outgoing": (
        "A helpdesk could not be told",
        "Mend the cause, then `python -m jobs outgoing --redrive` tries again.",
        "sources",
    ),
    "digest": ("A digest did not go out", "Read its problem, then send it again.", "digests"),
    "digests_file": (
        "The plan of the digests has mistakes",
        "Mend what DIGESTS_FILE names; until then the last good one is in force.",
        "digests",
    ),
}


def of(alarm: Raised) -> Trouble:
    """The alarm, with what to do about it."""
    title, advice, place = _ADVICE.get(alarm.kind, (alarm.kind.capitalize(), "", ""))
    return Trouble(alarm.kind, title, alarm.message, advice, place, alarm.since)


@dataclass(frozen=True)
class LeftOver:
    """A count of what failed or waits, and the list that has exactly that."""

    count: int
    text: str
    advice: str
    place: str
    query: str


_LEFT_OVER = {
    "ticket.failed": ("ticket failed", "tickets failed", "Classify them again, or correct them.", "?status=failed"),
    "ticket.from_fallback_engine": (
        "ticket has a fallback engine's answer",
        "tickets have a fallback engine's answer",
        "The engine is asked again by itself.",
        "?waits=engine",
    ),
    "delivery.quarantined": (
        "delivery is in quarantine",
        "deliveries are in quarantine",
        "Mend the cause and replay, or dismiss what is no ticket.",
        "?status=quarantined",
    ),
    "delivery.partial": (
        "delivery was taken in part",
        "deliveries were taken in part",
        "Mend the cause and replay, or dismiss what is no ticket.",
        "?status=partial",
    ),
    "digest.failed": ("digest failed", "digests failed", "Read the problem, then redrive.", "?status=failed"),
    "digest.held": ("digest is held", "digests are held", "Say whether its mail arrived.", "?status=held"),
    "digest.partly_sent": (
        "digest did not reach everybody",
        "digests did not reach everybody",
        "Read who was refused, and why.",
        "?status=partly_sent",
    ),
    "job.failed": ("job failed", "jobs failed", "Retry or forget them; no ticket is lost.", "#jobs-failed"),
}
_PLACES = {"ticket": "tickets", "delivery": "deliveries", "digest": "digests", "job": "jobs"}


def left_over(name: str, count: int) -> LeftOver:
    """A count of `overview.left_over`, in words."""
    one, several, advice, query = _LEFT_OVER[name]
    return LeftOver(count, one if count == 1 else several, advice, _PLACES[name.partition(".")[0]], query)
