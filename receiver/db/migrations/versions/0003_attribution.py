"""What attribution needs: second opinions, costs, repeats, reviews and the examples learned from them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_MOMENT = sa.DateTime(timezone=True)
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("second_opinion", sa.Text()),
        sa.Column("agreement", sa.Boolean()),
        sa.Column("steers", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("stood_in", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("repeated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("answer_key", sa.Text()),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("reviewer", sa.Text()),
    ):
        op.add_column("classifications", column)
    _partial_index("ix_classifications_stood_in", "classifications", "ticket_id", "current AND stood_in")
    _partial_index("ix_classifications_answer_key", "classifications", "answer_key", "answer_key IS NOT NULL")
    op.add_column("catalogs", sa.Column("location", sa.Text()))
    op.add_column("catalogs", sa.Column("etag", sa.Text()))
    op.add_column("catalogs", sa.Column("modified", sa.Text()))
    op.create_table(
        "examples",
        sa.Column("id", _ID, nullable=False),
        sa.Column("ticket_id", _ID, nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_examples_ticket_id_tickets"),
        sa.PrimaryKeyConstraint("id", name="pk_examples"),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_examples_ticket_id", "examples", ["ticket_id"], unique=True)
    op.create_table(
        "spending",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "model", name="pk_spending"),
    )
    op.create_table(
        "endpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("learned", sa.JSON(), nullable=False),
        sa.Column("learned_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_endpoints"),
    )
    op.create_table(
        "linear_models",
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("known_count", sa.Integer(), nullable=False),
        sa.Column("known_newest", sa.BigInteger(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("rival_accuracy", sa.Double(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_linear_models"),
    )


def _partial_index(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
