"""The reviewers' queue: its order, its filters, and what is left of it."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from receiver.db import review_queue, ticket_query
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.web import state
from receiver.web.dashboard import review_locks
from tests.factories import due_ticket, settle

LOW = "low_confidence"


def _waiting(db: Database, hours: float, **fields: object) -> int:
    ticket_id = due_ticket(db)
    settle(db, ticket_id, now() + timedelta(hours=hours), **{"review_reason": LOW, **fields})
    return ticket_id


def _queue(db: Database, **asked: str | int) -> list[int]:
    with db.read() as session:
        return list(review_queue.waiting(session, 50, **asked))  # type: ignore[arg-type]


def test_the_oldest_due_comes_first_and_skipping_goes_on_behind(db: Database) -> None:
    third, first, second = (_waiting(db, hours) for hours in (5, -1, 2))
    settle(db, due_ticket(db))
    assert _queue(db) == [first, second, third]
    assert _queue(db, after=first) == [second, third]
    assert _queue(db, after=third) == []


def test_one_due_at_the_same_moment_is_not_skipped(db: Database) -> None:
    at = now() + timedelta(hours=1)
    both = [due_ticket(db) for _ in range(2)]
    for ticket_id in both:
        settle(db, ticket_id, at, review_reason=LOW)
    assert _queue(db, after=both[0]) == [both[1]]


@pytest.mark.parametrize("reason", review_queue.REASONS)
def test_each_reason_finds_its_own(db: Database, reason: str) -> None:
    found = {
        "low confidence": _waiting(db, 1),
        "disagreement": _waiting(db, 1, review_reason="disagreement", agreement=False),
        "steering": _waiting(db, 1, review_reason="steering", steers=True),
        "fallback": _waiting(db, 1, review_reason="fallback_engine", fallback=True),
        "out of catalog": _waiting(db, 1, review_reason="out_of_catalog"),
    }
    assert _queue(db, reason=reason) == [found[reason]]
    assert _queue(db, reason=reason, category="Nowhere") == []


def test_a_filter_looks_at_a_bounded_part(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_queue, "LOOKED_AT", 2)
    for hours in (1, 2, 3):
        _waiting(db, hours, category="Pets" if hours == 3 else "Security")
    assert _queue(db, category="Pets") == []
    assert ticket_query.LOOKED_AT == 10_000


@pytest.mark.sqlite
def test_the_queue_is_read_along_its_index_and_never_sorted(db: Database) -> None:
    """SQLite would rather take all that waits, and sort it, for every ticket that is reviewed."""
    statements: list[tuple[str, Any]] = []
    listener = ("before_cursor_execute", lambda *found: statements.append((found[2], found[3])))
    event.listen(db.engine, *listener)
    _queue(db, after=_waiting(db, 1), category="Pets")
    with db.read() as session:
        review_queue.left(session, now())
        ticket_query.page(session, ticket_query.TicketQuery(status="needs_review", order=ticket_query.DUE), 20, now())
    event.remove(db.engine, *listener)
    asked = [found for found in statements if "tickets.status = 'needs_review'" in found[0] and "ORDER" in found[0]]
    with db.engine.connect() as connection:
        plans = [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()) for sql, values in asked]
    assert len(plans) == 2
    assert all("USING INDEX ix_tickets_review" in plan or "INDEX ix_tickets_review" in plan for plan in plans)
    assert not any("TEMP B-TREE" in plan for plan in plans)


def test_what_is_left_names_what_is_due_today(db: Database) -> None:
    noon = now().replace(hour=12)
    for hours in (-30, 1, 40):
        settle(db, due_ticket(db), noon + timedelta(hours=hours), review_reason=LOW)
    with db.read() as session:
        assert review_queue.left(session, now().replace(hour=0) + timedelta(days=1)) == review_queue.Left(
            waiting=3, today=2
        )


def test_two_reviewers_get_different_tickets(app: Flask) -> None:
    connection = state.of(app).redis
    assert review_locks.take(connection, [1, 2, 3, 4], "Ada", 2) == [1, 2]
    assert review_locks.take(connection, [1, 2, 3, 4], "Grace", 2) == [3, 4]
    assert review_locks.take(connection, [1, 2, 3, 4], "Ada", 2) == [1, 2]
    review_locks.leave(connection, 1)
    assert review_locks.take(connection, [1, 2], "Grace", 2) == [1]
