"""Reviews: people confirm or correct what tickets are attributed to, engines learn from it, and it can be undone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from receiver.db import classifications, counters, due_tickets, examples, outbox, review_outcomes, work
from receiver.db.models import (
    CLASSIFIED,
    CLASSIFY,
    FAILED,
    NEEDS_REVIEW,
    RECEIVED,
    REVIEWED,
    Classification,
    DigestTicket,
    ExampleRow,
    Ticket,
)
from receiver.lib.sla import Clock, Sla

PERSON = "person"
# What a review changes of a ticket, and keeps beside itself so that it can be undone.
_MOMENTS = ("at_risk_at", "due_at")
_VALUES = ("status", "category", "request_type", "settled", "error", "delivery_id")


class ChangedMeanwhileError(Exception):
    """The ticket is not what the person saw when they decided; the text says what it is now."""


class NothingToUndoError(Exception):
    """The ticket has no review that this person could undo; the text says why."""


@dataclass(frozen=True, slots=True)
class Review:
    """A ticket as a person left it; `learned` says whether it became an example, `before` what it was taken for."""

    ticket: Ticket
    classification: Classification
    learned: bool
    before: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the catalog, as that of `catalog_version` has it."""

    category: str
    name: str
    sla: Sla
    catalog_version: str


@dataclass(frozen=True, slots=True)
class Held:
    """A ticket that a person decides on, locked until the transaction ends, and what it is attributed to."""

    ticket: Ticket
    before: Classification | None
    settled: int

    @property
    def is_attributed(self) -> bool:
        """Whether there is an answer that could be confirmed."""
        return self.before is not None and self.ticket.status in (CLASSIFIED, NEEDS_REVIEW, REVIEWED)


def hold(session: Session, ticket_id: int, seen: int | None = None) -> Held | None:
    """Hold a ticket, to be settled in the same transaction; None where there is no such ticket.

    `seen` is the classification that the person had before them, 0 for none. Raises ChangedMeanwhileError.
    """
    # The lock of this number comes before a ticket's everywhere, or two writers could wait for each other.
    settled = counters.add(session, "settled", 1)
    ticket = session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        return None
    before = classifications.current(session, ticket_id)
    if seen is not None and seen != (before.id if before else 0):
        raise ChangedMeanwhileError(_now_it_is(before))
    return Held(ticket, before, settled)


def settle(
    session: Session,
    held: Held,
    entry: Entry,
    reviewer: str,
    now: datetime,
    writes: Mapping[str, bool] | None = None,
    clock: Clock | None = None,
) -> Review:
    """Make the ticket `reviewed`, as this entry; whoever classifies it meanwhile loses the lease.

    A ticket whose attribution a digest may have told already, and which stays what it is, keeps its `settled`; any
    other will be told of again. The helpdesk is told of it where its source is among `writes`, see
    `classifications.save`. `clock` is that of the SLAs.
    """
    ticket, before = held.ticket, held.before
    was = (before.category, before.request_type) if before else None
    is_same = was == (entry.category, entry.name)
    kept = _kept(session, ticket, before)
    if not (held.is_attributed and is_same):
        ticket.settled = held.settled
    clock = clock or Clock()
    start = clock.start(ticket.source_created_at, ticket.received_at)
    ticket.status, ticket.category, ticket.request_type = REVIEWED, entry.category, entry.name
    ticket.at_risk_at, ticket.due_at = entry.sla.promise(start, clock.hours)
    ticket.error = None
    work.cancel(session, CLASSIFY, [ticket.id])
    kept["answers"] = _unlearn_answers(session, ticket.id, entry)
    decision = _decision(ticket, before, entry, reviewer, now)
    decision.before = kept
    classifications.replace_current(session, ticket.source, decision, writes)
    review_outcomes.settle(session, ticket)
    if decision.steers:
        examples.forget(session, ticket.id)
    else:
        examples.remember(session, ticket.id, entry.category, entry.name, now)
    return Review(ticket, decision, learned=not decision.steers, before=was)


def _unlearn_answers(session: Session, ticket_id: int, entry: Entry) -> list[tuple[int, str | None]]:
    """An answer that a person found wrong is not given again to identical tickets; returns what was unlearned."""
    wrong = or_(Classification.category != entry.category, Classification.request_type != entry.name)
    mine = (Classification.ticket_id == ticket_id, Classification.cache_key.is_not(None), wrong)
    keys = set(session.scalars(select(Classification.cache_key).where(*mine)))
    found = Classification.cache_key.in_(keys)
    rows = session.execute(select(Classification.id, Classification.cache_key).where(found)).all() if keys else []
    if rows:
        unlearn = update(Classification).where(found).values(cache_key=None)
        session.execute(unlearn.execution_options(synchronize_session=False))
    return [(row.id, row.cache_key) for row in rows]


def _now_it_is(found: Classification | None) -> str:
    if found is None:
        return "This ticket waits to be classified again."
    who = (
        f"{found.reviewer} has reviewed this ticket meanwhile" if found.reviewer else "This ticket was classified again"
    )
    return f"{who}: it is {found.category} / {found.request_type}."


