"""Undoing a review: everything is as it was, and whoever was told of the review is told again."""

from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from receiver.actions.review import decide
from receiver.catalog import Catalog
from receiver.db import (
    catalogs,
    classifications,
    digest_members,
    digests,
    due_tickets,
    outbox,
    reviews,
    tickets,
    work,
)
from receiver.db.database import Database
from receiver.db.models import (
    CLASSIFY,
    COMPLETE,
    RETRY_FALLBACK,
    Classification,
    OutgoingCall,
    ReviewOutcome,
    Ticket,
    Work,
)
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from tests.factories import deliver, due_ticket, incoming, review, settle

VPN = ("Network & Connectivity", "VPN Connection Issue")
LAPTOP = ("Hardware Support", "Laptop Repair/Replacement")
ENVELOPE = Envelope(("boss@example.com",), "example.com")
WRITES = {"standard": True}


def _undo(db: Database, ticket_id: int, who: str = "Ada") -> Ticket | None:
    with db.write() as session:
        return reviews.undo(session, ticket_id, who, now())


# Whatever a ticket is made of; counters only grow, and an example that was put back is a new row.
_TABLES = {
    "tickets": "*", "classifications": "*", "outgoing_calls": "*", "work": "kind, subject_id",
    "review_outcomes": "*",
    "examples": "ticket_id, category, request_type", "digest_tickets": "*",
}  # fmt: skip


def _state(db: Database) -> dict[str, list[Any]]:
    with db.read() as session:
        return {
            name: sorted(map(tuple, session.execute(text(f"SELECT {columns} FROM {name}"))), key=repr)
            for name, columns in _TABLES.items()
        }


def _received(_db: Database, _ticket_id: int, _catalog: Catalog) -> None:
    return


def _classified(db: Database, ticket_id: int, _catalog: Catalog) -> None:
    settle(db, ticket_id, cache_key="same")


def _to_review(db: Database, ticket_id: int, _catalog: Catalog) -> None:
    settle(db, ticket_id, review_reason="low_confidence")


def _steering(db: Database, ticket_id: int, _catalog: Catalog) -> None:
    settle(db, ticket_id, review_reason="steering", steers=True)


def _failed(db: Database, ticket_id: int, _catalog: Catalog) -> None:
    with db.write() as session:
        due_tickets.fail(session, ticket_id, "other", "gave up", 1, None)


def _reviewed(db: Database, ticket_id: int, catalog: Catalog) -> None:
    settle(db, ticket_id)
    review(db, ticket_id, catalog, "Access Management", "Multi-Factor Authentication (MFA) Reset")


@pytest.mark.parametrize("was", [_received, _classified, _to_review, _steering, _failed, _reviewed])
def test_the_record_is_what_it_was(db: Database, shipped: Catalog, was: Any) -> None:
    ticket_id, twin = due_ticket(db), due_ticket(db)
    was(db, ticket_id, shipped)
    if was is _classified:
        settle(db, twin, cache_key="same")
    before = _state(db)
    review(db, ticket_id, shipped, *LAPTOP)
    assert _state(db) != before
    assert _undo(db, ticket_id) is not None
    assert _state(db) == before


