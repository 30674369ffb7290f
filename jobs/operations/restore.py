"""Putting a backup back: everything is checked and made ready beside what is there, and only then anything changes."""

import hashlib
import hmac
import json
import os
import shutil
import signal
import sqlite3
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from jobs.operations import backup as backups
from jobs.operations import erase, shell_user
from jobs.operations.backup import DATA, FILES, MANIFEST, POSTGRESQL, SQLITE, STAGING, BackupError
from receiver.db import audit, database, erasure, tombstones
from receiver.db.database import Database, Schema, opened
from receiver.db.models import ApiToken, BrowserSession, Digest, Person, SignInLink, Ticket
from receiver.lib import data_dir_lock
from receiver.lib.clock import now
from receiver.lib.settings import Settings

_CHUNK = 2**20
_LARGEST_MANIFEST = 2**26
# What SQLite makes by itself, where somebody asks it to or not.
_SQLITE_OWN = ("sqlite_stat", "sqlite_sequence", "sqlite_autoindex")


@dataclass
class Plan:
    """What a restore would do; each line is for whoever is asked."""

    origin: Path
    told: str
    replaces: list[str] = field(default_factory=list)
    revives: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    files: dict[Path, Path] = field(default_factory=dict)  # Where each goes, and where it is ready.


@contextmanager
def ready(db: Database, config: Settings, origin: Path) -> Iterator[Plan]:
    """A plan whose files are checked and ready under DATA_DIR; nothing else runs there during the block.

    Raises BackupError, InUseError and OSError, and then nothing has changed.
    """
    if db.path is None:
        raise BackupError(
            "the database is on a PostgreSQL server, which restore does not write to: unpack the archive and give"
            f" its {POSTGRESQL} to pg_restore; docs/how-to/back-up.md says how"
        )
    if not origin.is_file():
        raise BackupError(f"there is no file {origin}" if not origin.exists() else f"{origin} is a folder, no backup")
    with data_dir_lock.alone(config.data_dir):
        staging = config.data_dir / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        try:
            yield _prepared(db, config, origin, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _prepared(db: Database, config: Settings, origin: Path, staging: Path) -> Plan:
    copy = staging / SQLITE
    if zipfile.is_zipfile(origin):
        manifest = _unpacked(config, origin, staging)
        if SQLITE not in manifest["files"]:
            raise BackupError(f"{origin} has a database of PostgreSQL, and the one here is SQLite's")
        plan = Plan(origin, f"made {manifest['made_at'][:19].replace('T', ' ')} UTC by version {manifest['version']}")
        unset = sorted(set(map(str, manifest["settings"])) - backups.differing(config) - {"DATA_DIR"})
        plan.lacks += [f"{name} was set there and is not set here" for name in unset]
    else:
        shutil.copyfile(origin, copy)
        plan = Plan(origin, "a database alone")
        plan.lacks.append("secrets, sources, workbooks and mails are not in it; those that are here stay")
    _check_schema(copy, origin)
    erased = _make_ready(db, copy, plan)
    with opened(f"sqlite:///{copy}") as staged:
        _plan_files(config, staging, erased, plan)
        if db.path and db.path.exists():
            _compare(db, staged, plan)
    return plan


def _unpacked(config: Settings, origin: Path, staging: Path) -> dict[str, Any]:
    """Unpack an archive into `staging` and return its manifest, with everything in it checked."""
    try:
        with zipfile.ZipFile(origin) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            manifest = _manifest(archive, entries, origin)
            files: dict[str, Any] = manifest["files"]
            if len(entries) != len(archive.infolist()) or set(entries) != {MANIFEST, *files}:
                raise BackupError(f"{origin} is damaged: its files are not those that its manifest names")
            free = shutil.disk_usage(staging).free
            if (needed := 2 * sum(each["size"] for each in files.values())) > free:
                raise BackupError(f"{needed // 2**20:,} MB are needed to restore, and {free // 2**20:,} MB are free")
            for name, known in files.items():
                _check_name(config, entries[name], origin)
                _unpack(archive, entries[name], known, staging / name, origin)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise BackupError(f"{origin} is damaged: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BackupError(f"{origin} is damaged: its manifest cannot be read") from None
    return manifest


def _manifest(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], origin: Path) -> dict[str, Any]:
    if MANIFEST not in entries or entries[MANIFEST].file_size > _LARGEST_MANIFEST:
        raise BackupError(f"{origin} is not a backup of this record: it has no {MANIFEST}")
    manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    if manifest["format"] != backups.FORMAT:
        raise BackupError(f"{origin} is of a newer version ({manifest['version']}); install that version, and restore")
    _refuse_newer(str(manifest["schema"]), origin)
    _ = [(int(each["size"]), str(each["sha256"])) for each in manifest["files"].values()]
    _ = manifest["made_at"][:19] + manifest["version"]
    return manifest


def _check_name(config: Settings, entry: zipfile.ZipInfo, origin: Path) -> None:
    """Refuse a link, and a name that leads to where no backup of ours puts a file."""
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    path = PurePosixPath(name)
    is_plain = kind in (0, stat.S_IFREG) and not entry.is_dir() and path.as_posix() == name and "\\" not in name
    inside = not path.is_absolute() and ".." not in path.parts and "\0" not in name
    known = name in (SQLITE, POSTGRESQL) or (name.startswith(FILES) and len(path.parts) == 2)
    if name.startswith(DATA):
        known = backups.belongs(config, Path(name.removeprefix(DATA)))
    if not (is_plain and inside and known):
        raise BackupError(f"{origin} holds {name!r}, which no backup of ours does; nothing was changed")


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, known: Any, target: Path, origin: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, left = hashlib.sha256(), int(known["size"])
    with archive.open(entry) as source, open(target, "xb", opener=_private) as sink:
        while (piece := source.read(_CHUNK)) and left >= 0:
            left -= len(piece)
            digest.update(piece)
            sink.write(piece)
    if left or digest.hexdigest() != known["sha256"]:
        raise BackupError(f"{origin} is damaged: {entry.filename} is not what was backed up; nothing was changed")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _refuse_newer(revision: str, origin: Path) -> None:
    if database.schema_of(revision) is Schema.NEWER:
        raise BackupError(
            f"{origin} is of a newer version: its schema is {revision[:40]!r}, and this version's newest is"
            f" {database.revisions()[-1]}; nothing was changed. Install the version that made it, and restore with that"
        )


def _check_schema(copy: Path, origin: Path) -> None:
    """Refuse a database that has another schema than our migrations make: a trigger in it would act as us."""
    revision = backups.check(copy)
    _refuse_newer(revision, origin)
    expected, found = _expected(revision, copy.parent), _schema(copy)
    wrong = sorted({name for name, _ in expected.items() ^ found.items()})
    if wrong:
        what, name = wrong[0]
        raise BackupError(f"{origin} has a schema that is not ours ({what} {name[:60]!r}); nothing was changed")


def _expected(revision: str, folder: Path) -> dict[tuple[str, str], str]:
    return dict(_made(revision, str(folder)))


@lru_cache(maxsize=4)
def _made(revision: str, folder: str) -> tuple[tuple[tuple[str, str], str], ...]:
    path = Path(folder) / "expected.db"
    path.unlink(missing_ok=True)
    with opened(f"sqlite:///{path}") as db:
        database.migrate(db, revision)
    return tuple(_schema(path).items())


def _schema(path: Path) -> dict[tuple[str, str], str]:
    """Everything that a database is made of: kind and name, and how it was made, in whatever layout."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    return {
        (kind, name): " ".join((sql or "").replace('"', "").split())
        for kind, name, sql in rows
        if not name.startswith(_SQLITE_OWN)
    }


def _make_ready(db: Database, copy: Path, plan: Plan) -> set[str]:
    """Bring the copy to today's schema, without sessions and links, and without those who were erased since.

    Returns their addresses.
    """
    known: set[str] = set()
    if db.path and db.path.exists():
        with suppress(SQLAlchemyError), db.read() as session:  # A damaged one says nothing of them.
            known = tombstones.everything(session)
    try:
        with opened(f"sqlite:///{copy}") as staged:
            database.migrate(staged)
            with staged.write() as session:
                session.execute(delete(BrowserSession))
                session.execute(delete(SignInLink))
                again, addresses = erasure.erase_again(session, known)
            if again:
                staged.compact()
                plan.revives.append(f"{again} tickets of people who were erased since: they are erased from it again")
    except SQLAlchemyError as error:
        raise BackupError(f"{plan.origin} cannot be brought to today's schema: {shell_user.told(error)}") from None
    return addresses


def _plan_files(config: Settings, staging: Path, erased: set[str], plan: Plan) -> None:
    """Say where each file goes; a workbook or a mail that names who was erased since goes nowhere."""
    named = backups.settings_files(config)
    for path in sorted(path for path in staging.rglob("*") if path.is_file()):
        name = path.relative_to(staging).as_posix()
        if name.startswith(DATA) and any(erase.holds(path, address) for address in erased):
            continue
        if name.startswith(DATA):
            plan.files[config.data_dir / name.removeprefix(DATA)] = path
        elif name.startswith(FILES):
            own = Path(".env")
            if name == f"{FILES}env" and own.is_file() and own.read_bytes() == path.read_bytes():
                continue
            target = named.get(name.removeprefix(FILES))
            if target is None or not os.access(target if target.exists() else target.parent, os.W_OK):
                target = config.data_dir / "restored" / name.removeprefix(FILES)
                if name.endswith((".yaml",)):
                    setting = {"sources.yaml": "SOURCES_FILE", "digests.yaml": "DIGESTS_FILE"}.get(target.name)
                    plan.lacks.append(f"{setting or 'SERVICE_CATALOG_URL'}: set it to {target}, or compare the two")
                else:
                    plan.lacks.append(f"the other .env is put to {target}; take from it what is missing in yours")
            plan.files[target] = path
    for target, path in plan.files.items():
        if target.exists() and target.read_bytes() != path.read_bytes():
            plan.replaces.append(str(target))


def _compare(db: Database, staged: Database, plan: Plan) -> None:
    """Say what is replaced and who comes back; of a database that is damaged, that it is."""
    try:
        with db.read() as live, staged.read() as old:
            before, after = (session.scalar(select(func.count(Ticket.id))) or 0 for session in (live, old))
            plan.replaces.insert(0, f"the database at {db.path}: {before:,} tickets, by {after:,}")
            plan.revives += _people(live, old)
            known = set(old.scalars(select(Digest.id)))
            later = [each for each in live.scalars(select(Digest)) if each.id not in known]
            entries = audit.size(live) - audit.size(old)
    except SQLAlchemyError:
        plan.replaces.insert(0, f"the database at {db.path}, which cannot be read")
        return
    if later:
        plan.revives.append(f"what {len(later)} digests have told since is told again")
    if entries > 0:
        plan.replaces.append(f"the last {entries:,} entries of the audit")


def _people(live: Any, old: Any) -> Iterator[str]:
    people = {each.email: each for each in live.scalars(select(Person))}
    tokens = set(live.scalars(select(ApiToken.token_sha256)))
    for person in old.scalars(select(Person).where(Person.active).order_by(Person.email)):
        today = people.get(person.email)
        if today is None:
            yield f"{person.email} ({person.role}) may come in again, and is not known today"
        elif not today.active:
            yield f"{person.email} ({person.role}) may come in again, and was disabled since"
        elif today.role != person.role:
            yield f"{person.email} is {person.role} again, and {today.role} today"
        elif not hmac.compare_digest(today.password_hash or "", person.password_hash or ""):
            yield f"the password of {person.email} is that of then"
    for token in old.scalars(select(ApiToken).where(ApiToken.expires_at > now()).order_by(ApiToken.id)):
        if token.token_sha256 not in tokens:
            yield f"the API token {token.name!r} counts again, and was revoked since"


def put_back(db: Database, config: Settings, plan: Plan) -> Path | None:
    """Do what a plan says; returns where what was there is kept. Raises BackupError and OSError.

    Until everything is written beside its place nothing has changed. What is left then is one transaction and renames;
    who is killed among them leaves a note in DATA_DIR, and nothing starts before the restore was run again.
    """
    is_damaged = _is_damaged(db)
    kept = _keep(db, config, is_damaged)
    waiting = {target: target.with_name(f".{target.name}.restored") for target in plan.files}
    try:
        for target, path in plan.files.items():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(waiting[target], "wb", opener=_private) as sink, path.open("rb") as source:
                shutil.copyfileobj(source, sink, _CHUNK)
        unfinished = config.data_dir / data_dir_lock.UNFINISHED
        with _uninterrupted():
            unfinished.write_text(f"{plan.origin.resolve()}\n", encoding="utf-8")
            try:
                _replace_database(db, config.data_dir / STAGING / SQLITE, is_damaged)
            except BackupError:
                unfinished.unlink()
                raise
            for target, path in waiting.items():
                path.replace(target)
            _forget_later_files(db, config)
            with db.write() as session:
                audit.note(session, shell_user.who(), "restore", f"backup {plan.origin.name}", now())
            unfinished.unlink()
    finally:
        for path in waiting.values():
            path.unlink(missing_ok=True)
    return kept


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_damaged(db: Database) -> bool:
    if db.path is None or not db.path.exists():
        return False
    try:
        backups.check(db.path)
    except BackupError:
        return True
    return False


def _keep(db: Database, config: Settings, is_damaged: bool) -> Path | None:
    """A backup of what is there; of a damaged database its files as they are. None where there is nothing."""
    if db.path is None or not db.path.exists():
        return None
    place = backups.folder(config.data_dir)
    if not is_damaged:
        return backups.backup(db, config, place, "before-restore")
    kept = place / f"damaged-{now():%Y%m%dT%H%M%SZ}"
    kept.mkdir(parents=True, mode=0o700)
    for path in _with_logs(db.path):
        if path.exists():
            shutil.copy2(path, kept / path.name)
    return kept


def _with_logs(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


def _replace_database(db: Database, copy: Path, is_damaged: bool) -> None:
    """Make the database what `copy` is, in one transaction: who reads it meanwhile sees the one or the other."""
    if db.path is None:
        raise BackupError("the database is on a server")
    db.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if is_damaged:  # SQLite would refuse to write into it.
        db.close()
        for path in _with_logs(db.path):
            path.unlink(missing_ok=True)
    db.path.touch(mode=0o600)
    try:
        with db.turn(), closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(db.path)) as live:
            source.backup(live, pages=-1)
    except sqlite3.Error as error:
        raise BackupError(f"the database cannot be written: {error}; nothing was changed") from None


def _forget_later_files(db: Database, config: Settings) -> None:
    """Delete the workbooks and mails of digests that the record does not know any more: their numbers come again."""
    with db.read() as session:
        known = set(session.scalars(select(Digest.id)))
    for path in [*(config.data_dir / "digests").glob("digest-*"), *(config.data_dir / "outbox").glob("digest-*")]:
        number = path.stem.removeprefix("digest-")
        if number.isdecimal() and int(number) not in known:
            path.unlink()


def verify(config: Settings, origin: Path) -> str:
    """What a good archive holds, in a line. Raises BackupError where it is not good."""
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        manifest = _unpacked(config, origin, Path(folder))
        if SQLITE in manifest["files"]:
            _check_schema(Path(folder) / SQLITE, origin)
    return (
        f"{origin} is whole: {len(manifest['files'])} files of {manifest['made_at'][:19].replace('T', ' ')} UTC,"
        f" version {manifest['version']}, schema {manifest['schema']}"
    )
