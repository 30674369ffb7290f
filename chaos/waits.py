"""Waiting for the system to come to rest, and what scenarios measure meanwhile."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import requests

from chaos.world import World
from tests.conftest import wait_until

SETTLE_SECONDS = 60.0
_FINAL = ("sent", "held", "failed")


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them are."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def milliseconds(values: list[float]) -> str:
    """The median, the 99th percentile and the longest of some seconds."""
    return "p50 {:.0f}, p99 {:.0f}, max {:.0f} ms".format(*(1000 * percentile(values, p) for p in (0.5, 0.99, 1)))


@contextmanager
def beside(act: Callable[..., None], *args: Any) -> Iterator[None]:
    """Do `act` in a thread during the block, and wait for its end."""
    thread = threading.Thread(target=act, args=args)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def settled(world: World, what: str, faults: list[str], seconds: float = SETTLE_SECONDS) -> float:
    """How long it takes until no ticket waits; more than `seconds` is a fault."""
    try:
        wait_until(world.is_ready, seconds)
        return world.settle(seconds)
    except AssertionError:
        faults.append(f"{what}: {world.counts()} after {seconds:.0f} s")
        return seconds


def send_digest(world: World) -> None:
    """Ask for a digest until one is claimed or there is nothing to send; the answer may be lost on its way."""

    def asked() -> bool:
        try:
            world.api("digests", "POST")
        except requests.HTTPError as error:
            return error.response.status_code == 409
        except requests.RequestException:
            return False
        return True

    wait_until(asked, seconds=30)


def unfinished_digests(world: World) -> dict[int, str]:
    """The digests that are neither sent nor given up, with their status."""
    with world.db.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id, status FROM digests").all()
    return {number: status for number, status in rows if status not in _FINAL}


def finish_digests(world: World, faults: list[str], seconds: float = 60) -> None:
    """Wait until every digest is sent, held or failed."""
    try:
        wait_until(lambda: not unfinished_digests(world), seconds)
    except AssertionError:
        faults.append(f"digests after {seconds:.0f} s: {unfinished_digests(world)}")


def outrun_digest_leases(world: World) -> None:
    """Let two minutes pass for the digests, whose sender is dead: their leases have run out."""
    with closing(sqlite3.connect(str(world.db.path), timeout=10)) as connection, connection:
        for name in ("run_at", "lease_until"):
            moved = f"UPDATE work SET {name} = datetime({name}, '-130 seconds') || '.000000'"
            connection.execute(f"{moved} WHERE kind = 'send_digest'")
