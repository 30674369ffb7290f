"""Many tickets through one worker and a model that takes a second, against full slots from start to end."""

import math
import sys
import time
from statistics import median
from subprocess import Popen

from benchmarks import load
from benchmarks.stack import ROUNDS, Line, stack, wait_until
from receiver import queue
from receiver.db import deliveries, tickets
from receiver.db.database import Database
from receiver.db.deliveries import Arrival
from receiver.intake.sources import standard
from receiver.lib.clock import now

GOAL = 0.85
TICKETS, IN_FLIGHT, LATENCY = 500, 64, 1.0
IDEAL = math.ceil(TICKETS / IN_FLIGHT) * LATENCY


def run() -> list[Line]:
    """One line: the median of the rounds."""
    with stack() as processes:
        processes.migrate()
        processes.redis()
        model = processes.model(LATENCY)
        worker = (sys.executable, "-m", "jobs", "worker", queue.CLASSIFY)
        child = processes.start(*worker, OPENAI_BASE_URL=model, LLM_CONCURRENCY=str(IN_FLIGHT))
        with processes.db() as db:
            _seconds(db, processes.config.redis_url, child, 1)
            seconds = median(_seconds(db, processes.config.redis_url, child, TICKETS) for _ in range(ROUNDS))
    share = IDEAL / seconds
    name = f"fan-out, {TICKETS} tickets, {IN_FLIGHT} in flight"
    return [Line(name, f"{seconds:.2f} s", f"{IDEAL:.2f} s", f"{share:.2f}", f">= {GOAL}", share >= GOAL)]


def _seconds(db: Database, redis_url: str, worker: Popen[bytes], count: int) -> float:
    """From the wake-up to the last ticket's classification."""
    content = standard.validate([load.ticket() for _ in range(count)])
    with db.write() as session:
        deliveries.record(session, Arrival("standard", f"{time.time()}", {}, b"", "", now()), content)
    connection = queue.connect(redis_url)
    started = time.perf_counter()
    queue.wake(queue.CLASSIFY, connection)
    wait_until(lambda: _waiting(db) == 0, worker)
    return time.perf_counter() - started


def _waiting(db: Database) -> int:
    with db.read() as session:
        return tickets.due(session)[0]
