"""The model's endpoint at its worst: every answer it should not give, and long silence."""

import gzip
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from chaos import checks
from chaos.ledger import Ledger, deliver, send_all, ticket
from chaos.result import Result
from chaos.world import World, running
from jobs.classification.engines.base import EngineError, TicketText
from jobs.classification.engines.llm import LlmEngine
from receiver import catalog as catalogs
from receiver.lib import settings
from tests.conftest import wait_until
from tests.peers import http, llm
from tests.peers.http import Answer, Request

JSON = {"Content-Type": "application/json"}
DOWN = Answer(503, b"{}", JSON | {"retry-after-ms": "10"})
_PACKED = JSON | {"Content-Encoding": "gzip"}
_ANSWER = json.dumps({"reasoning": "r", "request_type": "VPN Connection Issue", "confidence": 0.9, "alternatives": []})

FAULTS = {
    "429": Answer(429, b"{}", JSON | {"Retry-After": "1"}),
    "500": Answer(500, b"{}", JSON | {"retry-after-ms": "10"}),
    "drip": Answer(200, b" " * 500, JSON, pause=1.0),
    "empty": Answer(200, b""),
    "HTML": Answer(200, b"<html>guest network</html>", {"Content-Type": "text/html"}),
    "truncated": Answer(200, llm.completion(_ANSWER).body[:80]),
    "extra text": llm.completion(f"Sure! {_ANSWER}"),
    "wrong enum": llm.proposal("Zebra Riding"),
    "10 MB": Answer(200, llm.completion("x" * 10_000_000).body),
    "gzip bomb": Answer(200, gzip.compress(bytes(200_000_000)), _PACKED),
}


def respond_with(name: str, hang: float) -> Callable[[Request], Answer]:
    """An endpoint with one fault; `hang` is silence for so many seconds."""
    if name == "hang":
        return llm.after(hang)
    return lambda _request: FAULTS[name]


def deadlines(seconds: float, names: list[str], hang: float) -> dict[str, float]:
    """How long the real engine is held by each fault, with LLM_TIMEOUT at so many seconds; `hang` is a silence."""
    held, catalog = {}, catalogs.load(None, timeout=1)
    with http.serve(llm.endpoint()) as model:
        config = settings.load({"OPENAI_BASE_URL": f"{model.url}/v1", "LLM_TIMEOUT": str(seconds)})
        engine = LlmEngine(config, catalog)
        for name in names:
            model.respond = respond_with(name, hang)
            started = time.monotonic()
            with suppress(EngineError):
                engine.propose(TicketText("VPN", "does not connect"))
            held[name] = time.monotonic() - started
    return held


def number_of(request: Request) -> int:
    """The number of the ticket that a request is about."""
    return int(request.json["messages"][1]["content"].split("A-")[1].split()[0])


def label_of(number: int, labels: list[str]) -> str:
    """The label that only this ticket shall get."""
    return labels[number % len(labels)]


def right(request: Request) -> Answer:
    """The label of just this ticket; nothing for the first three, so that the local engine is loaded too."""
    if number_of(request) < 3:
        return FAULTS["500"]
    return llm.proposal(label_of(number_of(request), llm.labels(request)))


def often_wrong(rng: random.Random, share: float, hang: float) -> Callable[[Request], Answer]:
    """An endpoint that now and then answers with a fault, and else with the label of just this ticket."""
    lock, names = threading.Lock(), [*FAULTS, "hang"]

    def respond(request: Request) -> Answer:
        with lock:
            name = rng.choice(names) if rng.random() < share else None
        if name == "extra text":
            return _wordy(request)
        return respond_with(name, hang)(request) if name else right(request)

    return respond


def _wordy(request: Request) -> Answer:
    """The right answer, among words that were not asked for."""
    label = label_of(number_of(request), llm.labels(request))
    answer = {"reasoning": "r", "request_type": label, "confidence": 0.9, "alternatives": []}
    return llm.completion(f"Sure! {json.dumps(answer)}")


def wrong_labels(world: World) -> list[str]:
    """Tickets that have the label of another, where the model's own answer was taken."""
    labels = list(catalogs.load(None, timeout=1).labels.items())
    query = (
        "SELECT t.external_id, c.category, c.request_type FROM tickets t JOIN classifications c ON c.ticket_id = t.id"
        " WHERE c.current AND c.engine = 'llm' AND NOT c.fallback"
    )
    with closing(sqlite3.connect(str(world.db.path))) as connection:
        rows = connection.execute(query).fetchall()
    wanted = {name: labels[int(name.split("-")[1]) % len(labels)][1] for name, _, _ in rows}
    return [f"{n} is {c} / {r}" for n, c, r in rows if (wanted[n].category, wanted[n].name) != (c, r)]


def unmarked(world: World) -> list[str]:
    """Stand-ins and fallbacks that nobody is asked to look at."""
    query = (
        "SELECT t.external_id FROM tickets t JOIN classifications c ON c.ticket_id = t.id AND c.current"
        " WHERE (c.engine = 'local' OR c.fallback) AND NOT (c.fallback AND t.status = 'needs_review')"
    )
    with closing(sqlite3.connect(str(world.db.path))) as connection:
        return [f"{row[0]} has a stand-in that is not marked" for row in connection.execute(query)]


