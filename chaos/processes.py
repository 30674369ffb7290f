"""Processes that are killed, stopped and paused: web, workers, work horses, scheduler, Redis."""

import random
import shutil
import signal
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import redis
import requests

from chaos import checks, disk
from chaos.ledger import Ledger, deliver, send_all, ticket
from chaos.points import EVERY_TIME, Trap
from chaos.result import Result
from chaos.traps import arm, disarm
from chaos.waits import (
    beside,
    finish_digests,
    milliseconds,
    outrun_digest_leases,
    percentile,
    send_digest,
    settled,
)
from chaos.world import World, running
from jobs.operations.child_process import Child
from receiver import queue
from tests.conftest import wait_until
from tests.peers import llm

# T1: everything is killed, at random.


def kill_one(world: World, rng: random.Random) -> str | None:
    """Kill one process, what it has started, or both; says which, or None where nothing was running there."""
    name, part = rng.choice(list(world.children)), rng.choice(["whole", "top", "below"])
    victims = world.processes(name)
    victims = {"whole": victims, "top": victims[:1], "below": victims[1:]}[part]
    for victim in victims:
        with _may_be_gone():
            victim.kill()
    return f"{name} {part}" if victims else None


@contextmanager
def _may_be_gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


def _kill_many(world: World, rng: random.Random, count: int, done: Counter[str]) -> None:
    ends = done.total() + count
    while done.total() < ends:
        time.sleep(rng.uniform(0.05, 0.6))
        if killed := kill_one(world, rng):
            done[killed] += 1


def _flood(world: World, ledger: Ledger, prefix: str) -> None:
    """Half of the 1,000 tickets in one delivery, and the rest one by one while everything is killed."""
    deliver(world.config, ledger, [ticket(f"{prefix}L-{number}") for number in range(500)], f"msg_{prefix}L")
    _steadily(world, ledger, prefix, seconds=20, per_second=25)


def t1_kill_everything(folder: Path, rng: random.Random, rounds: int = 4, kills: int = 50) -> Result:
    """Kills at random points with 1,000 tickets in flight, in rounds; all settled within 60 s of the last one."""
    ledger, done, faults, took = Ledger(), Counter[str](), list[str](), list[float]()
    with running(folder) as world:
        world.model.respond = llm.after(0.5)
        for number in range(rounds):
            with beside(_flood, world, ledger, f"R{number}"):
                _kill_many(world, rng, kills, done)
            took.append(settled(world, f"round {number}", faults))
        send_digest(world)
        finish_digests(world, faults)
        if len(ledger.acknowledged) != rounds * 1000:
            faults.append(f"{len(ledger.acknowledged)} of {rounds * 1000} were acknowledged")
        faults += checks.broken(world, ledger)
        counts = world.counts()
    figures = f"{done.total()} kills in {rounds} rounds of 1,000; settled {max(took):.0f} s after the last; {counts}"
    return Result("T1", f"{figures}; {Counter(ledger.statuses)}; {dict(done)}", faults)


# T1 at every named point.

_WEB = ("receiver.db.group_commit:_write_with", "receiver.web.api.digests:claim_digest_now")
_CLASSIFY = tuple(
    f"jobs.classification.classify:{name}" for name in ("_settle_suspects", "_claim", "_save", "_renew", "_give_back")
)
_DIGEST = (
    *(f"jobs.digests.send:{name}" for name in ("claim_slots", "settle_interrupted", "send", "_send_by_smtp", "check")),
    "smtp",
)
_MAINTENANCE = ("jobs.operations.maintenance:sweep", "jobs.operations.retention:retain")
_SLOW = {"jobs.classification.classify:_renew": 4.0, "jobs.classification.classify:_give_back": 9.0}


def _around(places: tuple[str, ...]) -> list[str]:
    return [f"{side}:{place}" for place in places for side in ("before", "after")]


def _columns() -> dict[str, list[str]]:
    """The points of every process; what a column has too few of is filled up with its own, at a later passage."""
    classify = _around(_CLASSIFY)
    return {
        "web": _around(_WEB),
        "classify0": classify[::2],
        "classify1": classify[1::2],
        queue.DIGEST: _around(_DIGEST),
        queue.MAINTENANCE: _around(_MAINTENANCE),
    }


