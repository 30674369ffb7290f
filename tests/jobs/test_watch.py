"""Alarms go up when something is wrong, and down when it is over."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import text

from jobs import watch
from receiver import queue
from receiver.clock import now
from receiver.record import alarms, audit
from receiver.record.database import Record
from receiver.settings import Settings
from tests.factories import deliver, disarm_audit, due_ticket, incoming, settle

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _alarms(record: Record) -> dict[str, str]:
    watch.watch()
    with record.read() as session:
        return {alarm.name: alarm.message for alarm in alarms.current(session)}


def test_all_is_well_in_an_empty_record(record: Record) -> None:
    assert _alarms(record) == {}


def test_a_backlog_is_an_alarm_until_it_is_gone(record: Record, caplog: pytest.LogCaptureFixture) -> None:
    ticket_id = due_ticket(record, at=now() - timedelta(minutes=11))
    assert "first of them for 11 minutes" in _alarms(record)["backlog"]
    _alarms(record)
    settle(record, ticket_id)
    assert _alarms(record) == {}


def test_an_audit_that_was_tampered_with_is_an_alarm(record: Record) -> None:
    with record.write() as session:
        for number in range(3):
            audit.note(session, "ada", "review", f"ticket {number}", NOON)
    watch.verify_audit()
    assert _alarms(record) == {}
    with record.write() as session:
        disarm_audit(session)
        session.execute(text("UPDATE audit SET who = 'eve' WHERE number = 2"))
    watch.verify_audit()
    assert "entry 2 was edited" in _alarms(record)["audit"]
    with record.write() as session:
        session.execute(text("UPDATE audit SET who = 'ada' WHERE number = 2"))
    watch.verify_audit()
    assert _alarms(record) == {}


def test_a_full_disk_is_an_alarm(record: Record, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DISK_ALARM_MB", "10000000")
    assert "MB are free" in _alarms(record)["disk"]


def test_a_queue_that_nobody_serves_is_an_alarm(record: Record, config: Settings) -> None:
    with time_machine.travel(now() - timedelta(minutes=5)):
        queue.wake(queue.CLASSIFY, queue.connect(config.redis_url))
    assert "the queue classify" in _alarms(record)["queue"]


def test_a_source_that_falls_silent_is_an_alarm(record: Record) -> None:
    for minutes in range(20):
        deliver(record, incoming(), at=NOON + timedelta(minutes=minutes))
    with time_machine.travel(NOON + timedelta(minutes=40), tick=False):
        assert "source:standard" not in _alarms(record)
    with time_machine.travel(NOON + timedelta(hours=2), tick=False):
        assert "source standard has sent nothing" in _alarms(record)["source:standard"]
    with time_machine.travel(NOON + timedelta(hours=2), tick=False):
        deliver(record, incoming())
        assert "source:standard" not in _alarms(record)


def test_a_source_of_few_deliveries_or_long_pauses_has_no_habit_yet() -> None:
    few = [NOON - timedelta(minutes=number) for number in range(5)]
    nightly = [NOON - timedelta(days=number) for number in range(20)]
    assert watch.silence("few", few, NOON + timedelta(days=9)) is None
    assert watch.silence("nightly", nightly, NOON + timedelta(days=2)) is None
    assert watch.silence("nightly", nightly, NOON + timedelta(days=3)) is not None
