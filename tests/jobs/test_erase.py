"""A person can be removed, and nothing of the address is left."""

import json
from pathlib import Path

import pytest

from jobs import backup, digest, erase
from receiver.record import deliveries
from receiver.record.database import Record
from receiver.record.deliveries import Arrival, Content
from receiver.record.models import Delivery, Digest, Ticket
from receiver.settings import Settings
from receiver.sources import standard
from tests.factories import arrival, settle, ticket_json

ADDRESS = "grace.hopper@example.com"


def _deliver(record: Record, *addresses: str) -> Delivery:
    body = json.dumps([ticket_json(requester_email=address) for address in addresses]).encode()
    message: Arrival = arrival(body=body)
    content: Content = standard.read(body, 1000)
    with record.write() as session:
        return deliveries.record(session, message, content)


@pytest.fixture
def reported(record: Record, config: Settings) -> Digest:
    """A digest in the outbox, with tickets of the person and of somebody else."""
    _deliver(record, ADDRESS, "ada@example.com", ADDRESS.upper())
    with record.read() as session:
        ids = [ticket.id for ticket in session.query(Ticket)]
    for ticket_id in ids:
        settle(record, ticket_id)
    sent = digest.send_now(record, config)
    assert sent is not None
    return sent


def test_nothing_of_the_person_is_left_and_others_stay(record: Record, config: Settings, reported: Digest) -> None:
    held = [path for path in config.data_dir.rglob("*") if path.is_file() and erase.holds(path, ADDRESS)]
    assert {path.suffix for path in held} >= {".xlsx", ".eml"}
    erased = erase.erase(record, config, ADDRESS)
    assert (erased.tickets, erased.deliveries, len(erased.files)) == (2, 1, 2)
    assert not [path for path in config.data_dir.rglob("*") if path.is_file() and erase.holds(path, ADDRESS)]
    with record.read() as session:
        assert [ticket.requester_email for ticket in session.query(Ticket)] == ["ada@example.com"]
        assert session.get_one(Digest, reported.id).tickets == 3


def test_copies_of_the_report_elsewhere_are_deleted_too(record: Record, config: Settings, reported: Digest) -> None:
    config.output_dir.mkdir(parents=True)
    copy = config.output_dir / config.report_filename
    copy.write_bytes((config.data_dir / "digests" / f"digest-{reported.id}.xlsx").read_bytes())
    assert copy in erase.erase(record, config, ADDRESS).files
    assert not copy.exists()


def test_a_redelivery_does_not_bring_the_person_back(record: Record, config: Settings) -> None:
    first = _deliver(record, ADDRESS)
    erase.erase(record, config, ADDRESS)
    with record.read() as session:
        assert deliveries.original(session, "standard", first.key) is not None


def test_backups_that_still_hold_the_person_are_named(record: Record, config: Settings, tmp_path: Path) -> None:
    _deliver(record, ADDRESS)
    path = backup.default_path(config.data_dir)
    backup.backup(record, path)
    assert erase.erase(record, config, ADDRESS).backups == (path,)


def test_somebody_unknown_erases_nothing(record: Record, config: Settings, reported: Digest) -> None:
    erased = erase.erase(record, config, "nobody@example.com")
    assert (erased.tickets, erased.deliveries, erased.files) == (0, 0, ())
