"""Find a delivery by its body, for helpdesks whose delivery ids are not signed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index(
        "ix_deliveries_source_body_sha256",
        "deliveries",
        ["source", "body_sha256"],
        sqlite_where=sa.text("original_id IS NULL"),
        postgresql_where=sa.text("original_id IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_source_body_sha256", "deliveries")
