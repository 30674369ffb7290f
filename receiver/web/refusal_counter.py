"""Who is turned away, counted so that an attack is seen in the log, the numbers and the alarms."""

import logging
from collections.abc import Mapping

from sqlalchemy.orm import Session

from receiver.db import refusals
from receiver.db.count_buffer import CountBuffer
from receiver.db.database import Database
from receiver.db.refusals import Key
from receiver.lib.clock import now

log = logging.getLogger(__name__)


class RefusalCounter(CountBuffer):
    """Counts refusals; the log has one line for each kind every few seconds, with the address that was last."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._addresses: dict[Key, str] = {}

    def note(self, kind: str, source: str, address: str) -> None:
        """Count one refusal of whoever called from `address`; returns at once."""
        # The last address is enough to look into an attack, and a flood of addresses cannot fill the memory.
        self._addresses[kind, source] = address
        self.count((kind, source))

    def write(self, session: Session, counts: Mapping[Key, int]) -> None:
        """Add these refusals to the database, and log one line for each kind."""
        refusals.add(session, counts, self._addresses, now())
        for (kind, source), count in sorted(counts.items()):
            what = f"{kind} for the source {source}" if source else kind
            log.warning("Refused: %s, %d times, last from %s", what, count, self._addresses[kind, source])
