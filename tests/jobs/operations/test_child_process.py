"""What is kept running: it is heard, told of, guarded and let go; and one stack owns a DATA_DIR."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.operations import embedded_redis, supervisor
from jobs.operations.child_process import Child, Fork
from jobs.operations.stack_lock import owned, owner
from receiver import queue
from receiver.db import processes
from receiver.db.database import Database
from receiver.db.heartbeat import place
from receiver.db.models import Process
from receiver.db.processes import WATCH
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.settings import Settings, SettingsError
from tests.conftest import ROOT, wait_until

pytestmark = pytest.mark.durable

# Of three children one dies of a mistake, one for want of Redis, and one leaves an orphan behind that ends a bit later.
SUPERVISOR = """
import os, signal, sys, time
from jobs.operations.child_process import AWAY, Child
from jobs.operations.supervisor import Supervisor
from receiver.lib import settings

def leave_an_orphan():
    if os.fork() == 0:
        time.sleep(0.3)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)

dying = [sys.executable, "-c", "import sys; print('about to fail', file=sys.stderr); raise OSError('no space left')"]
with Supervisor(settings.load()) as supervisor:
    supervisor.start(Child("dying", dying), Child("away", run=lambda: sys.exit(AWAY)))
    supervisor.start(Child("parent", run=leave_an_orphan))
    print("started", flush=True)
    supervisor.keep()
"""


@contextmanager
def _supervisor() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SUPERVISOR]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


def test_deaths_are_told_with_the_last_words_and_orphans_are_let_go(db: Database) -> None:
    with _supervisor() as process:
        wait_until(lambda: len([row for row in _known(db) if row.role == "dying"]) >= 3)
        known = _known(db)
        assert {row.role for row in known} == {"dying", "parent"}
        assert {row.last_words for row in known if row.role == "dying"} == {"OSError: no space left"}
        assert all(row.died_at for row in known)
        wait_until(lambda: not _zombies(process.pid))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "about to fail" in errors, "what a child says is passed on"


def _known(db: Database) -> list[Process]:
    with db.read() as session:
        return list(processes.known(session))


def _zombies(parent: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, its_parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(its_parent) == parent:
            found.append(path.parent.name)
    return found


def test_a_death_is_noted_with_the_process_that_said_it_lived(db: Database) -> None:
    moment = now()
    with db.write() as session:
        processes.beat(session, "it", "worker digest", place(71), moment)
        processes.died(session, "other", "worker digest", place(71), moment, "gone")
        processes.died(session, "unheard", "worker digest", place(72), moment, "gone too")
    assert {(row.id, row.last_words) for row in _known(db)} == {("it", "gone"), ("unheard", "gone too")}


BEGINS = "Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        (f'{BEGINS}  File "x"\n    y()\nValueError: first\nsecond\n', "ValueError: first"),
        (f"{BEGINS}  x\nA: a\n\nDuring it:\n\n{BEGINS}  y\nB: b\n", "B: b"),
        ("x" * 500, "x" * 200),
    ],
)
def test_last_words_are_one_line(written: str, told: str) -> None:
    assert Child("it", words=written.encode()).last_words() == told


def test_a_guarded_child_waits_until_the_one_before_has_ended(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    before, after = (Child(name, sleeping, guard=tmp_path / "lock") for name in ("before", "after"))
    try:
        before.keep_running()
        after.keep_running()
        assert before.process is not None
        assert after.process is None
        os.kill(before.process.pid, signal.SIGKILL)
        before.process.wait()
        wait_until(lambda: after.keep_running() is None and after.process is not None)
    finally:
        for child in (before, after):
            child.ask_to_stop()
            child.stop(time.monotonic() + 10)


def test_a_fork_says_how_it_ended() -> None:
    def wrong() -> None:
        raise ValueError("wrong")

    assert Fork("right", lambda: None, None).wait(30) == 0
    assert Fork("said so", lambda: sys.exit(7), None).wait(30) == 7
    assert Fork("wrong", wrong, None).wait(30) == 1
    assert Fork("killed", lambda: os.kill(os.getpid(), signal.SIGKILL), None).wait(30) == -signal.SIGKILL


HOLDER = """
import sys, time
from pathlib import Path
from jobs.operations.stack_lock import owned
with owned(Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(60)
"""


def test_who_owns_the_data_is_said_and_a_killed_owner_owns_nothing(tmp_path: Path) -> None:
    assert owner(tmp_path) is None
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        with (
            pytest.raises(SettingsError, match=f"in use by the stack of process {process.pid}; stop it"),
            owned(tmp_path),
        ):
            pass
        assert owner(tmp_path) == f"the stack of process {process.pid}"
        (tmp_path / "stack.lock").write_text("1 web-1 pid:[4026532]\n")
        assert owner(tmp_path) == "the stack of process 1 in another container, or on another machine: web-1"
        (tmp_path / "stack.lock").write_text("")
        assert owner(tmp_path) == "another stack"
        process.kill()
    with owned(tmp_path):
        assert owner(tmp_path) == f"the stack of process {os.getpid()}"
    assert owner(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SettingsError, match=r"DATA_DIR: .* is a file where a folder is needed"),
        owned(tmp_path / "file" / "x"),
    ):
        pass


@pytest.mark.full
def test_workers_without_the_rest_say_that_they_live_and_a_watch_looks(db: Database, config: Settings) -> None:
    command = [sys.executable, "-m", "jobs", "worker"]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "WORKERS": "2"}
    roles = [WATCH, *(f"worker {name}" for name in queue.QUEUES), f"worker {queue.CLASSIFY}"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: sorted(row.role for row in _known(db)) == sorted(roles))
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""
    assert _known(db) == []


def test_a_worker_waits_for_redis_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings.load({"DATA_DIR": str(tmp_path / "own")})
    monkeypatch.setattr(supervisor, "_REDIS_SECONDS", 0.01)
    waiting = threading.Thread(target=supervisor._wait_for_redis, args=(config,))
    waiting.start()
    wait_until(lambda: "Redis is waited for: its socket" in caplog.text)
    with subprocess.Popen(embedded_redis.command(config)) as process:
        waiting.join(60)
        process.terminate()
    assert not waiting.is_alive()
    assert caplog.text.count("waited for") == 1
