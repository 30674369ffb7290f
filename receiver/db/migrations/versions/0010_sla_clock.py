"""From when on a ticket is at risk of being late; what is known so far had a clock that always runs."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_SQLITE = """
    UPDATE tickets SET at_risk_at = strftime(
        '%Y-%m-%d %H:%M:%f', julianday(received_at) + (julianday(due_at) - julianday(received_at)) * 0.75
    ) || '000' WHERE due_at IS NOT NULL
"""
_POSTGRESQL = "UPDATE tickets SET at_risk_at = received_at + (due_at - received_at) * 0.75 WHERE due_at IS NOT NULL"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("at_risk_at", sa.DateTime(timezone=True)))
    op.execute(_SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL)
    op.drop_index("ix_tickets_due_at", "tickets")
    where = sa.text("due_at IS NOT NULL")
    columns = ["due_at", "at_risk_at"]
    op.create_index("ix_tickets_due_at", "tickets", columns, sqlite_where=where, postgresql_where=where)
