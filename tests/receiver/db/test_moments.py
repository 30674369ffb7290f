"""Moments that jobs note, and what becomes of those that 0.1.0 kept among the slots of digests."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from receiver.db import moments
from receiver.db.database import Database, migrate
from receiver.db.models import TimetableEntry

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_a_later_moment_takes_the_place_of_the_one_before(db: Database) -> None:
    with db.write() as session:
        assert moments.noted(session, moments.RECONCILED, "acme") is None
        for hours in (0, 1):
            moments.note(session, moments.RECONCILED, AT + timedelta(hours=hours), "acme")
        assert moments.noted(session, moments.RECONCILED, "acme") == AT + timedelta(hours=1)
        assert moments.noted(session, moments.RECONCILED, "crm") is None


def test_moments_of_old_leave_the_slots_of_digests_alone(empty: Database) -> None:
    migrate(empty, "0030")
    names = ("backup", "reconcile:acme", "reconcile-pause:acme", "digest", "digest:daily")
    with empty.write() as session:
        insert = text("INSERT INTO timetable (name, last_slot) VALUES (:name, '2026-03-01 08:00:00+00:00')")
        session.execute(insert, [{"name": name} for name in names])
    migrate(empty)
    with empty.read() as session:
        kinds = [(moments.BACKED_UP, ""), (moments.RECONCILED, "acme"), (moments.RECONCILE_PAUSED_UNTIL, "acme")]
        assert [moments.noted(session, *kind) for kind in kinds] == [AT] * 3
        slots = {entry.name: entry.last_slot for entry in session.scalars(select(TimetableEntry))}
    assert slots == {"digest": AT, "daily": AT}
