"""Asking the engine again after a fallback is work in the queue; before, it was a cursor in a counter."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    op.execute(
        sa.text(
            "INSERT INTO work (kind, subject_id, source, state, run_at, attempts, crashes)"
            " SELECT 'retry_fallback', classifications.id, tickets.source, 'due', classifications.created_at, 0, 0"
            " FROM classifications JOIN tickets ON tickets.id = classifications.ticket_id"
            " WHERE classifications.current AND classifications.from_fallback_engine"
            " AND tickets.status IN ('classified', 'needs_review')"
        )
    )
    op.execute(sa.text("DELETE FROM counters WHERE name = 'engine.again'"))
    op.execute(sa.text("DELETE FROM moments WHERE kind = 'next_retry_of_fallbacks'"))
