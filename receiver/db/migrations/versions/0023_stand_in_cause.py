"""Why an engine gave no answer itself, as a code."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("classifications", sa.Column("stand_in_cause", sa.Text))
