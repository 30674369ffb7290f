"""A copy of the database while everything runs, and putting one back."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from jobs import shell
from receiver.clock import now
from receiver.record import audit, database
from receiver.record.database import Record


class BackupError(Exception):
    """There is no good copy; the text says why."""


def default_path(data_dir: Path, name: str = "tickets") -> Path:
    """Where a copy goes when nobody says: named by its moment."""
    return data_dir / "backups" / f"{name}-{now():%Y%m%dT%H%M%S.%f}Z.db"


def backup(record: Record, target: Path) -> None:
    """Copy the database, as it is at one instant, to `target`; whole and checked, or not at all. Raises BackupError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(_path(record))) as source, closing(sqlite3.connect(unfinished)) as copy:
        # All pages in one step are one snapshot; writers go on meanwhile. https://sqlite.org/backup.html
        source.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")
    check(unfinished)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(target)


def restore(record: Record, origin: Path, kept: Path) -> None:
    """Put a backup back; what was there is copied to `kept` first. Raises BackupError, and then nothing has changed."""
    check(origin)
    path = _path(record)
    if path.exists():
        backup(record, kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    with record.turn(), closing(sqlite3.connect(origin)) as source, closing(sqlite3.connect(path)) as live:
        source.backup(live, pages=-1)
    database.migrate(record)
    with record.write() as session:
        audit.note(session, shell.who(), "restore", f"backup {origin.name}", now())


def check(path: Path) -> None:
    """Raise BackupError unless `path` is an undamaged copy of a record."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copy:
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
            copy.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path} is not a backup of this record: {error}") from None
    if found != "ok":
        raise BackupError(f"{path} is damaged: {found}")


def _path(record: Record) -> Path:
    if record.path is None:
        raise BackupError("this record is on a PostgreSQL server; use pg_dump and pg_restore")
    return record.path
