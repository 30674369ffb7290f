"""A record of a million tickets, spread over a year, written by bulk SQL within a minute or two."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from demo.month.writing import Writer
from receiver import catalog
from receiver.db import audit, catalogs, latencies
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.lib.sla import UNITS

TICKETS = 1_000_000
_TEXTS, _DUE, _AUDITED = 3_000, 60, 3_000
_STATEMENTS = Path(__file__).with_suffix(".sql")


def fill(db: Database, tickets: int = TICKETS) -> None:
    """Fill an empty record on SQLite."""
    full, moment = catalog.shipped(), now()
    with db.write() as session:
        catalogs.remember(session, full.version, full.text, moment, "the shipped catalog")
        for hours in range(35 * 24):
            at = moment - timedelta(hours=hours)
            counts = {latencies.key(stage, 2 * 1.3**step, at): 9 for stage in latencies.STAGES for step in range(12)}
            latencies.add(session, counts)
        for number in range(1, _AUDITED):
            audit.note(session, "grace@example.com", "confirm", f"ticket {number * 8}", moment)
    assert db.path is not None
    with closing(sqlite3.connect(db.path, isolation_level=None)) as connection:
        _fill(connection, {"tickets": tickets, "texts": _TEXTS, "due": _DUE, "version": full.version})


def _fill(connection: sqlite3.Connection, sizes: dict[str, Any]) -> None:
    for pragma in ("synchronous = OFF", "cache_size = -400000", "foreign_keys = OFF", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    with without_indexes_and_triggers(connection):
        connection.execute("BEGIN")
        columns = "k INTEGER PRIMARY KEY, subject, text, requester, category, request_type, hours"
        connection.execute(f"CREATE TEMP TABLE texts ({columns})")
        connection.executemany("INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?)", _texts())
        for statement in _STATEMENTS.read_text(encoding="utf-8").split(";\n"):
            connection.execute(statement, sizes if ":" in statement else {})
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def without_indexes_and_triggers(connection: sqlite3.Connection) -> Iterator[None]:
    """They are made again at the end, which is many times faster than to keep them up row by row."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    kept = connection.execute(query).fetchall()
    for kind, name, _ in kept:
        connection.execute(f"DROP {kind} {name}")
    yield
    for _, _, sql in sorted(kept):
        connection.execute(sql)


def _texts() -> Iterator[tuple[Any, ...]]:
    full = catalog.shipped()
    writer = Writer(full, random.Random(1))  # noqa: S311 - repeatable, not secret.
    for k in range(_TEXTS):
        ticket = writer.write(str(k), now())
        kind = full.find(*ticket.truth) or full.fallback
        hours = round(kind.sla.value * (UNITS[kind.sla.unit] / timedelta(hours=1)))
        yield k, ticket.subject, ticket.text, ticket.requester, kind.category, kind.name, hours
