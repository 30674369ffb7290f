"""A person can be removed, and nothing of the address is left."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from jobs.__main__ import main
from jobs.digests import send
from jobs.helpdesks import reconcile
from jobs.operations import backup, erase
from receiver import queue
from receiver.actions.deliveries import replay
from receiver.actions.errors import GoneError
from receiver.db import deliveries, erasure, outbox, pii_search, tickets, work
from receiver.db.database import Database
from receiver.db.deliveries import Arrival, Content
from receiver.db.models import COMPLETE, Delivery, Digest, OutgoingCall, Ticket, Work
from receiver.intake.sources import bodies, standard
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import ADMIN
from tests.factories import acting, arrival, deliver, due_ticket, incoming, settle, source_named, ticket_json

ADDRESS = "grace.hopper@example.com"


def _deliver(db: Database, *addresses: str) -> Delivery:
    return _db(db, [ticket_json(requester_email=address) for address in addresses])


def _db(db: Database, documents: list[dict[str, Any]]) -> Delivery:
    body = json.dumps(documents).encode()
    message: Arrival = arrival(body=body)
    content: Content = standard.validate(standard.unwrap(bodies.parse_json(body)))
    with db.write() as session:
        return deliveries.record(session, message, content)


@pytest.fixture
def reported(db: Database, config: Settings) -> Digest:
    """A digest in the outbox, with tickets of the person and of somebody else."""
    _deliver(db, ADDRESS, "ada@example.com", ADDRESS.upper())
    with db.read() as session:
        ids = [ticket.id for ticket in session.query(Ticket)]
    for ticket_id in ids:
        settle(db, ticket_id)
    sent = send.send_now(db, config)
    assert sent is not None
    return sent


def test_an_address_that_has_an_account_is_told_to_stay_there(db: Database, config: Settings) -> None:
    due_ticket(db, requester_email=ADMIN)
    with pytest.raises(erase.EraseError, match="the tickets are erased, but the address has an account"):
        erase.erase(db, config, ADMIN)
    with db.read() as session:
        assert session.query(Ticket).filter_by(requester_email=ADMIN).count() == 0


def test_nothing_of_the_person_is_left_and_others_stay(db: Database, config: Settings, reported: Digest) -> None:
    held = [path for path in config.data_dir.rglob("*") if path.is_file() and erase.holds(path, ADDRESS)]
    assert {path.suffix for path in held} >= {".xlsx", ".eml"}
    erased = erase.erase(db, config, ADDRESS)
    assert (erased.tickets, erased.deliveries, len(erased.files)) == (2, 1, 3)
    assert not [path for path in config.data_dir.rglob("*") if path.is_file() and erase.holds(path, ADDRESS)]
    with db.read() as session:
        assert [ticket.requester_email for ticket in session.query(Ticket)] == ["ada@example.com"]
        assert session.get_one(Digest, reported.id).tickets == 3


@pytest.mark.sqlite
def test_not_even_the_words_of_an_erased_ticket_are_left_in_the_index(db: Database, config: Settings) -> None:
    deliver(db, incoming(requester_email=ADDRESS, short_description="Quetzalcoatl"), incoming())
    path = config.data_dir / "tickets.db"
    with db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"etzalcoatl" in path.read_bytes()  # Lower case: as the index has it.
    erase.erase(db, config, ADDRESS)
    assert b"etzalcoatl" not in path.read_bytes()


def test_copies_of_the_report_elsewhere_are_deleted_too(db: Database, config: Settings, reported: Digest) -> None:
    config.output_dir.mkdir(parents=True)
    copy = config.output_dir / config.report_filename
    copy.write_bytes((config.data_dir / "digests" / f"digest-{reported.id}.xlsx").read_bytes())
    assert copy in erase.erase(db, config, ADDRESS).files
    assert not copy.exists()


def test_a_redelivery_does_not_bring_the_person_back(db: Database, config: Settings) -> None:
    first = _deliver(db, ADDRESS)
    erase.erase(db, config, ADDRESS)
    with db.read() as session:
        assert deliveries.original(session, "standard", first.key) is not None


@pytest.mark.sqlite
def test_backups_that_still_hold_the_person_are_named(db: Database, config: Settings) -> None:
    _deliver(db, ADDRESS)
    path = backup.backup(db, config, backup.folder(config.data_dir))
    assert erase.erase(db, config, ADDRESS).backups == (path,)


def test_what_the_helpdesk_was_to_be_asked_goes_too_whatever_came_of_it(db: Database, config: Settings) -> None:
    """Of two people, each with a call that waits and one that is a dead letter."""
    for address in (ADDRESS, "ada@example.com"):
        for reason in (f"it does not know {address}", None):
            ticket_id = due_ticket(db)
            with db.write() as session:
                outbox.plan_completing(session, "standard", [ticket_id], [], now())
                session.execute(update(Ticket).where(Ticket.id == ticket_id).values(requester_email=address))
                if reason:
                    call_id = session.query(OutgoingCall.id).filter_by(ticket_id=ticket_id).scalar()
                    work.give_up(session, COMPLETE, "request", reason, Work.subject_id == call_id)
    with db.read() as session:
        assert [each.table for each in erasure.mentions(session, ADDRESS)] == []
    erased = erase.erase(db, config, ADDRESS)
    assert erased.tickets == 2
    with db.read() as session:
        calls = session.scalars(select(OutgoingCall).order_by(OutgoingCall.id)).all()
        left = session.scalars(select(Work).where(Work.kind == COMPLETE).order_by(Work.subject_id)).all()
        names = {session.get_one(Ticket, call.ticket_id).requester_email for call in calls}
    assert names == {"ada@example.com"}
    assert [row.subject_id for row in left] == [call.id for call in calls]
    assert [row.state for row in left] == ["dead", "due"]


def test_somebody_unknown_erases_nothing(db: Database, config: Settings, reported: Digest) -> None:
    erased = erase.erase(db, config, "nobody@example.com")
    assert (erased.tickets, erased.deliveries, erased.files) == (0, 0, ())


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "form": lambda text: urlencode({"requester": text}).encode(),
    "JSON": lambda text: json.dumps(text).replace("@", "\\u0040").encode(),
    "every character escaped": lambda text: "".join(f"\\u{ord(c):04X}" for c in text).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text).replace("@", "\\u0040")).encode(),
    "JSON in a form": lambda text: urlencode({"payload": json.dumps(text).replace("@", "\\u0040")}).encode(),
    "HTML": lambda text: text.replace("@", "&#64;").encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip of a form, in two members": lambda text: gzip.compress(b"x") + gzip.compress(urlencode({"r": text}).encode()),
    "gzip, cut off": lambda text: gzip.compress(text.encode() + b" x" * 2500, 0)[:-500],
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("address", [ADDRESS, "jo+it@exämple.com"])
def test_an_address_is_found_in_every_spelling(spell: Callable[[str], bytes], address: str) -> None:
    assert pii_search.holds(spell(f"from {address}, hello"), address)
    assert not pii_search.holds(spell("from somebody@example.com, hello"), address)


def test_an_address_is_found_deep_in_a_large_compressed_body_and_a_bomb_ends() -> None:
    deep = b" " * (2**20 - len(ADDRESS) // 2) + ADDRESS.encode()
    assert pii_search.holds(gzip.compress(deep), ADDRESS)
    assert not pii_search.holds(gzip.compress(gzip.compress(b"\0" * 10_000_000)), ADDRESS)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_bodies_in_every_spelling_are_emptied(db: Database, config: Settings, spell: Callable[[str], bytes]) -> None:
    with db.write() as session:
        held = deliveries.record(session, arrival(body=spell(ADDRESS)), Content(error="not understood")).id
        other = deliveries.record(session, arrival(body=b"[]"), Content(error="not understood")).id
    assert erase.erase(db, config, ADDRESS).deliveries == 1
    with db.read() as session:
        assert session.get_one(Delivery, held).body is None
        assert session.get_one(Delivery, other).body == b"[]"


def test_neither_a_later_event_nor_reconciling_brings_an_erased_ticket_back(db: Database, config: Settings) -> None:
    sent = [ticket_json(id="7", requester_email=ADDRESS)]
    source = source_named("standard", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    assert reconcile.bring_in(db, source, sent) == 1
    erase.erase(db, config, ADDRESS)
    changed = [sent[0] | {"short_description": "The same, said otherwise"}]
    assert reconcile.bring_in(db, source, changed) == 0
    with db.write() as session:
        body = json.dumps(changed).encode()
        later = deliveries.record(session, arrival(body=body), standard.validate(changed))
        assert (later.status, later.duplicates, later.body) == ("duplicate", 1, None)
    assert erase.erase(db, config, ADDRESS).deliveries == 0
    deliver(db, incoming(external_id="8"))
    with db.read() as session:
        assert [ticket.external_id for ticket in session.query(Ticket)] == ["8"]


def test_a_replay_does_not_bring_back_who_came_by_completing_a_thin_ticket(db: Database, config: Settings) -> None:
    source = source_named("standard", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    sent = ticket_json(id="7", requester_email=None)
    first, second = (_db(db, [document]) for document in (sent, sent | {"short_description": "Changed"}))
    with db.write() as session:
        tickets.complete(session, session.query(Ticket).one(), {"requester_email": ADDRESS}, now())
    erase.erase(db, config, ADDRESS)
    again = replay(acting(db, config, {"standard": source}), "ada", first.id)
    assert again.after is not None
    assert again.after["accepted"] == 0
    with pytest.raises(GoneError):
        replay(acting(db, config, {"standard": source}), "ada", second.id)
    with db.read() as session:
        assert session.query(Ticket).count() == 0


def _ticket_texts(db: Database) -> list[str]:
    with db.read() as session:
        return [ticket.long_description for ticket in session.query(Ticket).order_by(Ticket.id)]


def test_a_ticket_of_another_that_names_the_address_is_named_and_can_be_masked(db: Database, config: Settings) -> None:
    text = f"Please ask {ADDRESS.upper()}, not jo{ADDRESS} and not {ADDRESS}.au, nor\n{ADDRESS}."
    deliver(db, incoming(requester_email=ADDRESS), incoming(requester_email="ada@example.com", long_description=text))
    with db.read() as session:
        other = session.query(Ticket).filter_by(requester_email="ada@example.com").one().id
    assert erase.look(db, config, ADDRESS).mentions == (f"ticket {other}",)
    erased = erase.erase(db, config, ADDRESS)
    assert (erased.tickets, erased.mentions, erased.masked) == (1, (f"ticket {other}",), 0)
    again = erase.erase(db, config, ADDRESS, masks=True)
    assert (again.tickets, again.mentions, again.masked) == (0, (), 1)
    assert _ticket_texts(db) == [f"Please ask [erased], not jo{ADDRESS} and not {ADDRESS}.au, nor\n[erased]."]
    assert erase.look(db, config, ADDRESS).is_nothing


def test_an_address_that_is_a_part_of_anothers_is_erased_and_the_other_stays(db: Database, config: Settings) -> None:
    _deliver(db, f"jo{ADDRESS}")
    _deliver(db, ADDRESS)
    erased = erase.erase(db, config, ADDRESS)
    assert (erased.tickets, erased.deliveries, erased.mentions) == (1, 1, ())
    with db.read() as session:
        assert [ticket.requester_email for ticket in session.query(Ticket)] == [f"jo{ADDRESS}"]
        assert session.query(Delivery).filter(Delivery.body.is_not(None)).count() == 1


def test_a_look_changes_nothing(db: Database, config: Settings, reported: Digest) -> None:
    found = erase.look(db, config, ADDRESS)
    assert (found.tickets, found.deliveries, len(found.files)) == (2, 1, 3)
    assert all(path.exists() for path in found.files)
    with db.read() as session:
        assert session.query(Ticket).count() == 3


def test_what_redis_kept_of_a_failed_job_goes_too(db: Database, config: Settings) -> None:
    _deliver(db, ADDRESS)
    connection = queue.connect(config.redis_url, timeout=10)
    connection.hset("rq:job:x", mapping={"exc_info": zlib.compress(f"ValueError: {ADDRESS}".encode())})
    connection.hset("rq:job:y", mapping={"exc_info": zlib.compress(b"ValueError: other")})
    erase.erase(db, config, ADDRESS)
    assert connection.keys("rq:job:*") == [b"rq:job:y"]


def _command(*words: str) -> Result:
    return CliRunner().invoke(main, ["erase", "--requester", *words])


def test_the_command_asks_says_what_it_did_and_ends_with_1_where_something_is_left(
    db: Database, config: Settings
) -> None:
    unknown = _command("nobody@example.com", "--yes")
    assert (unknown.exit_code, "not found" in unknown.output) == (1, True)
    assert _command("nobody", "--yes").exit_code == 1
    deliver(db, incoming(requester_email=ADDRESS), incoming(long_description=f"see {ADDRESS}"))
    looked = _command(ADDRESS, "--dry-run")
    assert (looked.exit_code, "Found: 1 tickets" in looked.output) == (0, True)
    assert _command(ADDRESS).exit_code == 1  # Nobody is there to be asked.
    assert len(_ticket_texts(db)) == 2
    done = _command(ADDRESS, "--yes")
    assert (done.exit_code, "--mask" in done.output) == (1, True)
    assert _command(ADDRESS, "--yes", "--mask").exit_code == 0
    assert _ticket_texts(db) == ["see [erased]"]


@pytest.mark.sqlite
def test_the_command_ends_with_1_while_a_backup_holds_the_person(db: Database, config: Settings) -> None:
    _deliver(db, ADDRESS)
    path = backup.backup(db, config, backup.folder(config.data_dir))
    done = _command(ADDRESS, "--yes")
    assert (done.exit_code, str(path) in done.output) == (1, True)
    path.unlink()
    assert _command(ADDRESS, "--dry-run").exit_code == 1
