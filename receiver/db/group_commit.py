"""Group commit: what several threads write at once goes into one transaction, with one turn and one sync to disk."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from receiver.db.database import Database

_LARGEST = 500  # Tickets in one transaction, so that whoever else writes has a turn within half a second.

_T = TypeVar("_T")


@dataclass
class PendingWrite:
    """What one thread asks to be written; `results` has one, once it is committed."""

    work: Callable[[Session], Any]
    size: int
    asked: float
    results: list[Any] = field(default_factory=list)
    is_alone: bool = False


class Group:
    """Threads of one process that write together.

    One thread writes for all of them: when its turn in the record has come, what waits by then is one transaction.
    Where that fails, each part is written again by itself, so that whoever is wrong hears it and the others are stored.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="group")
        self._waiting: deque[PendingWrite] = deque()
        self._asking = threading.Lock()

    def write(self, work: Callable[[Session], _T], size: int) -> _T:
        """What `work` returns, when everything that it did in its session is committed; it may be called twice.

        `size` is the number of tickets it is about. Raises what `work` raises, and what `Record.write` does.
        """
        part = PendingWrite(work, size, asked=time.monotonic())
        with self._asking:  # In both, in the same order.
            self._waiting.append(part)
            settled = self._writer.submit(self._settle, part)
        result: _T = settled.result()
        return result

    def _settle(self, part: PendingWrite) -> Any:
        """The result of a part, which an earlier one may have taken along."""
        if not part.results and not part.is_alone:
            self._write_with(part)
        if part.is_alone:
            with self._db.write(part.asked) as session:
                return part.work(session)
        return part.results[0]

    def _write_with(self, first: PendingWrite) -> None:
        """Write the first of those that wait, and what waits behind it."""
        parts = [self._waiting.popleft()]
        try:
            with self._db.write(first.asked) as session:
                parts += self._behind(first)
                results = [part.work(session) for part in parts]
        except Exception:
            if len(parts) == 1:
                raise
            for part in parts:
                part.is_alone = True
        else:
            for part, result in zip(parts, results, strict=True):
                part.results.append(result)

    def _behind(self, first: PendingWrite) -> list[PendingWrite]:
        found, left = [], _LARGEST - first.size
        while self._waiting and (left := left - self._waiting[0].size) >= 0:
            found.append(self._waiting.popleft())
        return found
