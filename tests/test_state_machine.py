"""Random sequences of everything the record does, against a small model of what must come of it."""

import copy
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chaos import checks
from jobs.classification.classify import ClassificationRun
from jobs.classification.engines.base import Example, Proposal, TicketText
from jobs.operations import backup, restore
from receiver import catalog
from receiver.actions.review import NothingToConfirmError, UnknownEntryError, decide
from receiver.db import (
    catalogs,
    classifications,
    database,
    deliveries,
    digest_members,
    digests,
    due_tickets,
    erasure,
    tickets,
)
from receiver.db.deliveries import Content
from receiver.db.models import Delivery, Digest, Ticket
from receiver.db.tickets import IncomingTicket
from receiver.lib import settings
from receiver.lib.mail_addresses import Envelope
from tests import factories

pytestmark = pytest.mark.full

# A thousand and more in the long version; see chaos/intake.py.
RUNS = int(os.environ.get("STATE_MACHINE_RUNS", "6"))
# What is asked here does not hang on the disk, which thousands of commits would wait for.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
START = datetime(2026, 1, 1, tzinfo=UTC)
ENVELOPE = Envelope(("boss@example.com",), "example.com")
ATTRIBUTED = ("classified", "needs_review", "reviewed")
LABELS = ("Password Reset", "VPN Issue", "Printer Jam", "Other/Uncategorized", "of no catalog")
CATALOGS = [
    f"""categories:
- {{name: Access, requests: [{{name: Password Reset}}, {{name: VPN Issue, sla: {{value: {hours}, unit: hours}}}}]}}
- {{name: Other, requests: [{{name: Other/Uncategorized}}]}}
"""
    for hours in (2, 4, 8)
]
# One request type has left the last.
CATALOGS[2] = CATALOGS[2].replace("{name: VPN Issue, sla", "{name: Printer Jam, sla")

_versions = st.builds(
    IncomingTicket,
    external_id=st.integers(0, 5).map("T-{}".format),
    short_description=st.integers(0, 2).map("text {}".format),
    requester_email=st.sampled_from(["ada@example.com", "bob@example.com", None]),
    source_updated_at=st.none() | st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours)),
)
_batches = st.lists(_versions, min_size=1, max_size=4)
_pick = st.integers(0, 1_000)


@dataclass
class Known:
    """What is known of a ticket.

    `pending` says that it was settled since the last digest, `label` is what it is attributed to, `steers` whether its
    text tries to steer, and `example` the label under which engines learn from it.
    """

    version: IncomingTicket
    status: str = "received"
    lease: str | None = None
    crashes: int = 0
    pending: bool = False
    label: str | None = None
    steers: bool = False
    example: str | None = None

    def make_due(self) -> None:
        if self.status != "reviewed":
            self.status, self.lease, self.crashes, self.pending = "received", None, 0, False

    def settle(self, status: str, label: str | None = None) -> None:
        self.status, self.lease, self.pending, self.label = status, None, True, label or self.label

    def review(self, label: str) -> None:
        """A person says what it is; a digest need not tell what was so before."""
        told = self.status in ATTRIBUTED and self.label == label
        self.pending, self.status, self.label = self.pending or not told, "reviewed", label
        self.lease, self.crashes = None, 0
        self.example = None if self.steers else label

    def take(self, offered: IncomingTicket) -> bool:
        """Whether `offered` changes what is known."""
        ours, theirs = self.version.source_updated_at, offered.source_updated_at
        older = bool(ours and theirs and theirs < ours)
        same = _text(offered) == _text(self.version)
        at = theirs if theirs and (ours is None or theirs > ours) else ours
        if not (same or older):
            self.version = IncomingTicket(
                offered.external_id, offered.short_description, requester_email=offered.requester_email
            )
            self.make_due()
        self.version = _dated(self.version, at)
        return not (same or older)


def _text(version: IncomingTicket) -> tuple[str, str | None]:
    return version.short_description, version.requester_email


def _dated(version: IncomingTicket, at: datetime | None) -> IncomingTicket:
    return IncomingTicket(
        version.external_id,
        version.short_description,
        requester_email=version.requester_email,
        source_updated_at=at,
    )


@dataclass
class Model:
    """All that the record should hold."""

    tickets: dict[str, Known] = field(default_factory=dict)
    sent: dict[str, list[IncomingTicket]] = field(default_factory=dict)
    messages: int = 0
    periods: set[str] = field(default_factory=set)
    unsent: list[int] = field(default_factory=list)
    shrunk: set[int] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)


class FixedEngine:
    """An engine that answers every ticket with one label, more or less surely."""

    name, model, parallel = "fixed", "fixed", 2

    def __init__(self, label: str, confidence: float) -> None:
        self._answer = Proposal(label, confidence, "always the same", self.name, self.model)
        self.taught: list[Example] = []

    def learn(self, examples: Sequence[Example]) -> None:
        self.taught = list(examples)

    def propose(self, ticket: TicketText) -> Proposal:
        return self._answer


