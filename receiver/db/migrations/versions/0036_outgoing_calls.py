"""What helpdesks are asked and told are outgoing calls; when each is tried, and why it failed, is work in the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"

_MOMENT = sa.DateTime(timezone=True)
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outgoing_calls",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("ticket_id", _ID, nullable=False),
        sa.Column("classification_id", _ID),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("attempted_at", _MOMENT),
        sa.Column("outcome", sa.Text),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_outgoing_calls_ticket_id_tickets"),
        sa.ForeignKeyConstraint(
            ["classification_id"], ["classifications.id"], name="fk_outgoing_calls_classification_id_classifications"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outgoing_calls"),
    )
    op.execute(
        sa.text(
            "INSERT INTO outgoing_calls (id, kind, source, ticket_id, classification_id, steps, created_at,"
            " attempted_at, outcome)"
            " SELECT id, kind, source, ticket_id, classification_id, steps, created_at, attempted_at,"
            " CASE WHEN status IN ('done', 'superseded') THEN status END FROM errands"
        )
    )
    # What was taken was pending too, until the end of its lease: it is due then, for nobody holds it after an upgrade.
    op.execute(
        sa.text(
            "INSERT INTO work (kind, subject_id, source, state, run_at, attempts, crashes, error_code, error)"
            " SELECT kind, id, source, CASE status WHEN 'failed' THEN 'dead' ELSE 'due' END, claimable_at, attempts, 0,"
            " error_code, error FROM errands WHERE status IN ('pending', 'failed')"
        )
    )
    op.drop_table("errands")
    condition = sa.text("classification_id IS NOT NULL")
    op.create_index(
        "uq_outgoing_calls_classification_id",
        "outgoing_calls",
        ["classification_id"],
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_index("ix_outgoing_calls_ticket_id", "outgoing_calls", ["ticket_id"])
    op.create_index("ix_outgoing_calls_source_attempted_at", "outgoing_calls", ["source", "attempted_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('outgoing_calls', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL)"
            " FROM outgoing_calls"
        )
