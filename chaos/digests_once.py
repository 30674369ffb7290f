"""The digest, once a period: a mail server that fails, a sender killed after the 250, a clock gone wrong."""

import os
import random
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import time_machine
from sqlalchemy import ColumnElement

from chaos import checks
from chaos.result import Result
from chaos.world import World, running
from jobs.digests import send
from jobs.operations import maintenance
from jobs.operations.child_process import Child
from receiver import queue
from receiver.db import database, digests
from receiver.db.database import Database, opened
from receiver.db.models import DUE, SEND_DIGEST, Digest, TimetableEntry, Work
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import wait_until
from tests.factories import due_ticket, outrun_waits, settle
from tests.peers import smtp

VERBS = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot")
SERVING = ("web", "redis", "digest")
_USUAL = {"greeting": "220 ready", "DATA": "354 go on", "QUIT": "221 bye"}


@dataclass
class FaultyMail:
    """A mail server that fails at `verb` in the way of `kind`: refuse, 4xx, 5xx, slow or drop."""

    verb: str = ""
    kind: str = ""
    arrived: list[str] = field(default_factory=list)  # The Message-ID of everything that came as far as the dot.
    tries: int = 0
    port: int = 0

    def serve(self, connection: socket.socket) -> None:
        """One session."""
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            self.tries += 1
            if self.kind == "refuse":
                return
            going = self._say(connection, "greeting")
            while going and (line := lines.readline()):
                verb = line.split()[0].decode().upper()
                going = self._say(connection, verb)
                if going and verb == "DATA" and (self.verb, self.kind[1:]) != ("DATA", "xx"):
                    going = self._take(connection, list(iter(lines.readline, b".\r\n")))

    def _take(self, connection: socket.socket, mail: list[bytes]) -> bool:
        if not (self.verb == "dot" and self.kind in ("4xx", "5xx")):
            self.arrived += [line.decode().split()[1] for line in mail if line.lower().startswith(b"message-id:")]
        return self._say(connection, "dot")

    def _say(self, connection: socket.socket, verb: str) -> bool:
        fails = verb == self.verb
        if fails and self.kind == "drop":
            return False
        if fails and self.kind == "slow":
            time.sleep(2)
        refusal = {"4xx": "451 later", "5xx": "554 never"}.get(self.kind) if fails else None
        connection.sendall(f"{refusal or _USUAL.get(verb, '250 OK')}\r\n".encode())
        return True


@contextmanager
def faulty_mail() -> Iterator[FaultyMail]:
    """A mail server on a free port of 127.0.0.1 whose faults the block sets."""
    mail = FaultyMail()
    with smtp.listening(mail.serve) as mail.port:
        yield mail


def wake(world: World) -> None:
    """Have a digest worker look for what is due."""
    with queue.connect(world.config.redis_url) as connection:
        queue.wake(queue.DIGEST, connection)


def let_time_pass(world: World, digest_id: int, *which: ColumnElement[bool]) -> None:
    """As if the digest's pause, or its sender's two minutes, were over."""
    with world.db.write() as session:
        outrun_waits(session, SEND_DIGEST, Work.subject_id == digest_id, *which)


def state(world: World, digest_id: int) -> Digest:
    """The digest as it is now."""
    with world.db.read() as session:
        return session.get_one(Digest, digest_id)


def _database(db: Database) -> list[str]:
    """What is wrong in the database; the labels are those of the tests' own factories."""
    return [fault for fault in checks.database(Path(str(db.path))) if "outside catalog v1" not in fault]


def _claim(world: World) -> int:
    settle(world.db, due_ticket(world.db))
    return int(world.api("digests", "POST")["id"])


