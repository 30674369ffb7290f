"""What calls cost, and a day's budget that no call passes."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from jobs.classification.engines.base import BudgetError
from jobs.classification.engines.llm.completion import Usage
from receiver.db import spending
from receiver.db.database import Database
from receiver.db.models import Spending
from receiver.lib.clock import now
from receiver.lib.setting_kinds import Price

_WRITE_EVERY_SECONDS = 1.0
_SLICE_CALLS = 16
_SLICES = 50
_COUNTS = ("calls", "prompt_tokens", "completion_tokens", "cost_micros")


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one call may cost at most, taken out of the budget of `day`."""

    day: str
    micros: int


class Budget:
    """Pays for the calls of one process.

    Before a call its highest cost is taken from a slice of the day's budget, and the slice from the database, where
    every worker takes its own; what the call did not cost goes back. A worker that is killed leaves its slice taken, so
    that the day ends early rather than late. What was spent is written to the database once a second, and whenever no
    call is in flight.
    """

    def __init__(self, db: Database | None, prices: Mapping[str, Price], budget: float | None) -> None:
        self._db, self._prices = db, prices
        self._budget = round(budget * 1_000_000) if budget is not None and db is not None else None
        self._day, self._slice, self._held = "", 0, 0
        self._spent: Counter[tuple[str, str, str]] = Counter()
        self._in_flight, self._written = 0, time.monotonic()
        self._changed = threading.Condition()

    def cost(self, model: str, usage: Usage) -> int:
        """In millionths; prices are per million tokens, so one token costs as many millionths as its price says."""
        price = self._prices.get(model)
        if price is None:
            return 0
        fresh = usage.prompt - usage.cached
        return round(fresh * price.prompt + usage.cached * price.cached + usage.completion * price.completion)

    def take(self, model: str, most: Usage) -> Reservation:
        """Before a call that may use so many tokens. Raises BudgetError where the day's budget has no room for it."""
        with self._changed:
            day, micros = spending.day_of(now()), self.cost(model, most)
            if self._budget is not None:
                if day != self._day:
                    self._slice, self._held, self._day = 0, 0, day  # What was left of yesterday's is worth nothing.
                while self._slice < micros and not self._refill(micros):
                    if not self._held:
                        raise BudgetError
                    self._changed.wait(1.0)  # What is in flight may cost less than was taken for it.
                self._slice -= micros
                self._held += micros
            self._in_flight += 1
            return Reservation(day, micros)

    def _refill(self, micros: int) -> bool:
        """Take a slice of the budget from the database, or at least what one call needs."""
        if self._db is None or self._budget is None:
            return False
        with self._db.write() as session:
            for amount in (max(micros, min(_SLICE_CALLS * micros, self._budget // _SLICES)), micros - self._slice):
                if spending.reserve(session, self._day, amount, self._budget):
                    self._slice += amount
                    return True
        return False

    def put_back(self, reservation: Reservation, model: str, used: Usage | None) -> int:
        """After the call: what it cost. `used` is None where nobody knows; then all that was taken counts as spent."""
        cost = reservation.micros if used is None else self.cost(model, used)
        used = used or Usage()
        with self._changed:
            self._in_flight -= 1
            if self._budget is not None and reservation.day == self._day:
                self._held -= reservation.micros
                self._slice += reservation.micros - cost
            values = (1, used.prompt, used.completion, cost)
            self._spent.update({(reservation.day, model, name): n for name, n in zip(_COUNTS, values, strict=True)})
            if not self._in_flight or time.monotonic() > self._written + _WRITE_EVERY_SECONDS:
                self._write()
            self._changed.notify_all()
        return cost

    def _write(self) -> None:
        """Bring the database up to date; what could not be written now is written with the next."""
        if self._db is None:
            return
        self._written = time.monotonic()
        idle = self._slice if not self._in_flight else 0
        try:
            with self._db.write() as session:
                for day, model in {(day, model) for day, model, _ in self._spent}:
                    counts = {name: self._spent[day, model, name] for name in _COUNTS}
                    spending.add(session, Spending(day=day, model=model, **counts))
                if idle:
                    spending.release(session, self._day, idle)
        except (SQLAlchemyError, OSError):
            return
        self._spent.clear()
        self._slice -= idle
