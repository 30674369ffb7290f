"""How long the worst bodies of 1 MB hold a web process: each one's answer, and what /healthz takes meanwhile.

The bodies are those whose reading costs most, for each of some profiles: every shape of `growth`, as the text of one
ticket and of many, as every other field, and as a body that is no JSON. They are sent, signed, to a real web server
with one worker, and what it takes of the processor for each is told beside the time that passes, for a machine may have
other work.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks import growth
from benchmarks.stack import BenchmarkError, Line, Stack, stack
from receiver.intake import samples, sources
from receiver.intake.sources import Source
from receiver.lib import settings
from receiver.lib.settings import Settings

SIZE = 1_000_000
_SCANNED = 100_000  # Bytes; with these all bodies are read, and only the worst of them are sent, at full size.
_WORST = 5  # Of each profile.
_AT_ONCE = 4
_EVERY_SECONDS = 0.02
_MOST_SECONDS, _MOST_HEALTH_MS = 1.0, 200
_PROFILES = ("freshdesk", "jira", "standard", "zammad", "zendesk")
_SECRET = "a secret of some length, for a benchmark alone"
_SOURCES = f"""
sources:
  freshdesk: {{profile: freshdesk, token: {{basic: "user:{_SECRET}"}}}}
  jira: {{profile: jira, secrets: ["{_SECRET}"]}}
  zammad: {{profile: zammad, secrets: ["{_SECRET}"]}}
  zendesk: {{profile: zendesk, secrets: ["{_SECRET}"]}}
"""

Body = Callable[[int], bytes]
"""Makes a body of about so many bytes."""


@dataclass(frozen=True)
class Answer:
    """What a body cost: the seconds until its answer, and those of the web process's processor."""

    name: str
    seconds: float
    used: float


def run() -> list[Line]:
    """A line for each profile, one for a plain body, and one for the worst of all, several at once."""
    with stack() as processes:
        file = processes.folder / "sources.yaml"
        file.write_text(_SOURCES, encoding="utf-8")
        values = {"SOURCES_FILE": str(file), "WEB_WORKERS": "1"}
        config = settings.load({"DATA_DIR": str(processes.folder)} | values)
        known = sources.configured(config)
        processes.migrate()
        processes.redis()
        server = _Server(processes.web("receiver.web.app:create_app()", **values), processes, config)
        plain = partial(_ticket, ("word ", ""), 1)
        [usual], quiet = server.tried(known["standard"], [("words", plain)] * 1)
        lines = [_line("a plain body", [usual], quiet, usual)]
        worst: list[tuple[float, Source, str, Body]] = []
        for name in _PROFILES:
            bodies = _costliest(known[name], config)
            answers, health = server.tried(known[name], bodies)
            lines.append(_line(name, answers, health, usual))
            dearest = max(range(len(answers)), key=lambda at: answers[at].used)
            worst.append((answers[dearest].used, known[name], *bodies[dearest]))
        _, source, name, body = max(worst, key=lambda each: each[0])
        answers, health = server.tried(source, [(name, body)] * _AT_ONCE, at_once=_AT_ONCE)
        return [*lines, _line(f"{_AT_ONCE} at once, {source.name}", answers, health, usual, each=False)]


def _line(name: str, answers: list[Answer], health: list[float], usual: Answer, *, each: bool = True) -> Line:
    """A profile's line; `each` says whether every answer has its own limit, or only /healthz."""
    slowest, dearest = (max(answers, key=lambda answer: getattr(answer, what)) for what in ("seconds", "used"))
    p99 = sorted(health)[len(health) * 99 // 100] * 1000
    measured = f"answer: {slowest.seconds:.2f} s, {dearest.used:.2f} s used ({dearest.name}); /healthz p99 {p99:.0f} ms"
    met = p99 < _MOST_HEALTH_MS and (slowest.seconds < _MOST_SECONDS or not each)
    goal = f"< {_MOST_SECONDS:.0f} s, < {_MOST_HEALTH_MS} ms" if each else f"< {_MOST_HEALTH_MS} ms"
    plain = f"plain: {usual.used:.2f} s used"
    return Line(f"held: {name}", measured, plain, f"x {dearest.used / max(usual.used, 0.01):.0f}", goal, met)


class _Server:
    """A web server of one process, which is sent bodies while somebody asks for its health."""

    def __init__(self, port: int, processes: Stack, config: Settings) -> None:
        self._port, self._config = port, config
        [self._pid] = processes.web_workers()

    def tried(
        self, source: Source, bodies: list[tuple[str, Body]], at_once: int = 1
    ) -> tuple[list[Answer], list[float]]:
        """The answers to the bodies, and the seconds of each /healthz that was due meanwhile."""
        waits: list[float] = []
        ended = threading.Event()
        asking = threading.Thread(target=self._ask, args=(ended, waits))
        asking.start()
        try:
            with ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(lambda each: self._sent(source, *each), bodies)), waits
        finally:
            ended.set()
            asking.join()

    def _ask(self, ended: threading.Event, waits: list[float]) -> None:
        """Ask every 20 ms; whoever would have asked while one answer is awaited has waited for the rest of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not ended.is_set():
            began = time.monotonic()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            took = time.monotonic() - began
            waits += [took - late * _EVERY_SECONDS for late in range(int(took / _EVERY_SECONDS) + 1)]
            ended.wait(max(0.0, _EVERY_SECONDS - took))

    def _sent(self, source: Source, name: str, body: Body) -> Answer:
        raw, headers = _signed(source, self._config, body(SIZE))
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        began, used = time.monotonic(), _used(self._pid)
        connection.request("POST", f"/webhooks/{source.name}", raw, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 422):
            raise BenchmarkError(f"{name} for {source.name} was answered with {answer.status}")
        return Answer(name, time.monotonic() - began, _used(self._pid) - used)


def _signed(source: Source, config: Settings, raw: bytes) -> tuple[bytes, dict[str, str]]:
    raw, headers = samples.compose(source, config, time.time(), raw)
    return raw, headers | {name: uuid4().hex for name in source.profile.sample.headers}


def _used(pid: int) -> float:
    """The processor's seconds that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