def _decision(
    ticket: Ticket,
    before: Classification | None,
    entry: Entry,
    reviewer: str,
    now: datetime,
) -> Classification:
    same = before is not None and (before.category, before.request_type) == (entry.category, entry.name)
    earlier = f", instead of {before.category} / {before.request_type}" if before and not same else ""
    return Classification(
        ticket_id=ticket.id,
        current=True,
        created_at=now,
        category=entry.category,
        request_type=entry.name,
        sla_value=entry.sla.value,
        sla_unit=entry.sla.unit,
        sla_is_default=entry.sla.is_default,
        confidence=1.0,
        reasoning=f"{'confirmed' if same else 'chosen'} by {reviewer}{earlier}",
        alternatives=[],
        review_reason=None,
        review_detail=None,
        engine=PERSON,
        model="",
        fallback=False,
        fuzzy_matched=False,
        catalog_version=entry.catalog_version,
        prompt_version=None,
        prompt_tokens=0,
        completion_tokens=0,
        latency_ms=0,
        # The text tries to command whatever reads it, whoever has reviewed it meanwhile.
        steers=before is not None and before.steers,
        reviewer=reviewer,
    )


def _kept(session: Session, ticket: Ticket, current: Classification | None) -> dict[str, Any]:
    """What a review is about to change, as JSON, to be stored beside it."""
    moments = {name: value.isoformat() for name in _MOMENTS if (value := getattr(ticket, name))}
    example = session.scalar(select(ExampleRow).where(ExampleRow.ticket_id == ticket.id))
    queued = work.of(session, CLASSIFY, ticket.id)  # Where it waits to be classified, or is a dead letter.
    return {
        **{name: getattr(ticket, name) for name in _VALUES},
        **moments,
        "crashes": queued.crashes if queued else 0,
        "error_code": queued and queued.error_code,
        "classification_id": current and current.id,
        "example": example and [example.category, example.request_type],
        "answers": [],
    }


def undo(session: Session, ticket_id: int, who: str, now: datetime) -> Ticket | None:
    """Make the ticket what it was before `who` reviewed it, and the only trace of that the audit's.

    A digest that has told of the review keeps it as history, and the next one tells of the ticket again. A helpdesk
    that was told is told again. None where there is no such ticket. Raises NothingToUndoError.
    """
    told = _told(session, ticket_id)
    # The lock of this number comes before a ticket's everywhere, or two writers could wait for each other.
    settled = counters.add(session, "settled", 1) if told else None
    ticket = session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        return None
    review, before = _undoable(ticket, classifications.current(session, ticket_id), who)
    _put_back(session, ticket, before, settled)
    if ticket.status in (RECEIVED, FAILED):
        due_tickets.put_back(session, ticket, before["crashes"], before.get("error_code"), now)
    _drop(session, review, before, now, told=told)
    examples.forget(session, ticket_id)
    if before["example"]:
        category, request_type = before["example"]
        examples.remember(session, ticket_id, category, request_type, now)
    _learn_again(session, before["answers"])
    review_outcomes.settle(session, ticket)
    return ticket


def _told(session: Session, ticket_id: int) -> bool:
    """Whether a digest has told of the classification that is current."""
    current = select(Classification.id).where(Classification.ticket_id == ticket_id, Classification.current)
    query = select(DigestTicket.digest_id).where(DigestTicket.classification_id.in_(current.scalar_subquery()))
    return session.scalar(query.limit(1)) is not None


def _undoable(ticket: Ticket, current: Classification | None, who: str) -> tuple[Classification, dict[str, Any]]:
    if current is None or current.before is None or ticket.status != REVIEWED:
        raise NothingToUndoError("There is no review of this ticket to undo.")
    if current.reviewer != who:
        raise NothingToUndoError(f"{current.reviewer} has reviewed this ticket since; review it again instead.")
    if current.before["delivery_id"] != ticket.delivery_id:
        raise NothingToUndoError("The ticket's text has changed since it was reviewed; review it again instead.")
    return current, current.before


def _put_back(session: Session, ticket: Ticket, before: dict[str, Any], settled: int | None) -> None:
    for name in _VALUES:
        setattr(ticket, name, before[name])
    for name in _MOMENTS:
        setattr(ticket, name, datetime.fromisoformat(before[name]) if name in before else None)
    if settled is not None and ticket.settled is not None:
        ticket.settled = settled
    session.flush()


def _drop(session: Session, review: Classification, before: dict[str, Any], now: datetime, *, told: bool) -> None:
    """The review goes; where a digest or the helpdesk knows of it, it stays as history."""
    review.current, review.before = False, None
    session.flush()
    if before["classification_id"]:
        earlier = update(Classification).where(Classification.id == before["classification_id"])
        session.execute(earlier.values(current=True).execution_options(synchronize_session=False))
        classifications.ask_again(session, before["classification_id"], now)
    written = outbox.take_back(session, review.id, before["classification_id"], now)
    if written or told:
        review.undone = True
    else:
        session.execute(delete(Classification).where(Classification.id == review.id))


def _learn_again(session: Session, answers: Iterable[tuple[int, str]]) -> None:
    for classification_id, key in answers:
        session.execute(
            update(Classification)
            .where(Classification.id == classification_id)
            .values(cache_key=key)
            .execution_options(synchronize_session=False)
        )