def points() -> list[dict[str, str]]:
    """Rounds of named points: in each, one of every process that has one left."""
    columns = _columns()
    longest = max(map(len, columns.values()))
    return [{name: column[n] for name, column in columns.items() if n < len(column)} for n in range(longest)]


def _spring(world: World, ledger: Ledger, rng: random.Random, round_: dict[str, str], prefix: str) -> list[str]:
    """One round: arm, send, wait for every death, and say which did not come or was not mended."""
    faults: list[str] = []
    slowest = max((_SLOW.get(point.partition(":")[2], 0.3) for point in round_.values()), default=0.3)
    world.model.respond = llm.after(slowest)
    traps = {name: arm(world, name, point, _nth(rng, point)) for name, point in round_.items()}
    wait_until(world.is_ready, seconds=30)
    if any(point.endswith(":retain") for point in round_.values()):
        _retain(world)
    stops = slowest == max(_SLOW.values())
    with beside(send_all, world.config, ledger, rng, 40 if stops else 120, prefix):
        if stops:
            _stop_at_work(world)
    _wait_for(traps, ("classify0", "classify1", queue.MAINTENANCE), faults)
    settled(world, str(round_), faults)
    send_digest(world)
    _wait_for(traps, (queue.DIGEST, "web"), faults)
    outrun_digest_leases(world)
    finish_digests(world, faults)
    return faults


def _retain(world: World) -> None:
    """Enqueue the job that otherwise runs every hour."""
    with queue.connect(world.config.redis_url) as connection:
        queue.queue(queue.MAINTENANCE, connection).enqueue("jobs.operations.retention.retain")


def _nth(rng: random.Random, point: str) -> int:
    return rng.randint(1, 3) if point.endswith((":_claim", ":_save", "webhooks:_record")) else 1


def _stop_at_work(world: World) -> None:
    """SIGTERM to the classify workers while the model takes longer than they may wait for it."""
    wait_until(lambda: len(world.processes("classify0")) > 1 and len(world.processes("classify1")) > 1, seconds=20)
    time.sleep(1)
    for name in ("classify0", "classify1"):
        world.children[name].ask_to_stop()


def _wait_for(traps: dict[str, Trap], names: tuple[str, ...], faults: list[str]) -> None:
    for name in names:
        if name in traps:
            try:
                wait_until(traps[name].has_sprung, seconds=45)
            except AssertionError:
                faults.append(f"{name} never came to {traps[name].point} ({traps[name].count()} passages)")


def t1_named_points(folder: Path, rng: random.Random, rounds: list[dict[str, str]] | None = None) -> Result:
    """A process ends itself before and after each of its commits and around the SMTP send, each point once."""
    ledger, faults = Ledger(), list[str]()
    rounds = points() if rounds is None else rounds
    with running(folder, LLM_TIMEOUT="30") as world:
        for number, round_ in enumerate(rounds):
            faults += _spring(world, ledger, rng, round_, f"P{number}")
            faults += checks.broken(world, ledger)
            for name in round_:
                disarm(world, name)
        mails, digests = len(world.mail.messages), _digest_counts(world)
    figures = f"{sum(map(len, rounds))} points in {len(rounds)} rounds; {len(ledger.acknowledged)} tickets;"
    return Result("T1-points", f"{figures} digests {digests}, mails {mails}", faults)


def _digest_counts(world: World) -> dict[str, int]:
    with world.db.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT status, count(*) FROM digests GROUP BY status").all()
    return {str(status): int(count) for status, count in rows}


def t1_outbox_points(folder: Path, rng: random.Random) -> Result:
    """The digest's sender ends itself before and after it puts the mail into the outbox: one mail a digest."""
    ledger, faults = Ledger(), list[str]()
    with running(folder, SMTP_HOST="") as world:
        for side in ("before", "after"):
            faults += _spring(world, ledger, rng, {queue.DIGEST: f"{side}:outbox"}, side)
        faults += checks.broken(world, ledger)
        digests, kept = _digest_counts(world), list((world.config.data_dir / "outbox").iterdir())
    if digests != {"sent": 2} or len(kept) != 2:
        faults.append(f"digests {digests}, in the outbox {sorted(path.name for path in kept)}")
    return Result("T1-outbox", f"2 points; digests {digests}, {len(kept)} mails in the outbox", faults)


# T2 and T3: Redis forgets, dies, is away, is paused, evicts.


