"""How many tickets each entry has and how many examples; since when a version of the catalog has been known."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "entry_tallies",
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("category", "request_type", name="pk_entry_tallies"),
    )
    op.execute(
        "INSERT INTO entry_tallies SELECT category, request_type, count(*) FROM tickets"
        " WHERE category IS NOT NULL AND request_type IS NOT NULL GROUP BY category, request_type"
    )
    _keep_tallies()
    op.create_index("ix_examples_category_request_type", "examples", ["category", "request_type"])
    op.add_column("catalogs", sa.Column("since", sa.DateTime(timezone=True)))
    op.execute("UPDATE catalogs SET since = loaded_at")


def _keep_tallies() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for what, sign, row in (
        ("INSERT", "+", "NEW"),
        ("UPDATE OF category, request_type", "+", "NEW"),
        ("UPDATE OF category, request_type", "-", "OLD"),
        ("DELETE", "-", "OLD"),
    ):
        name = f"tickets_entry_{what.split()[0].lower()}_{row.lower()}"
        attributed = f"{row}.category IS NOT NULL AND {row}.request_type IS NOT NULL"
        count = (
            f"INSERT INTO entry_tallies (category, request_type, tickets) VALUES ({row}.category, {row}.request_type,"
            f" {sign}1) ON CONFLICT (category, request_type) DO UPDATE SET tickets = entry_tallies.tickets {sign} 1;"
        )
        if sqlite:
            op.execute(f"CREATE TRIGGER {name} AFTER {what} ON tickets WHEN {attributed} BEGIN {count} END")
        else:
            op.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {count} RETURN NULL; END $$"
            )
            op.execute(
                f"CREATE TRIGGER {name} AFTER {what} ON tickets FOR EACH ROW WHEN ({attributed})"
                f" EXECUTE FUNCTION {name}()"
            )
