"""Connections and transactions: durable, whole or not at all, and never "database is locked"."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from receiver.db import alarms, deliveries
from receiver.db.database import Database, opened
from receiver.db.deliveries import Content
from receiver.db.group_commit import Group
from receiver.db.models import Alarm, Delivery, Ticket
from receiver.lib.clock import now
from tests.conftest import wait_until
from tests.factories import arrival, deliver, incoming
from tests.receiver.db import processes

WRITERS, WRITES = 8, 20


def _pragma(session: Session, name: str) -> object:
    return session.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.sqlite
@pytest.mark.durable
def test_every_connection_is_durable_and_checks_foreign_keys(db: Database) -> None:
    full = 2
    for transaction in (db.read, db.write):
        with transaction() as session:
            assert _pragma(session, "journal_mode") == "wal"
            assert _pragma(session, "synchronous") == full
            assert _pragma(session, "foreign_keys") == 1


def test_a_ticket_of_no_delivery_is_refused(db: Database) -> None:
    deliver(db, incoming())
    with pytest.raises(IntegrityError), db.write() as session:
        session.execute(text("UPDATE tickets SET delivery_id = 999"))


def test_a_failed_block_leaves_nothing_and_the_next_writer_has_its_turn(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.write() as session:
        deliveries.record(session, arrival(), Content([incoming(), incoming()]))
        raise ZeroDivisionError
    with db.read() as session:
        assert session.query(Delivery).count() == session.query(Ticket).count() == 0
        assert session.execute(text("SELECT count(*) FROM counters")).scalar() == 0
    assert deliver(db, incoming()).accepted == 1


def test_what_a_reading_session_changes_is_not_kept(db: Database) -> None:
    with db.read() as session:
        alarms.raise_(session, "disk", now(), "other", text="nearly full")
        session.flush()
    with db.read() as session:
        assert session.query(Alarm).count() == 0


def test_readers_neither_wait_for_a_writer_nor_see_half_of_its_work(db: Database) -> None:
    with db.read() as early:
        assert early.query(Delivery).count() == 0
        with db.write() as session:
            deliveries.record(session, arrival(), Content([incoming()]))
            with db.read() as meanwhile:
                assert meanwhile.query(Delivery).count() == 0
        assert early.query(Delivery).count() == 0
    with db.read() as late:
        assert late.query(Delivery).count() == 1


@pytest.mark.sqlite
def test_who_writes_past_us_cannot_come_between_what_we_read_and_what_we_write(db: Database) -> None:
    with closing(sqlite3.connect(str(db.path), timeout=0)) as foreign:
        with db.write() as session:
            assert session.query(Delivery).count() == 0
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                foreign.execute("DELETE FROM alarms")
            deliveries.record(session, arrival(), Content([incoming()]))
        foreign.execute("DELETE FROM alarms")
        foreign.commit()


@pytest.mark.sqlite
def test_all_who_wait_for_a_stranger_give_up_together_and_go_on_when_he_has_gone(db: Database) -> None:
    impatient = Database(db.url, patience=1)
    with closing(impatient), closing(sqlite3.connect(str(db.path))) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(deliver, impatient, incoming()) for _ in range(20)]
        assert [type(one.exception()) for one in waiting] == [OperationalError] * 20
        assert time.monotonic() - began < 15, "one after the other they would have taken twenty seconds"
        stranger.rollback()
        assert deliver(impatient, incoming()).accepted == 1


def _write_many(url: str, writer: str, start: Barrier) -> None:
    with opened(url) as db:
        _read_then_write(db, writer)  # The first takes longest; from here on all are as quick as each other.
        start.wait(60)
        for _ in range(WRITES):
            _read_then_write(db, writer)


def _read_then_write(db: Database, writer: str) -> None:
    with db.write() as session:
        seen = session.query(Delivery).count()
        deliveries.record(session, arrival(source=writer), Content([incoming(external_id=f"T-{seen}")]))


def _check_fair(db: Database) -> None:
    with db.read() as session:
        order = session.scalars(select(Delivery.source).order_by(Delivery.id)).all()[WRITERS:]
        assert session.query(Ticket.external_id).distinct().count() == WRITERS * (WRITES + 1)
    assert Counter(order) == {f"w{n}": WRITES for n in range(WRITERS)}
    first_done = min(max(i for i, name in enumerate(order) if name == writer) for writer in set(order))
    assert len(set(order[:first_done])) == WRITERS, "one had all its turns before another had its first"


@pytest.mark.full
def test_many_processes_write_at_once_without_an_error_and_none_starves(db: Database) -> None:
    start = processes.Barrier(WRITERS)
    writers = [processes.Process(target=_write_many, args=(db.url, f"w{n}", start)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    _check_fair(db)


@pytest.mark.full
def test_many_threads_write_at_once_without_an_error(db: Database) -> None:
    with ThreadPoolExecutor(4 * WRITERS) as pool:
        list(pool.map(lambda n: _read_then_write(db, f"w{n % WRITERS}"), range(WRITERS * WRITES)))
    with db.read() as session:
        assert session.query(Delivery).count() == WRITERS * WRITES
        assert session.query(Ticket.external_id).distinct().count() == WRITERS * WRITES


def _die_while_writing(url: str, written: Event) -> None:
    with opened(url) as db, db.write() as session:
        deliveries.record(session, arrival(), Content([incoming()]))
        written.set()
        signal.pause()


@pytest.mark.durable
def test_a_writer_that_is_killed_leaves_nothing_and_holds_up_nobody(db: Database) -> None:
    written = processes.Event()
    victim = processes.Process(target=_die_while_writing, args=(db.url, written))
    victim.start()
    assert written.wait(60)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    with db.read() as session:
        assert session.query(Delivery).count() == 0
    assert deliver(db, incoming()).accepted == 1


@pytest.mark.sqlite
def test_a_record_in_a_folder_that_is_missing_can_be_used_once_the_folder_is_there(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/later/tickets.db") as db:
        with pytest.raises(OperationalError, match="No such file"), db.write():
            pass
        (tmp_path / "later").mkdir()
        with db.write() as session:
            assert _pragma(session, "journal_mode") == "wal"


@pytest.mark.sqlite
def test_a_connection_that_was_read_only_is_not_used_again(db: Database) -> None:
    with db.read() as session:
        session.execute(text("PRAGMA query_only = ON"))  # It stays so in the pool, as on a read-only disk.
    with pytest.raises(OperationalError, match="readonly"):
        deliver(db, incoming())
    deliver(db, incoming(external_id="later"))
    with db.read() as session:
        assert session.scalars(select(Ticket.external_id)).all() == ["later"]


@contextmanager
def _lock_held(db: Database) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that writes, and does not end."""
    program = (
        "import fcntl, sys, os; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, f"{db.path}.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder
        holder.kill()


@pytest.mark.sqlite
def test_who_waits_longer_than_its_patience_for_another_process_is_told_so(db: Database) -> None:
    deliver(db, incoming())
    with closing(Database(db.url, patience=0.2)) as impatient, _lock_held(db):
        for way in (impatient.write, impatient.turn):
            began = time.monotonic()
            with pytest.raises(OperationalError, match="longer than we may wait"), way():
                pass
            assert 0.2 <= time.monotonic() - began < 5
        with pytest.raises(OperationalError), impatient.write(asked=time.monotonic() - 1):
            pass


@pytest.mark.sqlite
def test_however_many_gave_up_waiting_few_threads_are_left_and_the_next_has_their_place(db: Database) -> None:
    deliver(db, incoming())
    with closing(Database(db.url, patience=0.05)) as impatient, _lock_held(db) as holder:
        for _ in range(5):
            with pytest.raises(OperationalError), impatient.write():
                pass
        assert [thread.name for thread in threading.enumerate()].count("turn") == 1
        with ThreadPoolExecutor(1) as pool:
            patient = Database(db.url)
            waiting = pool.submit(deliver, patient, incoming(external_id="waited"))
            holder.kill()
            assert waiting.result(30).accepted == 1
            patient.close()
    wait_until(lambda: "turn" not in [thread.name for thread in threading.enumerate()])
    assert deliver(db, incoming(external_id="later")).accepted == 1


@pytest.mark.sqlite
def test_a_group_gives_up_too_and_writes_again_when_the_lock_is_free(db: Database) -> None:
    deliver(db, incoming())
    impatient = Database(db.url, patience=0.2)
    group = Group(impatient)
    with closing(impatient):
        with _lock_held(db):
            began = time.monotonic()
            with ThreadPoolExecutor(5) as pool:
                asked = [pool.submit(group.write, lambda _session: 1, 1) for _ in range(5)]
            assert [type(one.exception()) for one in asked] == [OperationalError] * 5
            assert time.monotonic() - began < 5
        assert group.write(lambda _session: 2, 1) == 2
