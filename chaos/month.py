"""A month of digests on a fast clock: `python -m chaos.month` shows what was sent when.

Two schedulers run the real claiming and sending at every step of a clock that jumps half an hour at a time. Both clock
changes of the autumn are in it, weekends, a mail server that is away, breaks the line or refuses, a machine that is off
over a weekend, and a clock that is set back. What should have come is reckoned by looking at the wall every minute.
"""

import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import time_machine
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from chaos.result import Result
from jobs.digests import send
from receiver.db import classifications, database, digest_members, digests, due_tickets, work
from receiver.db.database import Database
from receiver.db.models import Digest, DigestTicket
from receiver.lib import sla
from receiver.lib.clock import now
from receiver.lib.settings import Settings, load
from tests.factories import classification, deliver, incoming
from tests.peers import smtp
from tests.peers.smtp import MailServer

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
BEGIN, END = datetime(2026, 10, 19, 4, tzinfo=UTC), datetime(2026, 11, 18, 4, tzinfo=UTC)
# What is asked here does not hang on the disk, which thousands of commits would wait for.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
STEP, ON_TIME = timedelta(minutes=30), timedelta(minutes=10)
FILE = """
digests:
  - {name: digest, cron: 0 8 * * 1-5, zone: Europe/Berlin, recipients: boss@example.com, only_with_news: false}
  - {name: network, cron: "0 7,13 * * 1-5", zone: America/New_York, recipients: [noc@example.com, ny@example.com],
     filter: {category: Network & Connectivity}}
  - {name: night, cron: 30 2 * * *, zone: Europe/Berlin, recipients: night@example.com, filter: {status: needs_review}}
  - {name: soon-due, cron: "0 9,13,17 * * 1-5", zone: Europe/Berlin, recipients: lead@example.com,
     filter: {at_risk: true}}
"""
SLOTS = {
    "digest": (BERLIN, {(8, 0)}, range(5)),
    "network": (NEW_YORK, {(7, 0), (13, 0)}, range(5)),
    "night": (BERLIN, {(2, 30)}, range(7)),
}
CATEGORIES = ("Network & Connectivity", "Hardware Support", "Access Management", "Software & Licensing")


