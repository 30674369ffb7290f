"""Moments that jobs note are in a table of their own; the timetable keeps the slots of digests, by their names."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

KINDS = {
    "backup": "backed_up",
    "reconcile": "reconciled",
    "reconcile-pause": "reconcile_paused_until",
    "engine.again": "next_retry_of_fallbacks",
}


def upgrade() -> None:
    moments = op.create_table(
        "moments",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_moments"),
    )
    slots = sa.table("timetable", sa.column("name"), sa.column("last_slot", sa.DateTime(timezone=True)))
    connection = op.get_bind()
    for name, at in connection.execute(sa.select(slots)).all():
        kind, _, subject = name.partition(":")
        this = slots.c.name == name
        if kind in KINDS:
            connection.execute(moments.insert().values(kind=KINDS[kind], subject=subject, at=at))
            connection.execute(slots.delete().where(this))
        elif kind == "digest" and subject:
            connection.execute(slots.update().where(this).values(name=subject))
