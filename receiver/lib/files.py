"""Our files and folders: private to their owner, and one line of advice where the system refuses access to them."""

import errno
import os
import pwd
import sqlite3
import stat
from pathlib import Path

from sqlalchemy.exc import DBAPIError, OperationalError

from receiver.lib.settings import Settings

# What stands in a DATA_DIR, by its beginning; the database's own file is added.
_OURS = ("api_token", "backups", "digests", "in-use", "outbox", "redis", "restore", "session_key", "stack", "webhook")
_OTHERS = ("lost+found", ".gitkeep", ".gitignore")  # What a disk or a repository itself puts there.
_OF_THE_FILE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL}
_OF_THE_FILE |= {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def be_private() -> None:
    """Let no other user read what this process and its children write from now on."""
    os.umask(0o077)


def make_private(config: Settings) -> list[str]:
    """Make private what earlier versions let other users read in DATA_DIR; a line for whatever cannot be changed.

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
    wide = []
    for path in ours:
        wide += [path] if _others_may_read(path) else []
        if path.is_dir() and not path.is_symlink():
            inside = (Path(place, name) for place, folders, names in os.walk(path) for name in (*folders, *names))
            wide += filter(_others_may_read, inside)
    if _others_may_read(folder):
        if foreign:
            warnings.append(f"DATA_DIR: {folder} holds other things too, so others may still list it; give us our own")
        else:
            wide.append(folder)
    for path in wide:
        try:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o077)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # Redis and SQLite remove files of theirs meanwhile.
                warnings.append(f"DATA_DIR: others can read {path}, which is not ours to change: {error.strerror}")
    return warnings


def _others_may_read(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    # A link's own mode means nothing, and to change it would change what it points to, which is not ours.
    return not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode) and bool(mode & 0o077)


def refusal(error: BaseException, config: Settings) -> str | None:
    """What to do, in one line, where a file, a folder or the database cannot be used; None for any other error."""
    # SQLAlchemy wraps an OSError too, of the file beside SQLite's database whose lock is a writer's turn.
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError) and isinstance(cause.filename, str | bytes | os.PathLike):
        path = Path(os.fsdecode(cause.filename))
        return f"{_setting_prefix(path, config)}{explain(cause, path)}"
    if isinstance(cause, OSError) or not isinstance(error, DBAPIError):
        return None
    if config.database_url.startswith("sqlite"):
        code = getattr(cause, "sqlite_errorcode", None)
        # The low byte is the kind of error, the bytes above it say more of it: https://sqlite.org/rescode.html
        if code is None or code & 0xFF not in _OF_THE_FILE:
            return None
        path = Path(config.database_url.removeprefix("sqlite:///").partition("?")[0])
        return f"DATABASE_URL: {_why_unwritable(path) or f'{path}: {cause}'}"
    if isinstance(error, OperationalError):
        reason = str(cause).strip().splitlines()
        return f"DATABASE_URL: the database server cannot be used: {reason[0] if reason else type(cause).__name__}"
    return None


def _why_unwritable(path: Path) -> str | None:
    """Why the file cannot be opened for writing, as the system itself says it; SQLite names no reason."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return explain(error, path)
    if not os.access(path.parent, os.W_OK | os.X_OK):  # SQLite writes its journal beside the database.
        return explain(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path.parent)
    return None


def _setting_prefix(path: Path, config: Settings) -> str:
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
    # The path itself, or the first folder above it that exists: a file still to be made has no owner yet.
    above = (path.absolute(), *path.absolute().parents)
    place = next((each for each in above if os.path.lexists(each)), Path("/"))
    if error.errno in (errno.EACCES, errno.EPERM):
        try:
            owner = place.stat().st_uid
        except OSError:
            return f"{path}: permission denied for {_user_name(os.geteuid())}; give that user access"
        who = _user_name(os.geteuid())
        if owner == os.geteuid():
            return f"{path}: permission denied, though {place} belongs to {who}; run chmod -R u+rwX {place}"
        return (
            f"{path}: permission denied; {place} belongs to {_user_name(owner)} and this runs as {who}: "
            f"run chown -R {os.geteuid()}:{os.getegid()} {place}, or start this as {_user_name(owner)}"
        )
    no_folder = f"{place} is a file where a folder is needed; name a folder, or move the file away"
    told = {
        errno.EROFS: "the file system is read-only; mount it writable, or name a place on another",
        errno.ENOSPC: "the disk is full; free some space and start this again",
        errno.EDQUOT: "the quota of the disk is used up; free some space and start this again",
        errno.EEXIST: no_folder,
        errno.ENOTDIR: no_folder,
        errno.EISDIR: "this is a folder where a file is needed; name a file in it",
    }
    return f"{path}: {told.get(error.errno or 0, error.strerror)}"


def _user_name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:  # Containers run as users that have no name.
        return f"user {uid}"
