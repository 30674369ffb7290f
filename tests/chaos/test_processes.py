"""The short versions: Redis loses everything, the disk is full, an answer is lost after its commit."""

import random
import resource
import socket
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from chaos.disk import try_once
from chaos.ledger import Ledger, deliver, ticket
from chaos.processes import listens, t2_redis_loses_everything
from chaos.traps import arm
from chaos.world import World, running
from jobs.operations.child_process import Child
from receiver import queue
from tests.conftest import wait_until

pytestmark = [pytest.mark.durable, pytest.mark.full]

SEED = 20261122


def _texts(world: World) -> dict[str, str]:
    with closing(sqlite3.connect(str(world.db.path))) as connection:
        return dict(connection.execute("SELECT external_id, short_description FROM tickets").fetchall())


def test_nothing_is_lost_when_redis_forgets_dies_and_is_away(tmp_path: Path) -> None:
    others = ("redis", "web", "classify0", queue.MAINTENANCE, "scheduler")
    found = t2_redis_loses_everything(
        tmp_path, random.Random(SEED), tickets=40, away=1, limit=10, workers=1, only=others, WEB_WORKERS="1"
    )
    assert found.faults == [], found.figures


def test_a_ticket_whose_answer_died_with_its_process_is_there_once(tmp_path: Path) -> None:
    ledger = Ledger()
    with running(tmp_path, only=("redis", "web"), WEB_WORKERS="1") as world:
        for side in ("before", "after"):
            trap = arm(world, "web", f"{side}:receiver.db.group_commit:_write_with")
            deliver(world.config, ledger, [ticket(side)], f"msg_{side}")
            assert trap.has_sprung()
        with closing(sqlite3.connect(str(world.db.path))) as connection:
            deliveries = connection.execute("SELECT status, count(*) FROM deliveries GROUP BY 1 ORDER BY 1").fetchall()
        assert _texts(world) == ledger.acknowledged
    # Killed before the commit nothing is there; killed after it, the sender's next try is the duplicate.
    assert (len(ledger.acknowledged), deliveries) == (2, [("accepted", 2), ("duplicate", 1)])


def _limit_files(world: World, size: int) -> None:
    """Let the web server's files grow no further than `size`, as on a full disk."""
    for process in world.processes("web"):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_is_answered_503_until_there_is_room_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    ledger = Ledger()
    with running(tmp_path, only=("redis", "web"), WEB_WORKERS="1") as world:
        assert try_once(world, ledger, "A", 5) == {200: 5}
        before = [process.pid for process in world.processes("web")]
        _limit_files(world, Path(f"{world.db.path}-wal").stat().st_size + 10_000)
        full = try_once(world, ledger, "B", 20)
        assert (full[503] > 0, set(full) <= {200, 503}) == (True, True), full
        assert _texts(world) == ledger.acknowledged
        _limit_files(world, resource.RLIM_INFINITY)
        assert try_once(world, ledger, "C", 20) == Counter({200: 20})
        assert [process.pid for process in world.processes("web")] == before
        assert _texts(world) == ledger.acknowledged


def test_a_server_that_ends_while_a_client_is_slow_leaves_new_ones_to_its_neighbour(tmp_path: Path) -> None:
    ledger = Ledger()
    with running(tmp_path, GUNICORN_CMD_ARGS="--reuse-port", only=("redis", "web")) as world:
        world.children = {**world.children, "web2": Child("web2", world.children["web"].command)}
        wait_until(lambda: listens(world, "web2"))
        slow = [_half_a_request(world) for _ in range(8)]  # So that each of the four workers is likely to have one.
        world.held.add("web2")
        world.children["web2"].ask_to_stop()
        wait_until(lambda: not listens(world, "web2"))
        deliver(world.config, ledger, [ticket("first")], "msg_first")
        assert try_once(world, ledger, "N", 40) == Counter({200: 40})
        assert world.processes("web2") != []  # Still busy with the slow ones, all of whom are answered.
        assert [_rest_of_it(connection) for connection in slow] == [b"HTTP/1.1 200"] * 8


def _half_a_request(world: World) -> socket.socket:
    connection = socket.create_connection((world.config.host, world.config.port))
    connection.sendall(b"GET /healthz HTTP/1.1\r\n")
    return connection


def _rest_of_it(connection: socket.socket) -> bytes:
    with connection:
        connection.sendall(b"Host: localhost\r\n\r\n")
        return connection.recv(12)
