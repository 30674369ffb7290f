"""The one-shot pipeline as a user starts it: a file in, a workbook out, against the latency of the model alone."""

import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.stack import ROOT, ROUNDS, BenchmarkError, Line, stack

GOAL = 5.0
TICKETS, LATENCY = 42, 2.0


def run() -> list[Line]:
    """One line: the median of the rounds, each in a folder of its own."""
    seconds = median(_seconds() for _ in range(ROUNDS))
    name = f"one-shot, {TICKETS} tickets"
    return [Line(name, f"{seconds:.2f} s", f"{LATENCY:.2f} s", f"{seconds:.2f} s", f"< {GOAL:.0f} s", seconds < GOAL)]


def _seconds() -> float:
    """The wall clock of the whole process."""
    with stack() as processes:
        model = processes.model(LATENCY)
        tickets, workbook = processes.folder / "tickets.jsonl", processes.folder / "report.xlsx"
        tickets.write_text(_tickets(), encoding="utf-8")
        command = (sys.executable, "-m", "jobs", "run", "--skip-email", "--input", str(tickets), "-o", str(workbook))
        started = time.perf_counter()
        status = processes.start(*command, OPENAI_BASE_URL=model).wait()
        seconds = time.perf_counter() - started
        _check(status, workbook)
    return seconds


def _tickets() -> str:
    lines = (ROOT / "demo" / "tickets.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[:TICKETS])


def _check(status: int, workbook: Path) -> None:
    if status or not workbook.exists():
        raise BenchmarkError(f"the run ended with {status}")
