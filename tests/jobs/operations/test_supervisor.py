"""The whole stack in the foreground: it starts, brings back what dies, and stops without a trace."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from sqlalchemy import delete

from jobs.operations import supervisor as stacks
from jobs.operations.stack_lock import owned
from jobs.operations.supervisor import Supervisor
from receiver.db import database
from receiver.db.models import Person, Ticket
from receiver.intake import signatures
from receiver.lib.secret_files import new_webhook_secret
from receiver.lib.settings import Settings
from tests.conftest import wait_until
from tests.factories import ticket_json
from tests.jobs.operations.test_pipeline import environment_of, run_jobs
from tests.peers import llm
from tests.peers.http import Peer, free_port

pytestmark = pytest.mark.durable

# By their command lines, or, as forks keep that of their parent, by what `ps -o comm` shows.
ROLES = {"web": "gunicorn", "worker": "worker classify", "scheduler": "scheduler", "redis": "valkey-server"}
PATIENCE = 120.0


class Stack:
    """`python -m jobs up` as a process, and what it has started."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{environ['PORT']}"
        self.output = folder / f"up-{time.monotonic_ns()}.txt"
        command = [sys.executable, "-m", "jobs", "up"]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output)

    def printed(self) -> str:
        return self.output.read_text()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.printed()
        return "is ready" in self.printed()

    def roles(self) -> dict[str, int]:
        """The process of each role, where it runs."""
        mine = [pid for pid, parent in _parents().items() if parent == self.process.pid]
        lines = {pid: f"{_read(pid, 'cmdline')} {_read(pid, 'comm')}" for pid in mine}
        return {role: pid for role, words in ROLES.items() for pid, line in lines.items() if words in line}

    def everyone(self) -> set[int]:
        """It and everything below it."""
        found, parents = {self.process.pid}, _parents()
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found


def _parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # It ended meanwhile.
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


@contextmanager
def up(folder: Path, environ: dict[str, str]) -> Iterator[Stack]:
    stack = Stack(folder, environ)
    try:
        wait_until(stack.is_ready, PATIENCE)
        yield stack
    finally:
        stack.process.terminate()
        try:
            stack.process.wait(60)
        finally:
            stack.process.kill()
            stack.process.wait()


def is_whole(stack: Stack) -> bool:
    try:
        ready = requests.get(f"{stack.url}/readyz", timeout=5).json()
    except requests.RequestException:
        return False
    return set(stack.roles()) == set(ROLES) and ready["redis"] == "up"


def is_accepted(url: str, secret: str) -> bool:
    body = json.dumps(ticket_json(id="T-after")).encode()
    headers = signatures.sign_standard(secret, "msg_after", int(time.time()), body)
    try:
        json_headers = headers | {"Content-Type": "application/json"}
        return requests.post(f"{url}/webhooks/standard", body, headers=json_headers, timeout=60).status_code == 200
    except requests.RequestException:
        return False


@pytest.mark.full
def test_the_stack_starts_mends_itself_and_stops_without_a_trace(tmp_path: Path, model: Peer) -> None:
    model.respond = llm.first_label
    secret = new_webhook_secret()
    environ = environment_of(
        tmp_path,
        REDIS_URL="",
        PORT=free_port(),
        WEB_WORKERS=1,
        OPENAI_BASE_URL=f"{model.url}/v1",
        WEBHOOK_SECRET=secret,
    )
    with up(tmp_path, environ) as stack:
        wait_until(lambda: "/sign-in/" in stack.printed())
        [link] = re.findall(rf"{stack.url}/sign-in/\S+", stack.printed())
        with requests.Session() as browser:
            [token] = re.findall(r'name="csrf_token" value="([^"]+)"', browser.get(link, timeout=60).text)
            account = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery"}
            assert browser.post(link, account | {"csrf_token": token}, timeout=60).status_code == 200
            assert browser.get(f"{stack.url}/", allow_redirects=False, timeout=60).status_code == 200
        assert requests.get(link, timeout=60).status_code == 403

        wait_until(lambda: is_whole(stack), PATIENCE)
        assert "Traceback" not in stack.printed()
        second = run_jobs(tmp_path, environ | {"PORT": str(free_port())}, "up")
        assert (second.returncode, second.stderr.count("\n")) == (2, 1), second.stderr
        assert f"in use by the stack of process {stack.process.pid};" in second.stderr
        assert is_whole(stack)
        before, ever = stack.roles(), stack.everyone()
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_whole(stack) and not set(before.values()) & set(stack.roles().values()), PATIENCE)
        wait_until(lambda: is_accepted(stack.url, secret), PATIENCE)
        with database.opened(f"sqlite:///{tmp_path}/data/tickets.db") as db:
            wait_until(lambda: _statuses(db) == ["classified"], PATIENCE)

        ever |= stack.everyone()
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(60) == 0, stack.printed()
        wait_until(lambda: not ever & set(_parents()))
        assert secret not in stack.printed()


def _statuses(db: database.Database) -> list[str]:
    with db.read() as session:
        return [ticket.status for ticket in session.query(Ticket)]


@pytest.mark.parametrize("has_account", [True, False])
def test_the_link_for_the_first_account_is_printed_while_there_is_none(
    config: Settings,
    db: database.Database,
    site: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    has_account: bool,
) -> None:
    if not has_account:
        with db.write() as session:
            session.execute(delete(Person))

    def look_once(_supervisor: Supervisor, on_tick: Callable[[], None]) -> None:
        on_tick()

    monkeypatch.setattr(Supervisor, "keep", look_once)
    monkeypatch.setattr(Supervisor, "start", lambda *_children, **_options: None)
    monkeypatch.setattr(stacks, "_check_port", lambda _: None)  # Here the site has it already.
    stacks.up(replace(config, port=int(site.rpartition(":")[2])))
    printed = capsys.readouterr().out
    assert "is ready" in printed
    assert ("/sign-in/" in printed) is not has_account


def test_who_starts_the_same_stack_twice_hears_of_the_first(tmp_path: Path) -> None:
    with owned(tmp_path / "data"), socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run_jobs(tmp_path, environment_of(tmp_path, PORT=taken.getsockname()[1]), "up")
    assert refused.returncode == 2
    assert f"DATA_DIR is in use by the stack of process {os.getpid()}" in refused.stderr


def test_a_port_in_use_is_explained_before_anything_is_touched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run_jobs(tmp_path, environment_of(tmp_path, PORT=port), "up")
    assert refused.returncode == 2
    assert str(port) in refused.stderr
    assert "PORT" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()
