"""The index of what waits for review names the status, or SQLite takes another one and sorts all that waits."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    where = sa.text("status = 'needs_review'")
    op.drop_index("ix_tickets_review", "tickets")
    op.create_index(
        "ix_tickets_review", "tickets", ["status", "due_at", "id"], sqlite_where=where, postgresql_where=where
    )
