"""Endpoints: what was learned of a model at an endpoint, so that the next process asks in the right way at once."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from receiver.db.models import ModelCapabilities

# An endpoint may be upgraded; after a week it is asked for everything again.
REMEMBERED = timedelta(days=7)
# What one refusal taught may have been a slip, so it is soon tried again; only what is then refused again is kept.
BRIEFLY = timedelta(hours=1)


def learned(session: Session, name: str, now: datetime) -> dict[str, Any]:
    """What is remembered of the endpoint `name`; empty where that is nothing, or old."""
    row = session.get(ModelCapabilities, name)
    if row is None:
        return {}
    lasts = REMEMBERED if row.learned.get("sure", True) else BRIEFLY
    return row.learned if abs(now - row.learned_at) < lasts else {}


def remember(session: Session, name: str, what: dict[str, Any], now: datetime, *, sure: bool) -> None:
    """Keep `what` was learned of the endpoint `name`, in the place of what was known.

    What is not `sure` is kept for an hour; where it is learned for the second time within a week, it is sure.
    """
    row = session.get(ModelCapabilities, name)
    known = {key: value for key, value in row.learned.items() if key != "sure"} if row else None
    again = row is not None and known == what and abs(now - row.learned_at) < REMEMBERED
    session.merge(ModelCapabilities(name=name, learned=what | {"sure": sure or again}, learned_at=now))
