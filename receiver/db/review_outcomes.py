"""review outcomes: what reviews say of the engines' answers, one row for each answer that a person judged.

The last review of an answer counts: who confirms it finds it right, who chooses another entry finds it wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, and_, cast, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from receiver.db import classifications
from receiver.db.models import Classification, ReviewOutcome, Ticket

NEWEST = 5_000  # As many as can be counted in a few hundredths of a second.


@dataclass(frozen=True)
class Scope:
    """Which review outcomes: since a day, and of one source, model, prompt or catalog version where it is named."""

    since: date
    source: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    catalog_version: str | None = None

    def condition(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        named = ("source", "model", "prompt_version", "catalog_version")
        wanted = [(getattr(ReviewOutcome, name), getattr(self, name)) for name in named]
        return [ReviewOutcome.day >= self.since.isoformat(), *(column == value for column, value in wanted if value)]


class Confusion(NamedTuple):
    """How many answers were of one entry where people chose one, the same or another."""

    chosen_category: str
    chosen_type: str
    found_category: str
    found_type: str
    answers: int

    @property
    def is_right(self) -> bool:
        """Whether people chose what had been answered."""
        return (self.chosen_category, self.chosen_type) == (self.found_category, self.found_type)


class Sureness(NamedTuple):
    """How many answers of one version were so sure, to the hundredth, and right or wrong.

    `flagged` says that they had gone to review.
    """

    engine: str
    model: str
    prompt_version: str | None
    catalog_version: str
    flagged: bool
    confidence: float
    is_right: bool
    answers: int


class Day(NamedTuple):
    """How many answers were judged on a day, and how many were right in request type and in category."""

    day: str
    judged: int
    right: int
    right_category: int


def settle(session: Session, ticket: Ticket) -> None:
    """Write down anew what the reviews of a ticket say of the answers in its history."""
    session.execute(delete(ReviewOutcome).where(ReviewOutcome.ticket_id == ticket.id))
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
        ReviewOutcome(
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


_ENTRIES = (
    ReviewOutcome.chosen_category,
    ReviewOutcome.chosen_type,
    ReviewOutcome.found_category,
    ReviewOutcome.found_type,
)
_VERSION = (ReviewOutcome.engine, ReviewOutcome.model, ReviewOutcome.prompt_version, ReviewOutcome.catalog_version)
_RIGHT_CATEGORY = ReviewOutcome.found_category == ReviewOutcome.chosen_category
_RIGHT = and_(_RIGHT_CATEGORY, ReviewOutcome.found_type == ReviewOutcome.chosen_type)


def confusions(session: Session, scope: Scope, limit: int = NEWEST) -> list[Confusion]:
    """What was chosen and what had been answered, of the newest `limit` review outcomes."""
    return [Confusion._make(row) for row in session.execute(_counted(scope, limit, *_ENTRIES))]


def sureness(session: Session, scope: Scope, limit: int = NEWEST) -> list[Sureness]:
    """How sure the answers were and whether they were right, of the newest `limit` review outcomes."""
    hundredths = func.round(ReviewOutcome.confidence * 100)
    rows = session.execute(_counted(scope, limit, *_VERSION, ReviewOutcome.flagged, hundredths, _RIGHT))
    return [Sureness._make((*row[:5], float(row[5]) / 100, bool(row[6]), row[7])) for row in rows]


def _counted(scope: Scope, limit: int, *columns: ColumnElement[Any] | InstrumentedAttribute[Any]) -> Select[Any]:
    """Every combination of the columns' values among the newest `limit` review outcomes, and how often it occurs."""
    named = [column.label(f"value_{place}") for place, column in enumerate(columns)]
    newest = select(*named).where(*scope.condition()).order_by(ReviewOutcome.day.desc(), ReviewOutcome.judged_id.desc())
    table = newest.limit(limit).subquery()
    return select(*table.columns, func.count()).group_by(*table.columns)


def by_day(session: Session, scope: Scope) -> Sequence[Day]:
    """How many were right on each day that has review outcomes, the first day first."""
    sums = [func.sum(cast(condition, Integer)) for condition in (_RIGHT, _RIGHT_CATEGORY)]
    query = select(ReviewOutcome.day, func.count(), *sums).where(*scope.condition())
    return [Day._make(row) for row in session.execute(query.group_by(ReviewOutcome.day).order_by(ReviewOutcome.day))]
