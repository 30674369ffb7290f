"""Slow clients: many sockets that send a byte now and then, and an honest sender beside them."""

import random
import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaos.ledger import Ledger, deliver, ticket
from chaos.result import Result
from chaos.world import World, running

PAUSE_SECONDS = 10.0
_HEAD = b"POST /webhooks/standard HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_BODY = b"Content-Length: 4000\r\n\r\n["


@dataclass
class Crowd:
    """Sockets that each send one byte every ten seconds, half of them in the header and half in the body."""

    port: int
    open_since: dict[socket.socket, float] = field(default_factory=dict)
    closed_after: list[float] = field(default_factory=list)
    refused: int = 0

    def connect(self, count: int, rng: random.Random, spread: float) -> None:
        """Open `count` sockets over `spread` seconds."""
        for number in range(count):
            time.sleep(spread / count * rng.uniform(0.5, 1.5))
            try:
                client = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                client.sendall(_HEAD + (_BODY if number % 2 else b""))
            except OSError:
                self.refused += 1
                continue
            client.setblocking(False)
            self.open_since[client] = time.monotonic()

    def drip(self, seconds: float) -> None:
        """Send a byte on each that is still open, every ten seconds, and note when the server closes one."""
        ends = time.monotonic() + seconds
        next_byte = time.monotonic() + PAUSE_SECONDS
        with selectors.DefaultSelector() as poller:
            for client in self.open_since:
                poller.register(client, selectors.EVENT_READ)
            while self.open_since and time.monotonic() < ends:
                for key, _ in poller.select(0.2):
                    self._note(poller, key.fileobj)  # type: ignore[arg-type]
                if time.monotonic() >= next_byte:
                    self._send_a_byte()
                    next_byte += PAUSE_SECONDS

    def _note(self, poller: selectors.BaseSelector, client: socket.socket) -> None:
        with suppress(BlockingIOError):
            try:
                ended = client.recv(4096) == b""
            except ConnectionError:
                ended = True
            if ended:
                poller.unregister(client)
                self.closed_after.append(time.monotonic() - self.open_since.pop(client))
                client.close()

    def _send_a_byte(self) -> None:
        for client in self.open_since:
            with suppress(OSError):
                client.send(b"x")

    def close(self) -> None:
        """Close what the server has not closed."""
        for client in self.open_since:
            client.close()


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them are."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def besiege(world: World, rng: random.Random, count: int, seconds: float) -> tuple[Crowd, Ledger]:
    """Open `count` slow sockets and send honest deliveries beside them for `seconds`."""
    crowd, ledger = Crowd(world.config.port), Ledger()
    ended = threading.Event()

    def send() -> None:
        number = 0
        while not ended.wait(0.05):
            number += 1
            deliver(world.config, ledger, [ticket(f"H-{number}")], f"msg_h_{number}", seconds=20)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        crowd.connect(count, rng, spread=2)
        crowd.drip(seconds)
    finally:
        ended.set()
        sender.join()
        crowd.close()
    return crowd, ledger


def s3_slow_sockets(folder: Path, rng: random.Random, count: int = 500, seconds: float = 45) -> Result:
    """500 sockets at one byte in ten seconds; honest senders do not notice, and the slow ones are closed."""
    with running(folder, only=("web", "redis")) as world:
        crowd, ledger = besiege(world, rng, count, seconds)
        faults = [] if world.is_ready() else ["the web server is not ready afterwards"]
    p99, last = percentile(ledger.seconds, 0.99), max(crowd.closed_after, default=float("inf"))
    faults += [f"honest p99 is {p99 * 1000:.0f} ms"] if p99 > 0.5 else []
    faults += [f"{len(crowd.open_since)} slow sockets were not closed"] if crowd.open_since else []
    faults += [f"a slow socket was closed after {last:.0f} s"] if last > 30 else []
    faults += [f"honest answers: {set(ledger.statuses)}"] if set(ledger.statuses) != {200} else []
    figures = (
        f"{count} slow sockets ({crowd.refused} refused): honest p50 {percentile(ledger.seconds, 0.5) * 1000:.0f} ms, "
        f"p99 {p99 * 1000:.0f} ms, max {max(ledger.seconds, default=0) * 1000:.0f} ms of {len(ledger.seconds)}; "
        f"slow ones closed after {min(crowd.closed_after, default=0):.0f} to {last:.0f} s"
    )
    return Result("S3", figures, faults)
