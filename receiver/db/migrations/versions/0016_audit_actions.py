"""Looking for one kind of action in a long audit."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index("ix_audit_action", "audit", ["action"])
    op.create_index("ix_audit_action_who", "audit", ["action", "who"])