def _flush(world: World) -> None:
    with redis.Redis.from_url(world.config.redis_url) as connection:
        connection.flushall()


def _lose_redis(world: World, *, keep_file: bool, seconds: float = 0.5) -> None:
    """Kill Redis; it comes back after `seconds`, with its append-only file or without."""
    world.held.add("redis")
    world.kill("redis")
    if not keep_file:
        shutil.rmtree(world.config.data_dir / "redis" / "appendonlydir")
    time.sleep(seconds)
    world.held.discard("redis")


def _steadily(world: World, ledger: Ledger, prefix: str, seconds: float, per_second: float = 20) -> None:
    """Send single tickets at a steady rate, each from a thread of its own so that a slow answer delays no other."""
    started, threads = time.monotonic(), list[threading.Thread]()
    for number in range(int(seconds * per_second)):
        time.sleep(max(0.0, started + number / per_second - time.monotonic()))
        name = f"{prefix}-{number}"
        thread = threading.Thread(target=deliver, args=(world.config, ledger, [ticket(name)], f"msg_{name}"))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def t2_redis_loses_everything(
    folder: Path, rng: random.Random, tickets: int = 400, away: float = 60, limit: float = 0.2, **options: Any
) -> Result:
    """FLUSHALL three times, two deaths with and without the file, and `away` seconds without Redis."""
    ledger, during, faults = Ledger(), Ledger(), list[str]()
    with running(folder, **options) as world:
        world.model.respond = llm.after(0.5)
        with beside(send_all, world.config, ledger, rng, tickets, "F"):
            for _ in range(3):
                time.sleep(rng.uniform(0.3, 1))
                _flush(world)
        with beside(send_all, world.config, ledger, rng, tickets, "K"):
            for keep_file in (True, False):
                time.sleep(rng.uniform(0.3, 1))
                _lose_redis(world, keep_file=keep_file)
        took = [settled(world, "after the deaths", faults, 120)]
        world.quick = False
        with beside(_steadily, world, during, "D", away):
            _lose_redis(world, keep_file=True, seconds=away)
        took.append(settled(world, f"after {away:.0f} s without", faults, 120))
        faults += checks.broken(world, _together(ledger, during))
    return Result("T2", _redis_figures(took, during, faults, limit), faults)


def _redis_figures(took: list[float], during: Ledger, faults: list[str], limit: float) -> str:
    if percentile(during.seconds, 0.99) > limit:
        faults.append(f"the web's p99 without Redis is above {limit * 1000:.0f} ms: {milliseconds(during.seconds)}")
    if set(during.statuses) != {200}:
        faults.append(f"answers without Redis: {Counter(during.statuses)}")
    drained = ", ".join(f"{seconds:.1f}" for seconds in took)
    return f"drained after {drained} s; web without Redis: {len(during.seconds)}, {milliseconds(during.seconds)}"


def _together(*ledgers: Ledger) -> Ledger:
    whole = Ledger()
    for ledger in ledgers:
        whole.acknowledged |= ledger.acknowledged
    return whole


def t3_redis_paused(folder: Path, rng: random.Random, seconds: float = 30) -> Result:
    """SIGSTOP to Redis while tickets arrive; then everything goes on."""
    during, faults = Ledger(), list[str]()
    with running(folder) as world:
        with beside(_steadily, world, during, "S", seconds):
            world.processes("redis")[0].send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            world.processes("redis")[0].send_signal(signal.SIGCONT)
        took = settled(world, "after the pause", faults, 120)
        faults += checks.broken(world, during)
    return Result("T3", _redis_figures([took], during, faults, limit=0.2), faults)


def t3_redis_evicts(folder: Path, rng: random.Random) -> Result:
    """A Redis that may evict what waits in it: readyz and the log say so, and nothing is lost."""
    ledger, faults = Ledger(), list[str]()
    with running(folder) as world:
        with redis.Redis.from_url(world.config.redis_url) as connection:
            connection.config_set("maxmemory-policy", "allkeys-random")
            connection.config_set("maxmemory", int(connection.info("memory")["used_memory"]) + 20_000)
        said = requests.get(f"{world.config.url}/readyz", timeout=5).json()["redis"]
        world.kill(queue.MAINTENANCE)
        send_all(world.config, ledger, rng, 500, "E")
        wait_until(lambda: world.counts().get("received", 0) == 0, 120)
        faults += checks.broken(world, ledger)
        log = world.log.read_text(errors="replace")
    faults += [] if "evict" in said else [f"readyz says {said!r}"]
    faults += [] if "evict" in log else ["no log line says that Redis evicts"]
    return Result("T3-evicting", f"500 tickets; readyz says: {said}", faults)


