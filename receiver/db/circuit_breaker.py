"""The circuit breaker: whether what we call is left alone, and how many calls of one process are in flight.

The row of a circuit is what all processes share. It opens after failures in a row, or at once where a failure says that
asking is in vain or for how long to stay away. While it is open, one probe is let through every ten seconds, or as late
as the peer itself demands. The first answer closes it.

`CallLimiter` is the part of one process. It holds back calls that the row cannot know of yet, because their outcome is
still to come, and asks the row once a second.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, or_, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from receiver.db.database import Database
from receiver.db.models import Circuit, table_of
from receiver.lib.clock import now as clock_now
from receiver.lib.failures import Failure
from receiver.lib.retry_policy import Cause

ENGINE = "engine"
CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
FAILURES_IN_A_ROW = 10
PROBE_EVERY = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)
LATELY = timedelta(seconds=10)
# An answer is noted no more often than this, so that workers do not queue for the row.
_NOTED_EVERY = timedelta(seconds=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_COLUMNS = table_of(Circuit).columns
_ENSURE = text("INSERT INTO circuit (name, state, failures) VALUES (:name, 'closed', 0) ON CONFLICT (name) DO NOTHING")
_STATE = select(_COLUMNS.state, _COLUMNS.failures, _COLUMNS.answered_at).where(_COLUMNS.name == bindparam("asked"))
_CLOSED = {"state": CLOSED, "failures": 0, "opened_at": None, "cause": None, "detail": None, "probe_at": None}


def record_failure(
    session: Session, name: str, failure: Failure, now: datetime, pause: timedelta | None = None
) -> bool:
    """Count a failure; True where the circuit is open after it.

    With a `pause` it opens at once, for so long at least.
    """
    circuit = _locked(session, name)
    circuit.failures += 1
    circuit.cause, circuit.detail = failure.code, dict(failure.facts)
    session.flush()
    if circuit.state == CLOSED and pause is None and circuit.failures < FAILURES_IN_A_ROW:
        return False
    probe_at = now + min(max(pause or PROBE_EVERY, PROBE_EVERY), LONGEST_PAUSE)
    # A longer pause that was asked for earlier stays; what lies beyond any was written by a clock that was wrong.
    if circuit.probe_at and circuit.probe_at <= now + LONGEST_PAUSE:
        probe_at = max(circuit.probe_at, probe_at)
    circuit.state, circuit.opened_at, circuit.probe_at = OPEN, circuit.opened_at or now, probe_at
    session.flush()
    return True


def record_success(session: Session, name: str, now: datetime) -> None:
    """The peer has answered: the circuit is closed, whatever was wrong. Most often that is known, and only read."""
    known = session.execute(_STATE, {"asked": name}).one_or_none()
    if known is None:
        session.execute(_ENSURE, {"name": name})
    elif known.state == CLOSED and not known.failures and abs(now - (known.answered_at or _LONG_AGO)) < _NOTED_EVERY:
        return
    session.execute(update(Circuit).where(Circuit.name == name).values(answered_at=now, **_CLOSED))


def close(session: Session, name: str) -> None:
    """What was wrong is over, or may be, though the peer itself has not answered."""
    is_open = or_(Circuit.state != CLOSED, Circuit.failures != 0)
    session.execute(update(Circuit).where(Circuit.name == name, is_open).values(**_CLOSED))


def current(session: Session, name: str) -> Circuit | None:
    """The circuit where it is open, also while a probe is out; None where calls are made as usual."""
    circuit = session.get(Circuit, name)
    return circuit if circuit and circuit.state != CLOSED else None


def may_call(session: Session, name: str, now: datetime) -> bool:
    """Whether a call may be made now, be it as the probe of an open circuit."""
    circuit = current(session, name)
    return circuit is None or not circuit.probe_at or not now < circuit.probe_at <= now + LONGEST_PAUSE


def take_probe(session: Session, name: str, now: datetime) -> bool:
    """Whether the caller may make one call; where the circuit is open, nobody else may for a while then."""
    circuit = _locked(session, name)
    if circuit.state == CLOSED:
        return True
    if circuit.probe_at and now < circuit.probe_at <= now + LONGEST_PAUSE:
        return False
    circuit.state, circuit.probe_at = HALF_OPEN, now + PROBE_EVERY
    session.flush()
    return True


def answered_lately(session: Session, name: str, now: datetime) -> bool:
    """Whether the peer has answered within the last seconds, to whichever process."""
    circuit = session.get(Circuit, name)
    return circuit is not None and circuit.answered_at is not None and abs(now - circuit.answered_at) < LATELY


def why(circuit: Circuit) -> str:
    """In words, why the circuit is open."""
    return str(_failure(circuit))


def _failure(circuit: Circuit) -> Failure:
    return Failure(circuit.cause or Cause.SPARED, circuit.detail or {})


def _locked(session: Session, name: str) -> Circuit:
    """The row, which nobody else changes until the commit."""
    session.execute(_ENSURE, {"name": name})
    return session.get_one(Circuit, name, with_for_update=True, populate_existing=True)


class LeftAloneError(Exception):
    """A call is not made, because the peer is left alone or there is no place; `failure` is why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