def test_a_review_is_undone_once_and_by_whoever_made_it(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    review(db, ticket_id, shipped)
    with pytest.raises(reviews.NothingToUndoError, match="Ada has reviewed this ticket since"):
        _undo(db, ticket_id, "Grace")
    _undo(db, ticket_id)
    with pytest.raises(reviews.NothingToUndoError, match="no review"):
        _undo(db, ticket_id)
    assert _undo(db, 4711) is None


def test_what_was_said_of_another_text_is_not_put_back(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db, external_id="A")
    settle(db, ticket_id)
    review(db, ticket_id, shipped)
    deliver(db, incoming(external_id="A", short_description="something else"))
    with pytest.raises(reviews.NothingToUndoError, match="text has changed"):
        _undo(db, ticket_id)


def _digest(db: Database, period: str) -> list[str]:
    with db.write() as session:
        claimed = digests.claim(session, period, ENVELOPE, now())
    with db.read() as session:
        return [row.request_type for _, row in digest_members.rows(session, claimed.id) if row] if claimed else []


def test_a_digest_that_told_of_the_review_is_followed_by_one_that_tells_of_the_ticket_again(
    db: Database, shipped: Catalog
) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    assert _digest(db, "first") == [VPN[1]]
    review(db, ticket_id, shipped, *LAPTOP)
    assert _digest(db, "second") == [LAPTOP[1]]
    _undo(db, ticket_id)
    assert _digest(db, "third") == [VPN[1]]
    with db.read() as session:
        history = classifications.history(session, ticket_id)
        assert [(row.request_type, row.current, row.undone) for row in history] == [
            (LAPTOP[1], False, True),
            (VPN[1], True, False),
        ]
        assert session.query(ReviewOutcome).count() == 0


def _write_backs(session: Session) -> list[tuple[str, str | None, str | None]]:
    """Every write-back: what it tells, its outcome, and the state of its work."""
    rows = (
        select(Classification.request_type, OutgoingCall.outcome, Work.state)
        .join(OutgoingCall, OutgoingCall.classification_id == Classification.id)
        .outerjoin(Work, (Work.kind == OutgoingCall.kind) & (Work.subject_id == OutgoingCall.id))
        .order_by(OutgoingCall.id)
    )
    return [(told, outcome, state) for told, outcome, state in session.execute(rows)]


@pytest.mark.parametrize("told", ["nothing", "the first answer", "the review"])
def test_the_helpdesk_is_told_what_counts_now(db: Database, shipped: Catalog, told: str) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    with db.write() as session:
        first = classifications.current(session, ticket_id)
        assert first
        outbox.plan_write_back(session, "standard", first, WRITES, now())
        if told == "the first answer":
            _tell(session)
    with db.write() as session:
        decide(session, ticket_id, LAPTOP, shipped, "Ada", now(), WRITES)
        if told == "the review":
            _tell(session)
    _undo(db, ticket_id)
    with db.read() as session:
        found = _write_backs(session)
    assert found[0] == (VPN[1], *(("done", None) if told == "the first answer" else (None, "due")))
    assert found[1:] == ([(LAPTOP[1], "superseded", None)] if told == "the review" else [])


def _tell(session: Session) -> None:
    claimed = outbox.claim(session, "standard", "worker", now(), 60)
    assert claimed
    assert outbox.finish(session, claimed.call, "worker")


def test_undoing_the_first_word_on_a_ticket_asks_no_helpdesk_again(db: Database, shipped: Catalog) -> None:
    """What completed tickets belongs to no classification, and neither does the ticket before this review."""
    ticket_id, other = due_ticket(db), due_ticket(db)
    with db.write() as session:
        outbox.plan_completing(session, "standard", [other], [], now())
        _tell(session)
        decide(session, ticket_id, LAPTOP, shipped, "Ada", now(), WRITES)
        _tell(session)
    _undo(db, ticket_id)
    with db.read() as session:
        calls = session.execute(select(OutgoingCall.kind, OutgoingCall.outcome).order_by(OutgoingCall.id)).all()
        assert [tuple(call) for call in calls] == [(COMPLETE, "done"), ("write_back", "superseded")]
        assert not session.scalars(select(Work.id).where(Work.kind != CLASSIFY)).all()


def test_whoever_sees_an_older_state_changes_nothing(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    with db.read() as session:
        first = classifications.current(session, ticket_id)
        assert first
        saw = first.id
    review(db, ticket_id, shipped, *LAPTOP)
    with db.write() as session, pytest.raises(reviews.ChangedMeanwhileError, match=r"Ada has .*Laptop"):
        decide(session, ticket_id, None, shipped, "Grace", now(), seen=saw)
    with db.write() as session:
        session.query(Ticket).update({"status": "classified"})
        tickets.make_due(session, ticket_id, now())
    assert _state(db)["tickets"]


def test_a_ticket_that_nobody_was_asked_about_can_be_seen_as_such(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    with db.write() as session:
        catalogs.remember(session, shipped.version, shipped.text, now())
        assert decide(session, ticket_id, LAPTOP, shipped, "Ada", now(), seen=0)


def test_what_the_fallback_engine_made_is_asked_about_again_when_its_review_is_undone(
    db: Database, shipped: Catalog
) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id, review_reason="fallback_engine", from_fallback_engine=True)
    review(db, ticket_id, shipped, *VPN)
    with db.write() as session:
        [before] = work.claim(session, RETRY_FALLBACK, "worker", 9, now())
        assert classifications.from_fallback_engine(session, [before.subject_id]) == []
        work.ack(session, RETRY_FALLBACK, before.subject_id, "worker")
    _undo(db, ticket_id)
    with db.write() as session:
        [again] = work.claim(session, RETRY_FALLBACK, "worker", 9, now())
        assert again.subject_id == before.subject_id
        assert len(classifications.from_fallback_engine(session, [again.subject_id])) == 1


def test_what_killed_workers_before_its_review_is_suspected_after_it_is_undone(db: Database, shipped: Catalog) -> None:
    suspect, dead = due_ticket(db), due_ticket(db)
    with db.write() as session:
        session.execute(update(Work).where(Work.subject_id == suspect).values(crashes=2))
        due_tickets.fail(session, dead, due_tickets.CRASHED, "the worker died", 4, None)
    for ticket_id in (suspect, dead):
        review(db, ticket_id, shipped, *VPN)
        _undo(db, ticket_id)
    with db.write() as session:
        assert due_tickets.claim(session, "worker", 9, now()) == []
        [due] = due_tickets.claim_crashed(session, "worker", now())
        assert due.ticket.id == suspect
        letter = work.of(session, CLASSIFY, dead)
        assert letter
        assert (letter.state, letter.error_code) == ("dead", due_tickets.CRASHED)
