"""How the jobs of the timetable went, and indexes for the filters of the deliveries' page."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "timed_jobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("started_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_timed_jobs"),
    )
    op.create_index("ix_deliveries_source_status_id", "deliveries", ["source", "status", "id"])
    conflict = sa.text("conflict")
    op.create_index("ix_deliveries_conflict", "deliveries", ["id"], sqlite_where=conflict, postgresql_where=conflict)
