"""How many calls one process has in flight, and when it leaves the endpoint alone."""

import threading
import time

from jobs.classification.engines.base import Cause, EngineError
from receiver.db.circuit_breaker import FAILURES_IN_A_ROW, PROBE_EVERY

_HALVED_AT_MOST_EVERY = 1.0
# An endpoint that is away, or refuses, says so sooner than this; one that is silent for so long is at work.
_REFUSES_WITHIN = 0.5
_NEVER = float("inf")
_SHUT_SECONDS = PROBE_EVERY.total_seconds()


class AdaptiveLimiter:
    """Lets calls through one by one.

    1. The limit begins at `most`. A 429 halves it, at most once a second; every answer raises it by its inverse, which
       is by one in a round of calls.
    2. After FAILURES_IN_A_ROW nothing is let through for ten seconds, and then one call to see.
    3. Where the last outcome was a failure, or there was none yet, only so many calls are in flight as may still fail.
       So an endpoint that is away hears from this process ten times, however many threads wait.
    4. Only the first calls of all need not be answered for others to follow: none of them failing is enough, for a
       model may think for seconds.
    """

    def __init__(self, most: int, *, proven: bool, patience: float) -> None:
        self._most, self._limit, self._proven, self._patience = most, float(most), proven, patience
        self._in_flight, self._failures = 0, 0
        self._why = EngineError("the model's endpoint is spared", Cause.SPARED)
        self._halved = self._opens_at = float("-inf")
        self._trusted_from: float | None = None
        self._changed = threading.Condition()

    @property
    def is_shut(self) -> bool:
        """Whether the endpoint is left alone at present."""
        return self._failures >= FAILURES_IN_A_ROW and time.monotonic() < self._opens_at

    def enter(self) -> None:
        """Wait for a place. Raises EngineError, `asked` being False, where there is none, or the endpoint is spared."""
        with self._changed:
            ends = time.monotonic() + self._patience
            while not self.is_shut and self._in_flight >= self._places() and time.monotonic() < ends:
                self._changed.wait(min(_REFUSES_WITHIN, self._patience))
            if self.is_shut:
                raise EngineError(str(self._why), self._why.cause, asked=False)
            if self._in_flight >= self._places():
                raise EngineError("the model's endpoint takes no more calls at once", Cause.SPARED, asked=False)
            self._in_flight += 1
            if self._trusted_from is None:
                self._trusted_from = time.monotonic() + _REFUSES_WITHIN

    def _places(self) -> int:
        limit = max(1, int(self._limit))
        trusted = self._proven or (self._trusted_from is not None and time.monotonic() > self._trusted_from)
        return limit if trusted else min(limit, max(1, FAILURES_IN_A_ROW - self._failures))

    def leave(self, *, answered: bool | None, why: EngineError | None = None, pause: float = 0) -> None:
        """A call has ended: with an answer, with a failure, or with neither (None).

        `why` is what failed; `pause` is for how many seconds everybody shall stay away.
        """
        with self._changed:
            self._in_flight -= 1
            if answered:
                self._failures, self._proven = 0, True
                self._limit = min(self._most, self._limit + 1 / self._limit)
            elif answered is False:
                self._failures = FAILURES_IN_A_ROW if pause else self._failures + 1
                self._proven, self._trusted_from, self._why = False, _NEVER, why or self._why
                self._opens_at = max(self._opens_at, time.monotonic() + (pause or _SHUT_SECONDS))
            self._changed.notify_all()

    def saw(self, status: int | None) -> None:
        """The endpoint answered with this status, or not at all, be it to a call's first try or a later one."""
        with self._changed:
            if status is None or status >= 400:
                self._trusted_from = _NEVER
            if status == 429 and time.monotonic() > self._halved + _HALVED_AT_MOST_EVERY:
                self._limit, self._halved = max(1.0, self._limit / 2), time.monotonic()
