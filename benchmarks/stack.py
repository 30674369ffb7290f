"""What the benchmarks stand on: a throw-away folder and the real processes over it, on free loopback ports."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import redis

from jobs.operations import embedded_redis
from receiver import queue
from receiver.db import database
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.lib import settings
from receiver.lib.settings import Settings

ROOT = Path(__file__).parents[1]
ROUNDS = 3


class BenchmarkError(Exception):
    """A benchmark could not be run; the text says why."""


@dataclass(frozen=True)
class Line:
    """One line of the final table; `figure` is the ratio, or whatever the goal is about."""

    name: str
    measured: str
    limit: str
    figure: str
    goal: str
    met: bool


class Stack:
    """The processes over one folder, whose settings are the defaults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = settings.load({"DATA_DIR": str(folder)})
        self._children: list[subprocess.Popen[bytes]] = []
        self._servers: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, stdout: int | None = None, **values: str) -> subprocess.Popen[bytes]:
        """Start a process with these settings; it is stopped with the stack."""
        child = subprocess.Popen(command, cwd=self.folder, env=self._environment(values), stdout=stdout)
        self._children.append(child)
        return child

    def _environment(self, values: dict[str, str]) -> dict[str, str]:
        """That of this process, without anybody's settings; there is no .env in the folder either."""
        ours = {field.name.upper() for field in fields(Settings)} | {"OPENAI_API_BASE"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return kept | {"PYTHONPATH": str(ROOT), "DATA_DIR": str(self.folder), "LOG_LEVEL": "WARNING"} | values

    def migrate(self) -> None:
        """Make the database."""
        with self.db() as db:
            database.migrate(db)

    @contextmanager
    def db(self) -> Iterator[Database]:
        """The record, from this process."""
        with database.opened(self.config.database_url) as db:
            yield db

    def web(self, app: str, conf: str = "receiver.web.gunicorn_conf", **values: str) -> int:
        """Serve `app` under gunicorn with the settings of `conf` and ours, but for `values`; returns the port."""
        port = free_port()
        gunicorn = (sys.executable, "-m", "gunicorn", "-c", f"python:{conf}", app)
        child = self.start(*gunicorn, stdout=None, PORT=str(port), **values)
        self._servers.append(child)
        wait_until(lambda: _listens(port), child)
        return port

    def web_workers(self) -> list[int]:
        """The ids of the processes that answer requests, of the web server that was started last."""
        server = self._servers[-1]
        wait_until(lambda: bool(_below(server.pid)), server)  # It listens before it has any.
        return _below(server.pid)

    def redis(self) -> "redis.Redis":
        """Start the embedded Redis; returns a client."""
        child = self.start(*embedded_redis.command(self.config))
        client = queue.connect(self.config.redis_url)
        wait_until(lambda: _answers(client), child)
        return client

    def model(self, latency: float) -> str:
        """Start a model's endpoint that answers after `latency` seconds; returns its base URL."""
        child = self.start(sys.executable, "-m", "benchmarks.model", str(latency), stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout as printed:
            url = printed.readline().decode().strip()
        if not url:
            raise BenchmarkError("the model's endpoint did not start")
        return url

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def stack() -> Iterator[Stack]:
    """An empty stack, stopped and erased at the end of the block."""
    # Not the system's folder for temporary files: that may be memory, where durable writes cost nothing.
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir="/var/tmp") as folder:
        made = Stack(Path(folder))
        try:
            yield made
        finally:
            made.stop()


def stop_on_sigterm() -> None:
    """Have SIGTERM end this process as an exception does, so that its children are stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], child: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Until `condition` holds. Raises BenchmarkError where it does not in time, or `child` ends before."""
    ends = time.monotonic() + seconds
    while not condition():
        if child.poll() is not None:
            raise BenchmarkError(f"{child.args!r} ended with {child.returncode}")
        if time.monotonic() > ends:
            raise BenchmarkError(f"{child.args!r} took longer than {seconds:.0f} s")
        time.sleep(0.02)


def check_stored(processes: Stack, source: str, expected: int) -> None:
    """Raise BenchmarkError where what was accepted is not what is stored."""
    with processes.db() as db, db.read() as session:
        stored = session.query(Ticket).where(Ticket.source == source).count()
    if stored != expected:
        raise BenchmarkError(f"{expected} tickets were accepted and {stored} are stored")


def _below(pid: int) -> list[int]:
    """The children of a process."""
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in paths for child in path.read_text().split()]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
