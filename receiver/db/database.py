"""One database: connections, transactions that wait for their turn, migrations.

On SQLite as on PostgreSQL there is one writer at a time. So what a writer has read is still so when it commits, ids are
given out in the order of the commits, and no two writers ever wait for each other.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
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
SYNCHRONOUS = "FULL"  # SQLite syncs its log at every commit, so what was acknowledged survives a power cut.
PARAMETERS = 10_000  # How many we put into one statement; SQLite takes 32,766.


class Database:
    """A database of the record and its two kinds of transaction.

    A write waits `patience` seconds at most for others that write, then it raises OperationalError.
    """

    def __init__(self, url: str, patience: float = PATIENCE_SECONDS) -> None:
        self.url = url
        self.engine = _engine(url)
        self._reader = self.engine.execution_options(**_SNAPSHOT.get(self.engine.dialect.name, {}))
        self._patience = patience
        self._turns = _Turns(self.path.with_name(self.path.name + ".lock")) if self.path else None

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
            with self.turn(until), Session(writer, expire_on_commit=False) as session:
                if _begins(session, until):
                    yield session
                    session.commit()
                    return

    @contextmanager
    def turn(self, until: float | None = None) -> Iterator[None]:
        """One writer's turn. SQLite's own waiters poll and starve; the kernel wakes those of a file lock in order.

        Raises OperationalError where it has not come at `until`, on the monotonic clock, by default when the patience
        is up, and where the file cannot be locked.
        """
        if self._turns is None:
            yield
            return
        try:
            descriptor = self._turns.take(time.monotonic() + self._patience if until is None else until)
        except OSError as error:  # As if the database itself could not be opened, beside which the file is.
            raise OperationalError("BEGIN IMMEDIATE", None, error) from None
        try:
            yield
        finally:
            _unlock(descriptor)

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
def opened(url: str) -> Iterator[Database]:
    """The record at `url`, closed at the end of the block."""
    db = Database(url)
    try:
        yield db
    finally:
        db.close()


@dataclass
class _Waiter:
    """A thread that waits in the kernel's queue for the lock of an open file."""

    descriptor: int
    is_done: threading.Event = field(default_factory=threading.Event)
    error: OSError | None = None


class _Turns:
    """An exclusive `flock` on a file, waited for in the kernel's own order, and not longer than a given time.

    The kernel knows no time limit for it, a signal reaches only the main thread, and asking again and again would
    starve whoever asks less often. So where the lock is not free at once, a thread waits for it. A thread that nobody
    waits for any more keeps its place, and whoever comes next takes it over: there are never more of them than there
    were writers at one time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._left: list[_Waiter] = []

    def take(self, until: float) -> int:
        """The descriptor that holds the lock. Raises OperationalError at `until`, and OSError as the file does."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiter = self._waiting(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        else:
            return descriptor
        if not waiter.is_done.wait(min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)):
            with self._guard:
                if not waiter.is_done.is_set():
                    self._left.append(waiter)
                    reason = sqlite3.OperationalError("others have been writing for longer than we may wait")
                    raise OperationalError("BEGIN IMMEDIATE", None, reason)
        if waiter.error:
            os.close(waiter.descriptor)
            raise waiter.error
        return waiter.descriptor

    def _waiting(self, descriptor: int) -> _Waiter:
        with self._guard:
            if self._left:
                os.close(descriptor)
                return self._left.pop(0)
        waiter = _Waiter(descriptor)
        threading.Thread(target=self._wait, args=(waiter,), daemon=True, name="turn").start()
        return waiter

    def _wait(self, waiter: _Waiter) -> None:
        try:
            fcntl.flock(waiter.descriptor, fcntl.LOCK_EX)
        except OSError as error:
            waiter.error = error
        with self._guard:
            if waiter in self._left:
                self._left.remove(waiter)
                _unlock(waiter.descriptor)
            else:
                waiter.is_done.set()


