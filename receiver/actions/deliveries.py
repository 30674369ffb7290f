"""Reading a kept delivery again with today's mapping of its source, after the mapping or a template was mended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from receiver.db import audit, deliveries
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.models import Delivery
from receiver.intake.sources import Source, standard
from receiver.intake.sources.bodies import parse_json
from receiver.lib.clock import now
from receiver.lib.settings import Settings

_COUNTS = ("status", "accepted", "updated", "duplicates")


class ReplayError(Exception):
    """A delivery cannot be replayed; the text says why, and `status` is what HTTP has for it: 404, 409 or 410."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Replay:
    """What became of one delivery: what it had brought before and what it brings now, or why it was not replayed."""

    delivery: int
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    error: str | None = None

    @property
    def made_due(self) -> bool:
        """Whether there are tickets to be classified now."""
        return bool(self.after and (self.after["accepted"] or self.after["updated"]))


def replay(db: Database, sources: Mapping[str, Source], delivery_id: int, settings: Settings, who: str) -> Replay:
    """Read a delivery's kept bytes again and write what is in them, in one transaction. Raises ReplayError.

    Nothing doubles, however often and by however many at once: tickets go through the same merge as when they arrive.
    """
    with db.read() as session:
        delivery = _kept(session, delivery_id)
        # Outside the transaction that writes, so that no sender waits while a large body is read.
        content = _content(sources, delivery, settings)
    with db.write() as session:
        delivery = _kept(session, delivery_id, lock=True)  # Retention or an erasure may have emptied it meanwhile.
        before = deliveries.outcome(delivery)
        done = Replay(delivery_id, before, deliveries.replay(session, delivery, content, now()))
        audit.note(session, who, "replay", f"delivery {delivery_id}", now(), _noted(done))
    return done


def _noted(done: Replay) -> dict[str, Any]:
    """What an entry of the audit, which cannot be erased, may say of a replay: numbers, and nothing of a body."""
    return {when: _counted(outcome) for when, outcome in (("before", done.before), ("after", done.after)) if outcome}


def _counted(outcome: dict[str, Any]) -> dict[str, Any]:
    return {name: outcome[name] for name in _COUNTS} | {"rejected": len(outcome["rejected"])}


def replay_each(
    db: Database, sources: Mapping[str, Source], ids: Sequence[int], settings: Settings, who: str
) -> Iterator[Replay]:
    """Replay deliveries in the order of `ids`, each by itself; one that cannot be replayed says why."""
    for delivery_id in ids:
        try:
            yield replay(db, sources, delivery_id, settings, who)
        except ReplayError as error:
            yield Replay(delivery_id, error=str(error))


def _kept(session: Session, delivery_id: int, lock: bool = False) -> Delivery:
    """The delivery, where its bytes are there to be read."""
    delivery = session.get(Delivery, delivery_id, with_for_update=True if lock else None)
    if delivery is None:
        raise ReplayError("There is no delivery with this id.", 404)
    if delivery.body is None and delivery.original_id:
        raise ReplayError(f"It repeats delivery {delivery.original_id}; replay that one.", 409)
    if delivery.body is None:
        told = "Its raw bytes were dropped, after RAW_RETENTION_DAYS or by an erasure; have the helpdesk send it again."
        raise ReplayError(told, 410)
    return delivery


def _content(sources: Mapping[str, Source], delivery: Delivery, settings: Settings) -> Content:
    """What today's mapping finds in a delivery."""
    source = sources.get(delivery.source)
    if source is None:
        raise ReplayError(f"There is no source {delivery.source!r} any more; add it to SOURCES_FILE again.", 409)
    if delivery.own_shape:
        return source.completing(standard.validate(standard.unwrap(parse_json(delivery.body or b""))))
    return source.read(delivery.body or b"", delivery.headers, settings.max_batch, settings.max_body_mb * 2**20)
