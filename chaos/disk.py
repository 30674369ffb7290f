"""The place of the record fails: the disk is full, the database is read-only, strangers hold its lock."""

import random
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import requests

from chaos import checks
from chaos.ledger import Ledger, deliver, post, send_all, ticket
from chaos.result import Result
from chaos.waits import beside, finish_digests, milliseconds, outrun_digest_leases, send_digest, settled
from chaos.world import World, running
from receiver import queue
from tests.conftest import wait_until
from tests.peers import llm

DISK_MIB = 32


class CannotMountError(Exception):
    """Mounting a file system is not allowed here."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few MiB. Raises CannotMountError."""
    folder.mkdir(parents=True)
    if not _mount("-t", "tmpfs", "-o", f"size={DISK_MIB}m", "chaos", str(folder)):
        raise CannotMountError
    try:
        yield folder
    finally:
        subprocess.run([shutil.which("umount") or "umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> bool:
    command = shutil.which("mount")
    return (
        command is not None and subprocess.run([command, *arguments], capture_output=True, check=False).returncode == 0
    )


def fill(disk: Path) -> Path:
    """Leave not one byte free."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


def _web_pids(world: World) -> set[int]:
    return {process.pid for process in world.processes("web")}


def try_once(world: World, ledger: Ledger, prefix: str, count: int) -> Counter[int]:
    """Send single tickets once each; how many got which answer."""
    answers = Counter[int]()
    for number in range(count):
        started, tickets = time.monotonic(), [ticket(f"{prefix}-{number}")]
        status = post(world.config, tickets, f"msg_{prefix}-{number}")
        ledger.note(tickets, status, time.monotonic() - started)
        answers[status] += 1
    return answers


def _disk_full(world: World, disk: Path, ledger: Ledger, rng: random.Random, faults: list[str]) -> Counter[int]:
    """The disk fills while tickets are in flight and a digest waits; then there is room again."""
    send_all(world.config, ledger, rng, 200, "A")
    settled(world, "before the disk is full", faults)
    before = _web_pids(world)
    world.held.add(queue.DIGEST)
    world.kill(queue.DIGEST)
    send_digest(world)
    world.model.respond = llm.after(1.0)
    send_all(world.config, ledger, rng, 100, "B")
    filler = fill(disk)
    world.held.discard(queue.DIGEST)
    answers = try_once(world, ledger, "C", 100)
    time.sleep(10)
    fill(disk)
    answers += try_once(world, ledger, "D", 50)
    filler.unlink()
    for prefix, count in (("C", 100), ("D", 50)):
        for number in range(count):
            deliver(world.config, ledger, [ticket(f"{prefix}-{number}")], f"msg_{prefix}-{number}")
    settled(world, "after the disk was full", faults)
    outrun_digest_leases(world)
    finish_digests(world, faults)
    faults += [] if _web_pids(world) == before else ["the web server was started again"]
    faults += [] if set(answers) <= {200, 503} and answers[503] else [f"answers of a full disk: {answers}"]
    return answers


def t12_disk_full(folder: Path, rng: random.Random) -> Result:
    """No room for the record: 503, what was acknowledged is kept, and it goes on by itself when there is room."""
    ledger, faults = Ledger(), list[str]()
    try:
        with small_disk(folder / "disk") as disk, running(folder, DATA_DIR=str(disk / "data")) as world:
            answers = _disk_full(world, disk, ledger, rng, faults)
            faults += checks.broken(world, ledger)
            faults += _mailed(world, 1)
    except CannotMountError:
        return Result("T12-full", "NOT RUN: this user may not mount a small file system", [])
    return Result("T12-full", f"{len(ledger.acknowledged)} tickets; answers while full {dict(answers)}", faults)


def _mailed(world: World, count: int) -> list[str]:
    sent = len(world.mail.messages)
    return [] if sent == count else [f"{sent} mails instead of {count}"]


def t12_read_only(folder: Path, rng: random.Random) -> Result:
    """A read-only file system under the web server: 503 until it can be written again, without a restart."""
    ledger, faults = Ledger(), list[str]()
    try:
        with small_disk(folder / "disk") as disk, running(folder, DATA_DIR=str(disk / "data")) as world:
            send_all(world.config, ledger, rng, 50, "A")
            settled(world, "before", faults)
            answers, health = _read_only(world, disk, ledger)
            settled(world, "after", faults)
            faults += checks.broken(world, ledger)
    except CannotMountError:
        return Result("T12-read-only", "NOT RUN: this user may not mount a small file system", [])
    faults += [] if set(answers[0]) == {503} and set(answers[1]) == {200} else [f"answers {answers}"]
    return Result("T12-read-only", f"read-only {dict(answers[0])}, then {dict(answers[1])}; readyz {health}", faults)


def _read_only(world: World, disk: Path, ledger: Ledger) -> tuple[list[Counter[int]], int]:
    """The answers of one web server while its disk is read-only and afterwards, and what readyz said meanwhile."""
    world.held |= set(world.children)
    for name in world.children:
        world.kill(name)
    world.db.close()
    wait_until(lambda: _mount("-o", "remount,ro", str(disk)))
    world.held.discard("web")
    wait_until(lambda: _healthy(world))
    before, answers = _web_pids(world), [try_once(world, ledger, "R", 20)]
    health = requests.get(f"{world.config.url}/readyz", timeout=5).status_code
    wait_until(lambda: _mount("-o", "remount,rw", str(disk)))
    answers.append(try_once(world, ledger, "R", 20))
    if _web_pids(world) != before:
        answers.append(Counter({0: 1}))
    world.held.clear()
    return answers, health


def _healthy(world: World) -> bool:
    try:
        return requests.get(f"{world.config.url}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


def _hold_the_lock(path: Path, seconds: float) -> None:
    """Write like a stranger who knows nothing of our file lock."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def _strangers(path: Path) -> None:
    for seconds in (0.3,) * 10 + (15.0,):  # For the last one, everybody is told to come back.
        _hold_the_lock(path, seconds)
        time.sleep(0.05)


def t12_sixteen_writers(folder: Path, rng: random.Random) -> Result:
    """16 senders, the workers, and a stranger who holds the lock: nobody is told that the database is locked."""
    ledger, faults = Ledger(), list[str]()
    with running(folder) as world:
        with beside(_strangers, Path(str(world.db.path))):
            send_all(world.config, ledger, rng, 2000, "W", threads=16)
        settled(world, "after the storm", faults)
        faults += checks.broken(world, ledger)
        written = world.log.read_text(errors="replace").count("database is locked")
    if len(ledger.acknowledged) != 2000 or not set(ledger.statuses) <= {200, 503}:
        faults.append(f"{len(ledger.acknowledged)} acknowledged; {Counter(ledger.statuses)}")
    faults += [f"'database is locked' is {written} times in the log"] if written else []
    figures = f"2,000 tickets by 16 senders; {dict(Counter(ledger.statuses))}; {milliseconds(ledger.seconds)}"
    return Result("T12-writers", figures, faults)


SCENARIOS = {"T12-full": t12_disk_full, "T12-read-only": t12_read_only, "T12-writers": t12_sixteen_writers}
