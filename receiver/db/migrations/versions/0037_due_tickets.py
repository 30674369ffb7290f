"""Tickets that wait to be classified are work in the queue; when and by whom they are claimed, no columns of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.execute(
        sa.text(
            "INSERT INTO work (kind, subject_id, source, state, run_at, lease_owner, lease_until, attempts, crashes)"
            " SELECT 'classify', id, source, CASE WHEN lease IS NULL THEN 'due' ELSE 'leased' END, claimable_at, lease,"
            " CASE WHEN lease IS NOT NULL THEN claimable_at END, attempts, crashes"
            " FROM tickets WHERE status = 'received'"
        )
    )
    op.execute(
        sa.text(
            "INSERT INTO work (kind, subject_id, source, state, run_at, attempts, crashes, error_code)"
            " SELECT 'classify', id, source, 'dead', claimable_at, attempts, crashes,"
            " CASE WHEN crashes >= 3 THEN 'crashed' ELSE 'other' END FROM tickets WHERE status = 'failed'"
        )
    )
    for index in ("ix_tickets_claimable", "ix_tickets_suspects", "ix_tickets_lease"):
        op.drop_index(index, "tickets")
    for column in ("claimable_at", "lease", "crashes"):
        op.drop_column("tickets", column)
