"""Processes that are kept running: commands, and forks of this process that share its memory."""

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0
_STEADY_SECONDS = 30.0
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36  # prctl(2)
_WORDS_KEPT, _WORDS_TOLD = 8192, 200

AWAY = 75  # How a worker or a scheduler exits that finds no Redis (EX_TEMPFAIL): not of its own fault.

log = logging.getLogger(__name__)

# Descriptors of this process that no fork of it shall keep open: pipes of the others, and the lock of the stack.
private: set[int] = set()


class Fork:
    """A fork of this process that runs a function and ends; to its parent it is what a subprocess.Popen is."""

    def __init__(self, name: str, run: Callable[[], None], stderr: int | None) -> None:
        parent = os.getpid()
        _flush()
        self.pid, self.returncode = os.fork(), None
        if self.pid == 0:
            _be_the_child(name, run, stderr, parent)

    returncode: int | None

    def poll(self) -> int | None:
        """Its exit code where it has ended, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended. Raises subprocess.TimeoutExpired after so many seconds."""
        until = time.monotonic() + timeout if timeout is not None else float("inf")
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("fork", timeout or 0)
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def _be_the_child(name: str, run: Callable[[], None], stderr: int | None, parent: int) -> None:
    """Become the process `name`, and never return."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if stderr is not None:
            os.dup2(stderr, 2)
        for descriptor in private:
            with suppress(OSError):
                os.close(descriptor)
        private.clear()
        set_name(name)
        die_with_parent()
        if os.getppid() == parent:  # Else it has gone before we asked to be told.
            run()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # It may be closed, or None where it always was.
            stream.flush()


def die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """Have those whose parent dies below this process become its children, as process 1 of a container does."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """What `ps -o comm` and `top` show of this process, of which the kernel keeps 15 letters."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def _prctl(option: int, value: int | bytes) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


@dataclass
class Child:
    """A process that is kept running: a command, or a fork of this process where there is something to `run`.

    With a `guard` it is started only while nobody holds that file's lock, and holds it as long as it lives.
    """

    name: str
    command: list[str] = field(default_factory=list)
    run: Callable[[], None] | None = None
    guard: Path | None = None
    process: subprocess.Popen[bytes] | Fork | None = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    again_at: float = 0.0
    hears: bool = False  # Whether what it writes to standard error goes through us.
    words: bytes = b""
    last_pid: int = 0
    pipes: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start it, in a session of its own, so that Ctrl-C reaches only its supervisor."""
        try:
            guard = self._locked_guard()
        except BlockingIOError:
            log.warning("The %s of an earlier start still runs, and is waited for", self.name)
            self.again_at = time.monotonic() + FIRST_DELAY
            return
        read, write = self._pipe() if self.hears else (None, None)
        self.words = b""
        if self.run is not None:
            self.process = Fork(self.name, self.run, write)
        else:
            self.process = subprocess.Popen(
                self.command,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509
                stderr=write,
                pass_fds=() if guard is None else (guard,),
            )
        for descriptor in (write, guard):
            if descriptor is not None:
                os.close(descriptor)
                private.discard(descriptor)
        if read is not None:
            self.pipes.append(read)
        self.started = time.monotonic()

    def _locked_guard(self) -> int | None:
        """The open file of the guard, locked; None without one. Raises BlockingIOError while somebody holds it."""
        if self.guard is None:
            return None
        descriptor = os.open(self.guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        return descriptor

    def _pipe(self) -> tuple[int, int]:
        read, write = os.pipe()
        os.set_blocking(read, False)
        private.update((read, write))
        return read, write

    def pass_on(self) -> None:
        """Write what it has written to standard error to ours, and remember the end of it."""
        for pipe in list(self.pipes):
            try:
                data = os.read(pipe, 65536)
            except BlockingIOError:
                continue
            if not data:  # It and all that it has started have ended.
                self.pipes.remove(pipe)
                private.discard(pipe)
                os.close(pipe)
                continue
            self.words = (self.words + data)[-_WORDS_KEPT:]
            with suppress(OSError):  # Nobody may read ours any more.
                os.write(2, data)

    def last_words(self) -> str:
        """The last thing it wrote, in one line: of a traceback the error, without the places."""
        lines = self.words.decode("utf-8", "replace").splitlines()
        begins = max((n for n, line in enumerate(lines) if line.startswith("Traceback ")), default=None)
        if begins is not None:
            lines = [line for line in lines[begins + 1 :] if not line.startswith(" ")][:1]
        told = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return told[:_WORDS_TOLD]

    def keep_running(self) -> int | None:
        """Start it where it does not run, after a pause that grows while it keeps ending; its exit code if it ended."""
        moment, code = time.monotonic(), None
        if self.process is not None and (code := self.process.poll()) is not None:
            log.warning("%s ended (%s); it is started again in %.1f s", self.name, code, self.delay)
            self.last_pid, self.process, self.again_at = self.process.pid, None, moment + self.delay
            steady = moment - self.started > _STEADY_SECONDS
            self.delay = FIRST_DELAY if steady else min(self.delay * 2, LONGEST_DELAY)
        if self.process is None and moment >= self.again_at:
            self.start()
        return code

    def stop(self, until: float) -> None:
        """Wait for it to end after a SIGTERM; kill it at `until`, on the monotonic clock."""
        if self.process is None:
            return
        while self.process.poll() is None:
            self.pass_on()  # One that cannot write would not end.
            if time.monotonic() > until:
                log.warning("%s did not stop in time and is killed", self.name)
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                return
            time.sleep(0.02)
        self.pass_on()

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
