"""What is old goes when the settings say so, and nothing that anybody is still owed."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jobs.operations import retention
from receiver.catalog import Catalog
from receiver.db import leases
from receiver.db.database import Record
from receiver.db.digests import claim, mark, take_slot
from receiver.db.models import Digest, DigestTicket, ExampleRow, Ticket
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings, SettingsError, load
from tests.factories import deliver, due_ticket, incoming, review, settle

NOBODY = Envelope((), "example.com")


def _names(record: Record) -> set[str]:
    with record.read() as session:
        return set(session.scalars(select(Ticket.external_id)))


def _digest(record: Record, status: str = "sent") -> int:
    with record.write() as session:
        take_slot(session, "digest", now() - timedelta(days=1))
        made = claim(session, now().isoformat(), NOBODY, now(), even_empty=True)
        assert made
        mark(session, made.id, status, now())
        return made.id


def _retain(record: Record, config: Settings, days_later: int) -> None:
    retention.retain_in(record, config, now() + timedelta(days=days_later))


def test_only_tickets_that_nobody_owes_anything_go(record: Record, config: Settings) -> None:
    for name in ("classified", "doubtful", "failed", "waiting"):
        due_ticket(record, external_id=name)
    ids = {}
    with record.read() as session:
        ids = {ticket.external_id: ticket.id for ticket in session.scalars(select(Ticket))}
    settle(record, ids["classified"])
    settle(record, ids["doubtful"], review_reason="low")
    with record.write() as session:
        leases.fail(session, ids["failed"], "gave up")
    digest_id = _digest(record)
    _retain(record, replace(config, ticket_retention_days=100), days_later=99)
    assert _names(record) == {"classified", "doubtful", "failed", "waiting"}
    _retain(record, replace(config, ticket_retention_days=100), days_later=101)
    assert _names(record) == {"doubtful", "failed", "waiting"}
    with record.read() as session:
        assert session.get_one(Digest, digest_id).tickets == 2  # As it was told.
        assert ids["classified"] not in session.scalars(select(DigestTicket.ticket_id)).all()


def test_what_no_digest_has_covered_stays(record: Record, config: Settings) -> None:
    settle(record, due_ticket(record, external_id="early"))
    _digest(record)
    settle(record, due_ticket(record, external_id="late"))
    _retain(record, replace(config, ticket_retention_days=100), days_later=101)
    assert _names(record) == {"late"}


def test_what_was_learned_from_a_ticket_goes_with_it(record: Record, config: Settings, shipped: Catalog) -> None:
    ticket_id = due_ticket(record)
    settle(record, ticket_id)
    review(record, ticket_id, shipped)
    _digest(record)
    with record.read() as session:
        assert session.scalars(select(ExampleRow)).all()
    _retain(record, replace(config, ticket_retention_days=100), days_later=101)
    with record.read() as session:
        assert session.scalars(select(ExampleRow)).all() == []


def test_a_ticket_that_is_sent_again_later_is_a_new_one(record: Record, config: Settings) -> None:
    settle(record, due_ticket(record, external_id="T-1"))
    _digest(record)
    _retain(record, replace(config, ticket_retention_days=100), days_later=101)
    assert _names(record) == set()
    assert deliver(record, incoming(external_id="T-1")).accepted == 1


def _file(path: Path, days_old: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    at = (now() - timedelta(days=days_old)).timestamp()
    os.utime(path, (at, at))
    return path


def test_files_go_by_their_age_and_those_of_a_held_digest_stay(record: Record, config: Settings) -> None:
    over, held = _digest(record), _digest(record, "held")
    place, outbox = config.data_dir / "digests", config.data_dir / "outbox"
    gone = [
        _file(place / f"digest-{over}.xlsx", 31),
        _file(place / f"digest-{over}.eml", 31),
        _file(outbox / f"digest-{over}.eml", 31),
        _file(place / "preview-digest.xlsx", 8),
    ]
    stay = [
        _file(place / f"digest-{held}.xlsx", 31),
        _file(place / "preview-other.eml", 6),
        _file(place / "somebody's.xlsx", 99),
    ]
    _retain(record, replace(config, workbook_retention_days=30, mail_retention_days=30), days_later=0)
    assert [path for path in (*gone, *stay) if path.exists()] == stay


def test_by_default_workbooks_and_mails_stay(record: Record, config: Settings) -> None:
    path = _file(config.data_dir / "digests" / f"digest-{_digest(record)}.xlsx", 4000)
    _retain(record, config, days_later=0)
    assert path.exists()


def test_the_newest_copies_of_what_a_restore_replaced_stay(record: Record, config: Settings) -> None:
    place = config.data_dir / "backups"
    copies = [_file(place / f"before-restore-2026010{day}T000000Z.zip", 0) for day in range(1, 5)]
    backups = _file(place / "backup-20260101T000000Z.zip", 99)
    (place / "damaged-20260101T000000Z").mkdir()
    _retain(record, replace(config, before_restore_keep=2), days_later=0)
    assert [path for path in copies if path.exists()] == copies[2:]
    assert backups.exists()
    assert (place / "damaged-20260101T000000Z").exists()


def test_raw_bodies_may_not_outlive_their_tickets() -> None:
    with pytest.raises(SettingsError, match="TICKET_RETENTION_DAYS: RAW_RETENTION_DAYS keeps"):
        load({"TICKET_RETENTION_DAYS": "10"})
