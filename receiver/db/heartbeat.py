"""How a process says that it lives, where Redis is not needed: in the record."""

import logging
import os
import socket
import time
from collections.abc import Callable
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from receiver.db import processes
from receiver.db.database import Database
from receiver.lib.clock import now

EVERY_SECONDS = 10.0
SCHEDULER = "scheduler"  # The role of whoever runs the timetable; a worker's is `worker` and its queue.
_PATIENCE_SECONDS = 2.0  # Whoever serves a queue shall not wait long for its turn to say so.

log = logging.getLogger(__name__)


def place(pid: int | None = None) -> str:
    """The machine, or the container, and the process there; this one, where no other is named."""
    return f"{socket.gethostname()} {pid or os.getpid()}"


class Heartbeat:
    """Says every `EVERY_SECONDS` that a process lives, whenever it is asked to.

    It is of the process that first says something: jobs that are forked from that one say nothing.
    """

    def __init__(self, url: str, role: str) -> None:
        self._role = role
        # Made once, also for processes that are forked later: making it costs each of them 5 MB.
        self._db = Database(url, _PATIENCE_SECONDS)
        self._name, self._pid = "", 0
        self._last = float("-inf")
        self._is_lost = False

    def beat(self) -> None:
        """Say it, unless it was said just now; that the record is away is logged once."""
        if not self._pid:
            self._name, self._pid = uuid4().hex, os.getpid()
        if os.getpid() == self._pid and time.monotonic() - self._last >= EVERY_SECONDS:
            self._last = time.monotonic()
            self._write(lambda session: processes.beat(session, self._name, self._role, place(), now()))

    def leave(self) -> None:
        """Say that it ends as it should."""
        if os.getpid() == self._pid:
            self._write(lambda session: processes.leave(session, self._name))

    def _write(self, act: Callable[[Session], None]) -> None:
        try:
            with self._db.write() as session:
                act(session)
            self._is_lost = False
        except (SQLAlchemyError, OSError) as error:
            if not self._is_lost:
                log.warning("That %s lives cannot be written into the record: %s", self._role, type(error).__name__)
            self._is_lost = True
        finally:
            self._db.close()  # Jobs are forked from this process, and must not share a connection with it.
