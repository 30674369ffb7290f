"""Who uses a DATA_DIR: every process that serves holds a shared lock there, and a restore takes an exclusive one.

The kernel frees a lock however its holder ends, so none is ever left behind.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver.lib import files
from receiver.lib.settings import SettingsError

LOCK, UNFINISHED = "in-use.lock", "restore.unfinished"
# Never closed: a lock of flock(2) belongs to the open file, so forked workers share it and keep it while they live.
_held: dict[Path, int] = {}


class InUseError(Exception):
    """Something runs on this DATA_DIR; the text says what to do."""


def hold(data_dir: Path) -> None:
    """Say that this process uses the folder, until it ends.

    Raises SettingsError while a restore is at work, or where one was interrupted.
    """
    check(data_dir)
    if data_dir in _held:
        return
    descriptor = _open_lock_file(data_dir)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SettingsError(f"DATA_DIR: a backup is being restored into {data_dir}; start again after it") from None
    _held[data_dir] = descriptor


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Keep everybody else from the folder during the block. Raises InUseError where somebody uses it."""
    descriptor = _open_lock_file(data_dir)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InUseError(
            f"the stack runs on {data_dir}: stop `jobs up`, or every process of the Procfile, and try again"
        ) from None
    finally:
        os.close(descriptor)


def check(data_dir: Path) -> None:
    """Raise SettingsError where a restore was interrupted: what is there is of two times."""
    try:
        origin = (data_dir / UNFINISHED).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return
    raise SettingsError(
        f"DATA_DIR: a restore into {data_dir} was interrupted; run it again: python -m jobs restore {origin}"
    )


def _open_lock_file(data_dir: Path) -> int:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {files.explain(error, data_dir)}") from None
