"""Indexes for emptying old raw deliveries, and for noticing a source that has fallen silent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_deliveries_source_id", "deliveries", ["source", "id"])
    op.create_index(
        "ix_deliveries_raw",
        "deliveries",
        ["received_at"],
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    )
