"""What arrives twice, late, broken, forged or too large: scenarios against the real web server."""

import gzip
import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import redis

from chaos import checks, forged, malformed
from chaos.forged import Message, is_accepted
from chaos.ledger import ticket
from chaos.result import Result
from chaos.slow import percentile, s3_slow_sockets
from chaos.timing import s5_comparison
from chaos.world import World, running
from receiver.intake import signatures
from receiver.lib import secret_files
from tests.conftest import ROOT, wait_until

_WEB = ("web", "redis")
_JSON = {"Content-Type": "application/json"}
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Reply:
    """What the web server answered; status 0 where it hung up."""

    status: int
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(world: World, body: bytes | Iterable[bytes], headers: dict[str, str]) -> Reply:
    """Send one request as it is, whatever is wrong with it; an iterable goes in chunks, without a length."""
    connection = http.client.HTTPConnection(world.config.host, world.config.port, timeout=30)
    started = time.monotonic()
    try:
        connection.request("POST", "/webhooks/standard", body, headers, encode_chunked=True)
    except (ConnectionError, BrokenPipeError):
        pass  # The server has answered and will not hear the rest.
    try:
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), time.monotonic() - started)
    except (OSError, http.client.HTTPException):
        return Reply(0, b"", time.monotonic() - started)
    finally:
        connection.close()


def sign(world: World, body: bytes, delivery_id: str, moment: float | None = None) -> dict[str, str]:
    """The headers of a genuine delivery."""
    secret = secret_files.webhook_secrets(world.config)[0]
    return signatures.sign_standard(secret, delivery_id, int(moment or time.time()), body) | _JSON


def deliver(world: World, tickets: object, delivery_id: str) -> Reply:
    """Send one genuine delivery once."""
    body = json.dumps(tickets).encode()
    return send(world, body, sign(world, body, delivery_id))


def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    """What a query finds in the database itself."""
    with world.db.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def count(world: World, table: str) -> int:
    """How many rows a table has."""
    return int(rows(world, f"SELECT count(*) FROM {table}")[0][0])


def in_order(world: World) -> list[str]:
    """What is wrong in the database."""
    return checks.database(Path(str(world.db.path)))


def unless(holds: bool, fault: str) -> list[str]:
    """The fault, unless something holds."""
    return [] if holds else [fault]


# T4: the same again.


def t4_duplicates(folder: Path, rng: random.Random, distinct: int = 400) -> Result:
    """Each delivery one to five times, shuffled, ten at once: same id, same id with another body, same body."""
    with running(folder, only=_WEB) as world:
        calls = [call for number in range(distinct) for call in _copies(rng, number)]
        rng.shuffle(calls)
        with ThreadPoolExecutor(10) as senders:
            replies = list(senders.map(lambda call: deliver(world, [call[1]], call[0]), calls))
        stored = dict(rows(world, "SELECT external_id, short_description FROM tickets"))
        conflicts, expected = _conflicts(world, calls)
        faults = [
            *unless(set(stored) == {f"T4-{number}" for number in range(distinct)}, f"{len(stored)} tickets"),
            *unless({reply.status for reply in replies} == {200}, f"{Counter(r.status for r in replies)}"),
            *unless(conflicts == expected, f"{conflicts} conflicts are recorded, {expected} were sent"),
            *unless(count(world, "deliveries") == len(calls), "not every message has its row"),
            *unless(sum(r.json["accepted"] for r in replies) == distinct, "accepted more or less than the tickets"),
            *in_order(world),
        ]
    return Result("T4", f"{len(calls)} messages of {distinct} tickets, 10 at once; {conflicts} conflicts", faults)


def _copies(rng: random.Random, number: int) -> list[tuple[str, dict[str, Any]]]:
    """The delivery ids and tickets with which one ticket is sent, one to five times."""
    good = ticket(f"T4-{number}")
    first = (f"msg_{number}", good)
    others = [first, (f"msg_{number}", good | {"priority": "other body"}), (f"msg_{number}_again", good)]
    return [first, *rng.choices(others, k=rng.randint(0, 4))]


