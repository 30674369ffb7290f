"""Every helpdesk's own deliveries with odd values in any place, genuinely signed, against the real web server."""

import json
import random
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
import yaml
from sqlalchemy import select

from chaos.result import Result
from chaos.world import World, running
from receiver.db.models import Delivery
from receiver.intake import sources
from tests.receiver.intake.sources import desks
from tests.receiver.intake.sources.desks import NAMES, Desk

MARKER = "QQ-text-of-a-ticket-QQ"
_ODD: list[Any] = [
    None, True, -1, 1.5, 1e308, 10**39, 10**41, "", " ", "\x00", "\ud800" + MARKER, "x" * 70_000, "😀" * 1_000,
    [], {}, [[]], ["x"] * 50, {"a": {"b": []}}, "0000-00-00", "2026-13-45T00:00:00Z", "9999-12-31T23:59:59-23:59",
    "99999999999999", "{{ticket.id}}", "=1+1", "<script>alert(1)</script>", "javascript:alert(1)", "http://[::1",
    "@" * 400, "\u202e\u200b", {"type": ["doc"], "content": [{"type": {}}]}, "../../etc/passwd", "%s%n",
]  # fmt: skip
Place = tuple[str | int, ...]


def s1_helpdesks(folder: Path, rng: random.Random, each: int = 400) -> Result:
    """No odd body is a mistake of ours; each is in a delivery, and nothing of it in the log."""
    path = _sources(folder)
    secret = desks.WEBHOOK_SECRET
    with running(
        folder, only=("web", "redis"), WEB_WORKERS="1", SOURCES_FILE=str(path), WEBHOOK_SECRET=secret
    ) as world:
        seen = [_send(world, sender, body) for sender in _senders(world) for body in _bodies(rng, sender, each)]
        kept, mistakes = world.api("stats")["deliveries"], _mistakes(world)
    log = world.log.read_text(errors="replace")
    wrong = [f"{name} was answered {status}: {body[:300]!r}" for name, status, body in seen if status not in (200, 422)]
    faults = [
        *wrong,
        *([] if sum(kept.values()) == len(seen) - len(wrong) else [f"{len(seen)} were sent, and kept are {kept}"]),
        *mistakes,
        *(f"the log has {word}" for word in (MARKER, "Traceback", desks.SECRET) if word in log),
    ]
    return Result("S1 helpdesks", f"{len(seen)} bodies for {len(NAMES)} helpdesks, kept as {kept}", faults)


def _mistakes(world: World) -> list[str]:
    """What was put into quarantine because this program failed, not the body."""
    with world.db.read() as session:
        ours = select(Delivery.source, Delivery.error).where(Delivery.error.contains("fault of its own"))
        return [f"{row.source}: {row.error}" for row in session.execute(ours)]


def _sources(folder: Path) -> Path:
    """A desk of every profile, which takes what was signed at any time: an odd timestamp must be read, not refused."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {name: desks.entry(name) | {"window": None} for name in NAMES if name != "standard"}
    entries["hubspot"]["signing"] = "v1"  # The others sign an address that nobody here could call.
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": entries}), encoding="utf-8")
    return path


def _senders(world: World) -> Sequence[Desk]:
    return [desks.Desk(sources.configured(world.config)[name], desks.fixture(name)) for name in NAMES]


def _bodies(rng: random.Random, sender: Desk, count: int) -> Iterator[bytes]:
    for number in range(count):
        document = json.loads(json.dumps(sender.fixture["body"]).replace("VPN down", f"{MARKER} {rng.random()}"))
        for _ in range(rng.randint(1, 3)):
            document = _changed(document, rng.choice(list(_places(document))), rng.choice(_ODD))
        # Every body is another one, so that none is a mere duplicate of one that was read before.
        text = json.dumps(document, ensure_ascii=rng.random() < 0.7)
        yield text.encode("utf-8", "surrogatepass") + b" " * number


def _places(value: Any, here: Place = ()) -> Iterator[Place]:
    yield here
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inside:
        yield from _places(part, (*here, name))


def _changed(value: Any, place: Place, odd: Any) -> Any:
    if not place:
        return deepcopy(odd)  # It may be changed in its turn.
    value[place[0]] = _changed(value[place[0]], place[1:], odd)
    return value


def _send(world: World, sender: Desk, body: bytes) -> tuple[str, int, bytes]:
    request = replace(sender, at=time.time()).request(body)
    headers = request["headers"] | {"Content-Type": "application/json"}
    answer = requests.post(f"{world.config.url}{sender.url}", body, headers=headers, timeout=60)
    return sender.source.name, answer.status_code, body


SCENARIOS = {"S1-helpdesks": s1_helpdesks}
