"""Verdicts: what reviews say of the engines' answers, one row for each answer that a person judged.

The last review of an answer counts: who confirms it finds it right, who chooses another entry finds it wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import ColumnElement, Integer, cast, delete, func, select
from sqlalchemy.orm import Session

from receiver.record import classifications
from receiver.record.models import Classification, Ticket, Verdict

NEWEST = 10_000


@dataclass(frozen=True)
class Scope:
    """Which verdicts: of reviews since a day, and of one source, model, prompt or catalog version where it is named."""

    since: date
    source: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    catalog_version: str | None = None

    def condition(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        named = ("source", "model", "prompt_version", "catalog_version")
        wanted = [(getattr(Verdict, name), getattr(self, name)) for name in named]
        return [Verdict.day >= self.since.isoformat(), *(column == value for column, value in wanted if value)]


class Judged(NamedTuple):
    """One answer of an engine and what a person chose; `flagged` says that it had gone to review."""

    found_category: str
    found_type: str
    chosen_category: str
    chosen_type: str
    confidence: float
    flagged: bool
    engine: str
    model: str
    prompt_version: str | None
    catalog_version: str

    @property
    def is_right(self) -> bool:
        """Whether the person chose what the engine had answered."""
        return self.found_type == self.chosen_type and self.found_category == self.chosen_category


class Day(NamedTuple):
    """How many answers were judged on a day, and how many were right in request type and in category."""

    day: str
    judged: int
    right: int
    right_category: int


def settle(session: Session, ticket: Ticket) -> None:
    """Write down anew what the reviews of a ticket say of the answers in its history."""
    session.execute(delete(Verdict).where(Verdict.ticket_id == ticket.id))
    answer = review = None
    for row in reversed(classifications.history(session, ticket.id)):
        if row.undone:
            continue
        if row.reviewer is not None:
            review = row
            continue
        _add(session, ticket, answer, review)
        answer, review = row, None
    _add(session, ticket, answer, review)


def _add(session: Session, ticket: Ticket, answer: Classification | None, review: Classification | None) -> None:
    if answer is None or review is None:
        return
    session.add(
        Verdict(
            judged_id=answer.id,
            ticket_id=ticket.id,
            day=review.created_at.date().isoformat(),
            source=ticket.source,
            engine=answer.engine,
            model=answer.model,
            prompt_version=answer.prompt_version,
            catalog_version=answer.catalog_version,
            confidence=answer.confidence,
            flagged=answer.review_reason is not None,
            found_category=answer.category,
            found_type=answer.request_type,
            chosen_category=review.category,
            chosen_type=review.request_type,
        )
    )


_COLUMNS = [getattr(Verdict, name) for name in Judged._fields]
_RIGHT_CATEGORY = Verdict.found_category == Verdict.chosen_category
_RIGHT = _RIGHT_CATEGORY & (Verdict.found_type == Verdict.chosen_type)


def newest(session: Session, scope: Scope, limit: int = NEWEST) -> list[Judged]:
    """Up to `limit` verdicts, the latest first."""
    query = select(*_COLUMNS).where(*scope.condition())
    rows = session.execute(query.order_by(Verdict.day.desc(), Verdict.judged_id.desc()).limit(limit))
    return [Judged._make(row) for row in rows]


def by_day(session: Session, scope: Scope) -> Sequence[Day]:
    """How many were right on each day that has verdicts, the first day first."""
    sums = [func.sum(cast(condition, Integer)) for condition in (_RIGHT, _RIGHT_CATEGORY)]
    query = select(Verdict.day, func.count(), *sums).where(*scope.condition())
    return [Day._make(row) for row in session.execute(query.group_by(Verdict.day).order_by(Verdict.day))]
