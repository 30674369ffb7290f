"""What the whole stack takes while nothing happens, and how soon it is ready.

Memory is the proportional set size: what processes share is counted once. The limit of the start is what it cannot do
without: Python loading the web server's code, measured in the same run.
"""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.stack import ROUNDS, BenchmarkError, Line, Stack, free_port, stack

_IDLE_SECONDS = 15
_MOST_MB, _MOST_STARTS = 350, 2.5


def run() -> list[Line]:
    """The lines of memory and of the start."""
    started, loaded, megabytes = [], [], []
    for _ in range(ROUNDS):
        with stack() as processes:
            loaded.append(_load(processes))
            child, seconds = _up(processes)
            started.append(seconds)
            time.sleep(_IDLE_SECONDS)
            megabytes.append(sum(map(pss, _family(child.pid))))
    memory, start, load = (statistics.median(values) for values in (megabytes, started, loaded))
    return [
        Line(
            "memory",
            f"{memory:.0f} MB idle",
            f"{_MOST_MB} MB",
            f"{memory:.0f} MB",
            f"<= {_MOST_MB} MB",
            memory <= _MOST_MB,
        ),
        Line(
            "start",
            f"{start:.1f} s to ready",
            f"{load:.1f} s to load the web's code",
            f"{start / load:.2f}",
            f"<= {_MOST_STARTS}",
            start / load <= _MOST_STARTS,
        ),
    ]


def _load(processes: Stack) -> float:
    started = time.monotonic()
    if code := processes.start(sys.executable, "-c", "import receiver.web.app").wait(60):
        raise BenchmarkError(f"the web server's code cannot be loaded ({code})")
    return time.monotonic() - started


def _up(processes: Stack) -> tuple[subprocess.Popen[bytes], float]:
    started = time.monotonic()
    child = processes.start(
        sys.executable, "-m", "jobs", "up", stdout=subprocess.PIPE, PORT=str(free_port()), PYTHONUNBUFFERED="1"
    )
    assert child.stdout is not None
    with child.stdout as printed:
        line = printed.readline().decode()
        if "is ready" not in line:
            raise BenchmarkError(f"the stack did not start: {line.strip()}")
        seconds = time.monotonic() - started
        printed.readline()  # The link for the first account.
    return child, seconds


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, path.read_text().split())
    return found


def pss(pid: int) -> float:
    """A process's proportional set size in megabytes; none where it has ended meanwhile."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
