"""Counts that requests make, kept in memory until a thread writes them down: no request waits for that."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from receiver.db.database import Database

_EVERY_SECONDS = 3.0

log = logging.getLogger(__name__)


class CountBuffer:
    """Writes what was counted every few seconds; of a process that is killed the last seconds are lost."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: Counter[Any] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def count(self, key: Any, many: int = 1) -> None:
        """Add to what is counted; returns at once."""
        with self._changed:
            self._counts[key] += many
            if self._thread is None:  # Not in __init__: the web server forks after the app is made.
                self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
                self._thread.start()
            self._changed.notify()

    def write(self, session: Session, counts: Mapping[Any, int]) -> None:
        """Write counts to the record, in this session."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what was counted; where the record is away, it is kept for the next time."""
        with self._changed:
            counts, self._counts = self._counts, Counter()
        try:
            with self._db.write() as session:
                self.write(session, counts)
        except (SQLAlchemyError, OSError) as error:
            log.warning("Counts are not written yet: %s", type(error).__name__)
            with self._changed:
                self._counts.update(counts)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._counts)
            pause.wait(_EVERY_SECONDS)
            self.flush()
