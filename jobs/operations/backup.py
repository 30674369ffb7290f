"""One archive of everything that a new machine needs, taken while everything runs."""

import hashlib
import io
import json
import logging
import os
import sqlite3
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from jobs.operations import shell_user
from receiver import __version__
from receiver.catalog.fetching import is_url, public
from receiver.db import alarms, catalogs, database, moments
from receiver.db.database import Database, opened
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.data_dir_lock import LOCK, UNFINISHED
from receiver.lib.log import configure
from receiver.lib.settings import Settings

MANIFEST, SQLITE, POSTGRESQL = "manifest.json", "database.db", "database.dump"
DATA, FILES = "data/", "settings/"  # What was under DATA_DIR, and the files that settings name.
FORMAT = 1
ALARM = "backup"
STAGING = "restoring"
_PREFIX, _SUFFIX = "backup-", ".zip"
_NOT_KEPT = {"redis", "backups", STAGING, LOCK, UNFINISHED, "stack.lock"}
_PASSING = (".part", ".lock", ".tmp", "-wal", "-shm", "-journal", ".db", ".pid")
_CHUNK = 2**20

log = logging.getLogger(__name__)


class BackupError(Exception):
    """There is no good backup; the text says why."""


@dataclass(frozen=True)
class Backup:
    """An archive as it is found in a folder."""

    path: Path
    made_at: datetime
    size: int


def folder(data_dir: Path) -> Path:
    """Where backups go when nobody says."""
    return data_dir / "backups"


def backup_due() -> None:
    """The job that makes a backup every BACKUP_EVERY hours. Safe to run twice: a young one is not made again."""
    config = settings.load()
    configure(config.log_level)
    if not config.backup_every:
        return
    place = folder(config.data_dir)
    with opened(config.database_url) as db:
        if not is_due(place, timedelta(hours=config.backup_every)):
            return
        try:
            path = backup(db, config, place)
        except (BackupError, SQLAlchemyError, OSError) as error:
            detail = {"error": shell_user.told(error)}
            with db.write() as session:
                alarms.raise_(session, ALARM, now(), **detail)
            log.error("Alarm: %s", alarms.sentence(ALARM, detail))
            return
        prune(place, config.backup_keep)
    log.info("The backup is %s", path)


def is_due(place: Path, every: timedelta) -> bool:
    """Whether the newest backup in a folder is older than this, or there is none."""
    newest = max((found.made_at for found in listed(place)), default=None)
    return newest is None or now() - newest >= every


