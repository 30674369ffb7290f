"""What helpdesks are asked and told about tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_MOMENT = sa.DateTime(timezone=True)
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("tickets", sa.Column("arrived_sha256", sa.Text()))
    op.create_table(
        "errands",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("ticket_id", _ID, nullable=False),
        sa.Column("classification_id", _ID),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("claimable_at", _MOMENT, nullable=False),
        sa.Column("attempted_at", _MOMENT),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_errands_ticket_id_tickets"),
        sa.ForeignKeyConstraint(
            ["classification_id"], ["classifications.id"], name="fk_errands_classification_id_classifications"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_errands"),
    )
    _partial_index("ix_errands_pending", ["source", "kind", "claimable_at"], "status = 'pending'")
    _partial_index("ix_errands_failed", ["id"], "status = 'failed'")
    _partial_index("uq_errands_classification_id", ["classification_id"], "classification_id IS NOT NULL", unique=True)
    op.create_index("ix_errands_ticket_id", "errands", ["ticket_id"])
    op.create_index("ix_errands_source_attempted_at", "errands", ["source", "attempted_at"])


def _partial_index(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "errands", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
