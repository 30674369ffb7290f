"""Where a delivery comes from and how it proved itself are columns; before, they were in its key and its headers."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

AT_ONCE = 1_000


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("origin", sa.Text, nullable=False, server_default="webhook"))
    op.add_column("deliveries", sa.Column("verification", sa.Text))
    op.add_column("deliveries", sa.Column("peer", sa.Text))
    op.add_column("deliveries", sa.Column("own_shape", sa.Boolean, nullable=False, server_default=sa.false()))
    rows = sa.table(
        "deliveries",
        sa.column("id", sa.BigInteger),
        sa.column("key", sa.Text),
        sa.column("headers", sa.JSON),
        sa.column("body_sha256", sa.Text),
        sa.column("origin", sa.Text),
        sa.column("verification", sa.Text),
        sa.column("peer", sa.Text),
        sa.column("own_shape", sa.Boolean),
    )
    connection = op.get_bind()
    is_run = rows.c.key.startswith(rows.c.body_sha256 + "-") & (rows.c.body_sha256 != "")
    origin = sa.case((rows.c.key.startswith("reconcile-"), "reconcile"), (is_run, "run"), else_="webhook")
    connection.execute(rows.update().values(origin=origin))
    connection.execute(rows.update().where(rows.c.origin == "webhook").values(verification="verified"))
    text = sa.cast(rows.c.headers, sa.Text)
    marked = text.contains('"unsigned"') | text.contains('"own shape"')
    found = sa.select(rows.c.id, rows.c.headers).where(marked).order_by(rows.c.id).limit(AT_ONCE)
    last = 0
    while chunk := connection.execute(found.where(rows.c.id > last)).all():
        last = chunk[-1].id
        for row in chunk:
            connection.execute(rows.update().where(rows.c.id == row.id).values(**marks(row.headers)))


def marks(headers: Any) -> dict[str, Any]:
    """The columns that say what was among the headers."""
    kept = dict(json.loads(headers) if isinstance(headers, str) else headers)
    values: dict[str, Any] = {}
    if (peer := kept.pop("unsigned", None)) is not None:
        values |= {"verification": "unsigned", "peer": str(peer).removeprefix("from ")}
    if kept.pop("own shape", None) is not None:
        values["own_shape"] = True
    return values | {"headers": kept}
