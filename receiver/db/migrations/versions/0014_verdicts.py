"""What reviews say of the engines' answers, those of earlier reviews included."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "verdicts",
        sa.Column("judged_id", _ID, nullable=False, autoincrement=False),
        sa.Column("ticket_id", _ID, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text()),
        sa.Column("catalog_version", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("found_category", sa.Text(), nullable=False),
        sa.Column("found_type", sa.Text(), nullable=False),
        sa.Column("chosen_category", sa.Text(), nullable=False),
        sa.Column("chosen_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["judged_id"], ["classifications.id"], name="fk_verdicts_judged_id_classifications", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_verdicts_ticket_id_tickets"),
        sa.PrimaryKeyConstraint("judged_id", name="pk_verdicts"),
    )
    for columns in (["ticket_id"], ["day"], ["source", "day"]):
        op.create_index(f"ix_verdicts_{'_'.join(columns)}", "verdicts", columns)
    op.execute(_past())


def _past() -> str:
    sqlite = op.get_bind().dialect.name == "sqlite"
    day = "substr(r.created_at, 1, 10)" if sqlite else "to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    return f"""
        INSERT INTO verdicts
        SELECT e.id, e.ticket_id, {day}, t.source, e.engine, e.model, e.prompt_version, e.catalog_version, e.confidence,
               e.review_reason IS NOT NULL, e.category, e.request_type, r.category, r.request_type
        FROM classifications r
        JOIN classifications e ON e.id = (
            SELECT max(x.id) FROM classifications x
            WHERE x.ticket_id = r.ticket_id AND x.id < r.id AND x.reviewer IS NULL)
        JOIN tickets t ON t.id = r.ticket_id
        WHERE r.reviewer IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM classifications y
            WHERE y.ticket_id = r.ticket_id AND y.id > r.id AND y.reviewer IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM classifications z
                WHERE z.ticket_id = r.ticket_id AND z.id > r.id AND z.id < y.id AND z.reviewer IS NULL))
    """
