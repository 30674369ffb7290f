"""Digests that are to be sent are work in the queue; when and by whom they are sent, no columns of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    # What somebody was building was claimed too, until the end of a lease, and is due then. What was being sent stays
    # leased until its end: nobody knows whether the mail went out. Older releases named no owner.
    op.execute(
        sa.text(
            "INSERT INTO work (kind, subject_id, state, run_at, lease_owner, lease_until, attempts, crashes)"
            " SELECT 'send_digest', id, CASE status WHEN 'sending' THEN 'leased' ELSE 'due' END, claimable_at,"
            " CASE status WHEN 'sending' THEN coalesce(lease, 'unknown') END,"
            " CASE status WHEN 'sending' THEN claimable_at END, attempts, 0"
            " FROM digests WHERE status IN ('claimed', 'sending')"
        )
    )
    for column in ("claimable_at", "lease"):
        op.drop_column("digests", column)
