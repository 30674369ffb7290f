"""Saving decisions, and a ticket's history of them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from receiver.db import classifications, counters, leases, tickets
from receiver.db.database import Record
from receiver.db.models import CLASSIFIED, NEEDS_REVIEW, Classification, Ticket
from receiver.lib.clock import now
from tests.factories import classification, due_ticket, promise, settle


def _again(record: Record, ticket_id: int, **fields: object) -> None:
    with record.write() as session:
        assert tickets.make_due(session, ticket_id, now())
    settle(record, ticket_id, **fields)  # type: ignore[arg-type]


def _history(record: Record, ticket_id: int) -> list[tuple[str, bool]]:
    with record.read() as session:
        return [(row.reasoning, row.current) for row in classifications.history(session, ticket_id)]


def test_the_newest_decision_is_the_current_one_and_the_others_stay(record: Record) -> None:
    ticket, other = due_ticket(record), due_ticket(record)
    settle(record, other, reasoning="another ticket's")
    for reasoning in ("first", "second", "third"):
        _again(record, ticket, reasoning=reasoning)
    assert _history(record, ticket) == [("third", True), ("second", False), ("first", False)]
    assert _history(record, other) == [("another ticket's", True)]


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["claim", "save", "save twice", "lose", "change", "expire"]), max_size=15))
def test_a_settled_ticket_has_exactly_one_current_decision_whatever_happened(record: Record, steps: list[str]) -> None:
    ticket, saved, decided = due_ticket(record), 0, False
    for number, step in enumerate([*steps, "change", "claim", "save"]):
        with record.write() as session:
            if step == "claim":
                leases.claim(session, "mine", 1000, now())
                leases.claim_suspects(session, "mine", now())
            elif step.startswith("save"):
                for _ in step.split():
                    new = classification(ticket, reasoning=str(number))
                    saved += classifications.save(session, "mine", new, promise())
            elif step == "lose":
                assert not classifications.save(session, "other", classification(ticket), promise())
            elif step == "change":
                tickets.make_due(session, ticket, now())
            else:
                leases.expire(session, now() + leases.LEASE)
        history = _history(record, ticket)
        decided = decided or saved > 0
        assert len(history) == saved
        assert [current for _, current in history] == [True] * decided + [False] * (saved - decided)


def test_the_database_itself_refuses_two_current_decisions(record: Record) -> None:
    ticket = due_ticket(record)
    settle(record, ticket)
    with pytest.raises(IntegrityError), record.write() as session:
        session.add(classification(ticket))
    with record.read() as session:
        assert session.query(Classification).count() == 1


@pytest.mark.parametrize(("reason", "status"), [(None, CLASSIFIED), ("confidence is low", NEEDS_REVIEW)])
def test_a_reason_to_look_sends_the_ticket_to_review(record: Record, reason: str | None, status: str) -> None:
    ticket, promised = due_ticket(record), now()
    settle(record, ticket, promised, review_reason=reason, category="Hardware", request_type="Laptop")
    with record.read() as session:
        found = session.get_one(Ticket, ticket)
    assert (found.status, found.category, found.request_type) == (status, "Hardware", "Laptop")
    assert (found.due_at, found.lease, found.error, found.crashes) == (promised, None, None, 0)


def test_tokens_are_added_up_once_for_each_decision_that_was_saved(record: Record) -> None:
    ticket = due_ticket(record)
    settle(record, ticket, prompt_tokens=900, completion_tokens=40)
    _again(record, ticket, prompt_tokens=100, completion_tokens=2)
    with record.write() as session:
        classifications.save(session, "lost", classification(ticket, prompt_tokens=5), promise())
    with record.read() as session:
        assert (counters.value(session, "tokens.prompt"), counters.value(session, "tokens.completion")) == (1000, 42)
