"""Names of erased tickets, as digests, so that nothing brings them back."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "tombstones",
        sa.Column("name_sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name_sha256", name="pk_tombstones"),
    )