def _pursue(world: World, mail: FaultyMail, digest_id: int, failures: int) -> str:
    """Let the fault pass after so many attempts, and every pause be over, until the digest's end."""
    ends = time.monotonic() + 120
    while (found := state(world, digest_id)).status not in ("sent", "failed", "held"):
        assert time.monotonic() < ends, f"digest {digest_id} is still {found.status}"
        if found.attempts >= failures and found.error and found.status == "claimed":
            mail.kind = ""
        if found.status == "claimed" and found.error:
            # No sweep runs here that would wake the worker for what is due again, be it at once.
            let_time_pass(world, digest_id, Work.state == DUE)
            wake(world)
        time.sleep(0.02)
    return found.status


def _expected(verb: str, kind: str, setting: str) -> set[tuple[str, int]]:
    """How a digest may end, and in how many copies."""
    if (verb, kind) == ("dot", "drop"):
        return {("held", 1)} if setting == "hold" else {("sent", 2), ("sent", 1), ("held", 2)}
    if kind == "5xx" and verb not in ("greeting", "EHLO"):  # After a refused EHLO, HELO is tried.
        return {("failed", 0)}
    return {("sent", 1)}


def mail_faults(world: World, mail: FaultyMail, cases: list[tuple[str, str]], rng: random.Random) -> list[str]:
    """Send one digest through each fault; returns what went otherwise than it may."""
    faults = []
    for verb, kind in cases:
        mail.verb, mail.kind, mail.arrived = verb, kind, []
        digest_id = _claim(world)
        status = _pursue(world, mail, digest_id, rng.randint(1, 2))
        end, allowed = (status, len(mail.arrived)), _expected(verb, kind, world.config.digest_after_unknown)
        if end not in allowed or len(set(mail.arrived)) > 1:
            faults.append(f"{kind} at {verb}: {end}, {len(set(mail.arrived))} Message-IDs, allowed are {allowed}")
    return faults


def all_mail_faults() -> list[tuple[str, str]]:
    """Every verb with every kind of fault."""
    return [("greeting", "refuse"), *((verb, kind) for verb in VERBS for kind in ("4xx", "5xx", "slow", "drop"))]


def t7_mail_server_faults(folder: Path, rng: random.Random) -> Result:
    """Every fault at every verb, once with each setting for what nobody can know."""
    faults, cases = [], all_mail_faults()
    for setting in ("hold", "resend"):
        with faulty_mail() as mail:
            options: dict[str, Any] = {"SMTP_PORT": str(mail.port), "DIGEST_AFTER_UNKNOWN": setting}
            with running(folder / setting, only=SERVING, **options) as world:
                rng.shuffle(cases)
                faults += mail_faults(world, mail, cases, rng)
                faults += _database(world.db)
    return Result("T7", f"{2 * len(cases)} digests, one for each of {len(cases)} faults and both settings", faults)


# Starts the real worker, which dies as soon as the server has said 250 to the mail, while the file exists.
DEADLY = """
import os, signal, sys
from pathlib import Path
from jobs.digests.mail.connection import Connection
whole = Connection.content
def content(self, sent):
    answer = whole(self, sent)
    if answer.code == 250 and Path(sys.argv[1]).exists():
        Path(sys.argv[1]).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
Connection.content = content
from jobs.__main__ import main
main(["worker", "digest"])
"""


def _arm(world: World, trap: Path) -> None:
    shell = world.children["digest"].command[:4]
    world.children["digest"].command = [*shell, sys.executable, "-c", DEADLY, str(trap)]
    world.kill("digest")


def kill_after_250(world: World, trap: Path, rounds: int) -> tuple[int, list[str]]:
    """Kill the sender right after the 250, so many times; returns the number of copies in all, and the faults."""
    faults, before = [], len(world.mail.messages)
    _arm(world, trap)
    for _ in range(rounds):
        trap.touch()
        copies = len(world.mail.messages)
        digest_id = _claim(world)
        wait_until(lambda: not trap.exists())
        let_time_pass(world, digest_id)
        ends = time.monotonic() + 120
        while (found := state(world, digest_id)).status not in ("sent", "held") and time.monotonic() < ends:
            wake(world)
            time.sleep(0.05)
        sent = [str(message["Message-ID"]) for message in world.mail.messages[copies:]]
        most = 1 if world.config.digest_after_unknown == "hold" else 2
        if not 1 <= len(sent) <= most or len(set(sent)) != 1 or found.status not in ("sent", "held"):
            faults.append(f"digest {digest_id}: {found.status}, copies {sent}")
    return len(world.mail.messages) - before, faults