@dataclass
class NearestExamples:
    """The largest private memory of one worker and its job, sampled while the block runs."""

    world: World
    name: str
    samples: list[int] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "NearestExamples":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self.ended.wait(0.1):
            for process in self.world.processes(self.name)[1:]:
                with suppress(psutil.Error):
                    self.samples.append(process.memory_info().rss)

    @property
    def peak(self) -> float:
        """In MiB."""
        return max(self.samples, default=0) / 2**20


def t10_bad_answers(folder: Path, rng: random.Random, count: int = 300, share: float = 0.4) -> Result:
    """Every bad answer, alone against the clock, and mixed into a drain of tickets."""
    seconds, ledger = 2.0, Ledger()
    held = deadlines(seconds, [*FAULTS, "hang"], hang=seconds * 2)
    faults = [f"{name} held a call for {taken:.1f} s" for name, taken in held.items() if taken > seconds + 1]
    with running(folder, workers=1, LLM_TIMEOUT=str(seconds)) as world:
        world.model.respond = right
        with NearestExamples(world, "classify0") as usual:
            send_all(world.config, ledger, rng, count, "A")
            world.settle(seconds=300)
        world.model.respond = often_wrong(rng, share, seconds * 2)
        with NearestExamples(world, "classify0") as bad:
            again = [f"A-{number}" for number in range(count, 2 * count)]
            send_numbered(world, ledger, again)
            took = world.settle(seconds=600)
        faults += checks.broken(world, ledger) + wrong_labels(world) + unmarked(world)
        statuses = world.counts()
    growth = bad.peak - usual.peak
    faults += [f"memory grew by {growth:.0f} MiB"] if growth > 64 else []
    figures = (
        f"longest call {max(held.values()):.2f} s with LLM_TIMEOUT {seconds:.0f} s; {count} tickets at {share:.0%} bad "
        f"answers settled {took:.0f} s after the last: {statuses}; memory of a job {growth:+.0f} MiB"
    )
    return Result("T10", figures, faults)


def send_numbered(world: World, ledger: Ledger, names: list[str]) -> None:
    """Send tickets of these names, 25 in a delivery."""
    for start in range(0, len(names), 25):
        share = names[start : start + 25]
        deliver(world.config, ledger, [ticket(name) for name in share], f"msg_{share[0]}")


@dataclass
class Failing:
    """An endpoint that works, is down while `down` is set, and works again; notes when a call began."""

    down: threading.Event = field(default_factory=threading.Event)
    calls: list[float] = field(default_factory=list)  # First tries only; a retry belongs to its call.

    def respond(self, request: Request) -> Answer:
        """One request's answer."""
        if self.down.is_set():
            if request.headers.get("x-stainless-retry-count") == "0":
                self.calls.append(time.monotonic())
            return DOWN
        return llm.first_label(request)


def _alarmed(world: World) -> bool:
    with closing(sqlite3.connect(str(world.db.path))) as connection:
        return bool(connection.execute("SELECT 1 FROM circuit WHERE name = 'engine' AND state != 'closed'").fetchone())


def outage(
    world: World, ledger: Ledger, rng: random.Random, count: int, seconds: float, then: Callable[[], None] | None = None
) -> tuple[str, list[str]]:
    """Send tickets into an outage of so many seconds, do what comes `then`, and wait until all are settled after it."""
    model = Failing()
    model.down.set()
    world.model.respond = model.respond
    started = time.monotonic()
    sender = threading.Thread(target=send_all, args=(world.config, ledger, rng, count, "A"))
    sender.start()
    wait_until(lambda: _alarmed(world), 60)
    opened = time.monotonic()
    time.sleep(max(0.0, seconds - (opened - started)))
    sender.join()
    before = sum(call <= opened for call in model.calls)
    probes = [call for call in model.calls if call > opened + 3]  # What was in flight has ended by then.
    waiting = world.counts().get("received", 0)
    model.down.clear()
    if then:
        then()
    took = world.settle(seconds=300)
    apart = min((later - earlier for earlier, later in pairwise(probes)), default=float("inf"))
    fallbacks = Counter(world.counts())
    faults = [f"two probes {apart:.1f} s apart"] if apart < 9.5 else []
    faults += unmarked(world)
    figures = (
        f"{count} tickets, {seconds:.0f} s down: open after {opened - started:.1f} s with {before} calls begun, then "
        f"{len(probes)} probes, at least {apart:.1f} s apart; {waiting} waited; all settled {took:.0f} s after: "
        f"{dict(fallbacks)}"
    )
    return figures, faults


def t11_model_away(folder: Path, rng: random.Random, count: int = 5000, seconds: float = 900) -> Result:
    """The model is down while thousands of tickets arrive."""
    ledger = Ledger()
    with running(folder) as world:
        figures, faults = outage(world, ledger, rng, count, seconds)
        faults += checks.broken(world, ledger)
    return Result("T11", figures, faults)


SCENARIOS: dict[str, Callable[..., Any]] = {"T10": t10_bad_answers, "T11": t11_model_away}
