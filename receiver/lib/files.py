"""Files and folders of ours: for their owner alone, and in one line what to do where the system refuses them."""

import errno
import os
import pwd
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError, OperationalError

from receiver.lib.settings import Settings

# What stands in a DATA_DIR, by its beginning; the database's own file is added.
_OURS = ("api_token", "backups", "digests", "in-use", "outbox", "redis", "restore", "session_key", "stack", "webhook")
_OTHERS = ("lost+found", ".gitkeep", ".gitignore")  # What a disk or a repository itself puts there.
_OF_THE_FILE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL}
_OF_THE_FILE |= {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def be_private() -> None:
    """Let nobody else read what this process and its children write from now on."""
    os.umask(0o077)


def make_private(config: Settings) -> list[str]:
    """Take from others what earlier versions let them read in DATA_DIR; a line for whatever cannot be changed.

    A folder that holds other things than ours stays as wide as it is.
    """
    folder, warnings = config.data_dir, []
    if not folder.is_dir():
        return []
    server = not config.database_url.startswith("sqlite")
    database = "tickets.db" if server else Path(config.database_url.partition("?")[0]).name
    found = [path for path in folder.iterdir() if path.name not in _OTHERS]
    ours = [path for path in found if path.name.startswith((*_OURS, database))]
    output = config.output_dir.resolve()
    foreign = any(path not in ours and path.resolve() != output for path in found)
    wide = [path for path in ours for path in _with_content(path) if _is_wide(path)]
    if _is_wide(folder):
        if foreign:
            warnings.append(f"DATA_DIR: {folder} holds other things too, so others may still list it; give us our own")
        else:
            wide.append(folder)
    for path in wide:
        try:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o077)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                warnings.append(f"DATA_DIR: others can read {path}, which is not ours to change: {error.strerror}")
    return warnings


def _with_content(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, names in os.walk(path):
            yield from (Path(folder, name) for name in (*folders, *names))


def _is_wide(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode) and bool(mode & 0o077)


def refusal(error: BaseException, config: Settings) -> str | None:
    """What to do, in one line, where a file, a folder or the database cannot be used; None for any other error."""
    if isinstance(error, DBAPIError):
        return _of_database(error, config)
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes | os.PathLike):
        path = Path(os.fsdecode(error.filename))
        return f"{_setting(path, config)}{explain(error, path)}"
    return None


def _of_database(error: DBAPIError, config: Settings) -> str | None:
    cause = error.orig
    if isinstance(cause, OSError):  # The file beside the database whose lock is a writer's turn.
        return refusal(cause, config)
    if config.database_url.startswith("sqlite"):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None or code & 0xFF not in _OF_THE_FILE:
            return None
        path = Path(config.database_url.removeprefix("sqlite:///").partition("?")[0])
        told = _probe(path) or f"{path}: {cause}"
        return f"DATABASE_URL: {told}"
    if isinstance(error, OperationalError):
        reason = str(cause).strip().splitlines()
        return f"DATABASE_URL: the database server cannot be used: {reason[0] if reason else type(cause).__name__}"
    return None


def _probe(path: Path) -> str | None:
    """Why the file cannot be opened for writing, as the system itself says it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return explain(error, path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return explain(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path.parent)
    return None


def _setting(path: Path, config: Settings) -> str:
    """The setting that names a folder around the path, as the beginning of a line."""
    database = config.database_url.removeprefix("sqlite:///").partition("?")[0]
    places = {"DATA_DIR": config.data_dir, "OUTPUT_DIR": config.output_dir.absolute(), "DATABASE_URL": Path(database)}
    whole = path.absolute()
    for name, place in places.items():
        if whole == place or place in whole.parents:
            return f"{name}: "
    above = [name for name, place in places.items() if whole in place.parents]
    return f"{above[0]}: " if above else ""


def explain(error: OSError, path: Path) -> str:
    """The path, why the system refuses it, and what to do; in one line."""
    if error.errno in (errno.EACCES, errno.EPERM):
        place = _nearest(path)
        try:
            owner = place.stat().st_uid
        except OSError:
            return f"{path}: permission denied for {_user(os.geteuid())}; give that user access"
        who = _user(os.geteuid())
        if owner == os.geteuid():
            return f"{path}: permission denied, though {place} belongs to {who}; run chmod -R u+rwX {place}"
        return (
            f"{path}: permission denied; {place} belongs to {_user(owner)} and this runs as {who}: "
            f"run chown -R {os.geteuid()}:{os.getegid()} {place}, or start this as {_user(owner)}"
        )
    told = {
        errno.EROFS: "the file system is read-only; mount it writable, or name a place on another",
        errno.ENOSPC: "the disk is full; free some space and start this again",
        errno.EDQUOT: "the quota of the disk is used up; free some space and start this again",
        errno.EEXIST: f"{_nearest(path)} is a file where a folder is needed; name a folder, or move the file away",
        errno.ENOTDIR: f"{_nearest(path)} is a file where a folder is needed; name a folder, or move the file away",
        errno.EISDIR: "this is a folder where a file is needed; name a file in it",
    }
    return f"{path}: {told.get(error.errno or 0, error.strerror)}"


def _nearest(path: Path) -> Path:
    """The path, or the first folder above it that is there."""
    for place in (path.absolute(), *path.absolute().parents):
        if os.path.lexists(place):
            return place
    return Path("/")


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:  # Containers run as users that have no name.
        return f"user {uid}"
