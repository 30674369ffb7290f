"""Tables and columns by the names that the field uses, and timed jobs by the paths that they have moved to."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

TABLES = {
    "tallies": "counters",
    "entry_tallies": "entry_counters",
    "verdicts": "review_outcomes",
    "source_days": "source_daily_stats",
    "endpoints": "model_capabilities",
}
COLUMNS = {
    "stood_in": "from_fallback_engine",
    "mended": "fuzzy_matched",
    "repeated": "from_cache",
    "answer_key": "cache_key",
}
TIMED_JOBS = {
    "jobs.maintenance.sweep": "jobs.operations.maintenance.sweep",
    "jobs.retention.retain": "jobs.operations.retention.retain",
    "jobs.reconcile.reconcile_due": "jobs.helpdesks.reconcile.reconcile_due",
    "jobs.digest.send_due": "jobs.digests.send.send_due",
    "jobs.digest.alert": "jobs.digests.send.alert",
    "jobs.catalog_in_force.reload_catalog": "jobs.classification.current_catalog.reload_catalog",
    "jobs.training.train": "jobs.classification.training.train",
    "jobs.watch.verify_audit": "jobs.operations.audit_check.verify_audit",
    "jobs.backup.backup_due": "jobs.operations.backup.backup_due",
}
KEYS = {
    "counters": ["name"],
    "entry_counters": ["category", "request_type"],
    "review_outcomes": ["judged_id"],
    "source_daily_stats": ["source", "day"],
    "model_capabilities": ["name"],
}
FOREIGN = {"judged_id": "classifications", "ticket_id": "tickets"}
CHANGES = (("insert", "+", "NEW"), ("update", "+", "NEW"), ("update", "-", "OLD"), ("delete", "-", "OLD"))


def upgrade() -> None:
    for before, after in TABLES.items():
        op.rename_table(before, after)
    _rename_constraints()
    for column, *columns in (("ticket_id", "ticket_id"), ("day", "day"), ("source_day", "source", "day")):
        op.drop_index(f"ix_verdicts_{column}", "review_outcomes")
        op.create_index(f"ix_review_outcomes_{column}", "review_outcomes", columns)
    for before, after in COLUMNS.items():
        op.alter_column("classifications", before, new_column_name=after)
    op.drop_index("ix_classifications_stood_in", "classifications")
    op.drop_index("ix_classifications_answer_key", "classifications")
    for name, column, where in (
        ("ix_classifications_from_fallback_engine", "ticket_id", "current AND from_fallback_engine"),
        ("ix_classifications_cache_key", "cache_key", "cache_key IS NOT NULL"),
    ):
        condition = sa.text(where)
        op.create_index(name, "classifications", [column], sqlite_where=condition, postgresql_where=condition)
    if op.get_bind().dialect.name == "postgresql":
        _rewrite_functions()
    jobs = sa.table("timed_jobs", sa.column("name"))
    for before, after in TIMED_JOBS.items():
        op.execute(sa.update(jobs).where(jobs.c.name == before).values(name=after))


def _rename_constraints() -> None:
    """The names of keys follow those of their tables; SQLite makes a table anew for that."""
    if op.get_bind().dialect.name == "postgresql":
        for before, after in TABLES.items():
            op.execute(f"ALTER TABLE {after} RENAME CONSTRAINT pk_{before} TO pk_{after}")
        for column, other in FOREIGN.items():
            before, after = (f"fk_{table}_{column}_{other}" for table in ("verdicts", "review_outcomes"))
            op.execute(f"ALTER TABLE review_outcomes RENAME CONSTRAINT {before} TO {after}")
        return
    op.execute("PRAGMA legacy_alter_table = ON")  # Else the triggers that name a table keep it from being made anew.
    for table, columns in KEYS.items():
        with op.batch_alter_table(table, recreate="always") as batch:
            batch.create_primary_key(f"pk_{table}", columns)
            if table == "review_outcomes":
                for column, other in FOREIGN.items():
                    batch.drop_constraint(f"fk_verdicts_{column}_{other}", type_="foreignkey")
                    ondelete = "CASCADE" if other == "classifications" else None
                    name = f"fk_review_outcomes_{column}_{other}"
                    batch.create_foreign_key(name, other, [column], ["id"], ondelete=ondelete)
    op.execute("PRAGMA legacy_alter_table = OFF")


def _rewrite_functions() -> None:
    """The triggers' functions name the tables in their text; SQLite rewrites its triggers by itself."""
    for table, prefix in (("tickets", "ticket"), ("deliveries", "delivery")):
        for what, sign, row in (
            ("insert", "+", "NEW"),
            ("update", "+", "NEW"),
            ("update", "-", "OLD"),
            ("delete", "-", "OLD"),
        ):
            _rewrite(
                f"{table}_{what}_{row.lower()}",
                f"INSERT INTO counters (name, value) VALUES ('{prefix}.' || {row}.status, {sign}1)"
                f" ON CONFLICT (name) DO UPDATE SET value = counters.value {sign} 1;",
            )
    for what, sign, row in (
        ("insert", "+", "NEW"),
        ("update", "+", "NEW"),
        ("update", "-", "OLD"),
        ("delete", "-", "OLD"),
    ):
        _rewrite(
            f"tickets_entry_{what}_{row.lower()}",
            f"INSERT INTO entry_counters (category, request_type, tickets) VALUES ({row}.category, {row}.request_type,"
            f" {sign}1) ON CONFLICT (category, request_type) DO UPDATE SET tickets = entry_counters.tickets {sign} 1;",
        )


def _rewrite(name: str, count: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {count} RETURN NULL; END $$"
    )
