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
    # One wake-up for all of them: the worker takes whatever is due.
    if made_due:
        context.wake(queue.CLASSIFY)


def dismiss(context: Context, who: str, ids: Sequence[int]) -> list[int]:
    """Mark deliveries as needing nobody, because there is no ticket in them. Returns the ids that were open."""
    moment = context.clock()
    with context.db.write() as session:
        done = [delivery_id for delivery_id in ids if deliveries.dismiss(session, delivery_id)]
        for delivery_id in done:
            audit.note(session, who, "dismiss", f"delivery {delivery_id}", moment)
    return done


def _replay(context: Context, who: str, delivery_id: int) -> Replay:
    settings = context.settings
    with context.db.read() as session:
        delivery = _get_with_body(session, delivery_id)
        source = context.sources.get(delivery.source)
    if source is None:
        raise ConflictError(f"There is no source {delivery.source!r} any more; add it to SOURCES_FILE again.")
    # Read the body outside the transaction that writes, so that no sender waits while a large one is parsed.
    body = delivery.body or b""
    content: Content
    if delivery.own_shape:
        # Written by `reconcile`, in the shape of our own webhook and not in the helpdesk's.
        content = source.completing(standard.validate(standard.unwrap(parse_json(body))))
    else:
        content = source.read(body, delivery.headers, settings.max_batch, settings.max_body_mb * 2**20)
    moment = context.clock()
    with context.db.write() as session:
        # Load it again: retention or an erasure may have emptied it meanwhile.
        delivery = _get_with_body(session, delivery_id, lock=True)
        before = deliveries.outcome(delivery)
        after = deliveries.replay(session, delivery, content, moment)
        # The audit cannot be erased, so it gets numbers and nothing of a body.
        details = {
            when: {name: outcome[name] for name in _COUNTS} | {"rejected": len(outcome["rejected"])}
            for when, outcome in (("before", before), ("after", after))
            if outcome
        }
        audit.note(session, who, "replay", f"delivery {delivery_id}", moment, details)
    return Replay(delivery_id, before, after)


def _get_with_body(session: Session, delivery_id: int, lock: bool = False) -> Delivery:
    """The delivery, if its raw bytes are still kept. Raises NotFoundError, ConflictError and GoneError."""
    delivery = get(session, delivery_id, lock)
    if delivery.body is None and delivery.original_id:
        raise ConflictError(f"It repeats delivery {delivery.original_id}; replay that one.")
    if delivery.body is None:
        message = (
            "Its raw bytes were dropped, after RAW_RETENTION_DAYS or by an erasure; have the helpdesk send it again."
        )
        raise GoneError(message)
    return delivery