def _unlock(descriptor: int) -> None:
    # Closing alone would leave the lock with a process that was forked meanwhile and has the file open too.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _engine(url: str) -> Engine:
    target, options = make_url(url), {}
    if target.drivername.startswith("postgresql"):
        # PgBouncer gives each transaction another connection of its own, which does not know what was prepared before.
        threshold = str(target.query.get("prepare_threshold", "none"))
        target = target.difference_update_query(["prepare_threshold"])
        options = {"prepare_threshold": None if threshold.lower() == "none" else int(threshold)}
    # An error's text must not hold a ticket's. A server may have gone and come back since the last statement.
    engine = create_engine(target, hide_parameters=True, connect_args=options, pool_pre_ping=bool(options))
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _begin_postgresql)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "handle_error", _leave_read_only)
    return engine


def _prepare_sqlite(connection: Any, _db: Any) -> None:
    connection.isolation_level = None  # We emit BEGIN ourselves; see _begin_sqlite.
    # SQLite's own lower() knows only ASCII; sorting and searching shall ignore the case of every letter.
    connection.create_function("lower", 1, lambda text: text and text.lower(), deterministic=True)
    for pragma in (
        "journal_mode = WAL",
        f"synchronous = {SYNCHRONOUS}",
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


class Schema(Enum):
    """How a database's schema stands to the one this code needs."""

    CURRENT, OLDER, NEWER = range(3)


class SchemaError(Exception):
    """The database has another schema than this code needs; the text says in one line what to do."""


def schema(db: Database) -> Schema:
    """What the schema of the database is. An empty database, or none, is OLDER. Raises SQLAlchemyError."""
    if db.path and db.path.parent.is_dir() and not db.path.exists():
        return Schema.OLDER  # And the question shall not make the file.
    with db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return Schema.OLDER
        return schema_of(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def schema_of(revision: str | None) -> Schema:
    """What the schema is whose revision stands in `alembic_version`; None where none does.

    A revision that this code does not know was made by later code.
    """
    known = revisions()
    if revision is None or revision in known[:-1]:
        return Schema.OLDER
    return Schema.CURRENT if revision == known[-1] else Schema.NEWER


@cache
def revisions() -> list[str]:
    """Every revision that this code knows, the newest last; their files' names tell, without loading Alembic."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def describe(found: Schema) -> str | None:
    """What to do about a schema, in one line; None where it is the right one."""
    if found is Schema.NEWER:
        return (
            "this database is of a newer version of Ticket Attribution, and was left as it is: "
            "start that version, or restore a backup that this one made"
        )
    return "this database has an older schema: run python -m jobs migrate" if found is Schema.OLDER else None


def require_schema(db: Database) -> None:
    """Raise SchemaError unless the database has the schema that this code needs."""
    if told := describe(schema(db)):
        raise SchemaError(f"DATABASE_URL: {told}")


def refuse_newer(db: Database) -> None:
    """Raise SchemaError where the database is of newer code; an older one can be migrated."""
    if (found := schema(db)) is Schema.NEWER:
        raise SchemaError(f"DATABASE_URL: {describe(found)}")


def make_folder(db: Database) -> None:
    """Make the folder of the database's file where it is missing, for its owner alone. Raises OSError."""
    if db.path:
        db.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def migrate(db: Database, revision: str = "head") -> None:
    """Bring the database to the newest schema, or to an earlier one; several processes may ask for it at once.

    Raises SchemaError where it is of newer code; then nothing has changed.
    """
    make_folder(db)
    refuse_newer(db)
    if db.path:
        db.path.touch(mode=0o600)  # SQLite gives its logs the same mode.
    if revision == "head" and is_at_head(db):
        return
    from alembic import command

    forever = float("inf")  # Another process may be migrating, however long that takes.
    with db.turn(forever), db.engine.execution_options(write_until=forever).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def is_at_head(db: Database) -> bool:
    """Whether the database has the schema this code needs."""
    return schema(db) is Schema.CURRENT


def revision(db: Database) -> str | None:
    """The revision of the schema that the database has."""
    with db.engine.connect() as connection:
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
