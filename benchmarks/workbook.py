"""The workbook of 100,000 tickets: its time against a bare write of the same cells, and the memory it takes."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
from sqlalchemy import insert

from benchmarks.stack import ROUNDS, BenchmarkError, Line, Stack, stack
from jobs.digests import send, workbook
from jobs.digests.translations import words
from jobs.digests.workbook import Look, rows
from receiver.db import database, digests
from receiver.db.database import Database
from receiver.db.models import CLASSIFIED, NEEDS_REVIEW, Classification, Delivery, Digest, Ticket
from receiver.db.tickets import Pair
from receiver.lib import settings, sla
from receiver.lib.mail_addresses import Envelope

GOAL, GOAL_MB = 1.5, 150
TICKETS, SAMPLES, CHUNK = 100_000, 1_000, 5_000
MOMENT = datetime(2026, 11, 20, 8, tzinfo=UTC)
LOOK = Look(address="https://tickets.example.com")
_KINDS = ("Laptop Repair", "VPN Connection", "Password Reset", "Badge", "Printer", "New Account", "Phone", "Other")


def run() -> list[Line]:
    """A line for the time, of processors, since it is all they do; and one for the memory of a whole process."""
    with stack() as processes:
        seconds, bare = _seconds(processes.folder)
        megabytes = _megabytes(processes)
    ratio, shown = seconds / bare, f"{megabytes:.0f} MB"
    name = f"workbook, {TICKETS:,} tickets"
    return [
        Line(name, f"{seconds:.2f} s", f"{bare:.2f} s", f"{ratio:.2f}", f"<= {GOAL}", ratio <= GOAL),
        Line("its process, from the record", shown, "", shown, f"< {GOAL_MB} MB", megabytes < GOAL_MB),
    ]


def _seconds(folder: Path) -> tuple[float, float]:
    """Processor seconds of the workbook, and of a bare write; they take turns, so that both see the same machine."""
    pairs = [_pair(number) for number in range(SAMPLES)]
    ours, bare = [], []
    for _ in range(ROUNDS):
        many = (pair for _ in range(TICKETS // SAMPLES) for pair in pairs)
        ours.append(_timed(lambda many=many: workbook.build(folder / "ours.xlsx", many, MOMENT, LOOK)))  # type: ignore[misc]
        bare.append(_timed(lambda: _write_bare(folder / "bare.xlsx", pairs)))
    return median(ours), median(bare)


def _timed(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _write_bare(path: Path, pairs: list[Pair]) -> None:
    """The same cells in as many sheets, streamed as well, and nothing else."""
    book = openpyxl.Workbook(write_only=True)
    tickets, reviews = book.create_sheet("Tickets"), book.create_sheet("Needs review")
    found = [(_plain(rows.row(entry, LOOK.columns)), _review(entry)) for entry in map(_entry, pairs)]
    for _ in range(TICKETS // SAMPLES):
        for row, review in found:
            tickets.append(row)
            if review:
                reviews.append(review)
    book.save(path)


def _entry(pair: Pair) -> rows.Entry:
    ticket, classification = pair
    state = sla.state(ticket.due_at, ticket.at_risk_at, MOMENT)
    return rows.Entry(ticket, classification, state, words("en"), LOOK.address, ZoneInfo(LOOK.zone))


def _review(entry: rows.Entry) -> list[Any] | None:
    is_needed = workbook.needs_review(entry.ticket, entry.classification)
    return _plain(rows.review_row(entry)) if is_needed else None


def _plain(row: list[Any]) -> list[Any]:
    return [value[0] if isinstance(value, tuple) else value for value in row]


def _pair(number: int) -> Pair:
    return Ticket(**_ticket(number)), Classification(**_classification(number))


def _ticket(number: int) -> dict[str, Any]:
    """A ticket as people write them: two lines, some three hundred letters; one in ten needs review."""
    received_at = MOMENT - timedelta(minutes=7 * (number % 5_000))
    promise = sla.promise(received_at, 2, "days")
    text = (
        f"Since {number % 28} November it stopped after an update, and restarting did not help.\nWho can look at it? "
        * 2
    )
    return {
        "id": number + 1, "source": "benchmark", "external_id": f"INC-{number:08}", "delivery_id": 1,
        "short_description": f"{_KINDS[number % 8]} does not work since {number}", "long_description": text,
        "requester_email": f"person{number}@example.com", "status": NEEDS_REVIEW if number % 10 == 0 else CLASSIFIED,
        "received_at": received_at, "at_risk_at": promise.at_risk_at,
        "due_at": promise.due_at, "attempts": 1, "settled": number + 1,
    }  # fmt: skip


def _classification(number: int) -> dict[str, Any]:
    return {
        "id": number + 1, "ticket_id": number + 1, "current": True, "created_at": MOMENT,
        "category": f"Category {number % 8 // 2}", "request_type": _KINDS[number % 8], "sla_value": 2,
        "sla_unit": "days", "sla_is_default": False, "confidence": 0.5 + number % 50 / 100,
        "reasoning": "The words point to this entry, but the text also speaks of something else that could be meant.",
        "alternatives": ["Category 1 > Phone", "Category 2 > Badge"], "engine": "llm", "model": "gpt-4o-mini",
        "review_reason": "low_confidence" if number % 10 == 0 else None, "fallback": False,
        "fuzzy_matched": False, "catalog_version": "v1", "prompt_version": "p1", "prompt_tokens": 0,
        "completion_tokens": 0, "latency_ms": 1, "cost_micros": 0,
    }  # fmt: skip


def _megabytes(processes: Stack) -> float:
    """The most memory that a process has which builds the workbook of a digest from the record."""
    processes.migrate()
    with processes.db() as db:
        digest_id = _fill(db)
    child = processes.start(sys.executable, "-m", "benchmarks.workbook", str(digest_id), stdout=subprocess.PIPE)
    printed, _ = child.communicate()
    if child.returncode:
        raise BenchmarkError(f"building the workbook ended with {child.returncode}")
    found = json.loads(printed)
    if found["tickets"] != TICKETS:
        raise BenchmarkError(f"the workbook has {found['tickets']} of {TICKETS} tickets")
    return float(found["megabytes"])


def _fill(db: Database) -> int:
    """The tickets in the record, all in one digest; returns its id."""
    with db.write() as session:
        arrival = {"id": 1, "source": "benchmark", "key": "1", "received_at": MOMENT, "status": "accepted"}
        session.execute(insert(Delivery).values(**arrival, headers={}, body_sha256="", rejected=[]))
        for start in range(0, TICKETS, CHUNK):
            numbers = range(start, start + CHUNK)
            session.execute(insert(Ticket), [_ticket(number) for number in numbers])
            session.execute(insert(Classification), [_classification(number) for number in numbers])
        everybody = Envelope(("manager@example.com",), "localhost")
        claimed = digests.claim_batch(session, range(1, TICKETS + 1), everybody, MOMENT)
        assert claimed is not None
        return claimed.id


def main(digest_id: int) -> None:
    """Build the workbook of a digest as a worker does, and print how much memory this process has had at most."""
    config = settings.load()
    with database.opened(config.database_url) as db:
        with db.read() as session:
            found = session.get_one(Digest, digest_id)
        summary = send.build_workbook(db, config, found)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"tickets": summary.total, "megabytes": int(peak[1]) / 1000}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
