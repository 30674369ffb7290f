"""The state of the system in a word, as every page shows it."""

import time
from dataclasses import dataclass

from flask import request
from sqlalchemy.exc import SQLAlchemyError

from receiver.actions.context import Context
from receiver.db import alarms, counters, tickets

# Every page and every live stream shows the status, so it is read once a second at most.
_FRESH_SECONDS = 1.0


@dataclass(frozen=True)
class SystemStatus:
    """`state` is good, warn or bad, `review` how many tickets wait for a person."""

    state: str
    engine: str
    text: str
    review: int


class StatusReader:
    """Reads the status, and keeps the last reading for a second."""

    def __init__(self, context: Context) -> None:
        self._db = context.db
        self._engine = str(context.settings.llm_model) if context.settings.uses_llm else "local engine"
        self._last: tuple[float, SystemStatus] | None = None

    def __call__(self) -> SystemStatus:
        """The status, at most a second old."""
        # A page that answers a change has to show its effect, such as a paused classification, so it reads again.
        if self._last is None or request.method != "GET" or time.monotonic() - self._last[0] > _FRESH_SECONDS:
            self._last = (time.monotonic(), self._read())
        return self._last[1]

    def _read(self) -> SystemStatus:
        try:
            with self._db.read() as session:
                up = alarms.current(session)
                waiting, _ = tickets.due(session)
                review = counters.value(session, "ticket.needs_review")
        except SQLAlchemyError:
            return SystemStatus("bad", self._engine, "database away", 0)
        if up:
            return SystemStatus("bad", self._engine, f"{len(up)} alarm{'s' if len(up) > 1 else ''}", review)
        if waiting:
            return SystemStatus("warn", self._engine, f"{waiting:,} waiting", review)
        return SystemStatus("good", self._engine, "idle", review)
