"""The state of the whole in a few bounded queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from receiver.db import alarms, classifications, counters, spending, tickets
from receiver.db.models import DELIVERY_STATES, TICKET_STATES, Delivery, Digest, Ticket

COUNTED = 100_000
DIGESTS = ("failed", "held", "partly_sent")  # The digests that somebody should look at.


def counts(session: Session, now: datetime) -> dict[str, Any]:
    """Tickets and deliveries by status, what is due, tokens used and alarms."""
    waiting, oldest = tickets.due(session)
    found = counters.starting(session, "")
    return {
        "tickets": {status: found.get(f"ticket.{status}", 0) for status in TICKET_STATES},
        "deliveries": {status: found.get(f"delivery.{status}", 0) for status in DELIVERY_STATES},
        "due": {"tickets": waiting, "oldest_seconds": max(0, round((now - oldest).total_seconds())) if oldest else 0},
        "cost": {
            "prompt_tokens": found.get("tokens.prompt", 0),
            "completion_tokens": found.get("tokens.completion", 0),
            "today": _today(session, now),
        },
        "alarms": [
            {"name": alarm.name, "code": alarm.code, "message": alarm.message, "since": alarm.since.isoformat()}
            for alarm in alarms.current(session)
        ],
    }


def left_over(session: Session) -> dict[str, int]:
    """What failed, or waits for a person or for the engine, by kind; kinds of which there is nothing are left out.

    Of each no more than `COUNTED` are counted.
    """
    found = counters.starting(session, "")
    counts = {name: found.get(name, 0) for name in ("ticket.failed", "delivery.quarantined", "delivery.partial")}
    counts["ticket.from_fallback_engine"] = classifications.waiting_for_engine(session, COUNTED)
    by_status = select(Digest.status, func.count()).where(Digest.status.in_(DIGESTS)).group_by(Digest.status)
    counts |= {f"digest.{status}": count for status, count in session.execute(by_status)}
    return {name: count for name, count in counts.items() if count}


def received_since(session: Session, first: int) -> dict[str, int]:
    """The tickets from the one of this id on, by status; of each no more than `COUNTED` are counted."""
    numbers = {
        status: select(func.count()).select_from(
            select(Ticket.id).where(Ticket.status == status, Ticket.id >= first).limit(COUNTED).subquery()
        )
        for status in TICKET_STATES
    }
    row = session.execute(select(*(query.scalar_subquery().label(status) for status, query in numbers.items()))).one()
    return dict(row._mapping)


def last_deliveries(session: Session, sources: Sequence[str]) -> dict[str, tuple[datetime, str]]:
    """When each of the sources sent its last delivery, and what became of that; those that never did are left out."""
    newest = [select(func.max(Delivery.id)).where(Delivery.source == name).scalar_subquery() for name in sources]
    query = select(Delivery.source, Delivery.received_at, Delivery.status).where(Delivery.id.in_(newest))
    return {source: (at, status) for source, at, status in session.execute(query)}


def _today(session: Session, now: datetime) -> dict[str, Any]:
    """What each model cost since midnight (UTC), and all of them; money in the price table's currency."""
    day = spending.day_of(now)
    models = {
        row.model: {
            "calls": row.calls,
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": row.completion_tokens,
            "money": row.cost_micros / 1_000_000,
        }
        for row in spending.on(session, day)
    }
    return {"day": day, "money": sum(model["money"] for model in models.values()), "models": models}
