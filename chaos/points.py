"""Starts a real process that ends itself by SIGKILL at a named point; the product has no hook for that.

`python -m chaos.points POINT NTH TALLY MODULE ARGUMENTS...`, where POINT is `before:` or `after:` and a commit's
place such as `jobs.classification.classify:_save`, or `smtp`, or `outbox`; or `ticket:` and a text, which kills
whenever a ticket with that text is proposed. TALLY is a file that grows by one byte each time the point is passed, in
whichever process.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import event
from sqlalchemy.orm import Session

from jobs.digests.mail.connection import Connection

EVERY_TIME = 0


@dataclass(frozen=True)
class Trap:
    """Kills its process when `point` is passed for the `nth` time, counted over all processes that share `tally`."""

    point: str
    nth: int
    tally: Path

    def passed(self, point: str) -> None:
        """Count the passage, and die where it is the one."""
        if point != self.point:
            return
        descriptor = os.open(self.tally, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, b".")
        if self.nth in (EVERY_TIME, os.lseek(descriptor, 0, os.SEEK_CUR)):
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(descriptor)

    def count(self) -> int:
        """How often the point was passed."""
        return self.tally.stat().st_size if self.tally.exists() else 0

    def has_sprung(self) -> bool:
        """Whether a process has died of it."""
        return self.count() >= max(self.nth, 1)


def _place() -> str:
    """The function of ours that commits, as module:function."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(("jobs.", "receiver.")) and name != "receiver.db.database":
            return f"{name}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


def _set(trap: Trap) -> None:
    event.listen(Session, "before_commit", lambda _: trap.passed(f"before:{_place()}"))
    event.listen(Session, "after_commit", lambda _: trap.passed(f"after:{_place()}"))
    _surround(Connection, "content", trap, lambda *_: "smtp")
    _surround(Path, "replace", trap, lambda path, *_: path.parent.name)
    _surround(httpx2.Client, "send", trap, lambda _, request: _text_in(request, trap))


def _text_in(request: httpx2.Request, trap: Trap) -> str:
    kind, _, text = trap.point.partition(":")
    if kind == "ticket" and text.encode() in request.content:
        trap.passed(trap.point)
    return "request"


def _surround(owner: Any, name: str, trap: Trap, point: Callable[..., str]) -> None:
    original = getattr(owner, name)

    def surrounded(*args: Any, **options: Any) -> Any:
        named = point(*args)
        trap.passed(f"before:{named}")
        result = original(*args, **options)
        trap.passed(f"after:{named}")
        return result

    setattr(owner, name, surrounded)


def main() -> None:
    """Set the trap and become the process."""
    point, nth, tally, module, *arguments = sys.argv[1:]
    _set(Trap(point, int(nth), Path(tally)))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