_HALVED_AT_MOST_EVERY = 1.0
# A peer that is away, or refuses, says so sooner than this; one that is silent for so long is at work.
_REFUSES_WITHIN = 0.5
_ASKED_EVERY = 1.0
_NEVER = float("inf")


class CallLimiter:
    """Lets the calls of one process to the peer `name` through, each for as long as it lasts.

    1. The limit begins at `most`. A 429 halves it, at most once a second; every answer raises it by its inverse, which
       is by one in a round of calls.
    2. After FAILURES_IN_A_ROW nothing is let through for ten seconds, and then one call to see.
    3. Where the last outcome was a failure, or there was none yet, only so many calls are in flight as may still fail.
       So a peer that is away hears from this process ten times, however many threads wait.
    4. Only the first calls of all need not be answered for others to follow: none of them failing is enough, for a
       model may think for seconds.
    5. Where another process has opened the circuit in the database, nothing is let through either, and only one call
       at a time while a probe is out. Without a database each process is on its own.
    """

    def __init__(self, name: str, most: int, *, patience: float, db: Database | None = None) -> None:
        self._name, self._most, self._patience, self._db = name, most, patience, db
        self._limit = float(most)
        self._in_flight, self._failures = 0, 0
        self._why = Failure(Cause.SPARED)
        self._halved = self._opens_at = self._asked_at = float("-inf")
        self._trusted_from: float | None = None
        self._shared: tuple[str, Failure] = (CLOSED, self._why)
        self._changed = threading.Condition()
        self._proven = False
        if db is not None:
            with db.read() as session:
                self._proven = answered_lately(session, name, clock_now())

    def enter(self) -> None:
        """Wait for a place. Raises LeftAloneError where there is none, or nothing is let through."""
        self._ask_database()
        with self._changed:
            ends = time.monotonic() + self._patience
            while not self._shut() and self._in_flight >= self._places() and time.monotonic() < ends:
                self._changed.wait(min(_REFUSES_WITHIN, self._patience))
            if failure := self._shut():
                raise LeftAloneError(failure)
            if self._in_flight >= self._places():
                raise LeftAloneError(Failure("spared.full"))
            self._in_flight += 1
            if self._trusted_from is None:
                self._trusted_from = time.monotonic() + _REFUSES_WITHIN

    def leave(self, *, answered: bool | None, failure: Failure | None = None, pause: float = 0) -> None:
        """A call has ended: with an answer, with a failure, or with neither (None).

        `failure` is what went wrong; `pause` is for how many seconds everybody shall stay away.
        """
        with self._changed:
            self._in_flight -= 1
            if answered:
                self._failures, self._proven = 0, True
                self._limit = min(self._most, self._limit + 1 / self._limit)
                # The row says so only when the answer is saved.
                self._shared, self._asked_at = (CLOSED, self._why), time.monotonic()
            elif answered is False:
                self._failures = FAILURES_IN_A_ROW if pause else self._failures + 1
                self._proven, self._trusted_from, self._why = False, _NEVER, failure or self._why
                self._opens_at = max(self._opens_at, time.monotonic() + (pause or PROBE_EVERY.total_seconds()))
            self._changed.notify_all()

    def saw(self, status: int | None) -> None:
        """The peer answered with this status, or not at all, be it to a call's first try or a later one."""
        with self._changed:
            if status is None or status >= 400:
                self._trusted_from = _NEVER
            if status == 429 and time.monotonic() > self._halved + _HALVED_AT_MOST_EVERY:
                self._limit, self._halved = max(1.0, self._limit / 2), time.monotonic()

    def _shut(self) -> Failure | None:
        """Why nothing is let through at present; None where calls are."""
        if self._failures >= FAILURES_IN_A_ROW and time.monotonic() < self._opens_at:
            return self._why
        state, failure = self._shared
        return failure if state == OPEN else None

    def _places(self) -> int:
        limit = max(1, int(self._limit))
        if self._shared[0] == HALF_OPEN:
            return 1
        trusted = self._proven or (self._trusted_from is not None and time.monotonic() > self._trusted_from)
        return limit if trusted else min(limit, max(1, FAILURES_IN_A_ROW - self._failures))

    def _ask_database(self) -> None:
        """See once a second what the others have found; a database that is away leaves us with what we know."""
        if self._db is None:
            return
        # The database is asked outside the lock, for a slow one must not hold up the calls that end meanwhile.
        with self._changed:
            moment = time.monotonic()
            if moment < self._asked_at + _ASKED_EVERY:
                return
            self._asked_at = moment
        try:
            with self._db.read() as session:
                circuit = current(session, self._name)
                found = (circuit.state, _failure(circuit)) if circuit else (CLOSED, self._why)
                if circuit and circuit.probe_at and circuit.probe_at <= clock_now():
                    found = (HALF_OPEN, found[1])  # Whoever comes first is the probe.
        except (SQLAlchemyError, OSError):
            return
        with self._changed:
            self._shared = found
