"""The state of the whole in a few bounded queries."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from receiver.record import alarms, spending, tallies, tickets
from receiver.record.models import DELIVERY_STATES, TICKET_STATES


def counts(session: Session, now: datetime) -> dict[str, Any]:
    """Tickets and deliveries by status, what is due, tokens used and alarms."""
    waiting, oldest = tickets.due(session)
    found = tallies.starting(session, "")
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
            {"name": alarm.name, "message": alarm.message, "since": alarm.since.isoformat()}
            for alarm in alarms.current(session)
        ],
    }


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
