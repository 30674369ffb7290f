"""Who a person is at the OpenID Connect provider: addresses are given to others, these are not."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("people", sa.Column("oidc_issuer", sa.Text(), nullable=True))
    op.add_column("people", sa.Column("oidc_subject", sa.Text(), nullable=True))
    op.create_index("ix_people_oidc_issuer_oidc_subject", "people", ["oidc_issuer", "oidc_subject"], unique=True)
