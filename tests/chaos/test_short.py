"""The short version of the chaos: everything is killed while tickets arrive, and nothing is lost or done twice."""

import random
import threading
import time
from pathlib import Path

import pytest

from chaos import checks
from chaos.ledger import Ledger, send_all
from chaos.world import World, running
from receiver import queue
from tests.conftest import wait_until
from tests.peers import llm

pytestmark = [pytest.mark.durable, pytest.mark.full]

SEED = 20261122


def _kill_at_random(world: World, rng: random.Random, count: int) -> None:
    for _ in range(count):
        time.sleep(rng.uniform(0.1, 0.5))
        world.kill(rng.choice(list(world.children)), whole=rng.random() < 0.5)


def test_nothing_is_lost_or_done_twice_while_everything_is_killed(tmp_path: Path) -> None:
    rng, ledger = random.Random(SEED), Ledger()
    with running(tmp_path, workers=1, but=[queue.TRAINING], WEB_WORKERS="1") as world:
        world.model.respond = llm.after(0.1)
        killer = threading.Thread(target=_kill_at_random, args=(world, rng, 8))
        killer.start()
        send_all(world.config, ledger, rng, 150, "A")
        killer.join()
        wait_until(world.is_ready)
        world.settle(seconds=120)
        digest = world.api("digests", "POST")
        wait_until(lambda: world.api(f"digests/{digest['id']}")["status"] == "sent", seconds=120)
        assert len(ledger.acknowledged) == 150
        assert checks.broken(world, ledger) == []
