"""How long deliveries take, kept in memory until a thread writes it down: no request waits for that."""

import logging
import threading
from collections import Counter

from sqlalchemy.exc import SQLAlchemyError

from receiver.clock import now
from receiver.record import latencies
from receiver.record.database import Record
from receiver.record.latencies import Key

_EVERY_SECONDS = 3.0

log = logging.getLogger(__name__)


class Stopwatch:
    """Counts durations and writes them every few seconds; of a process that is killed the last seconds are lost."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._counts: Counter[Key] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def note(self, stage: str, milliseconds: float, many: int) -> None:
        """Count a duration as that of so many tickets; returns at once."""
        with self._changed:
            self._counts[latencies.key(stage, milliseconds, now())] += many
            if self._thread is None:  # Not in __init__: the web server forks after the app is made.
                self._thread = threading.Thread(target=self._run, name="stopwatch", daemon=True)
                self._thread.start()
            self._changed.notify()

    def flush(self) -> None:
        """Write what was counted; where the record is away, it is kept for the next time."""
        with self._changed:
            counts, self._counts = self._counts, Counter()
        try:
            with self._record.write() as session:
                latencies.add(session, counts)
        except (SQLAlchemyError, OSError) as error:
            log.warning("Latencies are not written yet: %s", type(error).__name__)
            with self._changed:
                self._counts.update(counts)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._counts)
            pause.wait(_EVERY_SECONDS)
            self.flush()
