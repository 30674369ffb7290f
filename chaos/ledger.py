"""A helpdesk that resends until it is acknowledged, and remembers what it was promised."""

import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from receiver.intake import signatures
from receiver.lib import secret_files
from receiver.lib.settings import Settings

SECRET_IN_TEXT = "planted-ticket-text-7f3a"  # Must never be seen in a log.


@dataclass
class Ledger:
    """Every ticket by external id with the newest text that a 2xx acknowledged, and how the sending went."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, tickets: list[dict[str, Any]], status: int, seconds: float) -> None:
        """Write down one answer."""
        with self.lock:
            self.statuses.append(status)
            self.seconds.append(seconds)
            if 200 <= status < 300:
                self.acknowledged |= {str(ticket["id"]): ticket["short_description"] for ticket in tickets}


def ticket(name: str) -> dict[str, Any]:
    """A ticket whose text must not be seen in any log."""
    return {
        "id": name,
        "short_description": f"{SECRET_IN_TEXT} {name}",
        "long_description": "The VPN client says: no route. Nothing helps.",
        "requester_email": f"{name.lower()}@example.com",
    }


def post(config: Settings, tickets: list[dict[str, Any]], delivery_id: str, timeout: float = 10) -> int:
    """Send one signed delivery once; 0 where there was no answer."""
    body = json.dumps(tickets).encode()
    headers = signatures.sign_standard(secret_files.webhook_secrets(config)[0], delivery_id, int(time.time()), body)
    try:
        answer = requests.post(
            f"{config.url}/webhooks/standard",
            body,
            headers=headers | {"Content-Type": "application/json"},
            timeout=timeout,
        )
    except requests.RequestException:
        return 0
    return answer.status_code


def deliver(
    config: Settings, ledger: Ledger, tickets: list[dict[str, Any]], delivery_id: str, seconds: float = 60
) -> None:
    """Send one delivery, and again under the same id until it is acknowledged or `seconds` are over."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        started = time.monotonic()
        status = post(config, tickets, delivery_id)
        ledger.note(tickets, status, time.monotonic() - started)
        if 200 <= status < 300:
            return
        time.sleep(0.2)


def send_all(config: Settings, ledger: Ledger, rng: random.Random, count: int, prefix: str, threads: int = 4) -> None:
    """Send `count` distinct tickets in deliveries of 1 to 25, from several senders at once."""
    batches: list[list[dict[str, Any]]] = []
    while sum(map(len, batches)) < count:
        size = min(rng.choice([1, 1, 5, 25]), count - sum(map(len, batches)))
        start = sum(map(len, batches))
        batches.append([ticket(f"{prefix}-{number}") for number in range(start, start + size)])
    shares = [batches[index::threads] for index in range(threads)]

    def send(share: list[list[dict[str, Any]]]) -> None:
        for batch in share:
            deliver(config, ledger, batch, f"msg_{batch[0]['id']}")

    senders = [threading.Thread(target=send, args=(share,)) for share in shares]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
