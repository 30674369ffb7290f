"""The record."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_alarms"),
    )
    op.create_table(
        "catalogs",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_catalogs"),
    )
    op.create_index("ix_catalogs_loaded_at", "catalogs", ["loaded_at"])

    op.create_table(
        "deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("updated", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("original_id", ID, nullable=True),
        sa.Column("conflict", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["original_id"], ["deliveries.id"], name="fk_deliveries_original_id_deliveries"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index(
        "ix_deliveries_original_id",
        "deliveries",
        ["original_id"],
        sqlite_where=sa.text("original_id IS NOT NULL"),
        postgresql_where=sa.text("original_id IS NOT NULL"),
    )
    op.create_index("ix_deliveries_status_id", "deliveries", ["status", "id"])
    op.create_index(
        "uq_deliveries_source_key",
        "deliveries",
        ["source", "key"],
        unique=True,
        sqlite_where=sa.text("original_id IS NULL"),
        postgresql_where=sa.text("original_id IS NULL"),
    )

    op.create_table(
        "digests",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_after", sa.BigInteger(), nullable=False),
        sa.Column("settled_until", sa.BigInteger(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimable_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_digests"),
    )
    op.create_index("ix_digests_name_settled_until", "digests", ["name", "settled_until"])
    op.create_index("ix_digests_status", "digests", ["status"])
    op.create_index("uq_digests_name_period", "digests", ["name", "period"], unique=True)

    op.create_table(
        "sign_in_links",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_sign_in_links"),
    )
    op.create_table(
        "tallies",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tallies"),
    )
    op.create_table(
        "timetable",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_slot", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_timetable"),
    )
    op.create_table(
        "tickets",
        sa.Column("id", ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("short_description", sa.Text(), nullable=False),
        sa.Column("long_description", sa.Text(), nullable=False),
        sa.Column("requester_email", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("source_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("request_type", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimable_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("settled", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_tickets_delivery_id_deliveries"),
        sa.PrimaryKeyConstraint("id", name="pk_tickets"),
    )
    op.create_index(
        "ix_tickets_category_id",
        "tickets",
        ["category", "id"],
        sqlite_where=sa.text("category IS NOT NULL"),
        postgresql_where=sa.text("category IS NOT NULL"),
    )
    op.create_index(
        "ix_tickets_claimable",
        "tickets",
        ["status", "claimable_at"],
        sqlite_where=sa.text("status = 'received'"),
        postgresql_where=sa.text("status = 'received'"),
    )
    op.create_index("ix_tickets_delivery_id", "tickets", ["delivery_id"])
    op.create_index(
        "ix_tickets_lease",
        "tickets",
        ["lease"],
        sqlite_where=sa.text("lease IS NOT NULL"),
        postgresql_where=sa.text("lease IS NOT NULL"),
    )
    op.create_index(
        "ix_tickets_request_type_id",
        "tickets",
        ["request_type", "id"],
        sqlite_where=sa.text("request_type IS NOT NULL"),
        postgresql_where=sa.text("request_type IS NOT NULL"),
    )
    op.create_index(
        "ix_tickets_settled",
        "tickets",
        ["settled"],
        sqlite_where=sa.text("settled IS NOT NULL"),
        postgresql_where=sa.text("settled IS NOT NULL"),
    )
    op.create_index(
        "ix_tickets_suspects",
        "tickets",
        ["status", "crashes"],
        sqlite_where=sa.text("status = 'received' AND crashes > 0"),
        postgresql_where=sa.text("status = 'received' AND crashes > 0"),
    )
    op.create_index("ix_tickets_source_id", "tickets", ["source", "id"])
    op.create_index("ix_tickets_status_id", "tickets", ["status", "id"])
    op.create_index("uq_tickets_source_external_id", "tickets", ["source", "external_id"], unique=True)

    op.create_table(
        "classifications",
        sa.Column("id", ID, nullable=False),
        sa.Column("ticket_id", ID, nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("sla_value", sa.Double(), nullable=False),
        sa.Column("sla_unit", sa.Text(), nullable=False),
        sa.Column("sla_is_default", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("reasoning", sa.Text(), nullable=False),
        sa.Column("alternatives", sa.JSON(), nullable=False),
        sa.Column("review_reason", sa.Text(), nullable=True),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("mended", sa.Boolean(), nullable=False),
        sa.Column("catalog_version", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_classifications_ticket_id_tickets"),
        sa.PrimaryKeyConstraint("id", name="pk_classifications"),
    )
    op.create_index("ix_classifications_ticket_id", "classifications", ["ticket_id"])
    op.create_index(
        "uq_classifications_current",
        "classifications",
        ["ticket_id"],
        unique=True,
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    )

    op.create_table(
        "digest_tickets",
        sa.Column("digest_id", ID, nullable=False),
        sa.Column("ticket_id", ID, nullable=False),
        sa.Column("classification_id", ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["classification_id"], ["classifications.id"], name="fk_digest_tickets_classification_id_classifications"
        ),
        sa.ForeignKeyConstraint(["digest_id"], ["digests.id"], name="fk_digest_tickets_digest_id_digests"),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_digest_tickets_ticket_id_tickets"),
        sa.PrimaryKeyConstraint("digest_id", "ticket_id", name="pk_digest_tickets"),
    )
    op.create_index("ix_digest_tickets_classification_id", "digest_tickets", ["classification_id"])
    op.create_index("ix_digest_tickets_ticket_id", "digest_tickets", ["ticket_id"])
    _keep_tallies("tickets", "ticket")
    _keep_tallies("deliveries", "delivery")


def _keep_tallies(table: str, prefix: str) -> None:
    """Triggers that keep a count per status in `tallies`, so that no page counts a million rows."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for what, sign, row in (
        ("INSERT", "+", "NEW"),
        ("UPDATE OF status", "+", "NEW"),
        ("UPDATE OF status", "-", "OLD"),
        ("DELETE", "-", "OLD"),
    ):
        name = f"{table}_{what.split()[0].lower()}_{row.lower()}"
        count = (
            f"INSERT INTO tallies (name, value) VALUES ('{prefix}.' || {row}.status, {sign}1) "
            f"ON CONFLICT (name) DO UPDATE SET value = tallies.value {sign} 1;"
        )
        if sqlite:
            op.execute(f"CREATE TRIGGER {name} AFTER {what} ON {table} BEGIN {count} END")
        else:
            op.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {count} RETURN NULL; END $$"
            )
            op.execute(f"CREATE TRIGGER {name} AFTER {what} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
