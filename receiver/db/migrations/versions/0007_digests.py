"""Copies of digests, and what is soon due without reading every ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("digests", sa.Column("copy_of", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
    where = sa.text("due_at IS NOT NULL")
    op.create_index("ix_tickets_due_at", "tickets", ["due_at"], sqlite_where=where, postgresql_where=where)
