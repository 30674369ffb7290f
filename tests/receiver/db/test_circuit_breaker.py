"""The circuit opens after failures in a row, lets one probe through at a time, and all processes share it."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from receiver.db import alarms, circuit_breaker, database
from receiver.db.circuit_breaker import FAILURES_IN_A_ROW, PROBE_EVERY, CallLimiter, LeftAloneError
from receiver.db.database import Database
from receiver.db.models import Circuit
from receiver.lib.clock import now
from receiver.lib.failures import Failure
from receiver.lib.retry_policy import Cause
from tests.factories import open_circuit

DOWN = Failure(Cause.BUSY, {"status": 503})
NAME = circuit_breaker.ENGINE


def fail(db: Database, times: int = 1, pause: timedelta | None = None) -> list[bool]:
    outcomes = []
    for _ in range(times):
        with db.write() as session:
            outcomes.append(circuit_breaker.record_failure(session, NAME, DOWN, now(), pause))
    return outcomes


def probes(db: Database) -> bool:
    with db.write() as session:
        return circuit_breaker.take_probe(session, NAME, now())


def state(db: Database) -> str:
    with db.read() as session:
        return session.get_one(Circuit, NAME).state


def alarm(db: Database) -> tuple[str, str] | None:
    with db.read() as session:
        return next(((found.name, found.message) for found in alarms.current(session)), None)


def test_ten_failures_in_a_row_open_it_and_an_answer_closes_it(db: Database) -> None:
    assert fail(db, FAILURES_IN_A_ROW - 1) == [False] * 9
    assert (state(db), alarm(db)) == ("closed", None)
    assert fail(db) == [True]
    assert alarm(db) == ("engine", "the model's endpoint failed (503)")
    with db.write() as session:
        circuit_breaker.record_success(session, NAME, now())
        assert circuit_breaker.answered_lately(session, NAME, now())
    assert (state(db), alarm(db)) == ("closed", None)
    assert fail(db, FAILURES_IN_A_ROW - 1) == [False] * 9, "the count begins anew"


def test_while_it_is_open_one_caller_probes_in_ten_seconds(db: Database) -> None:
    fail(db, pause=timedelta())
    assert (probes(db), state(db)) == (False, "open")
    with db.write() as session:
        session.execute(update(Circuit).values(probe_at=now()))
    assert [probes(db) for _ in range(3)] == [True, False, False]
    assert state(db) == "half_open"
    assert alarm(db)
    assert fail(db) == [True]
    assert state(db) == "open"


def test_it_keeps_when_it_opened_and_the_longest_pause_that_was_asked_for(db: Database) -> None:
    fail(db, pause=timedelta(minutes=5))
    with db.read() as session:
        first = session.get_one(Circuit, NAME)
    fail(db)
    with db.read() as session:
        second = session.get_one(Circuit, NAME)
    assert (second.opened_at, second.probe_at) == (first.opened_at, first.probe_at)
    fail(db, pause=timedelta(days=1))
    with db.read() as session:
        longest = session.get_one(Circuit, NAME).probe_at
    assert longest
    assert longest <= now() + circuit_breaker.LONGEST_PAUSE


def test_answers_in_quick_succession_are_written_down_once(db: Database) -> None:
    moments = [now(), now() + timedelta(milliseconds=200), now() + timedelta(seconds=2)]
    noted = []
    for moment in moments:
        with db.write() as session:
            circuit_breaker.record_success(session, NAME, moment)
        with db.read() as session:
            noted.append(session.get_one(Circuit, NAME).answered_at)
    assert noted == [moments[0], moments[0], moments[2]]


@pytest.fixture
def limiter(db: Database) -> Iterator[CallLimiter]:
    yield CallLimiter(NAME, 4, patience=0.05, db=db)


def test_what_another_process_found_holds_here_without_a_call(db: Database, limiter: CallLimiter) -> None:
    open_circuit(db, "billing", status=402)
    with pytest.raises(LeftAloneError, match=r"no money or quota left \(402\)"):
        limiter.enter()


def test_while_a_probe_is_out_one_call_at_a_time_is_made(db: Database, limiter: CallLimiter) -> None:
    open_circuit(db)
    with db.write() as session:
        session.execute(update(Circuit).values(probe_at=now()))
    assert probes(db)
    limiter.enter()
    with pytest.raises(LeftAloneError, match="takes no more calls at once"):
        limiter.enter()
    limiter.leave(answered=True)
    for _ in range(2):
        limiter.enter()


def test_without_a_database_a_process_leaves_the_peer_alone_by_itself() -> None:
    alone = CallLimiter(NAME, 4, patience=0.05)
    for _ in range(FAILURES_IN_A_ROW):
        alone.enter()
        alone.leave(answered=False, failure=DOWN)
    with pytest.raises(LeftAloneError, match="503"):
        alone.enter()


def test_a_call_that_waits_for_a_place_gives_up_in_time(db: Database) -> None:
    full = CallLimiter(NAME, 1, patience=0.1, db=db)
    full.enter()
    began = time.monotonic()
    with pytest.raises(LeftAloneError, match="no more calls at once"):
        full.enter()
    assert time.monotonic() - began < PROBE_EVERY.total_seconds()


_OUTAGE = (
    "INSERT INTO alarms (kind, subject, code, detail, since)"
    """ VALUES ('engine', '', 'engine', '{"error": "the model is away"}', '2026-11-30 07:00:00.000000')""",
    "INSERT INTO counters (name, value) VALUES ('engine.failures', 12)",
    "INSERT INTO timetable (name, last_slot) VALUES ('engine.probe', '2026-11-30 07:00:10.000000')",
    "INSERT INTO timetable (name, last_slot) VALUES ('engine.answered', '2026-11-30 06:59:00.000000')",
)
_LEFT = (
    "SELECT name FROM counters WHERE name LIKE 'engine.%' UNION ALL"
    " SELECT name FROM timetable WHERE name LIKE 'engine.%' UNION ALL SELECT kind FROM alarms"
)


def migrated(empty: Database, statements: Sequence[str]) -> tuple[Circuit, list[tuple[str, str, datetime]]]:
    """The circuit that the migration makes of these rows, and the alarms that are then up."""
    database.migrate(empty, "0029")
    with empty.write() as session:
        for statement in statements:
            session.execute(text(statement))
    database.migrate(empty)
    with empty.read() as session:
        assert session.scalars(text(_LEFT)).all() == []
        up = [(alarm.name, alarm.message, alarm.since) for alarm in alarms.current(session)]
        return session.get_one(Circuit, NAME), up


def test_an_outage_that_was_an_alarm_goes_on_with_its_words_and_its_time(empty: Database) -> None:
    circuit, up = migrated(empty, _OUTAGE)
    began = datetime(2026, 11, 30, 7, tzinfo=UTC)
    assert up == [("engine", "the model is away", began)]
    assert (circuit.state, circuit.failures, circuit.opened_at) == ("open", 12, began)
    assert (circuit.probe_at, circuit.answered_at) == (began + PROBE_EVERY, began - timedelta(minutes=1))


def test_failures_that_were_counted_without_an_outage_still_count(empty: Database) -> None:
    circuit, up = migrated(empty, _OUTAGE[1:])
    assert (up, circuit.state, circuit.failures, circuit.opened_at) == ([], "closed", 12, None)