def _costliest(source: Source, config: Settings) -> list[tuple[str, Body]]:
    """The bodies whose reading takes longest."""
    headers = {"content-type": "application/json"}
    found = []
    for name, body in _bodies():
        raw, began = body(_SCANNED), time.thread_time()
        source.read(raw, headers, config.max_batch, config.max_body_mb * 2**20)
        found.append((time.thread_time() - began, name, body))
    found.sort(key=lambda each: each[0], reverse=True)
    return [(name, body) for _, name, body in found[:_WORST]]


def _bodies() -> Iterator[tuple[str, Body]]:
    for shape in growth.SHAPES:
        told = " ".join(ascii(piece) for piece in shape if piece)
        for many in (1, 100):
            yield f"{many} x {told}", partial(_ticket, shape, many)
        for field in ("id", "short_description", "url"):
            yield f"{field} {told}", partial(_field, shape, field)
        yield f"bare {told}", partial(_bare, shape)
        yield f"unescaped {told}", partial(_unescaped, shape)
    yield from (("nested ADF", _nested), ("wide ADF", _wide), ("keys", _keys), ("numbers", _numbers), ("lists", _lists))


def _ticket(shape: tuple[str, str], many: int, size: int) -> bytes:
    """So many tickets with a text of this shape."""
    written = _written(growth.text(shape, size // many))
    text = growth.text(shape, size * size // many // max(len(written) * many, size))
    tickets = [{"id": uuid4().hex, "short_description": "VPN", "long_description": text} for _ in range(many)]
    return _written(tickets if many > 1 else tickets[0])


def _field(shape: tuple[str, str], name: str, size: int) -> bytes:
    return _written({"id": uuid4().hex, "short_description": "VPN", name: growth.text(shape, size)})[: 2 * size]


def _bare(shape: tuple[str, str], size: int) -> bytes:
    return growth.text(shape, size).encode("utf-8", "surrogatepass")


def _unescaped(shape: tuple[str, str], size: int) -> bytes:
    """What a template makes that escapes nothing."""
    start, end = f'{{"id": "{uuid4().hex}", "short_description": "VPN", "long_description": "', '", "priority": "low"}'
    return f"{start}{growth.text(shape, size)}{end}".encode("utf-8", "surrogatepass")


def _nested(size: int) -> bytes:
    """A document of Jira's, many quotes in each other."""
    depth, node = 200, {"type": "text", "text": "a " * (size // 4)}
    for _ in range(depth):
        node = {"type": "blockquote", "content": [node, {"type": "text", "text": "b\n" * (size // depth // 4)}]}  # type: ignore[dict-item]
    return _issue({"type": "doc", "content": [node]})


def _wide(size: int) -> bytes:
    """A document of Jira's with as many nodes as there is room for."""
    return _issue({"type": "doc", "content": [{"type": "text", "text": "a"}] * (size // 32)})


def _issue(document: Any) -> bytes:
    return _written({"issue": {"key": uuid4().hex, "fields": {"summary": "VPN", "description": document}}})


def _keys(size: int) -> bytes:
    return _written({f"key{number:08}": number for number in range(size // 25)})


def _numbers(size: int) -> bytes:
    return _written([10**39] * (size // 42))


def _lists(size: int) -> bytes:
    return b"[" + b"[]," * (size // 3) + b"[]]"


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
