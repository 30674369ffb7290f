"""review outcomes: of every answer of an engine that was reviewed, what its last review says."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from jobs.operations import erase
from receiver.catalog import Catalog
from receiver.db import database, review_outcomes, reviews, tickets
from receiver.db.database import Database
from receiver.db.models import ReviewOutcome, Ticket, table_of
from receiver.db.review_outcomes import Day, Scope
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.factories import classification, due_ticket, review, settle
from tests.properties import tries

TYPES = ("VPN Connection Issue", "Wi-Fi/LAN Connectivity")
CATEGORY = "Network & Connectivity"
ALL = Scope(date(2000, 1, 1))


def _judged(db: Database, scope: Scope = ALL) -> list[ReviewOutcome]:
    """The review outcomes, the newest first."""
    query = (
        select(ReviewOutcome)
        .where(*scope.condition())
        .order_by(ReviewOutcome.day.desc(), ReviewOutcome.judged_id.desc())
    )
    with db.read() as session:
        return list(session.scalars(query))


def _is_right(verdict: ReviewOutcome) -> bool:
    return verdict.found_type == verdict.chosen_type


def test_a_confirmed_answer_is_right_and_a_corrected_one_wrong(db: Database, shipped: Catalog) -> None:
    first, second = due_ticket(db), due_ticket(db)
    settle(db, first, confidence=0.7, review_reason="low_confidence")
    settle(db, second)
    review(db, first, shipped)
    review(db, second, shipped, CATEGORY, TYPES[1])
    wrong, right = _judged(db)
    assert (_is_right(right), right.flagged, right.confidence, right.model) == (True, True, 0.7, "use-multilingual-v3")
    assert (_is_right(wrong), wrong.found_type, wrong.chosen_type) == (False, *TYPES)


def test_the_last_review_counts_and_not_against_the_person_before(db: Database, shipped: Catalog) -> None:
    ticket = due_ticket(db)
    settle(db, ticket)
    review(db, ticket, shipped, CATEGORY, TYPES[1])
    review(db, ticket, shipped, CATEGORY, TYPES[0])
    assert [_is_right(one) for one in _judged(db)] == [True]


def test_a_new_answer_after_a_review_is_judged_by_itself(db: Database, shipped: Catalog) -> None:
    ticket = due_ticket(db)
    settle(db, ticket)
    review(db, ticket, shipped, CATEGORY, TYPES[1])
    with db.write() as session:
        session.get_one(Ticket, ticket).status = "classified"
        assert tickets.make_due(session, ticket, now())
    settle(db, ticket, request_type=TYPES[1])
    assert [_is_right(one) for one in _judged(db)] == [False]
    review(db, ticket, shipped)
    assert [_is_right(one) for one in _judged(db)] == [True, False]


def test_what_nobody_answered_says_nothing(db: Database, shipped: Catalog) -> None:
    review(db, due_ticket(db), shipped, CATEGORY, TYPES[0])
    assert _judged(db) == []


def test_a_scope_takes_a_window_a_source_and_versions(db: Database, shipped: Catalog) -> None:
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for source, model, days in (("standard", "a", 0), ("desk", "b", 1), ("desk", "a", 9)):
        ticket = due_ticket(db, source=source)
        settle(db, ticket, model=model, prompt_version=model)
        review(db, ticket, shipped, at=at + timedelta(days=days))
    since = date(2026, 3, 2)
    assert [one.model for one in _judged(db, Scope(since))] == ["a", "b", "a"]
    assert [one.model for one in _judged(db, Scope(since + timedelta(days=5)))] == ["a"]
    assert [one.model for one in _judged(db, Scope(since, source="desk"))] == ["a", "b"]
    assert [one.model for one in _judged(db, Scope(since, source="desk", model="b", prompt_version="b"))] == ["b"]
    assert _judged(db, Scope(since, catalog_version="other")) == []
    with db.read() as session:
        assert [row.answers for row in review_outcomes.confusions(session, ALL, limit=2)] == [2]
        surest = review_outcomes.sureness(session, ALL, limit=2)
        by_day = review_outcomes.by_day(session, Scope(since, model="a"))
    assert {row.model: (row.confidence, row.is_right, row.answers) for row in surest} == {
        "a": (0.9, True, 1), "b": (0.9, True, 1),
    }  # fmt: skip
    assert by_day == [Day("2026-03-02", 1, 1, 1), Day("2026-03-11", 1, 1, 1)]


def test_an_erased_ticket_leaves_no_verdict(db: Database, config: Settings, shipped: Catalog) -> None:
    ticket = due_ticket(db, requester_email="ada@example.com")
    settle(db, ticket)
    review(db, ticket, shipped)
    erase.erase(db, config, "ada@example.com")
    assert _judged(db) == []


@pytest.mark.full
@settings(max_examples=tries(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from(["engine", "Ada", "Grace"]), max_size=6), max_size=3))
def test_the_migration_finds_in_histories_what_settling_writes(db: Database, histories: list[list[str]]) -> None:
    known = [due_ticket(db) for _ in histories]
    with db.write() as session:
        for ticket_id, history in zip(known, histories, strict=True):
            ticket = session.get_one(Ticket, ticket_id)
            for position, who in enumerate(history):
                person = {"engine": reviews.PERSON, "reviewer": who} if who != "engine" else {}
                values = {"current": False, "request_type": TYPES[position % 2]} | person
                session.add(classification(ticket.id, **values))
                session.flush()
            review_outcomes.settle(session, ticket)
        session.flush()
        rows = table_of(ReviewOutcome).select().order_by(ReviewOutcome.judged_id)
        settled = session.execute(rows).all()
        session.query(ReviewOutcome).delete()
        migration = ScriptDirectory(str(database.MIGRATIONS)).get_revision("0014").module
        with Operations.context(MigrationContext.configure(session.connection())):
            migration.op.execute(migration._past().replace("verdicts", "review_outcomes"))
        assert session.execute(rows).all() == settled
        assert len(settled) == sum(_slowly(history) for history in histories)
        session.rollback()


def _slowly(history: list[str]) -> int:
    """How many of a history's answers were followed by a person before the next answer."""
    return sum(one == "engine" and after != "engine" for one, after in pairwise(history))
