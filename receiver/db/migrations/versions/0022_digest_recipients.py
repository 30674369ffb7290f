"""Each recipient of a digest has a state of their own; who sends it, and whether it goes without its workbook.

What is known of old digests is carried over: who was refused stood in their error, and so did what was sent again.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_REFUSED, _UNKNOWN = "refused by the mail server: ", "the mail may have arrived"
_SKIPPED, _LATER = "the mail was skipped by --skip-email", "of a later run tells of its tickets"


def upgrade() -> None:
    op.add_column("digests", sa.Column("lease", sa.Text))
    op.add_column("digests", sa.Column("without_workbook", sa.Boolean, nullable=False, server_default=sa.false()))
    recipients = op.create_table(
        "digest_recipients",
        sa.Column(
            "digest_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            sa.ForeignKey("digests.id", name="fk_digest_recipients_digest_id_digests"),
            nullable=False,
        ),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error_code", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("resends", sa.Integer, nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("digest_id", "address", name="pk_digest_recipients"),
    )
    digests = sa.table(
        "digests",
        sa.column("id", sa.BigInteger),
        sa.column("status", sa.Text),
        sa.column("recipients", sa.JSON),
        sa.column("error", sa.Text),
        sa.column("attempts", sa.Integer),
        sa.column("claimable_at", sa.DateTime(timezone=True)),
        sa.column("sent_at", sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    # Neither was anything that somebody has to decide on.
    no_mail = sa.or_(digests.c.error == _SKIPPED, digests.c.error.endswith(_LATER))
    connection.execute(digests.update().where(digests.c.status == "held", no_mail).values(status="cancelled"))
    for row in connection.execute(sa.select(digests)).all():
        found = [_recipient(row, address) for address in _once(row.recipients)]
        if found:
            connection.execute(recipients.insert(), found)
            if row.status == "sent" and any(each["state"] == "refused" for each in found):
                status = "partly_sent" if any(each["state"] == "sent" for each in found) else "failed"
                connection.execute(digests.update().where(digests.c.id == row.id).values(status=status))


def _once(addresses: Any) -> list[str]:
    listed = json.loads(addresses) if isinstance(addresses, str) else addresses
    return list({str(address).casefold(): str(address) for address in listed or []}.values())


def _recipient(row: Any, address: str) -> dict[str, Any]:
    state, error = {"claimed": "due"}.get(row.status, row.status), row.error
    if row.status == "held" and row.error and (row.error == _SKIPPED or row.error.endswith(_LATER)):
        state = "cancelled"
    if row.status == "sent":
        refused = (row.error or "").removeprefix(_REFUSED).split(", ") if (row.error or "").startswith(_REFUSED) else []
        state, error = ("refused", "refused by the mail server") if address in refused else ("sent", None)
    return {
        "digest_id": row.id,
        "address": address,
        "state": state,
        "error": error,
        "attempts": row.attempts,
        "resends": int(_UNKNOWN in (row.error or "")),
        "run_at": row.claimable_at,
        "sent_at": row.sent_at if state == "sent" else None,
    }