def _at(day: int, month: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


@dataclass(frozen=True)
class Fault:
    """What the mail server answers instead of OK for a while."""

    begin: datetime
    end: datetime
    replies: dict[str, str]
    words: str


FAULTS = (
    Fault(_at(21, 10, 7, 50), _at(21, 10, 11, 20), {"MAIL": "451 later"}, "Wed 21 Oct, 07:50 to 11:20: it says later"),
    Fault(_at(27, 10, 7, 55), _at(27, 10, 8, 15), {"DATA": "drop"}, "Tue 27 Oct, 07:55 to 08:15: it breaks the line"),
    Fault(_at(5, 11, 7, 55), _at(5, 11, 8, 15), {"DATA": "554 no"}, "Thu 5 Nov, 07:55 to 08:15: it refuses for good"),
)
OFF = (_at(7, 11, 10), _at(9, 11, 11, 30))
MACHINE = (
    "An operator looks at half past nine, to try again what failed, and at ten, to decide what is held.",
    "The machine is off from Sat 7 Nov, 10:00, to Mon 9 Nov, 11:30; on Thu 12 Nov at 09:00 its clock is set to 07:00.",
)
SET_BACK_AT, SET_BACK_BY = _at(12, 11, 9), timedelta(hours=2)


@dataclass
class Month:
    """The stage, and what was seen on it."""

    config: Settings
    db: Database
    server: MailServer
    rng: random.Random
    tickets: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    table: Table = field(default_factory=Table)
    faults: list[str] = field(default_factory=list)

    def arrive(self) -> None:
        """Tickets as a desk gets them: many in office hours, few at night; each is classified at once."""
        local = now().astimezone(BERLIN)
        chance = 0.5 if local.weekday() < 5 and 7 <= local.hour < 18 else 0.04
        many = sum(self.rng.random() < chance for _ in range(3))
        if not many:
            return
        deliver(self.db, *(incoming(external_id=f"T-{self.tickets + n}") for n in range(many)), at=now())
        self.tickets += many
        with self.db.write() as session:
            for due in due_tickets.claim(session, "month", many, now()):
                value = self.rng.choice([4, 8, 16])
                made = classification(
                    due.ticket.id,
                    category=self.rng.choice(CATEGORIES),
                    review_reason="low_confidence" if self.rng.random() < 0.2 else None,
                    created_at=now(),
                )
                promise = sla.promise(due.ticket.received_at, value, "hours", self.config.hours)
                classifications.save(session, "month", made, promise)

    def decide(self) -> None:
        """An operator looks at ten and at half past nine."""
        clock = f"{now().astimezone(BERLIN):%H:%M}"
        with self.db.write() as session:
            for found in session.scalars(select(Digest).where(Digest.status.in_(["held", "failed"]))).all():
                if found.status == "held" and clock == "10:00":
                    self.decided[found.name] += digests.accept(session, found.id, now())
                elif found.status == "failed" and clock == "09:30":
                    self.decided[found.name] += digests.redrive(session, found.id, now())

    def look(self, db: Database) -> None:
        """What a scheduler and its worker do at every step."""
        send.send_what_is_due(db, self.config)
        send.send_alert(db, self.config)


def moments() -> Iterator[datetime]:
    """The clock as the machine has it."""
    moment, is_set_back = BEGIN, False
    while moment < END:
        if not OFF[0] <= moment < OFF[1]:
            yield moment
        moment += STEP
        if moment == SET_BACK_AT and not is_set_back:
            moment, is_set_back = moment - SET_BACK_BY, True


def pass_month(month: Month) -> None:
    """Let the month pass in front of two schedulers."""
    with ExitStack() as stack:
        records = [stack.enter_context(database.opened(month.config.database_url)) for _ in range(2)]
        pool = stack.enter_context(ThreadPoolExecutor(2))
        clock = stack.enter_context(time_machine.travel(BEGIN - STEP, tick=False))
        month.look(records[0])  # The first start sends nothing late.
        for moment in moments():
            clock.move_to(moment)
            month.server.replies = next((f.replies for f in FAULTS if f.begin <= moment < f.end), {})
            month.arrive()
            with month.db.write() as session:
                # As the sweep does.
                digests.recover_future(session, moment)
                work.recover_future(session, moment)
            list(pool.map(month.look, records))
            month.decide()


def expected_slots(name: str) -> list[datetime]:
    """When the wall shows the time of a digest for the first time."""
    zone, times, weekdays = SLOTS[name]
    found: dict[str, datetime] = {}
    moment = BEGIN
    while moment < END:
        shown = moment.astimezone(zone)
        if (shown.hour, shown.minute) in times and shown.weekday() in weekdays:
            found.setdefault(f"{shown:%m-%d %H:%M}", moment)
        moment += timedelta(minutes=1)
    return list(found.values())


def all_digests(db: Database) -> list[Digest]:
    """Every digest of the month, in order."""
    with db.read() as session:
        return list(session.scalars(select(Digest).order_by(Digest.id)).all())


def faults(month: Month) -> list[str]:
    """What went otherwise than it should have."""
    made = all_digests(month.db)
    arrived = Counter(message["Message-ID"] for message in month.server.messages)
    found = [f"digest {each.id} ({each.name}) is {each.status}" for each in made if each.status != "sent"]
    found += [f"digest {each.id} arrived not once" for each in made if arrived[each.message_id] != 1]
    for name in SLOTS:
        slots = [datetime.fromisoformat(each.period) for each in made if each.name == name]
        known = _known(expected_slots(name))
        found += [f"{name}: {slot} is no slot" for slot in slots if slot not in known]
        if name == "digest":  # Which comes also where nothing arrived.
            found += [f"{name}: nothing came at {slot}" for slot in known if slot not in slots]
    return found + _told_wrongly(month)


def _known(slots: list[datetime]) -> list[datetime]:
    """Without those that were missed while the machine was off, but for the last of them: that one comes late."""
    missed = [slot for slot in slots if OFF[0] <= slot < OFF[1]]
    return [slot for slot in slots if slot not in missed[:-1]]


def _told_wrongly(month: Month) -> list[str]:
    """Tickets that a digest told of twice, and those that none told of."""
    query = select(DigestTicket.ticket_id, Digest.name).join(Digest, Digest.id == DigestTicket.digest_id)
    with month.db.read() as session:
        told: Counter[Any] = Counter(tuple(row) for row in session.execute(query))
        untold = sum(1 for _ in digest_members.pending(session, "digest"))
    found = [f"{name} told of ticket {ticket_id} again" for (ticket_id, name), times in told.items() if times > 1]
    lost = month.tickets - untold - sum(name == "digest" for _, name in told)
    return [*found, f"{lost} tickets are lost"] if lost else found


def described(month: Month) -> Table:
    """A row for each day in Berlin: when each mail came, and of how many tickets."""
    table = Table(title="What was sent when, on the clock of Berlin")
    names = ("digest", "network", "night", "soon-due", "alert")
    for heading in ("day", *names):
        table.add_column(heading)
    days: dict[str, dict[str, list[Digest]]] = {}
    for each in all_digests(month.db):
        if each.sent_at:
            day = days.setdefault(f"{each.sent_at.astimezone(BERLIN):%a %d %b}", {name: [] for name in names})
            day[each.name].append(each)
    for label, day in days.items():
        table.add_row(label, *(_cell(name, day[name]) for name in names))
    return table


def _cell(name: str, sent: list[Digest]) -> str:
    if name in SLOTS:
        return ", ".join(map(_entry, sent))
    return f"{len(sent)} mails of {sum(each.tickets for each in sent)}" if sent else ""


def _entry(each: Digest) -> str:
    assert each.sent_at
    late = each.sent_at - datetime.fromisoformat(each.period)
    said = f"{each.sent_at.astimezone(BERLIN):%H:%M} ({each.tickets})"
    return f"{said} late, attempt {each.attempts}" if late > ON_TIME else said


def run(folder: Path, rng: random.Random) -> Month:
    """The month in this folder."""
    (folder / "digests.yaml").write_text(FILE)
    stage = smtp.serve(MailServer())
    with stage as server:
        config = load({
            "DATA_DIR": str(folder), "DIGESTS_FILE": str(folder / "digests.yaml"), "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(server.port), "SMTP_USE_TLS": "false", "FROM_EMAIL": "desk@example.com",
            "ALERT_RECIPIENTS": "oncall@example.com", "BUSINESS_HOURS": "mon-fri 08:00-18:00",
            "BUSINESS_TIMEZONE": "Europe/Berlin",
        })  # fmt: skip
        with database.opened(config.database_url) as db:
            database.migrate(db)
            month = Month(config, db, server, rng)
            pass_month(month)
            month.table, month.faults = described(month), faults(month)
            return month


def scenario(folder: Path, rng: random.Random) -> Result:
    """The month as one of the long scenarios."""
    month = run(folder, rng)
    mails = len(month.server.messages)
    return Result("a month of digests", f"{month.tickets} tickets, {mails} mails", month.faults)


SCENARIOS = {"month": scenario}


def main() -> None:
    """Let the month pass, and show it."""
    logging.disable(logging.ERROR)
    console, started = Console(width=140), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="month-", dir=MEMORY) as folder:
        month = run(Path(folder), random.Random(7))
        console.print(month.table)
    for words in (*(f"The mail server, {fault.words}." for fault in FAULTS), *MACHINE):
        console.print(words)
    console.print(f"{month.tickets} tickets, {len(month.server.messages)} mails in {time.monotonic() - started:.0f} s.")
    console.print("\n".join(month.faults) or "Every period once, every ticket once, no mail twice.")


if __name__ == "__main__":
    main()