def t8_kill_after_250(folder: Path, rng: random.Random, rounds: int = 50) -> Result:
    """The sender dies between the server's 250 and our commit."""
    faults, figures = [], []
    for setting, share in (("hold", rounds // 2), ("resend", rounds - rounds // 2)):
        with running(folder / setting, only=SERVING, DIGEST_AFTER_UNKNOWN=setting) as world:
            copies, found = kill_after_250(world, folder / "trap", share)
            faults += found + _database(world.db)
            figures.append(f"{setting}: {share} kills, {copies} copies, 0 under a new Message-ID if no fault is named")
    return Result("T8", "; ".join(figures), faults)


def two_of_everything(folder: Path, seconds: float) -> Result:
    """Two schedulers and two digest workers for a while, with a digest every minute."""
    with running(folder, workers=1, DIGEST_CRON="* * * * *") as world:
        twins = {f"{name}-2": Child(f"{name}-2", world.children[name].command) for name in ("scheduler", "digest")}
        world.children = world.children | twins
        before, ends = now(), time.monotonic() + seconds
        while time.monotonic() < ends:
            settle(world.db, due_ticket(world.db))
            time.sleep(0.5)
        wait_until(lambda: all(found.status == "sent" for found in _all(world.db)), 60)
        # The first slot seen counts as done, and the present minute may not have been seen yet.
        minutes = int((now() - before).total_seconds() // 60) - 2
        found, faults = _all(world.db), checks.digests(Path(str(world.db.path)), world)
        doubled = [period for period, n in Counter(one.period for one in found).items() if n > 1]
    faults += [f"twice: {doubled}"] if doubled else []
    faults += [f"only {len(found)} digests in {minutes} minutes"] if len(found) < minutes else []
    return Result("T9", f"two schedulers, two senders, {seconds:.0f} s: {len(found)} minutes, each once", faults)


def _all(db: Database) -> list[Digest]:
    with db.read() as session:
        return session.query(Digest).order_by(Digest.id).all()


@dataclass
class Month:
    """A simulated month: when the clock is off by how much, when the process sleeps, and what was sent on which day."""

    zone: str
    first: date
    days: int
    step: timedelta  # Between two and four o'clock; half an hour otherwise.
    hour: str = "30 2 * * *"
    wrong: dict[date, timedelta] = field(default_factory=dict)  # From 04:00 until 10:00, by the true clock of the zone.
    asleep: set[date] = field(default_factory=set)  # From 00:30 until 08:00.
    sent: Counter[date] = field(default_factory=Counter)

    def run(self, db: Database) -> None:
        """Settle a ticket every hour, and let the real jobs look at the clock at every step."""
        local = datetime.combine(self.first, datetime.min.time(), ZoneInfo(self.zone))
        moment, before, number = local.astimezone(UTC), 0, 0
        ends = moment + timedelta(days=self.days)
        while moment < ends:
            shown = moment.astimezone(ZoneInfo(self.zone))
            offset = self.wrong.get(shown.date(), timedelta(0)) if 4 <= shown.hour < 10 else timedelta(0)
            with time_machine.travel(moment + offset, tick=False):
                if moment >= local.astimezone(UTC) + number * timedelta(hours=1):
                    number += 1
                    settle(db, due_ticket(db))
                if not (shown.date() in self.asleep and (shown.hour, shown.minute) >= (0, 30) and shown.hour < 8):
                    maintenance.sweep()
                    send.send_due()
            total = _count(db)
            self.sent[shown.date()] += total - before
            step = self.step if 2 <= shown.hour < 4 else max(self.step, timedelta(minutes=30))
            before, moment = total, moment + step

    def expected(self) -> Counter[date]:
        """One a day, but the first, whose slot counts as done if it is over, and what a fast clock took early."""
        days = Counter({self.first + timedelta(days=n): 1 for n in range(self.days)})
        for day, offset in self.wrong.items():
            if offset >= timedelta(days=1):
                days[day] += 1
                days[day + offset] -= 1
        return days


def _count(db: Database) -> int:
    with closing(sqlite3.connect(str(db.path))) as connection:
        return int(connection.execute("SELECT count(*) FROM digests WHERE status = 'sent'").fetchone()[0])


@contextmanager
def month_of(config: Settings, month: Month) -> Iterator[Database]:
    """An empty record in which the month's first slot is still to come, sending to the outbox."""
    place = config.data_dir / (f"{month.first}-{month.zone.replace('/', '-')}")
    own = {
        "DATA_DIR": str(place), "DIGEST_CRON": month.hour, "DIGEST_TIMEZONE": month.zone, "SMTP_HOST": "",
        "REDIS_URL": config.redis_url, "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    before = dict(os.environ)
    os.environ.update(own)
    try:
        with opened(f"sqlite:///{place}/tickets.db") as db:
            database.migrate(db)
            with db.write() as session:
                past = datetime.combine(month.first, datetime.min.time(), UTC) - timedelta(days=1)
                session.add(TimetableEntry(name=digests.SCHEDULED, last_slot=past + timedelta(hours=12)))
            yield db
    finally:
        os.environ.clear()
        os.environ.update(before)


def simulate(config: Settings, month: Month) -> list[str]:
    """Live through the month; returns the days on which not exactly what was expected went out."""
    with month_of(config, month) as db:
        month.run(db)
        faults = _database(db)
        messages = [found.message_id for found in _all(db)]
    faults += [] if len(set(messages)) == len(messages) else ["a Message-ID twice"]
    return faults + [
        f"{month.zone} {day}: {month.sent[day]} digests, not {wanted}"
        for day, wanted in month.expected().items()
        if month.sent[day] != wanted
    ]


def months(rng: random.Random, step: timedelta) -> list[Month]:
    """Both changes of the clock in two zones, each with a clock set back, one far ahead, and a sleep over the slot."""
    made = []
    for zone, first in (
        ("Europe/Berlin", date(2026, 3, 15)),
        ("Europe/Berlin", date(2026, 10, 12)),
        ("America/New_York", date(2026, 2, 24)),
        ("America/New_York", date(2026, 10, 20)),
    ):
        back, ahead, asleep = (first + timedelta(days=n) for n in rng.sample(range(2, 24, 5), 3))
        wrong = {back: timedelta(hours=-2), ahead: timedelta(days=3)}
        made.append(Month(zone, first, 30, step, wrong=wrong, asleep={asleep}))
    return made


def t9_clocks(folder: Path, rng: random.Random, minutes: float = 5, step: timedelta = timedelta(minutes=1)) -> Result:
    """Two schedulers at once; then four months with every trouble a clock can make."""
    both = two_of_everything(folder / "twins", minutes * 60)
    faults, lived = list(both.faults), months(rng, step)
    with running(folder / "months", only=("web", "redis")) as world:
        for month in lived:
            faults += simulate(world.config, month)
    total = sum(sum(month.sent.values()) for month in lived)
    figures = f"{both.figures}; {len(lived)} months of 30 days, around the slot in steps of {step}: {total} digests"
    return Result("T9", figures, faults)


SCENARIOS: dict[str, Callable[..., Any]] = {
    "T7": t7_mail_server_faults,
    "T8": t8_kill_after_250,
    "T9": t9_clocks,
}
