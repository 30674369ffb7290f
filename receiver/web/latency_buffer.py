"""How long deliveries take."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from receiver.db import latencies
from receiver.db.count_buffer import CountBuffer
from receiver.db.latencies import Key
from receiver.lib.clock import now


class LatencyBuffer(CountBuffer):
    """Counts durations."""

    def note(self, stage: str, milliseconds: float, many: int) -> None:
        """Count a duration as that of so many tickets; returns at once."""
        self.count(latencies.key(stage, milliseconds, now()), many)

    def write(self, session: Session, counts: Mapping[Key, int]) -> None:
        """Add these durations to the database."""
        latencies.add(session, counts)
