"""Tickets a second in signed batches, against plain SQLite inserts of the same tickets into the same table."""

import sqlite3
import time
from statistics import median

from benchmarks import load
from benchmarks.stack import ROUNDS, Line, Stack, check_stored, stack
from receiver.lib import secret_files

GOAL = 12_000
BATCH = 1_000
BATCHES = 24
TICKETS = BATCH * BATCHES


def run() -> list[Line]:
    """A line for one connection, and one for four."""
    with stack() as processes:
        processes.migrate()
        processes.redis()
        port = processes.web("receiver.web.app:create_app()")
        _send(processes, port, 4)
        limit = median(_plain_inserts(processes) for _ in range(ROUNDS))
        lines = [_line(processes, port, connections, limit) for connections in (1, 4)]
        check_stored(processes, "standard", (1 + 2 * ROUNDS) * TICKETS)
    return lines


def _line(processes: Stack, port: int, connections: int, limit: float) -> Line:
    rate = median(_send(processes, port, connections) for _ in range(ROUNDS))
    return Line(
        f"tickets in batches, {connections} connection{'s' * (connections > 1)}",
        f"{rate:,.0f}/s",
        f"{limit:,.0f}/s",
        f"{rate / limit:.2f}",
        f">= {GOAL:,}/s",
        rate >= GOAL,
    )


def _send(processes: Stack, port: int, connections: int) -> float:
    """Tickets a second through the receiver."""
    secret = secret_files.webhook_secrets(processes.config)[0]
    requests = [load.delivery(secret, [load.ticket() for _ in range(BATCH)]) for _ in range(BATCHES)]
    return load.send_all(port, requests, connections).rate * BATCH


def _plain_inserts(processes: Stack) -> float:
    """Tickets a second that one process inserts with the sqlite3 module, as durably, a batch in a transaction."""
    fixed = "'limit', 'received', '2026-11-20', 0"
    columns = "source, status, received_at, attempts, delivery_id, external_id"
    texts = "short_description, long_description, requester_email, priority"
    insert = f"INSERT INTO tickets ({columns}, {texts}) VALUES ({fixed}, 1, :id, :{texts.replace(', ', ', :')})"  # noqa: S608
    batches = [[load.ticket() for _ in range(BATCH)] for _ in range(BATCHES)]
    connection = sqlite3.connect(processes.config.data_dir / "tickets.db", isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        started = time.perf_counter()
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, batch)
            connection.execute("COMMIT")
        return TICKETS / (time.perf_counter() - started)
    finally:
        connection.close()
