"""The whole stack in the foreground: starts the processes, restarts what dies, stops everything cleanly."""

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

import redis
import requests

from jobs import embedded_redis
from jobs.catalog_in_force import catalog_in_force
from receiver import queue
from receiver.catalog import CatalogError
from receiver.clock import now
from receiver.record import people, sign_in
from receiver.record.database import migrate, opened
from receiver.settings import Settings, SettingsError

STOP_SECONDS = 12.0
_POLL_SECONDS = 0.1
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 10.0
_STEADY_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1  # prctl(2)

log = logging.getLogger(__name__)


@dataclass
class Child:
    """A process that is kept running."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = _FIRST_DELAY
    again_at: float = 0.0

    def start(self) -> None:
        """Start it, in a process group of its own, so that Ctrl-C reaches only its supervisor."""
        self.process = subprocess.Popen(self.command, start_new_session=True, preexec_fn=_die_with_parent)  # noqa: PLW1509
        self.started = time.monotonic()

    def keep_running(self) -> None:
        """Start it again where it has ended, after a pause that grows while it keeps ending."""
        moment = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            log.warning("%s ended (%s); it is started again in %.1f s", self.name, self.process.returncode, self.delay)
            self.process, self.again_at = None, moment + self.delay
            steady = moment - self.started > _STEADY_SECONDS
            self.delay = _FIRST_DELAY if steady else min(self.delay * 2, _LONGEST_DELAY)
        if self.process is None and moment >= self.again_at:
            self.start()

    def stop(self, until: float) -> None:
        """Wait for it to end after a SIGTERM; kill it at `until`, on the monotonic clock."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop in time and is killed", self.name)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def keep(children: list[Child], transport: list[Child], on_tick: Callable[[], None] = lambda: None) -> None:
    """Keep all of them running until SIGTERM or Ctrl-C; `transport` is started first and stopped last."""
    ended: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        ended.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not ended:
            for child in (*transport, *children):
                child.keep_running()
            on_tick()
            time.sleep(_POLL_SECONDS)
    finally:
        for group in (children, transport):
            until = time.monotonic() + STOP_SECONDS
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.stop(until)
        for number, handler in previous.items():
            signal.signal(number, handler)


def up(config: Settings) -> None:
    """Migrate, start everything, print where to go, and stay until asked to stop. Raises SettingsError."""
    _check_port(config)
    _check_redis(config)
    with opened(config.database_url) as record:
        migrate(record)
        with record.write() as session:
            link = None if people.first_admin(session) else sign_in.issue(session, now())
        with suppress(CatalogError):  # Logged as an alarm; tickets are accepted all the same, and wait.
            catalog_in_force(record, config, asks=False)
    python = sys.executable
    web = Child("web", [python, "-m", "gunicorn", "-c", "python:receiver.gunicorn_conf", "receiver.app:create_app()"])
    scheduler = Child("scheduler", [python, "-m", "jobs", "scheduler"])
    transport = [Child("redis", embedded_redis.command(config))] if config.embeds_redis else []
    keep([web, *workers(config), scheduler], transport, _Announcement(config, link))


def workers(config: Settings) -> list[Child]:
    """A worker for every queue, and as many for `classify` as WORKERS says."""
    names = [queue.CLASSIFY] * config.workers + [name for name in queue.QUEUES if name != queue.CLASSIFY]
    return [Child(f"worker {name}", [sys.executable, "-m", "jobs", "worker", name]) for name in names]


def _check_port(config: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            raise SettingsError(
                f"HOST and PORT: {config.host}:{config.port} cannot be used: {error.strerror}"
            ) from None


def _check_redis(config: Settings) -> None:
    """Refuse a server that can never carry our queues; one that is away may come back, and tickets wait meanwhile."""
    if config.embeds_redis:
        return
    try:
        queue.check_suitable(queue.connect(config.redis_url, timeout=2.0))
    except queue.UnsuitableError as error:
        raise SettingsError(str(error)) from None
    except (redis.RedisError, OSError) as error:
        log.warning("Redis is away: %s", queue.reason(error))


class _Announcement:
    """Prints the addresses once the web server answers."""

    def __init__(self, config: Settings, link: str | None) -> None:
        self._config, self._link, self._done = config, link, False

    def __call__(self) -> None:
        if self._done or not self._answers():
            return
        self._done = True
        print(f"Ticket Attribution is ready: {self._config.url}/", flush=True)
        if self._link:
            print(f"Make the first account, once and within a day: {self._config.url}/sign-in/{self._link}", flush=True)

    def _answers(self) -> bool:
        everywhere = self._config.host in ("0.0.0.0", "::")  # noqa: S104
        host = "127.0.0.1" if everywhere else self._config.host
        try:
            return requests.get(f"http://{host}:{self._config.port}/healthz", timeout=0.5).ok
        except requests.RequestException:
            return False
