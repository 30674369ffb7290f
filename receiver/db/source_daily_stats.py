"""How much each source sends, day by day; days are UTC."""

from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from receiver.db.models import QUARANTINED, SourceDailyStats

_ADD = text(
    "INSERT INTO source_daily_stats (source, day, deliveries, tickets, quarantined)"
    " VALUES (:source, :day, 1, :tickets, :bad)"
    " ON CONFLICT (source, day) DO UPDATE SET deliveries = source_daily_stats.deliveries + 1,"
    " tickets = source_daily_stats.tickets + :tickets, quarantined = source_daily_stats.quarantined + :bad"
)


def add(session: Session, source: str, at: datetime, tickets: int, status: str) -> None:
    """Count a delivery and the new tickets in it."""
    counted = {"source": source, "day": _day(at), "tickets": tickets, "bad": int(status == QUARANTINED)}
    session.connection().execute(_ADD, counted)


def latest(session: Session, now: datetime, days: int, source: str | None = None) -> dict[str, list[SourceDailyStats]]:
    """By source, each of the last `days` days, the oldest first; a day on which nothing came is zeros."""
    names = [_day(now - timedelta(days=back)) for back in reversed(range(days))]
    query = select(SourceDailyStats).where(SourceDailyStats.day >= names[0])
    if source is not None:
        query = query.where(SourceDailyStats.source == source)
    found = {(row.source, row.day): row for row in session.scalars(query)}
    return {name: [found.get((name, day)) or _none(name, day) for day in names] for name in {key[0] for key in found}}


def _none(source: str, day: str) -> SourceDailyStats:
    return SourceDailyStats(source=source, day=day, deliveries=0, tickets=0, quarantined=0)


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