@cache
def _migrated() -> Path:
    path = Path(tempfile.mkdtemp()) / "tickets.db"
    with database.opened(f"sqlite:///{path}") as db:
        database.migrate(db)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


class RecordMachine(RuleBasedStateMachine):
    """Every rule does one thing to the record and the same to the model; a minute passes between rules."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.config = settings.load({"DATA_DIR": str(self.folder)})
        shutil.copy(_migrated(), self.folder / "tickets.db")
        self.db = database.Database(self.config.database_url)
        self.model, self.saved = Model(), Model()
        self.clock, self.numbers = START, 0
        self.leases: list[tuple[str, str]] = []
        self.reload(0)

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    def now(self) -> datetime:
        self.clock += timedelta(minutes=1)
        return self.clock

    def new(self, what: str) -> str:
        self.numbers += 1
        return f"{what}-{self.numbers}"

    def ticket_id(self, name: str) -> int:
        with self.db.read() as session:
            return (*tickets.ids(session, "standard", [name]), 0)[0]

    def named(self, pick: int, *statuses: str) -> str | None:
        names = sorted(name for name, known in self.model.tickets.items() if known.status in statuses)
        return names[pick % len(names)] if names else None

    def send(self, key: str, batch: list[IncomingTicket], body: bytes) -> Delivery:
        """What the webhook does with a genuine message."""
        self.model.messages += 1
        arrival = factories.arrival(key=key, body=body, at=self.now())
        with self.db.write() as session:
            first = deliveries.original(session, "standard", key)
            if first is not None:
                return deliveries.record_redelivery(session, arrival, first)
            return deliveries.record(session, arrival, Content(batch))

    @rule(batch=_batches)
    def deliver(self, batch: list[IncomingTicket]) -> None:
        key = self.new("msg")
        delivery = self.send(key, batch, repr(batch).encode())
        self.model.sent[key] = batch
        read = {name: known.version.short_description for name, known in self.model.tickets.items()}
        found: Counter[str] = Counter()
        for version in batch:
            known = self.model.tickets.get(version.external_id)
            if version.external_id in self.model.erased:
                found["duplicates"] += 1
            elif known is None:
                self.model.tickets[version.external_id] = Known(version)
                found["accepted"] += 1
            else:
                found["updated" if known.take(version) else "duplicates"] += 1
        for name, words in read.items():  # Of several versions in one delivery only the last is ever seen.
            if self.model.tickets[name].version.short_description != words:
                self.model.tickets[name].example = None
        assert (delivery.accepted, delivery.updated) == (found["accepted"], found["updated"])
        assert delivery.duplicates == found["duplicates"]

    @precondition(lambda self: self.model.sent)
    @rule(pick=_pick, batch=st.none() | _batches)
    def redeliver(self, pick: int, batch: list[IncomingTicket] | None) -> None:
        """The same delivery id again, with its own body or with another, changes no ticket."""
        key = sorted(self.model.sent)[pick % len(self.model.sent)]
        sent = self.model.sent[key] if batch is None else batch
        delivery = self.send(key, sent, repr(sent).encode())
        assert delivery.status == "duplicate"
        assert delivery.conflict == (sent != self.model.sent[key])

    @rule(label=st.sampled_from(LABELS), confidence=st.sampled_from([0.3, 0.9]))
    def classify(self, label: str, confidence: float) -> None:
        """A worker settles everything that nobody holds."""
        engine = FixedEngine(label, confidence)
        for _ in range(len(self.model.tickets) + 1):  # Suspects go one company at a time.
            ClassificationRun(self.db, engine, self.catalog, self.config).run(budget=10)
        certain = confidence > 0.6 and label in self.catalog.labels
        found = label if label in self.catalog.labels else self.catalog.fallback.name
        for known in self.model.tickets.values():
            if known.status == "received" and known.lease is None:
                known.settle("classified" if certain else "needs_review", found)
                known.crashes, known.steers = 0, False
        examples = [known.example for known in self.model.tickets.values() if known.example in self.catalog.labels]
        assert Counter(example.request_type for example in engine.taught) == Counter(examples)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        """A worker claims what is due, those first whose worker died, and is not heard of for a while."""
        lease, moment = self.new("lease"), self.now()
        with self.db.write() as session:
            claimed = due_tickets.claim_crashed(session, lease, moment) or due_tickets.claim(
                session, lease, limit, moment
            )
        for due in claimed:
            known = self.model.tickets[due.ticket.external_id]
            assert (known.status, known.lease) == ("received", None)
            known.lease = lease
            self.leases.append((due.ticket.external_id, lease))
        free = [k for k in self.model.tickets.values() if k.status == "received" and k.lease is None]
        assert claimed or not free

    @precondition(lambda self: self.leases)
    @rule(pick=_pick, steers=st.booleans())
    def save(self, pick: int, steers: bool) -> None:
        """An answer comes; it counts only where its lease still does."""
        name, lease = self.leases[pick % len(self.leases)]
        kind = self.catalog.labels["Password Reset"]
        saved = factories.classification(
            self.ticket_id(name), category=kind.category, request_type=kind.name, catalog_version=self.catalog.version,
            steers=steers,
        )  # fmt: skip
        with self.db.write() as session:
            counted = classifications.save(session, lease, saved, factories.promise(self.now()))
        known = self.model.tickets.get(name)
        assert counted == bool(known and known.lease == lease)
        if known and counted:
            known.settle("classified", kind.name)
            known.crashes, known.steers = 0, steers

    @precondition(lambda self: self.leases)
    @rule(pick=_pick, fails=st.booleans())
    def set_back(self, pick: int, fails: bool) -> None:
        """A worker has no answer: it was told to stop, or the engine has failed."""
        name, lease = self.leases[pick % len(self.leases)]
        with self.db.write() as session:
            ticket = session.get(Ticket, self.ticket_id(name)) if fails else None
            if ticket:
                due = due_tickets.DueTicket(ticket, 1)
                due_tickets.retry(session, due, lease, self.now(), "away", "the engine is away")
            else:
                due_tickets.give_back(session, [self.ticket_id(name)], lease, self.now())
        known = self.model.tickets.get(name)
        if known and known.lease == lease:
            known.lease = None

    @rule()
    def sweep(self) -> None:
        """Whoever holds a lease has died, for a minute has passed."""
        with self.db.write() as session:
            freed = due_tickets.expire(session, self.now())
        held = [known for known in self.model.tickets.values() if known.lease]
        assert freed == len(held)
        for known in held:
            known.lease, known.crashes = None, known.crashes + 1
            if known.crashes >= due_tickets.POLICY.most_crashes:
                known.settle("failed")

    def reviewed(self, name: str, *choice: str) -> bool:
        """What the API does with a review; whether it learned something."""
        chosen = (choice[0], choice[1]) if choice else None
        with self.db.write() as session:
            found = decide(session, self.ticket_id(name), chosen, self.catalog, "Ada", self.now())
        assert found is not None
        return found.learned

    @precondition(lambda self: self.model.tickets)
    @rule(pick=_pick)
    def confirm(self, pick: int) -> None:
        """A person agrees with what a ticket is attributed to, where it is and the catalog still has it."""
        known = self.model.tickets[name := sorted(self.model.tickets)[pick % len(self.model.tickets)]]
        if known.status not in ATTRIBUTED or known.label not in self.catalog.labels:
            with pytest.raises(NothingToConfirmError):
                self.reviewed(name)
            return
        known.review(str(known.label))
        assert self.reviewed(name) == (not known.steers)

    @precondition(lambda self: self.model.tickets)
    @rule(pick=_pick, label=st.sampled_from(LABELS))
    def correct(self, pick: int, label: str) -> None:
        """A person says what a ticket is, whatever became of it, even while a worker has it."""
        known = self.model.tickets[name := sorted(self.model.tickets)[pick % len(self.model.tickets)]]
        kind = self.catalog.labels.get(label)
        if kind is None:
            with pytest.raises(UnknownEntryError):
                self.reviewed(name, "Access", label)
            return
        known.review(label)
        assert self.reviewed(name, kind.category, kind.name) == (not known.steers)

    @rule(pick=_pick)
    def redrive(self, pick: int) -> None:
        if name := self.named(pick, "received", "classified", "needs_review", "failed", "reviewed"):
            with self.db.write() as session:
                done = tickets.make_due(session, self.ticket_id(name), self.now())
            assert done == (self.model.tickets[name].status != "reviewed")
            self.model.tickets[name].make_due()

    @rule(number=st.integers(0, 2))
    def reload(self, number: int) -> None:
        self.catalog = catalog.parse(CATALOGS[number])
        self.remember_catalog()

    def remember_catalog(self) -> None:
        with self.db.write() as session:
            catalogs.remember(session, self.catalog.version, self.catalog.text, self.now())
            latest = catalogs.latest(session)
        assert latest is not None
        assert latest.version == self.catalog.version

    @rule(again=st.booleans(), pick=_pick)
    def digest(self, again: bool, pick: int) -> None:
        """A digest holds exactly what was settled since the last one, and a period has but one."""
        known = sorted(self.model.periods)
        period = known[pick % len(known)] if again and known else self.new("period")
        with self.db.write() as session:
            claimed = digests.claim(session, period, ENVELOPE, self.now())
        pending = {name for name, known in self.model.tickets.items() if known.pending}
        if period in self.model.periods or not pending:
            assert claimed is None
            return
        assert claimed is not None
        assert self.members(claimed) == pending
        self.model.periods.add(period)
        self.model.unsent.append(claimed.id)
        for name in pending:
            self.model.tickets[name].pending = False

    def members(self, digest: Digest) -> set[str]:
        with self.db.read() as session:
            return {ticket.external_id for ticket, _ in digest_members.rows(session, digest.id)}

    @precondition(lambda self: self.model.unsent)
    @rule(pick=_pick, status=st.sampled_from(["sent", "failed", "held"]))
    def send_digest(self, pick: int, status: str) -> None:
        """Only one sender gets a digest, and nobody once it is done."""
        digest_id = self.model.unsent.pop(pick % len(self.model.unsent))
        moment = self.now()
        with self.db.write() as session:
            taken = digests.take(session, digest_id, moment)
            assert taken is not None
            assert digests.take(session, digest_id, moment) is None
            assert digests.begin_sending(session, taken, moment)
            digests.mark(session, digest_id, status, moment, error=None if status == "sent" else "no mail server")
            assert digests.take(session, digest_id, moment + timedelta(hours=1)) is None

    @rule(person=st.sampled_from(["ada@example.com", "BOB@example.com"]))
    def erase(self, person: str) -> None:
        with self.db.write() as session:
            erased = erasure.erase_requester(session, person)
        gone = [n for n, known in self.model.tickets.items() if known.version.requester_email == person.lower()]
        assert erased.tickets == len(gone)
        self.model.shrunk |= set(erased.digest_ids)
        self.model.erased |= set(gone)
        for name in gone:
            del self.model.tickets[name]

    @rule()
    def forget_bodies(self) -> None:
        with self.db.write() as session:
            deliveries.empty_before(session, self.now(), limit=100)

    @rule()
    def back_up(self) -> None:
        backup.snapshot(self.db, self.folder / "backup.db")
        self.saved = copy.deepcopy(self.model)

    @precondition(lambda self: (self.folder / "backup.db").exists())
    @rule()
    def restore(self) -> None:
        erased, shrunk = self.model.erased, set(self.model.shrunk)
        with restore.ready(self.db, self.config, self.folder / "backup.db") as plan:
            restore.put_back(self.db, self.config, plan)
        self.model = copy.deepcopy(self.saved)
        for name in erased - self.model.erased:  # Who was erased since is erased again.
            self.model.tickets.pop(name, None)
        self.model.erased |= erased
        self.model.shrunk |= shrunk
        self.remember_catalog()  # As every job does.

    @invariant()
    def the_database_is_in_order(self) -> None:
        path = self.folder / "tickets.db"
        shrunk = {f"a digest's size differs from its membership: ({number},)" for number in self.model.shrunk}
        assert [fault for fault in checks.database(path) if fault not in shrunk] == []

    @invariant()
    def the_model_agrees(self) -> None:
        found = {row[0]: row[1:] for row in self.rows(_TICKETS)}
        assert found == {
            name: (
                *_text(known.version),
                _naive(known.version.source_updated_at),
                known.status,
                known.lease,
                known.label,
            )
            for name, known in self.model.tickets.items()
        }
        assert self.rows("SELECT count(*) FROM deliveries") == [(self.model.messages,)]

    @invariant()
    def the_examples_are_what_people_said_of_the_texts_they_read(self) -> None:
        found = self.rows("SELECT t.external_id, e.request_type FROM examples e JOIN tickets t ON t.id = e.ticket_id")
        assert dict(found) == {name: known.example for name, known in self.model.tickets.items() if known.example}
        assert len(found) == len({name for name, _ in found})

    @invariant()
    def the_tallies_are_the_counts(self) -> None:
        for noun, table in (("ticket", "tickets"), ("delivery", "deliveries")):
            kept = self.rows(f"SELECT name, value FROM counters WHERE name LIKE '{noun}.%' AND value <> 0")
            counted = self.rows(f"SELECT '{noun}.' || status, count(*) FROM {table} GROUP BY status")
            assert dict(kept) == dict(counted)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "tickets.db")) as connection:
            return connection.execute(query).fetchall()


_COLUMNS = (
    "external_id, short_description, requester_email, source_updated_at, tickets.status, lease_owner, request_type"
)
_TICKETS = f"SELECT {_COLUMNS} FROM tickets LEFT JOIN work ON work.kind = 'classify' AND work.subject_id = tickets.id"


def _naive(moment: datetime | None) -> str | None:
    """A moment as SQLite keeps it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if moment else None


TestRecord = RecordMachine.TestCase
TestRecord.settings = hypothesis_settings(
    max_examples=RUNS,
    stateful_step_count=30,
    deadline=None,
    derandomize="STATE_MACHINE_RUNS" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
