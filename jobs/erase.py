"""Removing a person: from tables and raw deliveries, from files on disk, and from the database's free pages."""

import email
import email.policy
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs import shell
from receiver.clock import now
from receiver.record import audit, erasure, people, traces
from receiver.record.database import Record
from receiver.record.digests import mail_path, workbook_path
from receiver.settings import Settings


class EraseError(Exception):
    """The address is still found after erasing; the text says where."""


@dataclass(frozen=True)
class Erased:
    """What was removed, and the backups that still hold it."""

    tickets: int
    deliveries: int
    files: tuple[Path, ...]
    backups: tuple[Path, ...]


def erase(record: Record, config: Settings, requester: str) -> Erased:
    """Remove everything that holds the address `requester`, and prove it. Raises EraseError where something is left."""
    with record.write() as session:
        found = erasure.erase_requester(session, requester)
        known = people.by_email(session, requester)
        # Neither the address nor anything made of it: no entry of the audit can be erased.
        details = {"tickets": found.tickets, "deliveries": found.deliveries}
        audit.note(session, shell.who(), "erase", "a requester", now(), details)
    files = {path for digest_id in found.digest_ids for path in _files_of(config, digest_id) if path.exists()}
    files |= {path for path in _reports(config) if holds(path, requester)}
    for path in files:
        path.unlink()
    record.compact()
    backups = config.data_dir / "backups"
    left = [path for path in _all_files(config.data_dir) if holds(path, requester)]
    still = [str(path) for path in left if backups not in path.parents]
    with record.read() as session:  # What is compressed in the database, a search of its file does not find.
        still += [f"delivery {delivery_id}" for delivery_id in erasure.holding(session, requester)]
    if known:
        raise EraseError("the tickets are erased, but the address has an account too, which People and the audit name")
    if still:
        raise EraseError(f"the address is still in {', '.join(still)}; erase again when nothing else writes")
    return Erased(found.tickets, found.deliveries, tuple(sorted(files)), tuple(left))


def _files_of(config: Settings, digest_id: int) -> Iterator[Path]:
    yield workbook_path(config.data_dir, digest_id)
    yield mail_path(config.data_dir, digest_id)
    yield config.data_dir / "outbox" / f"digest-{digest_id}.eml"


def _reports(config: Settings) -> Iterator[Path]:
    """Copies that no digest knows of: previews, and what `jobs run` wrote."""
    for folder in (config.data_dir / "digests", config.data_dir / "outbox", config.output_dir):
        yield from _all_files(folder)


def _all_files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())


def holds(path: Path, address: str) -> bool:
    """Whether a file holds the address in any spelling, also inside a workbook or a mail's attachment."""
    return _within(path.name, path.read_bytes(), address)


def _within(name: str, data: bytes, address: str) -> bool:
    if traces.holds(data, address):
        return True
    if name.endswith(".xlsx") and zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            return any(traces.holds(book.read(member), address) for member in book.namelist())
    if name.endswith(".eml"):
        parts = email.message_from_bytes(data, policy=email.policy.default).walk()
        leaves = [
            (part.get_filename() or "", part.get_payload(decode=True)) for part in parts if not part.is_multipart()
        ]
        return any(_within(inner, body, address) for inner, body in leaves if isinstance(body, bytes))
    return False
