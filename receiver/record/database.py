"""One database: connections, transactions that never fail with "database is locked", migrations.

On SQLite as on PostgreSQL there is one writer at a time. So what a writer has read is still so when it commits, ids are
given out in the order of the commits, and no two writers ever wait for each other.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

if TYPE_CHECKING:  # Alembic takes a tenth of a process's start, and hardly a process migrates.
    from alembic.config import Config

MIGRATIONS = Path(__file__).with_name("migrations")
PATIENCE_SECONDS = 30.0
_TRY_SECONDS = 0.1
# On PostgreSQL a writer that is cut off from the server has its turn no longer than this.
_SILENCE_SECONDS = 60
_TURN = 5_207_114  # The advisory lock that a writer there holds; the number means nothing.
_SNAPSHOT = {"postgresql": {"isolation_level": "REPEATABLE READ"}}  # SQLite's own reads are so already.
PARAMETERS = 10_000  # How many we put into one statement; SQLite takes 32,766.


class Record:
    """A database of the record and its two kinds of transaction.

    A write waits `patience` seconds at most for others that write, then it raises OperationalError.
    """

    def __init__(self, url: str, patience: float = PATIENCE_SECONDS) -> None:
        self.url = url
        self.engine = _engine(url)
        self._reader = self.engine.execution_options(**_SNAPSHOT.get(self.engine.dialect.name, {}))
        self._patience = patience

    @cached_property
    def path(self) -> Path | None:
        """The database's file, or None where it is a server."""
        name = self.engine.url.database
        return Path(name) if self.engine.dialect.name == "sqlite" and name else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot and writes nothing."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, asked: float | None = None) -> Iterator[Session]:
        """A session whose changes commit together at the end, or not at all when the block raises.

        The patience counts from when this was `asked` for, on the monotonic clock; now, where nothing is said.
        """
        until = (asked or time.monotonic()) + self._patience
        writer = self.engine.execution_options(write_until=until)
        while True:
            with self.turn(), Session(writer, expire_on_commit=False) as session:
                if _begins(session, until):
                    yield session
                    session.commit()
                    return

    def turn(self) -> Any:
        """One writer's turn. SQLite's own waiters poll and starve; the kernel wakes those of a file lock in order."""
        return _file_lock(self.path.with_name(self.path.name + ".lock")) if self.path else nullcontext()

    def compact(self) -> None:
        """Rewrite the database without free pages, and empty the write-ahead log: nothing that was deleted is left.

        The words of deleted tickets stay in the index of words until its parts are merged, which is done here too.
        """
        if self.path is None:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM FULL")
            return
        with self.turn(), closing(sqlite3.connect(self.path, timeout=PATIENCE_SECONDS)) as connection:
            connection.execute("INSERT INTO ticket_words (ticket_words) VALUES ('optimize')")
            connection.commit()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


@contextmanager
def opened(url: str) -> Iterator[Record]:
    """The record at `url`, closed at the end of the block."""
    record = Record(url)
    try:
        yield record
    finally:
        record.close()


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _engine(url: str) -> Engine:
    # An error's text must not hold a ticket's. A server may have gone and come back since the last statement.
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=url.startswith("postgresql"))
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _begin_postgresql)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "handle_error", _leave_read_only)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # We emit BEGIN ourselves; see _begin_sqlite.
    # SQLite's own lower() knows only ASCII; sorting and searching shall ignore the case of every letter.
    connection.create_function("lower", 1, lambda text: text and text.lower(), deterministic=True)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    until = connection.get_execution_options().get("write_until")
    if until is None:
        connection.exec_driver_sql("BEGIN")
        return
    wait = min(_TRY_SECONDS, max(0.0, until - time.monotonic()))
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA busy_timeout = {wait * 1000:.0f}")
    # A deferred BEGIN that reads and then writes fails under contention whatever the busy timeout is.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    until = connection.get_execution_options().get("write_until")
    if until is None:
        return
    wait = 0 if until == float("inf") else max(1, round((until - time.monotonic()) * 1000))
    connection.exec_driver_sql(
        f"SET LOCAL lock_timeout = {wait}; SET LOCAL idle_in_transaction_session_timeout = '{_SILENCE_SECONDS}s';"
        f" SELECT pg_advisory_xact_lock({_TURN})"
    )


def _begins(session: Session, until: float) -> bool:
    """Whether the session may write now; False where a stranger does who writes past us, and the time is not up."""
    try:
        session.connection()
    except OperationalError as error:
        is_busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if not is_busy or time.monotonic() >= until:
            raise
        return False  # Others have their turn meanwhile: somebody may have more patience with the stranger.
    return True


def _leave_read_only(context: ExceptionContext) -> None:
    # A connection that found its file read-only stays so when the file is not; a new one sees what is now.
    code = getattr(context.original_exception, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_READONLY:
        context.is_disconnect = True


def migrate(record: Record, revision: str = "head") -> None:
    """Bring the database to the newest schema, or to an earlier one; several processes may ask for it at once."""
    if record.path:
        record.path.parent.mkdir(parents=True, exist_ok=True)
    if revision == "head" and is_at_head(record):
        return  # Most often; then Alembic need not be loaded.
    from alembic import command

    with record.turn(), record.engine.execution_options(write_until=float("inf")).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def is_at_head(record: Record) -> bool:
    """Whether the database has the schema this code needs."""
    # Without Alembic, which every web process would load and keep for it.
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))[:4]
    with record.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return bool(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest)


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
