"""How long deliveries take."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from receiver.clock import now
from receiver.count_buffer import CountBuffer
from receiver.record import latencies
from receiver.record.latencies import Key


class Stopwatch(CountBuffer):
    """Counts durations."""

    def note(self, stage: str, milliseconds: float, many: int) -> None:
        """Count a duration as that of so many tickets; returns at once."""
        self.count(latencies.key(stage, milliseconds, now()), many)

    def write(self, session: Session, counts: Mapping[Key, int]) -> None:
        """Add durations to the record's."""
        latencies.add(session, counts)
