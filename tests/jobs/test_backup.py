"""Backups are taken while others write, and put back."""

import threading
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from jobs import backup
from jobs.backup import BackupError
from receiver.record.database import Record
from receiver.record.models import Ticket
from tests.factories import deliver, due_ticket, incoming


def _tickets(path: Path) -> int:
    with closing(connect(path)) as copy:
        return int(copy.execute("SELECT count(*) FROM tickets").fetchone()[0])


def test_a_backup_taken_while_others_write_is_whole(record: Record, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            deliver(record, incoming(), incoming())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            target = tmp_path / f"{number}.db"
            backup.backup(record, target)
            assert _tickets(target) % 2 == 0
    finally:
        stop.set()
        writer.join()


def test_a_restored_backup_is_the_record_of_its_instant(record: Record, tmp_path: Path) -> None:
    due_ticket(record, external_id="before")
    backup.backup(record, tmp_path / "copy.db")
    due_ticket(record, external_id="after")
    backup.restore(record, tmp_path / "copy.db", tmp_path / "kept.db")
    with record.read() as session:
        assert [ticket.external_id for ticket in session.query(Ticket)] == ["before"]
    assert _tickets(tmp_path / "kept.db") == 2


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_what_is_no_backup_is_refused_and_changes_nothing(record: Record, tmp_path: Path, content: bytes) -> None:
    due_ticket(record)
    (tmp_path / "broken.db").write_bytes(content)
    with pytest.raises(BackupError):
        backup.restore(record, tmp_path / "broken.db", tmp_path / "kept.db")
    with record.read() as session:
        assert session.query(Ticket).count() == 1


def test_a_missing_backup_is_refused(record: Record, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is not a backup"):
        backup.restore(record, tmp_path / "none.db", tmp_path / "kept.db")
