"""Endpoints: what was learned of a model at an endpoint, so that the next process asks in the right way at once."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from receiver.record.models import Endpoint

# An endpoint may be upgraded; after a week it is asked for everything again.
REMEMBERED = timedelta(days=7)


def learned(session: Session, name: str, now: datetime) -> dict[str, Any]:
    """What is remembered of the endpoint `name`; empty where that is nothing, or old."""
    row = session.get(Endpoint, name)
    return row.learned if row and abs(now - row.learned_at) < REMEMBERED else {}


def remember(session: Session, name: str, what: dict[str, Any], now: datetime) -> None:
    """Keep `what` was learned of the endpoint `name`, in the place of what was known."""
    session.merge(Endpoint(name=name, learned=what, learned_at=now))
