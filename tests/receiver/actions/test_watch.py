"""Alarms go up when something is wrong, and down when it is over."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import time_machine
from sqlalchemy import text

from jobs.operations.audit_check import verify_audit
from receiver import queue
from receiver.actions import watch
from receiver.actions.watch import Watch
from receiver.db import alarms, audit, processes
from receiver.db.database import Database
from receiver.db.heartbeat import SCHEDULER
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.factories import deliver, disarm_audit, due_ticket, incoming, settle
from tests.peers.http import free_port

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _alarms(db: Database) -> dict[str, str]:
    new = Watch(db, settings.load())
    new.look()
    new.leave()
    return _up(db)


def _up(db: Database) -> dict[str, str]:
    with db.read() as session:
        return {alarm.name: alarm.message for alarm in alarms.current(session)}


def test_all_is_well_in_an_empty_record(db: Database) -> None:
    assert _alarms(db) == {}


def test_a_backlog_is_an_alarm_until_it_is_gone(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    ticket_id = due_ticket(db, at=now() - timedelta(minutes=11))
    assert "first of them for 11 minutes" in _alarms(db)["backlog"]
    _alarms(db)
    settle(db, ticket_id)
    assert _alarms(db) == {}


def test_an_audit_that_was_tampered_with_is_an_alarm(db: Database) -> None:
    with db.write() as session:
        for number in range(3):
            audit.note(session, "ada", "review", f"ticket {number}", NOON)
    verify_audit()
    assert _alarms(db) == {}
    with db.write() as session:
        disarm_audit(session)
        session.execute(text("UPDATE audit SET who = 'eve' WHERE number = 2"))
    verify_audit()
    assert "entry 2 was edited" in _alarms(db)["audit"]
    with db.write() as session:
        session.execute(text("UPDATE audit SET who = 'ada' WHERE number = 2"))
    verify_audit()
    assert _alarms(db) == {}


def test_a_full_disk_is_an_alarm(db: Database, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DISK_ALARM_MB", "10000000")
    assert "MB are free" in _alarms(db)["disk"]


def test_a_queue_that_nobody_serves_is_an_alarm(db: Database, config: Settings) -> None:
    with time_machine.travel(now() - timedelta(minutes=5)):
        queue.wake(queue.CLASSIFY, queue.connect(config.redis_url))
    assert "the queue classify" in _alarms(db)["queue"]


def test_a_source_that_falls_silent_is_an_alarm(db: Database) -> None:
    for minutes in range(20):
        deliver(db, incoming(), at=NOON + timedelta(minutes=minutes))
    with time_machine.travel(NOON + timedelta(minutes=40), tick=False):
        assert "source:standard" not in _alarms(db)
    with time_machine.travel(NOON + timedelta(hours=2), tick=False):
        assert "source standard has sent nothing" in _alarms(db)["source:standard"]
    with time_machine.travel(NOON + timedelta(hours=2), tick=False):
        deliver(db, incoming())
        assert "source:standard" not in _alarms(db)


def test_a_source_of_few_deliveries_or_long_pauses_has_no_habit_yet() -> None:
    few = [NOON - timedelta(minutes=number) for number in range(5)]
    nightly = [NOON - timedelta(days=number) for number in range(20)]
    assert watch.silence("few", few, NOON + timedelta(days=9)) is None
    assert watch.silence("nightly", nightly, NOON + timedelta(days=2)) is None
    assert watch.silence("nightly", nightly, NOON + timedelta(days=3)) is not None


class Clock:
    """The watch's own clock, set forward by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: self.seconds))

    def looks(self, watches: Watch, seconds: float, before: Callable[[], None] = lambda: None) -> None:
        """Let time pass, and let it look every ten seconds."""
        for _ in range(int(seconds // watch.EVERY_SECONDS)):
            self.seconds += watch.EVERY_SECONDS
            before()
            watches.look()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _beat(db: Database, *roles: str) -> None:
    with db.write() as session:
        for role in roles:
            processes.beat(session, f"the {role}", role, "here 1", now())


NEEDED = (SCHEDULER, *watch.WORKERS)


def test_redis_away_is_one_alarm_until_it_is_back(db: Database, config: Settings, clock: Clock) -> None:
    away = Watch(db, replace(config, redis_url=f"redis://127.0.0.1:{free_port()}"))
    away.look()
    assert _up(db) == {}, "once may be a server that is just started again"
    clock.looks(away, 100)
    [(name, message)] = _up(db).items()
    assert (name, "nobody listens" in message) == ("redis", True)
    away.leave()
    Watch(db, config).look()
    assert _up(db) == {}


def test_who_has_gone_silent_is_an_alarm_within_a_minute_until_somebody_else_is_there(
    db: Database, config: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    watches, others = Watch(db, config), NEEDED[2:]
    clock.looks(watches, 100, lambda: _beat(db, *NEEDED))
    assert _up(db) == {}
    clock.looks(watches, 60, lambda: _beat(db, *others))
    found = _up(db)
    assert set(found) == {"scheduler", "worker:classify"}
    assert "python -m jobs worker classify" in found["worker:classify"]
    assert "Alarm: nobody serves the queue classify" in caplog.text
    clock.looks(watches, 10, lambda: _beat(db, *NEEDED))
    assert _up(db) == {}
    assert "The alarm is over: scheduler" in caplog.text


def test_a_watch_that_has_not_looked_itself_accuses_nobody(db: Database, config: Settings, clock: Clock) -> None:
    watches = Watch(db, config)
    clock.looks(watches, 30)
    clock.seconds += 3600  # The machine slept, or the record was away.
    clock.looks(watches, 30)
    assert _up(db) == {}
    clock.looks(watches, 20)
    assert set(_up(db)) == {"scheduler", *(f"worker:{name}" for name in queue.QUEUES)}


def test_a_clock_that_is_wrong_on_another_machine_is_no_alarm(db: Database, config: Settings, clock: Clock) -> None:
    with time_machine.travel(NOON) as wall:

        def shift_and_beat() -> None:
            wall.shift(watch.EVERY_SECONDS)
            with db.write() as session:
                for role in NEEDED:
                    processes.beat(session, f"the {role}", role, "there 1", now() - timedelta(minutes=5))

        clock.looks(Watch(db, config), 100, shift_and_beat)
    assert _up(db) == {}


def test_what_dies_again_and_again_is_an_alarm_with_its_last_words(db: Database, config: Settings) -> None:
    with time_machine.travel(NOON) as wall:
        watches = Watch(db, config)
        for number in range(3):
            assert "process:web" not in _alarms(db)
            wall.shift(5)
            with db.write() as session:
                processes.died(session, f"web {number}", "web", f"here {number}", now(), "OSError: no space left")
        watches.look()
        assert _up(db)["process:web"] == "web has died 3 times in 3 minutes; its last words: OSError: no space left"
        wall.shift(200)
        watches.look()
        assert _up(db) == {}
        wall.shift(1000)
        watches.look()
        with db.read() as session:
            assert [row.role for row in processes.known(session)] == [processes.WATCH]


def test_workers_that_went_with_their_machine_are_no_deaths(db: Database, config: Settings, clock: Clock) -> None:
    with time_machine.travel(NOON, tick=False), db.write() as session:
        for number in range(4):
            processes.beat(session, f"worker {number}", "worker classify", f"gone {number}", now())
    watches = Watch(db, config)
    with time_machine.travel(NOON + timedelta(seconds=50)):
        clock.looks(watches, 60, lambda: _beat(db, *NEEDED))
    assert _up(db) == {}


def test_one_watch_looks_and_another_takes_over_when_it_is_gone(db: Database, config: Settings) -> None:
    away = replace(config, redis_url=f"redis://127.0.0.1:{free_port()}")
    with time_machine.travel(NOON) as wall:
        first, second = Watch(db, config), Watch(db, away)
        first.look()
        for _ in range(3):
            second.look()
        assert "redis" not in _up(db)
        wall.shift(30)
        for _ in range(2):
            second.look()
        assert "redis" in _up(db)
        first.look()
        assert "redis" in _up(db)


def test_the_watch_goes_on_when_the_record_was_away(
    db: Database, config: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.01)
    errors = iter([OSError("gone"), OSError("gone"), ValueError("a mistake")])
    looked, ending = threading.Event(), threading.Event()

    def look(_watch: Watch) -> None:
        if error := next(errors, None):
            raise error
        looked.set()

    monkeypatch.setattr(Watch, "look", look)
    thread = threading.Thread(target=watch.run, args=(db, config, ending))
    thread.start()
    assert looked.wait(30)
    ending.set()
    thread.join(30)
    assert caplog.text.count("nothing is watched: OSError") == 1
