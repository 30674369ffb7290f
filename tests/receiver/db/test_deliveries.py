"""Recording a delivery with its tickets, once; and what comes again."""

from collections.abc import Callable

import pytest
from sqlalchemy.exc import IntegrityError

from receiver.db import deliveries
from receiver.db.database import Database
from receiver.db.deliveries import Arrival, Content
from receiver.db.models import Delivery, Ticket
from receiver.lib.clock import now
from tests.factories import arrival, deliver, due_ticket, incoming

REJECTED = [{"index": 1, "id": "T-9", "errors": {"short_description": ["Missing"]}}]


def _db(db: Database, message: Arrival, content: Content) -> Delivery:
    with db.write() as session:
        return deliveries.record(session, message, content)


def _redeliver(db: Database, message: Arrival) -> Delivery:
    with db.write() as session:
        first = deliveries.original(session, message.source, message.key)
        assert first is not None
        return deliveries.record_redelivery(session, message, first)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (lambda: Content([incoming()]), "accepted"),
        (lambda: Content([incoming()], REJECTED), "partial"),
        (lambda: Content([], REJECTED), "quarantined"),
        (lambda: Content(error="the body is not JSON"), "quarantined"),
    ],
)
def test_the_status_says_what_became_of_the_tickets(db: Database, content: Callable[[], Content], status: str) -> None:
    assert _db(db, arrival(body=b"\xff raw"), content()).status == status
    with db.read() as session:
        kept = session.query(Delivery).one()
    assert (kept.body, kept.rejected, kept.error) == (b"\xff raw", content().rejected, content().error)


def test_a_delivery_that_brings_nothing_new_is_a_duplicate(db: Database) -> None:
    ticket = incoming()
    assert deliver(db, ticket).status == "accepted"
    assert deliver(db, ticket).status == "duplicate"
    assert deliver(db, ticket, incoming()).status == "accepted"


def test_a_ticket_that_cannot_be_written_takes_its_whole_delivery_along(db: Database) -> None:
    unwritable = incoming(short_description=None)
    with pytest.raises(IntegrityError):
        deliver(db, incoming(), unwritable)
    with db.read() as session:
        assert session.query(Delivery).count() == session.query(Ticket).count() == 0


def test_the_same_key_cannot_be_recorded_as_new_twice(db: Database) -> None:
    _db(db, arrival(key="msg"), Content([incoming()]))
    with pytest.raises(IntegrityError):
        _db(db, arrival(key="msg"), Content([incoming()]))
    assert _db(db, arrival(key="msg", source="another"), Content([incoming()])).accepted == 1
    with db.read() as session:
        assert session.query(Ticket).count() == 2


def test_a_redelivery_is_noted_and_its_body_not_kept_again(db: Database) -> None:
    first = _db(db, arrival(key="msg", body=b"[1]"), Content([incoming(), incoming()]))
    again = _redeliver(db, arrival(key="msg", body=b"[1]"))
    assert (again.original_id, again.status, again.duplicates) == (first.id, "duplicate", 2)
    assert (again.conflict, again.body) == (False, None)


def test_the_same_key_with_another_body_is_a_conflict_whose_bytes_are_kept(db: Database) -> None:
    first = _db(db, arrival(key="msg", body=b"[1]"), Content([incoming()]))
    _redeliver(db, arrival(key="msg", body=b"[1]"))
    conflicting = _redeliver(db, arrival(key="msg", body=b"[2]"))
    assert (conflicting.original_id, conflicting.conflict, conflicting.body) == (first.id, True, b"[2]")
    with db.read() as session:
        found = deliveries.original(session, "standard", "msg")
        assert found is not None
        assert (found.id, found.body) == (first.id, b"[1]")


def test_pages_go_back_in_time_without_gap_or_repeat(db: Database) -> None:
    ids = [deliver(db, incoming()).id for _ in range(5)]
    with db.read() as session:
        newest = [row.id for row in deliveries.page(session, 2)]
        older = [row.id for row in deliveries.page(session, 9, before=newest[-1])]
    assert newest + older == ids[::-1]


def test_a_page_of_one_status_has_only_that(db: Database) -> None:
    deliver(db, incoming())
    broken = _db(db, arrival(), Content(error="no"))
    with db.read() as session:
        assert [row.id for row in deliveries.page(session, 9, status="quarantined")] == [broken.id]


def test_times_come_back_in_utc(db: Database) -> None:
    moment = now()
    due_ticket(db, at=moment.astimezone())
    with db.read() as session:
        assert session.query(Delivery).one().received_at == moment
        assert session.query(Ticket).one().received_at.utcoffset() == moment.utcoffset()
