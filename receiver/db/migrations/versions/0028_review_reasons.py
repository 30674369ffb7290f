"""Why a ticket goes to review is a code with its details; before, it was a sentence."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

WHOLE = {
    "confidence is below the threshold": "low_confidence",
    "the ticket's text seems to tell the engine what to answer": "steering",
    "the engine's answer is not in the catalog": "out_of_catalog",
}
STOOD_IN = "the local engine stood in: "
SAYS, UNSURE = "the local engine says ", " instead, and the model is not sure"
AT_ONCE = 1_000


def upgrade() -> None:
    op.add_column("classifications", sa.Column("review_detail", sa.JSON))
    rows = sa.table(
        "classifications",
        sa.column("id", sa.BigInteger),
        sa.column("review_reason", sa.Text),
        sa.column("review_detail", sa.JSON),
    )
    connection = op.get_bind()
    code = sa.case(WHOLE, value=rows.c.review_reason)
    connection.execute(rows.update().where(rows.c.review_reason.in_(WHOLE)).values(review_reason=code))
    told = sa.select(rows.c.id, rows.c.review_reason).where(rows.c.review_reason.not_in(WHOLE.values()))
    change = rows.update().where(rows.c.id == sa.bindparam("its_id"))
    last = 0
    while found := connection.execute(told.where(rows.c.id > last).order_by(rows.c.id).limit(AT_ONCE)).all():
        last = found[-1].id
        for row in found:
            reason, detail = coded(row.review_reason)
            connection.execute(change.values(review_reason=reason, review_detail=detail), {"its_id": row.id})


def coded(sentence: str) -> tuple[str, dict[str, str]]:
    """The code and the details that say the same as a sentence of 0.1.0."""
    if sentence.startswith(STOOD_IN):
        return "fallback_engine", {"error": sentence.removeprefix(STOOD_IN)}
    if sentence.startswith(SAYS) and sentence.endswith(UNSURE):
        return "disagreement", {"request_type": sentence.removeprefix(SAYS).removesuffix(UNSURE)}
    return "other", {"text": sentence}
