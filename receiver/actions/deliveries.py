"""What is done to deliveries: read one again with today's mapping of its source, or dismiss it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from receiver import queue
from receiver.actions.context import Context
from receiver.actions.errors import ActionError, ConflictError, GoneError, NotFoundError
from receiver.db import audit, deliveries
from receiver.db.deliveries import Content
from receiver.db.models import Delivery
from receiver.intake.sources import standard
from receiver.intake.sources.bodies import parse_json

_COUNTS = ("status", "accepted", "updated", "duplicates")


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


def get(session: Session, delivery_id: int, lock: bool = False) -> Delivery:
    """The delivery with this id. Raises NotFoundError."""
    delivery = session.get(Delivery, delivery_id, with_for_update=True if lock else None)
    if delivery is None:
        raise NotFoundError("There is no delivery with this id.")
    return delivery


def replay(context: Context, who: str, delivery_id: int) -> Replay:
    """Read a delivery's kept bytes again and write what is in them. Raises NotFoundError, ConflictError and GoneError.

    Nothing doubles, however often and by however many at once: tickets go through the same merge as when they arrive.
    """
    done = _replay(context, who, delivery_id)
    if done.made_due:
        context.wake(queue.CLASSIFY)
    return done


def replay_each(context: Context, who: str, ids: Sequence[int]) -> Iterator[Replay]:
    """Replay deliveries in the order of `ids`, each by itself; one that cannot be replayed says why."""
    made_due = False
    for delivery_id in ids:
        try:
            done = _replay(context, who, delivery_id)
        except ActionError as error:
            done = Replay(delivery_id, error=str(error))
        made_due = made_due or done.made_due
        yield done
    if made_due:
        context.wake(queue.CLASSIFY)


def dismiss(context: Context, who: str, ids: Sequence[int]) -> list[int]:
    """Take deliveries out of what needs somebody: there is no ticket in them. Returns those that were open."""
    moment = context.clock()
    with context.db.write() as session:
        done = [delivery_id for delivery_id in ids if deliveries.dismiss(session, delivery_id)]
        for delivery_id in done:
            audit.note(session, who, "dismiss", f"delivery {delivery_id}", moment)
    return done


def _replay(context: Context, who: str, delivery_id: int) -> Replay:
    with context.db.read() as session:
        delivery = _kept(session, delivery_id)
        # Outside the transaction that writes, so that no sender waits while a large body is read.
        content = _content(context, delivery)
    moment = context.clock()
    with context.db.write() as session:
        delivery = _kept(session, delivery_id, lock=True)  # Retention or an erasure may have emptied it meanwhile.
        before = deliveries.outcome(delivery)
        done = Replay(delivery_id, before, deliveries.replay(session, delivery, content, moment))
        audit.note(session, who, "replay", f"delivery {delivery_id}", moment, _noted(done))
    return done


def _noted(done: Replay) -> dict[str, object]:
    """What an entry of the audit, which cannot be erased, may say of a replay: numbers, and nothing of a body."""
    return {when: _counted(outcome) for when, outcome in (("before", done.before), ("after", done.after)) if outcome}


def _counted(outcome: dict[str, Any]) -> dict[str, object]:
    return {name: outcome[name] for name in _COUNTS} | {"rejected": len(outcome["rejected"])}


def _kept(session: Session, delivery_id: int, lock: bool = False) -> Delivery:
    """The delivery, where its bytes are there to be read."""
    delivery = get(session, delivery_id, lock)
    if delivery.body is None and delivery.original_id:
        raise ConflictError(f"It repeats delivery {delivery.original_id}; replay that one.")
    if delivery.body is None:
        told = "Its raw bytes were dropped, after RAW_RETENTION_DAYS or by an erasure; have the helpdesk send it again."
        raise GoneError(told)
    return delivery


def _content(context: Context, delivery: Delivery) -> Content:
    """What today's mapping finds in a delivery."""
    source, settings = context.sources.get(delivery.source), context.settings
    if source is None:
        raise ConflictError(f"There is no source {delivery.source!r} any more; add it to SOURCES_FILE again.")
    if delivery.own_shape:
        return source.completing(standard.validate(standard.unwrap(parse_json(delivery.body or b""))))
    return source.read(delivery.body or b"", delivery.headers, settings.max_batch, settings.max_body_mb * 2**20)
