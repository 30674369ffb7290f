"""The invented month: what is looked at must be as the real thing leaves it."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from demo.month.__main__ import fill
from receiver.db import audit
from receiver.db.database import opened
from receiver.db.models import Delivery, Digest, ReviewOutcome, Ticket

UNTIL = datetime(2026, 3, 11, 16, tzinfo=UTC)


def test_nothing_is_left_lying_at_the_end_of_two_days(tmp_path: Path) -> None:
    config = fill(tmp_path, UNTIL, days=2)
    with opened(config.database_url) as db, db.read() as session:
        waiting = session.scalars(select(Ticket.received_at).where(Ticket.status == "received"))
        assert [at for at in waiting if (UNTIL - at).total_seconds() > 60] == []
        assert set(session.scalars(select(Ticket.status))) >= {"classified", "needs_review", "reviewed"}
        assert set(session.scalars(select(Delivery.status))) >= {"accepted", "quarantined"}
        assert set(session.scalars(select(Digest.status))) == {"sent"}
        assert session.query(ReviewOutcome).count()
        assert all(entry.details for entry in audit.page(session, 100) if entry.action in ("confirm", "correct"))
        assert audit.verify(session) is None
