"""What helpdesks are asked and told: in which order, how often, and what an older release had of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from receiver.db import classifications, outbox, work
from receiver.db.database import Database, migrate
from receiver.db.models import COMPLETE, WRITE_BACK, OutgoingCall, Work
from tests.factories import classification, due_ticket

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

# By status, attempts, claimable_at, attempted_at, error and error_code: the outcome, and of its work the state, run_at,
# attempts and error_code.
CALLED: dict[tuple[Any, ...], tuple[str | None, tuple[Any, ...] | None]] = {
    ("done", 1, "2026-03-01 09:03:00", "2026-03-01 09:00:00", None, None): ("done", None),
    ("superseded", 0, "2026-03-01 09:00:00", None, None, None): ("superseded", None),
    ("pending", 0, "2026-03-01 09:00:00", None, None, None): (None, ("due", NOON.replace(hour=9), 0, None)),
    ("pending", 2, "2026-03-01 11:30:00", "2026-03-01 09:00:00", "it answered 500", "server"): (
        None,
        ("due", NOON.replace(hour=11, minute=30), 2, "server"),
    ),
    ("failed", 9, "2026-03-01 09:03:00", "2026-03-01 09:00:00", "it answered 422", "request"): (
        None,
        ("dead", NOON.replace(hour=9, minute=3), 9, "request"),
    ),
}


def test_what_an_older_release_had_to_ask_and_tell_goes_on_as_it_was(empty: Database) -> None:
    migrate(empty, "0035")
    columns = "status, attempts, claimable_at, attempted_at, error, error_code"
    names = columns.split(", ")
    with empty.write() as session:
        session.execute(
            text(
                "INSERT INTO deliveries (id, source, key, received_at, status, headers, body_sha256, accepted, updated,"
                " duplicates, rejected, conflict, origin, own_shape) VALUES (1, 's', 'k', '2026-01-01', 'accepted',"
                " '{}', '', 1, 0, 0, '[]', FALSE, 'webhook', FALSE)"
            )
        )
        session.execute(
            text(
                "INSERT INTO tickets (id, source, external_id, delivery_id, short_description, long_description,"
                " received_at, status, claimable_at, attempts, crashes)"
                " VALUES (1, 's', 'A', 1, '', '', '2026-01-01', 'received', '2026-01-01', 0, 0)"
            )
        )
        insert = text(
            f"INSERT INTO errands (id, kind, source, ticket_id, steps, created_at, {columns})"
            f" VALUES (:id, 'complete', 's', 1, 1, '2026-03-01 08:00:00', :{', :'.join(names)})"
        )
        rows = [dict(zip(names, row, strict=True), id=10 * number) for number, row in enumerate(CALLED, start=1)]
        session.execute(insert, rows)
    migrate(empty)
    with empty.read() as session:
        calls = session.scalars(select(OutgoingCall).order_by(OutgoingCall.id)).all()
        found = []
        for call in calls:
            waits = work.of(session, COMPLETE, call.id)
            its = (waits.state, waits.run_at, waits.attempts, waits.error_code) if waits else None
            found.append((call.outcome, its))
        assert found == list(CALLED.values())
        assert {(call.kind, call.source, call.ticket_id, call.steps, call.created_at) for call in calls} == {
            ("complete", "s", 1, 1, NOON.replace(hour=8))
        }
        assert [call.attempted_at is not None for call in calls] == [True, False, False, True, True]
        assert {row.source for row in session.scalars(select(Work))} == {"s"}
    with empty.write() as session:
        assert [call.id for call, _ in outbox.dead(session, None, 9)] == [50]
        assert outbox.redrive(session, "s", NOON) == 1
        outbox.plan_completing(session, "s", [1], [], NOON)
        assert max(session.scalars(select(OutgoingCall.id))) > 50


def _plan(db: Database, *kinds: str) -> list[int]:
    """A due call of each kind, each about a ticket of its own and due a second after the one before."""
    ids = []
    for number, kind in enumerate(kinds):
        ticket_id, at = due_ticket(db), NOON + number * SECOND
        with db.write() as session:
            if kind == COMPLETE:
                outbox.plan_completing(session, "standard", [ticket_id], [], at)
            else:
                told = classification(ticket_id, created_at=at)
                classifications.replace_current(session, "standard", told, {"standard": False})
            ids.append(session.query(OutgoingCall.id).filter_by(ticket_id=ticket_id).scalar())
    return ids


def _claim(db: Database, owner: str = "mine", most: int = 60, at: datetime = NOON + 9 * SECOND) -> int | None:
    with db.write() as session:
        claimed = outbox.claim(session, "standard", owner, at, most)
        return claimed.call.id if claimed else None


def test_what_completes_a_ticket_goes_first_and_then_what_has_waited_longest(db: Database) -> None:
    first, second, third, fourth = _plan(db, WRITE_BACK, COMPLETE, WRITE_BACK, COMPLETE)
    assert [_claim(db) for _ in range(5)] == [second, fourth, first, third, None]


def test_a_source_gets_no_more_in_a_minute_than_it_is_to_whoever_asks(db: Database) -> None:
    _plan(db, WRITE_BACK, WRITE_BACK, COMPLETE)
    claimed = [_claim(db, owner, most=2) for owner in ("one", "two", "three")]
    assert [each is None for each in claimed] == [False, False, True]
    assert _claim(db, most=2, at=NOON + 70 * SECOND) is not None


def test_a_newer_call_takes_the_place_of_what_waits_or_is_being_made_and_not_of_a_dead_letter(db: Database) -> None:
    [call_id] = _plan(db, WRITE_BACK)
    with db.read() as session:
        call = session.get_one(OutgoingCall, call_id)
    assert _claim(db) == call_id
    for state in ("superseded", None):
        with db.write() as session:
            newer = classification(call.ticket_id)
            classifications.replace_current(session, "standard", newer, {"standard": False})
            assert not outbox.finish(session, call, "mine")
            assert session.get_one(OutgoingCall, call_id).outcome == "superseded"
            newest = session.scalars(select(OutgoingCall).order_by(OutgoingCall.id.desc()).limit(1)).one()
            assert (newest.classification_id, newest.outcome) == (newer.id, None)
            if state:
                work.give_up(session, WRITE_BACK, "request", "it answered 422", Work.subject_id == newest.id)
    with db.read() as session:
        states = [(each.outcome, its.state if its else None) for each, its in outbox.about(session, call.ticket_id)]
    assert states == [(None, "due"), (None, "dead"), ("superseded", None)]
    with db.write() as session:  # What is no longer the current classification is not told any more.
        assert outbox.redrive(session, None, NOON) == 0
