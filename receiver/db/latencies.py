"""Latencies: how long each stage of a ticket's way takes, as histograms whose buckets grow by a tenth.

A bucket of one stage in one minute is a row. After some hours the minutes of an hour become one, and after some weeks
the hours one row for all time: so the table stays small, and the counts of all time only grow.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.orm import Session

from receiver.db.models import Latency

ACCEPT, WAIT, MODEL, WHOLE = STAGES = ("accept", "wait", "model", "whole")
"""From a delivery's first byte to its commit, from due to claimed, the engine's call, from received to saved."""

GROWTH = 1.1  # A quantile is the middle of a bucket, so it is wrong by 5 % at most.
MINUTE, HOUR = 60, 3600
MINUTES_KEPT, HOURS_KEPT = timedelta(hours=3), timedelta(days=21)
_SHORTEST, _LONGEST = 0.1, timedelta(days=365) / timedelta(milliseconds=1)
_ALL_TIME = 0

Key = tuple[int, str, int]
"""A row of the table: the second its slot begins, the stage, and the bucket."""

_ADD = text(
    "INSERT INTO latencies (at, stage, bucket, count) VALUES (:at, :stage, :bucket, :count)"
    " ON CONFLICT (at, stage, bucket) DO UPDATE SET count = latencies.count + :count"
)


@dataclass(frozen=True)
class Quantiles:
    """How many there were, and how many milliseconds half of them, 95 % and 99 % of them took at most."""

    count: int
    p50: float
    p95: float
    p99: float


def bucket(milliseconds: float) -> int:
    """The bucket of a duration; bucket n begins at GROWTH ** n milliseconds."""
    return math.floor(math.log(min(max(milliseconds, _SHORTEST), _LONGEST)) / math.log(GROWTH))


def key(stage: str, milliseconds: float, now: datetime) -> Key:
    """Where a duration that ends now is counted."""
    return int(now.timestamp()) // MINUTE * MINUTE, stage, bucket(milliseconds)


def note(session: Session, stage: str, milliseconds: Iterable[float], now: datetime) -> None:
    """Count durations that end now."""
    add(session, Counter(key(stage, duration, now) for duration in milliseconds))


def add(session: Session, counts: Mapping[Key, int]) -> None:
    """Add counts to their rows; always in the same order, so that two writers never wait for each other in a ring."""
    rows = [
        {"at": at, "stage": stage, "bucket": number, "count": count}
        for (at, stage, number), count in sorted(counts.items())
    ]
    if rows:
        session.connection().execute(_ADD, rows)


def merge(session: Session, now: datetime) -> bool:
    """Fold the first hour whose minutes are old, or that is very old itself; False where there is none."""
    minutes = (*_before(now - MINUTES_KEPT), Latency.at % HOUR != 0)
    return _fold_first(session, lambda at: at // HOUR * HOUR, *minutes) or _fold_first(
        session, lambda _: _ALL_TIME, *_before(now - HOURS_KEPT)
    )


def _before(moment: datetime) -> tuple[ColumnElement[bool], ...]:
    """The slots of all hours that had ended then."""
    return Latency.at > _ALL_TIME, Latency.at < int(moment.timestamp()) // HOUR * HOUR


def _fold_first(session: Session, slot: Callable[[int], int], *old: ColumnElement[bool]) -> bool:
    first = session.scalar(select(func.min(Latency.at)).where(*old))
    if first is not None:
        _fold(session, slot, *old, Latency.at < first // HOUR * HOUR + HOUR)
    return first is not None


def _fold(session: Session, slot: Callable[[int], int], *old: ColumnElement[bool]) -> None:
    """Put the counts of the old rows into the slots that these now belong to."""
    query = select(Latency.at, Latency.stage, Latency.bucket, Latency.count).where(*old)
    counts: Counter[Key] = Counter()
    for at, stage, number, count in session.execute(query):
        counts[slot(at), stage, number] += count
    session.execute(delete(Latency).where(*old))
    add(session, counts)


def since(session: Session, moment: datetime) -> dict[str, dict[int, int]]:
    """The histogram of every stage from this moment on, to the minute where minutes are kept."""
    query = select(Latency.stage, Latency.bucket, func.sum(Latency.count)).where(Latency.at >= int(moment.timestamp()))
    return _by_stage(session.execute(query.group_by(Latency.stage, Latency.bucket)))


def of_all_time(session: Session) -> dict[str, dict[int, int]]:
    """The histogram of every stage since the record began; its counts only grow."""
    return since(session, datetime.fromtimestamp(_ALL_TIME, UTC))


def _by_stage(rows: Iterable[Any]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for stage, number, count in rows:
        found[stage][number] = int(count)
    return found


def quantiles(histogram: Mapping[int, int]) -> Quantiles | None:
    """The quantiles of a histogram; None where nothing was counted."""
    count = sum(histogram.values())
    if not count:
        return None
    return Quantiles(count, *(_quantile(histogram, math.ceil(share * count)) for share in (0.5, 0.95, 0.99)))


def _quantile(histogram: Mapping[int, int], rank: int) -> float:
    """About how long the duration of this rank was."""
    seen = 0
    for number in sorted(histogram):
        seen += histogram[number]
        if seen >= rank:
            break
    return middle(number)


def middle(number: int) -> float:
    """The milliseconds from which neither end of a bucket is further, in proportion, than the other."""
    return float(GROWTH**number * 2 * GROWTH / (1 + GROWTH))


def throughput(session: Session, moment: datetime, seconds: int) -> dict[tuple[int, str], int]:
    """How many of each stage there were in every slot of so many seconds from this moment on."""
    slot = (Latency.at // seconds * seconds).label("slot")
    query = select(slot, Latency.stage, func.sum(Latency.count)).where(Latency.at >= int(moment.timestamp()))
    rows = session.execute(query.group_by(slot, Latency.stage))
    return {(int(at), stage): int(count) for at, stage, count in rows}
