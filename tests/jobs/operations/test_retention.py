"""What is old goes when the settings say so, and nothing that anybody is still owed."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jobs.operations import retention
from receiver.catalog import Catalog
from receiver.db import due_tickets
from receiver.db.database import Database
from receiver.db.digests import claim, mark, take_slot
from receiver.db.models import Digest, DigestTicket, ExampleRow, Ticket
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings, SettingsError, load
from tests.factories import deliver, due_ticket, incoming, review, settle

NOBODY = Envelope((), "example.com")


def _names(db: Database) -> set[str]:
    with db.read() as session:
        return set(session.scalars(select(Ticket.external_id)))


def _digest(db: Database, status: str = "sent") -> int:
    with db.write() as session:
        take_slot(session, "digest", now() - timedelta(days=1))
        made = claim(session, now().isoformat(), NOBODY, now(), even_empty=True)
        assert made
        mark(session, made.id, status, now())
        return made.id


def _retain(db: Database, config: Settings, days_later: int) -> None:
    retention.retain_in(db, config, now() + timedelta(days=days_later))


def test_only_tickets_that_nobody_owes_anything_go(db: Database, config: Settings) -> None:
    for name in ("classified", "doubtful", "failed", "waiting"):
        due_ticket(db, external_id=name)
    ids = {}
    with db.read() as session:
        ids = {ticket.external_id: ticket.id for ticket in session.scalars(select(Ticket))}
    settle(db, ids["classified"])
    settle(db, ids["doubtful"], review_reason="low_confidence")
    with db.write() as session:
        due_tickets.fail(session, ids["failed"], "other", "gave up", 1, None)
    digest_id = _digest(db)
    _retain(db, replace(config, ticket_retention_days=100), days_later=99)
    assert _names(db) == {"classified", "doubtful", "failed", "waiting"}
    _retain(db, replace(config, ticket_retention_days=100), days_later=101)
    assert _names(db) == {"doubtful", "failed", "waiting"}
    with db.read() as session:
        assert session.get_one(Digest, digest_id).tickets == 2  # As it was told.
        assert ids["classified"] not in session.scalars(select(DigestTicket.ticket_id)).all()


def test_what_no_digest_has_covered_stays(db: Database, config: Settings) -> None:
    settle(db, due_ticket(db, external_id="early"))
    _digest(db)
    settle(db, due_ticket(db, external_id="late"))
    _retain(db, replace(config, ticket_retention_days=100), days_later=101)
    assert _names(db) == {"late"}


def test_what_was_learned_from_a_ticket_goes_with_it(db: Database, config: Settings, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    review(db, ticket_id, shipped)
    _digest(db)
    with db.read() as session:
        assert session.scalars(select(ExampleRow)).all()
    _retain(db, replace(config, ticket_retention_days=100), days_later=101)
    with db.read() as session:
        assert session.scalars(select(ExampleRow)).all() == []


def test_a_ticket_that_is_sent_again_later_is_a_new_one(db: Database, config: Settings) -> None:
    settle(db, due_ticket(db, external_id="T-1"))
    _digest(db)
    _retain(db, replace(config, ticket_retention_days=100), days_later=101)
    assert _names(db) == set()
    assert deliver(db, incoming(external_id="T-1")).accepted == 1


def _file(path: Path, days_old: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    at = (now() - timedelta(days=days_old)).timestamp()
    os.utime(path, (at, at))
    return path


def test_files_go_by_their_age_and_those_of_a_held_digest_stay(db: Database, config: Settings) -> None:
    over, held = _digest(db), _digest(db, "held")
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
    _retain(db, replace(config, workbook_retention_days=30, mail_retention_days=30), days_later=0)
    assert [path for path in (*gone, *stay) if path.exists()] == stay


def test_by_default_workbooks_and_mails_stay(db: Database, config: Settings) -> None:
    path = _file(config.data_dir / "digests" / f"digest-{_digest(db)}.xlsx", 4000)
    _retain(db, config, days_later=0)
    assert path.exists()


def test_the_newest_copies_of_what_a_restore_replaced_stay(db: Database, config: Settings) -> None:
    place = config.data_dir / "backups"
    copies = [_file(place / f"before-restore-2026010{day}T000000Z.zip", 0) for day in range(1, 5)]
    backups = _file(place / "backup-20260101T000000Z.zip", 99)
    (place / "damaged-20260101T000000Z").mkdir()
    _retain(db, replace(config, before_restore_keep=2), days_later=0)
    assert [path for path in copies if path.exists()] == copies[2:]
    assert backups.exists()
    assert (place / "damaged-20260101T000000Z").exists()


def test_raw_bodies_may_not_outlive_their_tickets() -> None:
    with pytest.raises(SettingsError, match="TICKET_RETENTION_DAYS: RAW_RETENTION_DAYS keeps"):
        load({"TICKET_RETENTION_DAYS": "10"})
