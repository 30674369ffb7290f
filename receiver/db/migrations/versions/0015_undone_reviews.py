"""Reviews that were undone, where a digest or a helpdesk has heard of them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("classifications", sa.Column("undone", sa.Boolean(), nullable=False, server_default=sa.false()))
