"""Saving decisions, and a ticket's history of them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from receiver.db import classifications, counters, due_tickets, tickets
from receiver.db.database import Database
from receiver.db.models import CLASSIFIED, NEEDS_REVIEW, Classification, Ticket
from receiver.lib.clock import now
from tests.factories import classification, due_ticket, promise, queued, settle
from tests.properties import tries


def _again(db: Database, ticket_id: int, **fields: object) -> None:
    with db.write() as session:
        assert tickets.make_due(session, ticket_id, now())
    settle(db, ticket_id, **fields)  # type: ignore[arg-type]


def _history(db: Database, ticket_id: int) -> list[tuple[str, bool]]:
    with db.read() as session:
        return [(row.reasoning, row.current) for row in classifications.history(session, ticket_id)]


def test_the_newest_decision_is_the_current_one_and_the_others_stay(db: Database) -> None:
    ticket, other = due_ticket(db), due_ticket(db)
    settle(db, other, reasoning="another ticket's")
    for reasoning in ("first", "second", "third"):
        _again(db, ticket, reasoning=reasoning)
    assert _history(db, ticket) == [("third", True), ("second", False), ("first", False)]
    assert _history(db, other) == [("another ticket's", True)]


@settings(deadline=None, max_examples=tries(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["claim", "save", "save twice", "lose", "change", "expire"]), max_size=15))
def test_a_settled_ticket_has_exactly_one_current_decision_whatever_happened(db: Database, steps: list[str]) -> None:
    ticket, saved, decided = due_ticket(db), 0, False
    for number, step in enumerate([*steps, "change", "claim", "save"]):
        with db.write() as session:
            if step == "claim":
                due_tickets.claim(session, "mine", 1000, now())
                due_tickets.claim_crashed(session, "mine", now())
            elif step.startswith("save"):
                for _ in step.split():
                    new = classification(ticket, reasoning=str(number))
                    saved += classifications.save(session, "mine", new, promise())
            elif step == "lose":
                assert not classifications.save(session, "other", classification(ticket), promise())
            elif step == "change":
                tickets.make_due(session, ticket, now())
            else:
                due_tickets.expire(session, now() + due_tickets.POLICY.lease)
        history = _history(db, ticket)
        decided = decided or saved > 0
        assert len(history) == saved
        assert [current for _, current in history] == [True] * decided + [False] * (saved - decided)


def test_the_database_itself_refuses_two_current_decisions(db: Database) -> None:
    ticket = due_ticket(db)
    settle(db, ticket)
    with pytest.raises(IntegrityError), db.write() as session:
        session.add(classification(ticket))
    with db.read() as session:
        assert session.query(Classification).count() == 1


@pytest.mark.parametrize(("reason", "status"), [(None, CLASSIFIED), ("low_confidence", NEEDS_REVIEW)])
def test_a_reason_to_look_sends_the_ticket_to_review(db: Database, reason: str | None, status: str) -> None:
    ticket, promised = due_ticket(db), now()
    settle(db, ticket, promised, review_reason=reason, category="Hardware", request_type="Laptop")
    with db.read() as session:
        found = session.get_one(Ticket, ticket)
    assert (found.status, found.category, found.request_type) == (status, "Hardware", "Laptop")
    assert (found.due_at, found.error) == (promised, None)
    assert queued(db) == {}


def test_tokens_are_added_up_once_for_each_decision_that_was_saved(db: Database) -> None:
    ticket = due_ticket(db)
    settle(db, ticket, prompt_tokens=900, completion_tokens=40)
    _again(db, ticket, prompt_tokens=100, completion_tokens=2)
    with db.write() as session:
        classifications.save(session, "lost", classification(ticket, prompt_tokens=5), promise())
    with db.read() as session:
        assert (counters.value(session, "tokens.prompt"), counters.value(session, "tokens.completion")) == (1000, 42)
