"""The real system in child processes that a test can kill one by one, its peers, and a supervisor that restarts."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from jobs.operations import embedded_redis
from jobs.operations.child_process import Child
from receiver import queue
from receiver.db.database import Database, migrate, opened
from receiver.lib import secret_files, settings
from receiver.lib.settings import Settings
from tests.conftest import ROOT, wait_until
from tests.peers import http, llm, smtp
from tests.peers.http import Peer, free_port
from tests.peers.smtp import MailServer


@dataclass
class World:
    """Every process by name; `hold` keeps one from being restarted."""

    config: Settings
    db: Database
    model: Peer
    mail: MailServer
    children: dict[str, Child]
    held: set[str] = field(default_factory=set)
    log: Path = field(default=Path())
    quick: bool = True  # Restart at once; otherwise as `python -m jobs up` does, after pauses that grow.

    def api(self, path: str, method: str = "GET") -> Any:
        """The answer of the API, as JSON."""
        headers = {"Authorization": f"Bearer {secret_files.api_token(self.config)}"}
        answer = requests.request(method, f"{self.config.url}/api/{path}", headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def processes(self, name: str) -> list[psutil.Process]:
        """The living process of this name and everything it has started; the first is the process itself."""
        process = self.children[name].process
        if process is None or process.poll() is not None:
            return []
        try:
            top = psutil.Process(process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self, name: str, *, whole: bool = True) -> bool:
        """SIGKILL a process, with everything it has started unless `whole` is false; False where it was not running."""
        victims = self.processes(name)
        for victim in victims if whole else victims[:1]:
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        return bool(victims)

    def settle(self, seconds: float) -> float:
        """Wait until no ticket is waiting; returns how long that took."""
        started = time.monotonic()
        wait_until(lambda: self.counts().get("received", 0) == 0, seconds)
        return time.monotonic() - started

    def counts(self) -> dict[str, int]:
        """Tickets by status, counted in the database itself."""
        with self.db.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT status, count(*) FROM tickets GROUP BY status").all()
        return {str(status): int(count) for status, count in rows}

    def is_ready(self) -> bool:
        """Whether the web server answers and Redis is up."""
        try:
            answer = requests.get(f"{self.config.url}/readyz", timeout=2)
        except requests.RequestException:
            return False
        return answer.ok and answer.json()["redis"] == "up"


@contextmanager
def running(
    folder: Path, workers: int = 2, only: Sequence[str] | None = None, but: Sequence[str] = (), **overrides: str
) -> Iterator[World]:
    """The stack over `folder`, or `only` some of its processes, or all `but` some, with a model and a mail server.

    `overrides` are settings.
    """
    with http.serve(llm.endpoint()) as model, smtp.serve(MailServer()) as mail:
        values = {
            "DATA_DIR": str(folder / "data"), "PORT": str(free_port()), "OPENAI_BASE_URL": f"{model.url}/v1",
            "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail.port), "SMTP_USE_TLS": "false",
            "FROM_EMAIL": "tickets@example.com", "RECIPIENT_EMAIL": "boss@example.com", "LLM_CONCURRENCY": "16",
            "LOG_LEVEL": "DEBUG", "PYTHONPATH": str(ROOT), "WORKERS": str(workers),
        } | overrides  # fmt: skip
        config = settings.load(values)
        folder.mkdir(parents=True, exist_ok=True)
        with opened(config.database_url) as db:
            migrate(db)
            children = _children(config, workers, folder)
            started = {
                name: child for name, child in children.items() if (only is None or name in only) and name not in but
            }
            world = World(config, db, model, mail, started, log=folder / "log.txt")
            with _environment(values), _supervised(world):
                wait_until(world.is_ready, seconds=60)
                yield world


_OTHERS = (queue.DIGEST, queue.MAINTENANCE, queue.TRAINING)


def _children(config: Settings, workers: int, folder: Path) -> dict[str, Child]:
    # Each writes into one log, from a folder where no .env is found.
    into_log = ["/bin/sh", "-c", 'cd "$0" && exec "$@" >> log.txt 2>&1', str(folder)]
    python = sys.executable
    gunicorn = [python, "-m", "gunicorn", "-c", "python:receiver.web.gunicorn_conf", "receiver.web.app:create_app()"]
    children = [Child("redis", embedded_redis.command(config)), Child("web", gunicorn)]
    children += [Child(f"classify{n}", [python, "-m", "jobs", "worker", queue.CLASSIFY]) for n in range(workers)]
    children += [Child(name, [python, "-m", "jobs", "worker", name]) for name in _OTHERS]
    children.append(Child("scheduler", [python, "-m", "jobs", "scheduler"]))
    for child in children:
        child.command = [*into_log, *child.command]
    return {child.name: child for child in children}


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _supervised(world: World) -> Iterator[None]:
    """Keep every child running, from a thread, with its output in one log; stop them all at the end."""
    ended = threading.Event()

    def supervise() -> None:
        while not ended.wait(0.05):
            for name, child in world.children.items():
                if name not in world.held:
                    child.delay = 0.2 if world.quick else child.delay
                    child.keep_running()

    thread = threading.Thread(target=supervise, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for name in reversed(world.children):
            world.children[name].ask_to_stop()
        for child in world.children.values():
            child.stop(time.monotonic() + 15)
