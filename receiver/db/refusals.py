"""Refusals: what was turned away, counted by kind, so that an attack is seen. No row is of one request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from receiver.db import counters
from receiver.db.models import Refusal

PASSWORD, THROTTLED, LINK, SIGNATURE, TOKEN, SECOND_FACTOR = KINDS = (
    "password",
    "throttled",
    "link",
    "signature",
    "token",
    "second_factor",
)
"""A wrong password, a try to sign in that came too soon, a one-time link that is spent or invented, a webhook whose
proof is wrong, a wrong bearer token, a wrong second factor."""

WINDOW = timedelta(minutes=10)
MANY = 50
_KEPT = timedelta(days=1)
_MINUTE = 60
_TALLY = "refused:"

Key = tuple[str, str]
"""The kind and, of a signature, the source."""

_ADD = text(
    "INSERT INTO refusals (at, kind, source, count, address) VALUES (:at, :kind, :source, :count, :address)"
    " ON CONFLICT (at, kind, source) DO UPDATE SET count = refusals.count + :count, address = :address"
)


@dataclass(frozen=True)
class Recent:
    """How often something was refused in the last minutes, and the address that did it last."""

    kind: str
    source: str
    count: int
    address: str


def add(session: Session, counts: Mapping[Key, int], addresses: Mapping[Key, str], now: datetime) -> None:
    """Count refusals of this minute; forgets the minutes that are older than a day."""
    at = int(now.timestamp()) // _MINUTE * _MINUTE
    for (kind, source), count in sorted(counts.items()):
        row = {"at": at, "kind": kind, "source": source, "count": count, "address": addresses[kind, source]}
        session.connection().execute(_ADD, row)
        counters.add(session, f"{_TALLY}{kind}:{source}", count)
    session.execute(delete(Refusal).where(Refusal.at < at - _KEPT.total_seconds()))


def recent(session: Session, now: datetime) -> Sequence[Recent]:
    """What was refused within WINDOW, the most frequent first."""
    since = int((now - WINDOW).timestamp())
    total = func.sum(Refusal.count)
    query = (
        select(Refusal.kind, Refusal.source, total, func.max(Refusal.at))
        .where(Refusal.at > since)
        .group_by(Refusal.kind, Refusal.source)
        .order_by(total.desc(), Refusal.kind, Refusal.source)
    )
    found = []
    for kind, source, count, last in session.execute(query):
        newest = session.get_one(Refusal, (last, kind, source))
        found.append(Recent(kind, source, int(count), newest.address))
    return found


def totals(session: Session) -> dict[Key, int]:
    """How often each was refused since the record began; these numbers only grow."""
    found = {tuple(name.split(":", 1)): count for name, count in counters.starting(session, _TALLY).items()}
    return {(key[0], key[1]): count for key, count in found.items()}