def _conflicts(world: World, calls: Sequence[tuple[str, dict[str, Any]]]) -> tuple[int, int]:
    """How many conflicts are recorded, and how many there must be: by what came first under each id."""
    firsts = dict(rows(world, "SELECT key, body FROM deliveries WHERE original_id IS NULL"))
    expected = sum(json.dumps([sent]).encode() != firsts[key] for key, sent in calls)
    return count(world, "deliveries WHERE conflict"), expected


# T5: in another order.


def t5_reordered(folder: Path, rng: random.Random, distinct: int = 60, versions: int = 12) -> Result:
    """Versions of each ticket in any order, from ten senders at once; the newest stays."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    calls = [
        (f"T5-{number}", version, (start + timedelta(minutes=version)).isoformat())
        for number in range(distinct)
        for version in range(versions)
    ]
    rng.shuffle(calls)

    def edit(call: tuple[str, int, str]) -> int:
        name, version, at = call
        text = {"short_description": f"version {version}", "updated_at": at}
        return deliver(world, [ticket(name) | text], f"msg_{name}_{version}").status

    with running(folder, only=_WEB) as world:
        with ThreadPoolExecutor(10) as senders:
            statuses = set(senders.map(edit, calls))
        stored = Counter(rows(world, "SELECT short_description, source_updated_at FROM tickets"))
        newest = (f"version {versions - 1}", f"2026-01-01 00:{versions - 1:02}:00.000000")
        faults = [
            *unless(statuses == {200}, f"answers {statuses}"),
            *unless(stored == {newest: distinct}, f"stored: {stored}"),
            *in_order(world),
        ]
    return Result("T5", f"{len(calls)} versions of {distinct} tickets, 10 at once: {stored[newest]} newest", faults)


# T6: some bad ones among many.


def t6_partly_bad(folder: Path, rng: random.Random, times: int = 10) -> Result:
    """500 tickets with 7 bad ones; sent again, under the same id and another, it comes out the same."""
    faults: list[str] = []
    with running(folder, only=_WEB) as world:
        for turn in range(times):
            bad = sorted(rng.sample(range(500), 7))
            batch = [ticket(f"T6-{turn}-{number}") for number in range(500)]
            for index in bad:
                batch[index] |= rng.choice(_BAD)
            faults += _sent_thrice(world, batch, bad, f"msg_{turn}")
        stored = count(world, "tickets")
        faults += [*unless(stored == 493 * times, f"{stored} tickets are stored"), *in_order(world)]
    return Result("T6", f"{times} times 500 with 7 bad, each sent three times: {stored} stored", faults)


_BAD: list[dict[str, Any]] = [
    {"id": None}, {"id": ""}, {"id": 1.5}, {"short_description": ""}, {"short_description": 7},
    {"requester_email": "nobody"}, {"updated_at": "yesterday"}, {"url": "javascript:1"}, {"long_description": "\x00"},
]  # fmt: skip


def _sent_thrice(world: World, batch: list[dict[str, Any]], bad: list[int], key: str) -> list[str]:
    first, again, other = (deliver(world, batch, name) for name in (key, key, f"{key}_other"))
    rejected = [entry["index"] for entry in first.json["rejected"]]
    return [
        *unless((first.status, first.json["accepted"]) == (200, 493), f"first: {first.status} {first.body[:80]!r}"),
        *unless(rejected == bad, f"rejected {rejected} instead of {bad}"),
        *unless(again.json["status"] == "duplicate", f"again: {again.body[:80]!r}"),
        *unless(again.json["rejected"] == first.json["rejected"] == other.json["rejected"], "other indexes again"),
        *unless((other.json["accepted"], other.json["duplicates"]) == (0, 493), f"other id: {other.body[:80]!r}"),
    ]


# S1: malformed bodies.


def s1_malformed(folder: Path, rng: random.Random, bodies: int = 10_000, senders: int = 1) -> Result:
    """Genuine deliveries of malformed bodies: refused with a reason, each at once, and nothing becomes a ticket."""
    made = [malformed.body(rng) for _ in range(bodies)]

    def one(numbered: tuple[int, bytes]) -> Reply:
        number, body = numbered
        return send(world, body, sign(world, body, f"msg_{number}"))

    with running(folder, only=_WEB) as world:
        before = _workers(world)
        with ThreadPoolExecutor(senders) as pool:
            replies = list(pool.map(one, enumerate(made)))
        statuses = Counter(reply.status for reply in replies)
        seconds = [reply.seconds for reply in replies]
        faults = [
            *unless(set(statuses) == {422}, f"answers {statuses}"),
            *unless(count(world, "tickets") == 0, "a malformed body became a ticket"),
            *unless(_workers(world) == before, "a web worker was replaced"),
            *unless(percentile(seconds, 0.99) < 0.1, f"p99 is {percentile(seconds, 0.99) * 1000:.0f} ms"),
            *_first_unlike(zip(made, replies, strict=True), 422),
            *in_order(world),
        ]
    p50, p99 = percentile(seconds, 0.5) * 1000, percentile(seconds, 0.99) * 1000
    over = sum(value > 0.1 for value in seconds)
    figures = f"{bodies} bodies: {dict(statuses)}; p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {max(seconds) * 1000:.0f} ms"
    return Result("S1", f"{figures}, {over} over 100 ms", faults)


def _workers(world: World) -> list[int]:
    return sorted(process.pid for process in world.processes("web"))


def _first_unlike(pairs: Iterable[tuple[bytes, Reply]], status: int) -> list[str]:
    return [f"{reply.status} for {body[:120]!r}" for body, reply in pairs if reply.status != status][:3]


# S2: too large.


def s2_too_large(folder: Path, rng: random.Random, times: int = 20, senders: int = 1) -> Result:
    """What is too large, packed, or not JSON is refused, and costs next to no memory."""
    with running(folder, only=_WEB) as world:
        for number in range(20):  # A worker that has not answered yet is still loading what it needs.
            deliver(world, [ticket(f"S2-{number}")], f"msg_warm_{number}")
        before = _resident(world)
        grown: dict[str, float] = {}
        statuses: dict[str, Counter[int]] = {}
        for name, attack in _ATTACKS.items():
            peak = dict(before)
            with ThreadPoolExecutor(senders) as pool:
                futures = [pool.submit(attack, world, f"{name}-{number}") for number in range(times)]
                while not all(future.done() for future in futures):
                    peak = {pid: max(peak.get(pid, 0), size) for pid, size in _resident(world).items()}
                    time.sleep(0.01)
            statuses[name] = Counter(future.result().status for future in futures)
            grown[name] = max(size - before.get(pid, size) for pid, size in peak.items()) / _MIB
        faults = [
            *(f"{name}: {found}" for name, found in statuses.items() if set(found) != {_REFUSALS[name]}),
            *(f"{name}: a web worker grew by {size:.1f} MiB" for name, size in grown.items() if size >= 16),
            *unless(set(_resident(world)) == set(before), "a web worker was replaced"),
            *unless(count(world, "tickets") == 20, "something of it was stored"),
        ]
    figures = ", ".join(f"{name} {dict(found)} +{grown[name]:.1f} MiB" for name, found in statuses.items())
    return Result("S2", f"{senders} at once: {figures}", faults)


def _resident(world: World) -> dict[int, int]:
    """The memory of each web worker."""
    sizes = {}
    for process in world.processes("web")[1:]:
        try:
            sizes[process.pid] = process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return sizes


def _one_byte_over(world: World, key: str) -> Reply:
    body = b'{"x": "' + b"x" * (world.config.max_body_mb * _MIB - 8) + b'"}'
    return send(world, body, sign(world, body, key))


def _chunked(world: World, key: str) -> Reply:
    """Chunks without a length and, were the server to go on reading, without an end."""
    piece = b"x" * 65_536
    return send(world, (piece for _ in range(world.config.max_body_mb * 32)), sign(world, piece, key))


def _bomb(world: World, key: str) -> Reply:
    body = gzip.compress(b" " * (100 * _MIB), 9) if not _PACKED else _PACKED[0]
    _PACKED[:] = [body]
    return send(world, body, sign(world, body, key) | {"Content-Encoding": "gzip"})


_PACKED: list[bytes] = []


def _multipart(world: World, key: str) -> Reply:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    body = part * (4 * _MIB // len(part)) + b"--x--\r\n"
    return send(world, body, sign(world, body, key) | {"Content-Type": "multipart/form-data; boundary=x"})


_ATTACKS: dict[str, Callable[[World, str], Reply]] = {
    "one byte over": _one_byte_over, "chunked": _chunked, "gzip bomb": _bomb, "multipart": _multipart,
}  # fmt: skip
_REFUSALS = {"one byte over": 413, "chunked": 413, "gzip bomb": 422, "multipart": 415}


# S4: forged signatures.


def s4_signatures(folder: Path, rng: random.Random, each: int = 20_000, by_http: int = 500) -> Result:
    """Forged deliveries are refused, genuine ones are not, and a secret can be changed without a refusal."""
    secret = forged.new_secret(rng)
    source = forged.forgeries(rng, secret)
    let_in = sum(is_accepted((secret,), next(source)) for _ in range(each))
    refused = sum(not is_accepted((secret,), forged.genuine(rng, secret)) for _ in range(each))
    lost = _rotation(rng, each // 4)
    sent, kept_out, failed = _signatures_by_http(folder, rng, by_http)
    faults = [
        *unless(let_in == 0, f"{let_in} forged ones were accepted"),
        *unless(refused == 0, f"{refused} genuine ones were refused"),
        *unless(lost == 0, f"{lost} mistakes while the secret changed"),
        *failed,
    ]
    figures = f"{each} forged: {let_in} accepted; {each} genuine: {refused} refused; rotation: {lost} mistakes"
    return Result("S4", f"{figures}; over HTTP {sent} forged, {kept_out} refused", faults)


def _rotation(rng: random.Random, times: int) -> int:
    """Mistakes while senders go from an old secret to a new one, and after the old one is removed."""
    old, new = forged.new_secret(rng), forged.new_secret(rng)
    mistakes = 0
    for _ in range(times):
        mistakes += not is_accepted((new, old), forged.genuine(rng, rng.choice([old, new])))
        mistakes += not is_accepted((new,), forged.genuine(rng, new))
        mistakes += is_accepted((new,), forged.genuine(rng, old))
    return mistakes


def _signatures_by_http(folder: Path, rng: random.Random, times: int) -> tuple[int, int, list[str]]:
    """Forged and genuine deliveries, signed with two live secrets, to the real server."""
    old, new = forged.new_secret(rng), forged.new_secret(rng)
    moment = int(time.time())
    with running(folder, only=_WEB, WEBHOOK_SECRET=f"{new},{old}") as world:
        source = forged.forgeries(rng, new, moment, beyond=120)  # They arrive later than they are made.
        messages = [message for message in (next(source) for _ in range(times * 2)) if _can_be_sent(message)][:times]
        statuses = Counter(send(world, message.body, message.headers | _JSON).status for message in messages)
        stored = count(world, "deliveries")
        good = [_body_of(number) for number in range(times)]
        answers = Counter(
            send(
                world, body, _JSON | signatures.sign_standard(rng.choice([old, new]), f"g{number}", moment, body)
            ).status
            for number, body in enumerate(good)
        )
    faults = [
        *unless(set(statuses) == {401} and stored == 0, f"forged over HTTP: {statuses}, {stored} rows"),
        *unless(set(answers) == {200}, f"genuine over HTTP: {answers}"),
    ]
    return len(messages), statuses[401], faults


def _can_be_sent(message: Message) -> bool:
    """Whether the headers stay as they are on their way: blanks at their ends do not."""
    return all(value == value.strip() for value in message.headers.values())


def _body_of(number: int) -> bytes:
    return json.dumps(ticket(f"S4-{number}")).encode()


# S6: replay.


def s6_replay(folder: Path, rng: random.Random, deliveries: int = 50) -> Result:
    """The same signed request again: at once, after a restart, after FLUSHALL, too late, and without its id."""
    with running(folder, workers=1) as world:
        sent = [_capture(world, f"S6-{number}") for number in range(deliveries)]
        first = Counter(send(world, body, headers).status for body, headers in sent)
        world.settle(seconds=60)
        found = {"first": first, "at once": _again(world, sent)}
        _restart_web(world)
        found["after a restart"] = _again(world, sent)
        with redis.Redis.from_url(world.config.redis_url) as connection:
            connection.flushall()
        found["after FLUSHALL"] = _again(world, sent)
        stripped = [(body, {n: v for n, v in headers.items() if n != "webhook-id"}) for body, headers in sent]
        found["without the id"] = _again(world, stripped)
        late = [(body, sign(world, body, headers["webhook-id"], time.time() - 301)) for body, headers in sent]
        found["after the window"] = _again(world, late)
        world.settle(seconds=60)
        tickets, labels = count(world, "tickets"), count(world, "classifications")
        expected = {"first": 200, "at once": 200, "after a restart": 200, "after FLUSHALL": 200}
        faults = [
            *(f"{what}: {seen}" for what, seen in found.items() if set(seen) != {expected.get(what, 401)}),
            *unless((tickets, labels) == (deliveries, deliveries), f"{tickets} tickets, {labels} labels"),
            *in_order(world),
        ]
    figures = ", ".join(f"{what} {dict(seen)}" for what, seen in found.items())
    return Result("S6", f"{figures}; {tickets} tickets and {labels} labels of {deliveries} deliveries", faults)


def _capture(world: World, name: str) -> tuple[bytes, dict[str, str]]:
    body = json.dumps([ticket(name)]).encode()
    return body, sign(world, body, f"msg_{name}")


def _again(world: World, sent: Sequence[tuple[bytes, dict[str, str]]]) -> Counter[int]:
    return Counter(send(world, body, headers).status for body, headers in sent)


def _restart_web(world: World) -> None:
    before = _workers(world)
    world.kill("web")
    wait_until(lambda: world.is_ready() and not set(before) & set(_workers(world)), seconds=60)


# T18: any order of everything.


def t18_any_order(folder: Path, rng: random.Random, runs: int = 2_000) -> Result:
    """Random sequences of everything the record does, against a model; see tests/test_state_machine.py."""
    seed = rng.getrandbits(32)
    command = [
        sys.executable,
        "-m",
        "pytest",
        f"--hypothesis-seed={seed}",
        "--timeout=0",
        "tests/test_state_machine.py",
    ]
    environment = os.environ | {"STATE_MACHINE_RUNS": str(runs)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state_machine.txt").write_text(done.stdout + done.stderr)
    last = done.stdout.strip().splitlines()[-1:]
    return Result("T18", f"{runs} runs with seed {seed}: {last}", unless(done.returncode == 0, done.stdout[-4_000:]))


SCENARIOS: dict[str, Callable[[Path, random.Random], Result]] = {
    "T4": t4_duplicates,
    "T5": t5_reordered,
    "T6": t6_partly_bad,
    "T18": t18_any_order,
    "S1": s1_malformed,
    "S2": s2_too_large,
    "S3": s3_slow_sockets,
    "S4": s4_signatures,
    "S5": s5_comparison,
    "S6": s6_replay,
}
