"""Finding tickets by words, requester and due date; what a person's review can be undone by; the examples shown."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_COLUMNS = ("short_description", "long_description", "requester_email", "external_id")


def upgrade() -> None:
    op.add_column("classifications", sa.Column("example_ids", sa.JSON(), nullable=True))
    op.add_column("classifications", sa.Column("before", sa.JSON(), nullable=True))
    op.create_index("ix_tickets_received_at", "tickets", ["received_at"])
    _partial_index("ix_tickets_requester_email_id", ["requester_email", "id"], "requester_email IS NOT NULL")
    _partial_index("ix_tickets_review", ["due_at", "id"], "status = 'needs_review'")
    if op.get_bind().dialect.name == "sqlite":
        _index_words()


def _partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "tickets", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _index_words() -> None:
    """The words only, their texts stay in `tickets`.

    Triggers keep both in step, but for new tickets: a trigger makes FTS5 write its index row by row, which costs four
    times as much as the one statement for a whole delivery in `words.add_newest`. Nothing is ever sorted by relevance,
    so the sizes that takes (columnsize) are not kept.
    """
    listed = ", ".join(_COLUMNS)
    op.execute(
        f"CREATE VIRTUAL TABLE ticket_words USING fts5({listed}, content='tickets', content_rowid='id',"
        " columnsize=0, tokenize='unicode61 remove_diacritics 2')"
    )
    op.execute(f"INSERT INTO ticket_words (rowid, {listed}) SELECT id, {listed} FROM tickets")
    add, remove = _put("new"), _take("old")
    op.execute(f"CREATE TRIGGER ticket_words_delete AFTER DELETE ON tickets BEGIN {remove} END")
    changed = " OR ".join(f"old.{name} IS NOT new.{name}" for name in _COLUMNS)
    op.execute(
        f"CREATE TRIGGER ticket_words_update AFTER UPDATE OF {listed} ON tickets WHEN {changed}"
        f" BEGIN {remove} {add} END"
    )


def _put(row: str) -> str:
    values = ", ".join(f"{row}.{name}" for name in _COLUMNS)
    return f"INSERT INTO ticket_words (rowid, {', '.join(_COLUMNS)}) VALUES ({row}.id, {values});"


def _take(row: str) -> str:
    values = ", ".join(f"{row}.{name}" for name in _COLUMNS)
    columns = ", ".join(_COLUMNS)
    return f"INSERT INTO ticket_words (ticket_words, rowid, {columns}) VALUES ('delete', {row}.id, {values});"
