"""The index of words on PostgreSQL, the equal of what 0012 makes on SQLite."""

from alembic import op

revision = "0020"
down_revision = "0019"

_COLUMNS = ("short_description", "long_description", "requester_email", "external_id")
# An entry may have a megabyte at most; what comes after so many letters of a text is not found.
_MOST = 100_000
# Left alone, PostgreSQL keeps an address or the name of a file as one word; here, as on SQLite, signs divide words.
_SIGNS = "[!-/:-@[-`{-~]"
_ACCENTS = "[\\u0300-\\u036f]"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    plain = f"regexp_replace(normalize(left($1, {_MOST}), NFD), '{_ACCENTS}', '', 'g')"
    op.execute(
        "CREATE FUNCTION words_of(text) RETURNS tsvector LANGUAGE sql IMMUTABLE"
        f" AS $$ SELECT to_tsvector('simple', regexp_replace({plain}, '{_SIGNS}', ' ', 'g')) $$"
    )
    op.execute(
        "CREATE TABLE ticket_words (rowid bigint PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,"
        " ticket_words tsvector NOT NULL)"
    )
    op.execute(f"INSERT INTO ticket_words SELECT id, {_words('tickets')} FROM tickets")
    op.execute("CREATE INDEX ix_ticket_words ON ticket_words USING gin (ticket_words)")
    _keep_in_step()


def _keep_in_step() -> None:
    put = (
        f"INSERT INTO ticket_words VALUES (NEW.id, {_words('NEW')})"
        " ON CONFLICT (rowid) DO UPDATE SET ticket_words = excluded.ticket_words;"
    )
    op.execute(f"CREATE FUNCTION ticket_words() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {put} RETURN NULL; END $$")
    listed = ", ".join(_COLUMNS)
    op.execute(
        f"CREATE TRIGGER ticket_words AFTER INSERT OR UPDATE OF {listed} ON tickets"
        " FOR EACH ROW EXECUTE FUNCTION ticket_words()"
    )


def _words(row: str) -> str:
    return " || ".join(f"words_of(coalesce({row}.{name}, ''))" for name in _COLUMNS)
