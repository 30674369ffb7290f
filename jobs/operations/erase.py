"""Removing a person: from tables and raw deliveries, from files, Redis, and from the database's free pages."""

import email
import email.policy
import io
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import func, select

from jobs.operations import shell_user
from jobs.operations.backup import SQLITE, folder
from receiver import queue
from receiver.db import audit, erasure, pii_search
from receiver.db.database import Database, opened
from receiver.db.digests import mail_path, sending_path, workbook_path
from receiver.db.erasure import Mention
from receiver.db.models import DigestTicket, Ticket
from receiver.lib.clock import now
from receiver.lib.settings import Settings

_REDIS_SECONDS = 10.0


class EraseError(Exception):
    """The address is still found after erasing; the text says where."""


@dataclass(frozen=True)
class Erased:
    """What was removed, or would be, and what still holds the address: texts of other people, and backups."""

    tickets: int
    deliveries: int
    files: tuple[Path, ...]
    backups: tuple[Path, ...]
    mentions: tuple[str, ...] = ()
    masked: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether the address was found nowhere."""
        return not (self.tickets or self.deliveries or self.files or self.backups or self.mentions or self.masked)


def look(db: Database, config: Settings, requester: str) -> Erased:
    """What `erase` would remove, and what it would leave; nothing is changed."""
    with db.read() as session:
        own = select(Ticket.id).where(func.lower(Ticket.requester_email) == requester.lower())
        tickets = session.scalar(select(func.count()).select_from(own.subquery())) or 0
        bodies = set(erasure.holding(session, requester))
        bodies |= set(session.scalars(select(Ticket.delivery_id).where(Ticket.id.in_(own))))
        told = session.scalars(select(DigestTicket.digest_id).where(DigestTicket.ticket_id.in_(own)).distinct()).all()
        mentions = _named(erasure.mentions(session, requester) + erasure.fixed(session, requester))
    files = _files(config, requester, told)
    return Erased(tickets, len(bodies), tuple(sorted(files)), tuple(_backups(config, requester)), mentions)


def erase(db: Database, config: Settings, requester: str, *, masks: bool = False) -> Erased:
    """Remove everything that holds the address `requester`, and prove it. Raises EraseError where something is left.

    Other people's texts that name it are not deleted: with `masks` the address in them is, else they are listed.
    """
    with db.write() as session:
        found = erasure.erase_requester(session, requester)
        masked = erasure.mask(session, requester) if masks else 0
        known = erasure.fixed(session, requester)
        # Neither the address nor anything made of it: no entry of the audit can be erased.
        details = {"tickets": found.tickets, "deliveries": found.deliveries}
        audit.note(session, shell_user.who(), "erase", "a requester", now(), details)
    files = _files(config, requester, found.digest_ids)
    for path in files:
        path.unlink()
    _forget_in_redis(config, requester)
    db.compact()
    with db.read() as session:
        mentions = erasure.mentions(session, requester)
        # What is compressed in the database, a search of its file does not find.
        still = [f"delivery {delivery_id}" for delivery_id in erasure.holding(session, requester)]
        is_told = bool(mentions or known) or erasure.is_part(session, requester)
    still += [str(path) for path in _left(db, config, requester, is_told=is_told)]
    if known:
        raise EraseError(
            f"the tickets are erased, but the address has an account too, or had one: {', '.join(_named(known))}"
        )
    if still:
        raise EraseError(f"the address is still in {', '.join(still)}; erase again when nothing else writes")
    backups = tuple(_backups(config, requester))
    return Erased(found.tickets, found.deliveries, tuple(sorted(files)), backups, _named(mentions), masked)


def _named(mentions: list[Mention]) -> tuple[str, ...]:
    """Where each is, as an operator finds it: a ticket by its number, another row by its table."""
    found = {}
    for each in mentions:
        place = f"{each.table} {'/'.join(map(str, each.key))}" if each.table in ("audit", "people") else each.table
        found[f"ticket {each.ticket_id}" if each.ticket_id else place] = True
    return tuple(found)


def _files(config: Settings, requester: str, digest_ids: Any) -> set[Path]:
    """Workbooks and mails of these digests, and copies that no digest knows of: previews, what `jobs run` wrote."""
    data_dir = config.data_dir
    files = {
        path
        for digest_id in digest_ids
        for path in (
            workbook_path(data_dir, digest_id),
            mail_path(data_dir, digest_id),
            sending_path(data_dir, digest_id),
            data_dir / "outbox" / f"digest-{digest_id}.eml",
        )
        if path.exists()
    }
    for place in (data_dir / "digests", data_dir / "outbox", config.output_dir):
        files |= {path for path in _all_files(place) if holds(path, requester)}
    return files


def _backups(config: Settings, requester: str) -> list[Path]:
    return [path for path in sorted(_all_files(folder(config.data_dir))) if holds(path, requester)]


def _left(db: Database, config: Settings, requester: str, *, is_told: bool) -> Iterator[Path]:
    """The files that hold the address still, but for backups; the database's not where that is told by the rows."""
    name = db.path.name if db.path else ""
    for path in _all_files(config.data_dir):
        if folder(config.data_dir) in path.parents:
            continue
        if name and path.name.startswith(name):
            if not is_told and pii_search.anywhere(path.read_bytes(), requester):
                yield path
        elif holds(path, requester):
            yield path


