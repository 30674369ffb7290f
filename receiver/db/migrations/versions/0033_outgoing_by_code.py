"""Why an errand failed, why a mail was cancelled, and the run that goes on with a digest are columns of codes."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

GONE = "the webhook's receiver answered 410 and wants no more; change its write_back, then redrive what failed"
SKIPPED = "the mail was skipped by --skip-email"
LATER = r"digest (\d+) of a later run tells of its tickets"
UNFINISHED = "unfinished-"


def upgrade() -> None:
    op.add_column("errands", sa.Column("error_code", sa.Text))
    errands = sa.table("errands", sa.column("error", sa.Text), sa.column("error_code", sa.Text))
    connection = op.get_bind()
    code = sa.case((errands.c.error == GONE, "unsubscribed"), else_="other")
    connection.execute(errands.update().where(errands.c.error.is_not(None)).values(error_code=code))

    op.add_column("digests", sa.Column("run_key", sa.Text))
    op.add_column("digests", sa.Column("cancel_code", sa.Text))
    op.add_column("digests", sa.Column("replaced_by", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
    condition = sa.text("run_key IS NOT NULL")
    op.create_index(
        "uq_digests_run_key",
        "digests",
        ["run_key"],
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )
    digests = sa.table(
        "digests",
        *(sa.column("id", sa.BigInteger), sa.column("status", sa.Text), sa.column("period", sa.Text)),
        *(sa.column("error", sa.Text), sa.column("run_key", sa.Text), sa.column("cancel_code", sa.Text)),
        sa.column("replaced_by", sa.BigInteger),
    )
    open_runs = sa.select(digests.c.id, digests.c.period).where(digests.c.period.startswith(UNFINISHED))
    for row in connection.execute(open_runs).all():
        key = row.period.removeprefix(UNFINISHED)
        connection.execute(digests.update().where(digests.c.id == row.id).values(run_key=key))
    cancelled = sa.select(digests.c.id, digests.c.error).where(
        digests.c.status == "cancelled", digests.c.error.is_not(None)
    )
    for row in connection.execute(cancelled).all():
        if values := coded(row.error):
            connection.execute(digests.update().where(digests.c.id == row.id).values(error=None, **values))


def coded(error: str) -> dict[str, str | int]:
    """What says the same as a sentence of 0.1.0 about a cancelled mail; nothing for any other sentence."""
    if error == SKIPPED:
        return {"cancel_code": "skipped"}
    found = re.fullmatch(LATER, error)
    return {"cancel_code": "replaced", "replaced_by": int(found[1])} if found else {}