# T14: a ticket that kills whoever touches it.

POISON = "poison-6c1d"


def _delays(world: World, prefix: str) -> list[float]:
    """For each settled ticket of this prefix, the seconds from its arrival to its classification."""
    query = (
        "SELECT (julianday(c.created_at) - julianday(t.received_at)) * 86400 FROM tickets t"
        " JOIN classifications c ON c.ticket_id = t.id WHERE t.external_id LIKE ?"
    )
    with closing(sqlite3.connect(str(world.db.path))) as connection:
        return [float(row[0]) for row in connection.execute(query, (f"{prefix}-%",))]


def t14_poison_ticket(folder: Path, rng: random.Random, seconds: float = 60) -> Result:
    """One ticket kills its work horse each time; it fails alone, and the others hardly notice."""
    ledger, faults = Ledger(), list[str]()
    with running(folder) as world:
        world.model.respond = llm.after(0.3)
        _steadily(world, ledger, "N", seconds, per_second=10)
        settled(world, "without poison", faults)
        before = _workers(world)
        traps = [arm(world, f"classify{number}", f"ticket:{POISON}", EVERY_TIME) for number in range(2)]
        wait_until(lambda: len(_workers(world) - before) == len(traps), seconds=30)
        with beside(_steadily, world, ledger, "P", seconds, 10):
            time.sleep(seconds / 6)
            deliver(world.config, ledger, [ticket(POISON)], "msg_poison")
        settled(world, "with poison", faults, 120)
        faults += checks.broken(world, ledger)
        deaths = sum(trap.count() for trap in traps)
        counts, normal, beside_it = world.counts(), _delays(world, "N"), _delays(world, "P")
        with world.db.engine.connect() as connection:
            dead = connection.exec_driver_sql("SELECT external_id, error FROM tickets WHERE status = 'failed'").all()
    if [name for name, _ in dead] != [POISON] or deaths != 3:
        faults.append(f"after {deaths} deaths these are failed: {[name for name, _ in dead]}")
    if percentile(beside_it, 0.95) > 2 * percentile(normal, 0.95):
        faults.append("the p95 delay of the others is more than twice the normal one")
    p95 = f"p95 delay {percentile(normal, 0.95):.2f} s normally, {percentile(beside_it, 0.95):.2f} s beside the poison"
    late = sum(delay > 2 * percentile(normal, 0.95) for delay in beside_it)
    worst = f"max {max(normal):.1f} and {max(beside_it):.1f} s, {late} of {len(beside_it)} late"
    return Result("T14", f"{deaths} deaths; {counts}; {p95}; {worst}; reason: {[why for _, why in dead]}", faults)


def _workers(world: World) -> set[object]:
    """The classify workers that have registered; one that was killed is among them for a while."""
    with redis.Redis.from_url(world.config.redis_url) as connection:
        return set(connection.smembers(f"rq:workers:{queue.CLASSIFY}"))


# T15: rolling restarts.


def t15_rolling_restarts(folder: Path, rng: random.Random, restarts: int = 20) -> Result:
    """SIGTERM to one process after another under load, with two web servers on one port."""
    ledger, faults = Ledger(), list[str]()
    with running(folder, GUNICORN_CMD_ARGS="--reuse-port") as world:
        world.children = {"web2": Child("web2", world.children["web"].command), **world.children}
        names = [name for name in world.children if name != "redis"]
        wait_until(lambda: listens(world, "web2"), seconds=30)
        with beside(_steadily, world, ledger, "T", restarts * 2.0):
            for number in range(restarts):
                _restart(world, names[number % len(names)])
        settled(world, "after the restarts", faults)
        faults += checks.broken(world, ledger)
        crashes = _sum(world, "attempts - 1")  # The model never fails here, so only a lost lease costs another attempt.
    refused = Counter(status for status in ledger.statuses if status != 200)
    faults += [f"answers other than 200: {refused}"] if refused else []
    faults += [f"{crashes} leases ran out"] if crashes else []
    figures = f"{restarts} restarts; {len(ledger.statuses)} posts, not 2xx and resent: {dict(refused)}"
    return Result("T15", f"{figures}; {milliseconds(ledger.seconds)}; {crashes} leases ran out", faults)


