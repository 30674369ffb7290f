"""Senders: signed deliveries built beforehand, sent over keep-alive connections from one thread."""

import itertools
import json
import re
import secrets
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.stack import BenchmarkError
from receiver.intake import signatures

TICKET_BYTES = 776

_numbers = itertools.count(1)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """How long it took to have every request answered, and each one's seconds, in ascending order."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def milliseconds(self, percent: int) -> float:
        """The latency that `percent` of the requests stayed within."""
        return self.latencies[min(len(self.latencies) * percent // 100, len(self.latencies) - 1)] * 1000


def ticket() -> dict[str, Any]:
    """A ticket that was never sent before; not its text either, or the model would not be asked."""
    number = next(_numbers)
    made = {
        "id": f"T-{number:08}",
        "short_description": f"VPN does not connect {number:08}",
        "long_description": "",
        "requester_email": "ada@example.com",
        "created_at": "2026-11-20T13:40:57Z",
        "updated_at": "2026-11-20T13:40:57Z",
        "priority": "normal",
    }
    text = "Since this morning the VPN client says: no route to host. "
    missing = TICKET_BYTES - len(json.dumps(made))
    return made | {"long_description": (text * (missing // len(text) + 1))[:missing]}


def delivery(secret: str, body: Any) -> bytes:
    """The bytes of a signed POST of `body`."""
    raw = json.dumps(body).encode()
    signed = signatures.sign_standard(secret, f"msg_{secrets.token_hex(8)}", int(time.time()), raw)
    headers = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(raw)),
    } | signed
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /webhooks/standard HTTP/1.1\r\n{lines}\r\n".encode() + raw


def send_all(port: int, requests: Sequence[bytes], connections: int) -> Load:
    """Send `requests`, one in flight on each connection. Raises BenchmarkError where one is not answered 200."""
    waiting = iter(requests)
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        senders = [_Sender(port, selector) for _ in range(connections)]
        started = time.perf_counter()
        busy = sum(sender.send_next(waiting) for sender in senders)
        while busy:
            for key, _ in selector.select():
                sender: _Sender = key.data
                if sender.proceed():
                    latencies.append(time.perf_counter() - sender.started)
                    busy -= not sender.send_next(waiting)
        seconds = time.perf_counter() - started
        for sender in senders:
            sender.socket.close()
    return Load(seconds, sorted(latencies))


class _Sender:
    """One connection and the request that is in flight on it."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.started = 0.0
        self._selector = selector
        self._unsent = memoryview(b"")
        self._answer = b""
        selector.register(self.socket, selectors.EVENT_READ, self)

    def send_next(self, waiting: Iterator[bytes]) -> bool:
        """Begin with the next request; False where there is none left."""
        request = next(waiting, None)
        if request is None:
            return False
        self._unsent, self._answer, self.started = memoryview(request), b"", time.perf_counter()
        self._write()
        if self._unsent:
            self._selector.modify(self.socket, selectors.EVENT_WRITE, self)
        return True

    def proceed(self) -> bool:
        """Go on with what the socket is ready for; whether the answer is complete."""
        if self._unsent:
            self._write()
            if not self._unsent:
                self._selector.modify(self.socket, selectors.EVENT_READ, self)
            return False
        received = self.socket.recv(65536)
        self._answer += received
        return self._is_complete(hung_up=not received)

    def _write(self) -> None:
        self._unsent = self._unsent[self.socket.send(self._unsent) :]

    def _is_complete(self, hung_up: bool) -> bool:
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if hung_up or (end and (length is None or not head.startswith(b"HTTP/1.1 200"))):
            raise BenchmarkError(f"a delivery was not accepted: {self._answer[:500]!r}")
        return length is not None and bool(end) and len(body) >= int(length[1])
