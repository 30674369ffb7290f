"""One table for all that is to be done; the kinds of work move into it one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

INDEXES = (
    ("ix_work_due", ["kind", "run_at"], "state = 'due'"),
    ("ix_work_due_of_source", ["kind", "source", "run_at"], "state = 'due'"),
    ("ix_work_crashed", ["kind", "crashes"], "state = 'due' AND crashes > 0"),
    ("ix_work_leased", ["kind", "lease_until"], "state = 'leased'"),
    ("ix_work_lease_owner", ["lease_owner"], "lease_owner IS NOT NULL"),
    ("ix_work_dead", ["kind", "id"], "state = 'dead'"),
)


def upgrade() -> None:
    op.create_table(
        "work",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject_id", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("error_code", sa.Text),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_work"),
    )
    op.create_index("uq_work_kind_subject_id", "work", ["kind", "subject_id"], unique=True)
    for name, columns, where in INDEXES:
        op.create_index(name, "work", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