def listed(place: Path) -> list[Backup]:
    """The backups in a folder that have a name of ours, the oldest first."""
    found = []
    for path in place.glob(f"{_PREFIX}*{_SUFFIX}") if place.is_dir() else ():
        try:
            made_at = datetime.strptime(path.name[len(_PREFIX) :][:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
            found.append(Backup(path, made_at, path.stat().st_size))
        except (ValueError, OSError):
            continue  # Named by somebody else, or just gone.
    return sorted(found, key=lambda each: (each.made_at, each.path.name))


def prune(place: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups in a folder; those with names of other people's stay."""
    old = [each.path for each in listed(place)[:-keep]]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def backup(db: Database, config: Settings, target: Path, name: str = "backup") -> Path:
    """Write one archive of mode 0600, whole or not at all, and return its path.

    A `target` that is a folder gets a file named by the moment. Raises BackupError and OSError; then nothing is left.
    """
    if db.path and not db.path.is_file():
        raise BackupError(f"there is no database at {db.path}, so there is nothing to back up")
    path = _place(config, target, name)
    moment = now()
    try:
        place = tempfile.TemporaryDirectory(prefix=".backup-", dir=path.parent)
    except OSError as error:
        raise BackupError(f"{path.parent} cannot be written: {error.strerror}") from None
    with place as work:
        contents: dict[str, Path | bytes] = dict(_files(config))
        contents |= _settings_files(db, config)
        if db.path is None:
            contents[POSTGRESQL] = _dumped(config.database_url, Path(work) / POSTGRESQL)
        else:
            contents[SQLITE] = Path(work) / SQLITE
            snapshot(db, Path(work) / SQLITE)
        unfinished = Path(work) / path.name
        try:
            _write(unfinished, contents, _manifest(db, config, moment))
        except zipfile.LargeZipFile as error:
            raise BackupError(f"the backup is too large: {error}") from None
        unfinished.replace(path)
    _sync(path.parent)
    _note(db, moment)
    return path


def _place(config: Settings, target: Path, name: str) -> Path:
    if target == folder(config.data_dir):
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.is_dir():
        stem = f"{name}-{now():%Y%m%dT%H%M%S}Z"
        numbers = ("", *(f"-{number}" for number in range(2, 1000)))
        return next(path for number in numbers if not (path := target / f"{stem}{number}{_SUFFIX}").exists())
    if not target.parent.is_dir():
        raise BackupError(f"there is no folder {target.parent}; make it first")
    if target.exists() and not zipfile.is_zipfile(target):
        raise BackupError(f"{target} exists and is no backup; give another name")
    return target


def snapshot(db: Database, target: Path) -> None:
    """Copy an SQLite database, as it is at one instant, to `target`; whole and checked. Raises BackupError."""
    if db.path is None:
        raise BackupError("the database is on a server; pg_dump copies it")
    target.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(db.path)) as source, closing(sqlite3.connect(target)) as copy:
            # All pages in one step are one snapshot; writers go on meanwhile. https://sqlite.org/backup.html
            source.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"the database cannot be copied: {error}") from None
    check(target)


def check(path: Path) -> str:
    """The schema's revision of an undamaged SQLite copy of the record. Raises BackupError."""
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as copy:
            copy.execute("PRAGMA trusted_schema = OFF")
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
            revision = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path} is not a backup of this record: {error}") from None
    if found != "ok":
        raise BackupError(f"{path} is damaged: {found}")
    if revision is None:
        raise BackupError(f"{path} is not a backup of this record: it names no schema")
    return str(revision[0])


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _dumped(url: str, target: Path) -> Path:
    """What pg_dump makes of a PostgreSQL database."""
    parts = make_url(url)
    secret = target.with_name("pgpass")  # Not on the command line, which every user of the machine can see.
    secret.touch(mode=0o600)
    escaped = (parts.password or "").replace("\\", "\\\\").replace(":", "\\:")
    secret.write_text(f"*:*:*:*:{escaped}\n")
    words = {"host": parts.host, "port": parts.port, "user": parts.username, "dbname": parts.database, **parts.query}
    words["passfile"] = str(secret)
    told = " ".join(f"{name}='{_escaped(str(value))}'" for name, value in words.items() if value)
    target.touch(mode=0o600)
    line = ["pg_dump", f"--dbname={told}", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False, errors="replace")
    except FileNotFoundError:
        raise BackupError(
            "the database is PostgreSQL's, and pg_dump is not installed: install the PostgreSQL client"
        ) from None
    if done.returncode:
        words_of = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BackupError(f"pg_dump failed: {words_of[:300]}")
    return target


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _files(config: Settings) -> Iterator[tuple[str, Path | bytes]]:
    """Everything under DATA_DIR but for the database, Redis, backups and locks; the secrets in force among it."""
    for path in _all_files(config.data_dir):
        relative = path.relative_to(config.data_dir)
        if belongs(config, relative):
            yield DATA + relative.as_posix(), path
    # Helpdesks know those of the environment, where there are any, and not what an earlier start left in the folder.
    if config.webhook_secret:
        yield f"{DATA}webhook_secret", "".join(f"{secret}\n" for secret in config.webhook_secret).encode()
    if config.api_token:
        yield f"{DATA}api_token", config.api_token.encode()


