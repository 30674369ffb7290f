"""Why mails came to nothing, by code, and what 0.1.0 said of that in sentences and in periods."""

from sqlalchemy import select, text

from receiver.db import digests
from receiver.db.database import Database, migrate
from receiver.db.models import Digest

OLD = {
    ("unfinished-ab12", "claimed", None): ("ab12", None, None),
    ("2026-03-01", "cancelled", "the mail was skipped by --skip-email"): (None, "skipped", None),
    ("2026-03-02", "cancelled", "digest 9 of a later run tells of its tickets"): (None, "replaced", 9),
    ("2026-03-03", "held", "boss@example.com: nobody knows"): (None, None, None),
}


def test_sentences_and_periods_of_old_become_codes_that_say_the_same(empty: Database) -> None:
    migrate(empty, "0032")
    with empty.write() as session:
        insert = text(
            "INSERT INTO digests (name, period, status, created_at, settled_after, settled_until, tickets, recipients,"
            " message_id, attempts, claimable_at, error) VALUES ('run', :period, :status, '2026-03-01', 0, 0, 1, '[]',"
            " '<1@x>', 0, '2026-03-01', :error)"
        )
        rows = [{"period": period, "status": status, "error": error} for period, status, error in OLD]
        session.execute(insert, rows)
    migrate(empty)
    with empty.read() as session:
        found = session.scalars(select(Digest).order_by(Digest.id)).all()
        assert [(row.run_key, row.cancel_code, row.replaced_by) for row in found] == list(OLD.values())
        assert [digests.problem(row) for row in found] == [error for _, _, error in OLD]
