"""Digests that are to be sent: what an older release had of them goes on as work in the queue."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text

from receiver.db import digests, work
from receiver.db.database import Database, migrate
from receiver.db.models import SEND_DIGEST, Digest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON.replace(hour=15)

# By status, attempts, claimable_at and lease: of its work the state, run_at, owner, end of the lease and attempts.
SENT: dict[tuple[Any, ...], tuple[Any, ...] | None] = {
    ("claimed", 0, "2026-03-01 12:00:00", None): ("due", NOON, None, None, 0),
    ("claimed", 7, "2026-03-01 15:00:00", "ab12"): ("due", LATER, None, None, 7),
    ("sending", 2, "2026-03-01 12:00:00", "cd34"): ("leased", NOON, "cd34", NOON, 2),
    ("sending", 31, "2026-03-01 15:00:00", None): ("leased", LATER, "unknown", LATER, 31),
    **{(status, 1, "2026-03-01 12:00:00", "ef56"): None for status in ("sent", "partly_sent", "failed", "held")},
    ("cancelled", 0, "2026-03-01 12:00:00", None): None,
}


def test_what_an_older_release_had_to_send_goes_on_as_it_was(empty: Database) -> None:
    migrate(empty, "0037")
    with empty.write() as session:
        insert = text(
            "INSERT INTO digests (id, name, period, status, attempts, claimable_at, lease, created_at, settled_after,"
            " settled_until, tickets, recipients, message_id, without_workbook)"
            " VALUES (:id, 'digest', :period, :status, :attempts, :claimable_at, :lease, '2026-03-01', 0, 0, 1, '[]',"
            " '<1@x>', FALSE)"
        )
        names = ("status", "attempts", "claimable_at", "lease")
        rows = [
            dict(zip(names, row, strict=True), id=10 * number, period=str(number)) for number, row in enumerate(SENT, 1)
        ]
        session.execute(insert, rows)
    migrate(empty)
    with empty.write() as session:
        found = []
        for digest in session.scalars(select(Digest).order_by(Digest.id)):
            row = work.of(session, SEND_DIGEST, digest.id)
            assert not row or row.attempts == digest.attempts
            found.append((row.state, row.run_at, row.lease_owner, row.lease_until, row.attempts) if row else None)
        assert found == list(SENT.values())
        assert work.subjects_due(session, SEND_DIGEST, NOON) == [10]
        assert digests.interrupted(session, NOON) == [30]
        assert digests.interrupted(session, LATER) == [30, 40]
        taken = digests.take(session, 20, LATER)
        assert taken
        assert (taken.attempts, taken.digest.attempts) == (8, 8)
        assert digests.redrive(session, 70, LATER)
        assert work.subjects_due(session, SEND_DIGEST, LATER) == [10, 70]