def _all_files(data_dir: Path) -> Iterator[Path]:
    """A folder that is a link to another disk is followed, at the top only."""
    for top in sorted(data_dir.iterdir()):
        if top.name in _NOT_KEPT:
            continue
        if top.is_dir():
            for parent, _, names in os.walk(top):
                yield from (Path(parent) / name for name in sorted(names))
        else:
            yield top


def belongs(config: Settings, relative: Path) -> bool:
    """Whether a path below DATA_DIR is what an archive keeps and restores."""
    parts, path = relative.parts, config.data_dir / relative
    if not parts or relative.is_absolute() or ".." in parts or parts[0] in _NOT_KEPT or path.is_symlink():
        return False
    name, database_name = parts[-1], Path(make_url(config.database_url).database or "none").name
    if name.startswith((".", database_name)) or name.endswith(_PASSING):
        return False
    return not path.exists() or path.is_file()


def _settings_files(db: Database, config: Settings) -> Iterator[tuple[str, Path | bytes]]:
    """The files that settings name, and the catalog: its file, or the last good copy of what a URL gave."""
    for name, path in settings_files(config).items():
        if path.is_file():
            yield f"{FILES}{name}", path
    if Path(".env").is_file():
        yield f"{FILES}env", Path(".env")
    if is_url(config.service_catalog_url):
        with suppress(SQLAlchemyError), db.read() as session:  # Of a newer version, perhaps.
            last = catalogs.latest(session, public(config.service_catalog_url))
            if last:
                yield f"{FILES}catalog.yaml", last.text.encode()


def settings_files(config: Settings) -> dict[str, Path]:
    """The files that settings name, by their name in the archive."""
    named = {"sources.yaml": config.sources_file, "digests.yaml": config.digests_file}
    if config.service_catalog_url and not is_url(config.service_catalog_url):
        named["catalog.yaml"] = config.service_catalog_url
    return {name: Path(path) for name, path in named.items() if path}


def _manifest(db: Database, config: Settings, moment: datetime) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": __version__,
        "schema": database.revision(db),
        "made_at": moment.isoformat(),
        "database": db.engine.dialect.name,
        "settings": sorted(differing(config)),  # Names only.
    }


def differing(config: Settings) -> set[str]:
    """The names of the settings that are not what they are by default."""
    plain = settings.load({"DATA_DIR": str(config.data_dir)})
    return {f.name.upper() for f in fields(Settings) if getattr(config, f.name) != getattr(plain, f.name)}


def _write(path: Path, contents: dict[str, Path | bytes], manifest: dict[str, Any]) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    found: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in sorted(contents.items()):
            try:
                found[name] = _add(archive, name, content)
            except FileNotFoundError:
                continue  # Retention or somebody has just deleted it.
        archive.writestr(MANIFEST, json.dumps(manifest | {"files": found}, indent=1))
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _add(archive: zipfile.ZipFile, name: str, content: Path | bytes) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with _source(content) as source:
        entry = zipfile.ZipInfo(name, now().timetuple()[:6])
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100600 << 16
        with archive.open(entry, "w", force_zip64=True) as sink:
            while piece := source.read(_CHUNK):
                digest.update(piece)
                size += len(piece)
                sink.write(piece)
    return {"sha256": digest.hexdigest(), "size": size}


@contextmanager
def _source(content: Path | bytes) -> Iterator[Any]:
    if isinstance(content, bytes):
        yield io.BytesIO(content)
    else:
        with content.open("rb") as opened_file:
            yield opened_file


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _note(db: Database, moment: datetime) -> None:
    """Write down when, for page and metrics; that it cannot be written makes no backup worse."""
    try:
        with db.write() as session:
            moments.note(session, moments.BACKED_UP, moment)
            alarms.clear(session, ALARM)
    except SQLAlchemyError as error:
        log.warning("That there is a backup is not noted: %s", type(error).__name__)
