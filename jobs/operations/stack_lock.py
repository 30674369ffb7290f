"""One stack owns a DATA_DIR: it holds the lock of a file there, which the kernel frees however it ends."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.operations import child_process
from receiver.lib import files
from receiver.lib.settings import SettingsError


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """Own the folder, which is made where it is missing. Raises SettingsError, with who owns it or why nobody can."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(_path(data_dir), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {files.explain(error, data_dir)}") from None
    child_process.private.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"DATA_DIR: {data_dir} is in use by {_told(descriptor)}; stop it, or name another DATA_DIR"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()} {_namespace()}\n".encode(), 0)
        yield
    finally:
        child_process.private.discard(descriptor)
        os.close(descriptor)


def owner(data_dir: Path) -> str | None:
    """The stack that owns the folder, such as "the stack of process 71"; None where none does."""
    try:
        descriptor = os.open(_path(data_dir), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(descriptor)
    finally:
        os.close(descriptor)
    return None


def _path(data_dir: Path) -> Path:
    return data_dir / "stack.lock"


def _told(descriptor: int) -> str:
    """Who holds the lock; in another container its number means nothing here, so the container is named too."""
    try:
        pid, host, namespace = os.pread(descriptor, 200, 0).decode("utf-8", "replace").split()
    except (OSError, ValueError):
        return "another stack"
    if (host, namespace) == (socket.gethostname(), _namespace()):
        return f"the stack of process {pid}"
    return f"the stack of process {pid} in another container, or on another machine: {host}"


def _namespace() -> str:
    """In which numbering of processes this one is, where the system says so."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "-"