def _restart(world: World, name: str) -> None:
    """Stop one process by SIGTERM and wait until its successor has been up for a moment."""
    before = world.children[name].process
    world.children[name].ask_to_stop()
    wait_until(lambda: world.processes(name) and world.children[name].process is not before, seconds=30)
    wait_until(world.is_ready, seconds=30)
    if name.startswith("web"):
        wait_until(lambda: listens(world, name), seconds=30)
    time.sleep(1)


def listens(world: World, name: str) -> bool:
    """Whether every worker of a web server has a listening socket of its own."""
    with _may_be_gone():
        workers = world.processes(name)[1:]
        sockets = [[c for c in worker.net_connections() if c.status == psutil.CONN_LISTEN] for worker in workers]
        return len(workers) == world.config.web_workers and all(sockets)
    return False


def _sum(world: World, column: str) -> int:
    with world.db.engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT sum({column}) FROM tickets").scalar_one() or 0)


# T17: a long day.


def t17_soak(folder: Path, rng: random.Random, minutes: float = 30) -> Result:
    """20 tickets a second; memory, descriptors and the write-ahead log do not grow, answers do not slow down."""
    faults, samples, p99s = list[str](), list[dict[str, float]](), list[float]()
    whole, ended = Ledger(), time.monotonic() + minutes * 60
    with running(folder) as world:
        while time.monotonic() < ended:
            ledger = Ledger()
            _steadily(world, ledger, f"M{len(p99s)}", min(60.0, max(1.0, ended - time.monotonic())))
            p99s.append(percentile(ledger.seconds, 0.99))
            samples.append(_sample(world))
            whole.acknowledged |= ledger.acknowledged
            whole.statuses += ledger.statuses
        settled(world, "after the soak", faults)
        faults += checks.broken(world, whole)
    faults += [] if set(whole.statuses) == {200} else [f"answers: {Counter(whole.statuses)}"]
    return Result("T17", _growth(samples, p99s, faults), faults)


def _sample(world: World) -> dict[str, float]:
    """RSS in MiB and descriptors of each process, and the size of the write-ahead log."""
    log = Path(f"{world.db.path}-wal")
    sample = {"wal MiB": log.stat().st_size / 2**20 if log.exists() else 0.0}
    for name in world.children:
        # Work horses come and go; what stays is the process itself, and the web server's workers.
        for number, process in enumerate(world.processes(name)[: 3 if name == "web" else 1]):
            with _may_be_gone():
                sample[f"{name}.{number} MiB"] = process.memory_info().rss / 2**20
                sample[f"{name}.{number} fds"] = process.num_fds()
    return sample


def _growth(samples: list[dict[str, float]], p99s: list[float], faults: list[str]) -> str:
    """The growth of each figure per minute, from its second sample on; what grows too much is a fault."""
    lines = ["p99 by minute " + " ".join(f"{1000 * p99:.0f}" for p99 in p99s) + " ms"]
    for name in samples[0]:
        values = [sample[name] for sample in samples[1:] if name in sample]
        if len(values) < 2:
            continue
        slope = statistics.linear_regression(range(len(values)), values).slope
        lines.append(f"{name} {values[0]:.1f}-{values[-1]:.1f}")
        # A short run only sees the warm-up, so the figure of 1 MiB an hour is asked of ten minutes and more.
        if len(values) >= 10 and slope * 60 > {"MiB": 1.0, "fds": 6.0}[name.split()[1]] and name != "wal MiB":
            faults.append(f"{name} grows by {slope * 60:.1f} an hour")
    largest = max(sample["wal MiB"] for sample in samples)
    faults += [f"the write-ahead log grew to {largest:.0f} MiB"] if largest > 64 else []
    return "; ".join(lines)


SCENARIOS = {
    "T1": t1_kill_everything,
    "T1-points": t1_named_points,
    "T1-outbox": t1_outbox_points,
    "T2": t2_redis_loses_everything,
    "T3": t3_redis_paused,
    "T3-evicting": t3_redis_evicts,
    **disk.SCENARIOS,
    "T14": t14_poison_ticket,
    "T15": t15_rolling_restarts,
    "T17": t17_soak,
}