def _all_files(place: Path) -> Iterator[Path]:
    yield from (path for path in place.rglob("*") if path.is_file())


def holds(path: Path, address: str) -> bool:
    """Whether a file holds the address in any spelling, also inside a workbook, a mail's attachment or a backup."""
    if path.suffix == ".zip" and zipfile.is_zipfile(path):
        return _in_archive(path, address)
    if path.suffix == ".db":
        return _in_database(path, address)
    return _within(path.name, path.read_bytes(), address)


def _within(name: str, data: bytes, address: str) -> bool:
    if pii_search.holds(data, address):
        return True
    if name.endswith(".xlsx") and zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            return any(pii_search.holds(book.read(member), address) for member in book.namelist())
    if name.endswith((".eml", ".sending")):
        parts = email.message_from_bytes(data, policy=email.policy.default).walk()
        leaves = [
            (part.get_filename() or "", part.get_payload(decode=True)) for part in parts if not part.is_multipart()
        ]
        return any(_within(inner, body, address) for inner, body in leaves if isinstance(body, bytes))
    return False


def _in_archive(path: Path, address: str) -> bool:
    """A backup that cannot be read is said to hold it: nobody knows."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(dir=path.parent, prefix=".look-") as place:
            for name in archive.namelist():
                if name == SQLITE:
                    if _in_database(Path(archive.extract(name, place)), address):
                        return True
                elif _within(name, archive.read(name), address):
                    return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return True
    return False


def _in_database(path: Path, address: str) -> bool:
    if pii_search.anywhere(path.read_bytes(), address):
        return True
    with suppress(Exception), opened(f"sqlite:///{path}") as db, db.read() as session:  # Of any age.
        return bool(erasure.holding(session, address))
    return False


def _forget_in_redis(config: Settings, address: str) -> None:
    """Delete what holds the address from Redis, which is transport only: a failed job may have kept an error's words.

    Where Redis does not answer, what it keeps under DATA_DIR is searched as a file all the same.
    """
    with suppress(redis.RedisError, OSError):
        connection = queue.connect(config.redis_url, timeout=_REDIS_SECONDS)
        held = [key for key in connection.scan_iter("rq:*", count=1000) if _key_holds(connection, key, address)]
        if not held:
            return
        connection.delete(*held)
        if config.embeds_redis:
            connection.bgrewriteaof()
            until = time.monotonic() + _REDIS_SECONDS
            while time.monotonic() < until and connection.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.05)


def _key_holds(connection: Any, key: bytes, address: str) -> bool:
    kind = connection.type(key)
    kind = kind.decode() if isinstance(kind, bytes) else kind
    if kind == "hash":
        values = [part for pair in connection.hgetall(key).items() for part in pair]
    elif kind == "stream":
        values = [part for _, fields in connection.xrange(key) for pair in fields.items() for part in pair]
    elif kind == "string":
        values = [connection.get(key)]
    else:
        return False  # Lists and sets hold ids of jobs.
    raw = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    return any(pii_search.holds(value, address) or pii_search.holds(_inflated(value), address) for value in raw)


def _inflated(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""
