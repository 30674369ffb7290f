"""Maintained counts, and the state of the whole that is read from them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from receiver.db import alarms, classifications, counters, deliveries, digests, due_tickets, overview, tickets
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.models import (
    CLASSIFY,
    DELIVERY_STATES,
    REVIEWED,
    TICKET_STATES,
    Classification,
    Delivery,
    DigestTicket,
    Ticket,
    Work,
)
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from tests.factories import arrival, classification, deliver, due_ticket, incoming, promise, settle
from tests.properties import tries


def _deliver(session: Session, number: int) -> None:
    content = Content([incoming(external_id=f"T-{n}", short_description=f"words {number}") for n in range(number + 2)])
    deliveries.record(session, arrival(), content)


def _deliver_broken(session: Session, number: int) -> None:
    deliveries.record(session, arrival(), Content(error=f"broken {number}"))


def _redeliver(session: Session, _number: int) -> None:
    first = session.scalar(select(Delivery).where(Delivery.original_id.is_(None)).limit(1))
    if first:
        deliveries.record_redelivery(session, arrival(key=first.key), first)


def _claim(session: Session, number: int) -> None:
    due_tickets.claim(session, f"lease-{number}", number + 1, now())


def _save(session: Session, number: int) -> None:
    claimed = select(Work.subject_id).where(Work.lease_owner == f"lease-{number}")
    for ticket_id in session.scalars(claimed).all():
        new = classification(ticket_id, review_reason="low_confidence" if ticket_id % 2 else None, prompt_tokens=number)
        classifications.save(session, f"lease-{number}", new, promise())


def _expire(session: Session, _number: int) -> None:
    due_tickets.expire(session, now() + timedelta(minutes=1))


def _fail(session: Session, number: int) -> None:
    due_tickets.fail(session, number, "other", "gave up", 1, f"lease-{number}")


def _redrive(session: Session, number: int) -> None:
    tickets.make_due(session, number, now())


def _review(session: Session, number: int) -> None:
    found = session.get(Ticket, number)
    if found:
        found.status = REVIEWED


def _erase(session: Session, number: int) -> None:
    if not session.scalar(select(Classification.id).where(Classification.ticket_id == number).limit(1)):
        session.execute(delete(DigestTicket).where(DigestTicket.ticket_id == number))
        session.execute(delete(Work).where(Work.kind == CLASSIFY, Work.subject_id == number))
        session.execute(delete(Ticket).where(Ticket.id == number))


def _digest(session: Session, number: int) -> None:
    digests.claim(session, f"period {number}", Envelope((), "localhost"), now())


OPERATIONS: list[Callable[[Session, int], None]] = [
    _deliver, _deliver_broken, _redeliver, _claim, _save, _expire, _fail, _redrive, _review, _erase, _digest,
]  # fmt: skip


def _by_status(session: Session, table: Any, states: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = dict(session.execute(select(table.status, func.count()).group_by(table.status)).all())
    return {status: found.pop(status, 0) for status in states} | found


@settings(deadline=None, max_examples=tries(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 4)), min_size=5, max_size=25))
def test_maintained_counts_are_the_real_ones_after_whatever_happened(
    db: Database, steps: list[tuple[Callable[[Session, int], None], int]]
) -> None:
    for step, number in [(_deliver, 0), *steps]:
        with db.write() as session:
            step(session, number)
    with db.read() as session:
        counts = overview.counts(session, now())
        assert counts["tickets"] == _by_status(session, Ticket, TICKET_STATES)
        assert counts["deliveries"] == _by_status(session, Delivery, DELIVERY_STATES)
        spent = session.scalar(select(func.coalesce(func.sum(Classification.prompt_tokens), 0)))
        assert counts["cost"]["prompt_tokens"] == spent
        assert counts["due"]["tickets"] == counts["tickets"]["received"]
        assert counters.value(session, "settled") >= (session.scalar(select(func.max(Ticket.settled))) or 0)


def test_what_is_rolled_back_was_not_counted(db: Database) -> None:
    due_ticket(db)
    with db.write() as session:
        deliveries.record(session, arrival(), Content([incoming()]))
        session.rollback()
    with db.read() as session:
        assert overview.counts(session, now())["tickets"]["received"] == 1


def test_an_empty_record_has_every_state_at_nought(db: Database) -> None:
    moment = now()
    with db.read() as session:
        counts = overview.counts(session, moment)
    today = {"day": moment.date().isoformat(), "money": 0, "models": {}}
    assert counts == {
        "tickets": dict.fromkeys(TICKET_STATES, 0),
        "deliveries": dict.fromkeys(DELIVERY_STATES, 0),
        "due": {"tickets": 0, "oldest_seconds": 0},
        "cost": {"prompt_tokens": 0, "completion_tokens": 0, "today": today},
        "alarms": [],
    }


def test_the_oldest_due_ticket_is_told_in_seconds(db: Database) -> None:
    moment = now()
    settle(db, due_ticket(db, at=moment - timedelta(hours=9)))
    deliver(db, incoming(), at=moment - timedelta(seconds=90))
    deliver(db, incoming(), at=moment)
    with db.read() as session:
        assert overview.counts(session, moment)["due"] == {"tickets": 2, "oldest_seconds": 90}
        assert overview.counts(session, moment - timedelta(days=1))["due"]["oldest_seconds"] == 0


def test_an_alarm_sounds_once_and_is_up_until_it_is_cleared(db: Database) -> None:
    moment = now()
    with db.write() as session:
        assert alarms.raise_(session, "engine", moment, "other", text="the key is wrong")
        assert not alarms.raise_(session, "engine", moment + timedelta(hours=1), "other", text="the model is unknown")
        assert alarms.raise_(session, "digest", moment - timedelta(hours=1), "other", text="held")
    with db.read() as session:
        up = overview.counts(session, moment)["alarms"]
    assert [(alarm["name"], alarm["message"]) for alarm in up] == [
        ("digest", "held"),
        ("engine", "the model is unknown"),
    ]
    assert up[1]["since"] == moment.isoformat()
    with db.write() as session:
        alarms.clear(session, "engine")
        alarms.clear(session, "never sounded")
    with db.read() as session:
        assert [alarm.name for alarm in alarms.current(session)] == ["digest"]
