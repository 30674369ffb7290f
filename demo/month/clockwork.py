"""The month as it passes: deliveries arrive, engines answer, people review, digests go out; by the record's rules."""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from demo.month import answers, catalogs, helpdesks
from demo.month.answers import Era
from demo.month.helpdesks import Helpdesk
from demo.month.writing import INJECTION, Writer, Written
from jobs.digests import send as digest_job
from receiver.actions import review
from receiver.actions.review import decide
from receiver.catalog import Catalog
from receiver.db import audit, classifications, deliveries, digests, due_tickets, latencies, people, spending
from receiver.db import catalogs as catalog_rows
from receiver.db.database import Database
from receiver.db.models import Classification, Delivery, Person, Spending, Ticket, TimetableEntry
from receiver.digests import schedules
from receiver.intake import reading, samples, sources
from receiver.intake.signatures import Message
from receiver.lib import roles
from receiver.lib.settings import Settings

DAYS = 30
PEOPLE = ("mara.lindholm@example.com", "tobias.keller@example.com", "ana.ribeiro@example.com")
_ROLES = (roles.ADMIN, roles.OPERATOR, roles.REVIEWER)
_BUSY_DAY, _WEEKEND = 168, 17
_HOURS = {7: 4, 8: 12, 9: 15, 10: 13, 11: 11, 12: 6, 13: 10, 14: 11, 15: 9, 16: 7, 17: 4, 18: 2, 20: 1, 22: 1, 3: 1}
_LOCATION = "the shipped catalog"
_REFUSED = "the model refuses this text (content filter); classify it by hand, or change the text and redrive it"

_MAIL_TROUBLE = 16
_UNKNOWN_FATE = "the connection to the mail server ended after the text was sent; the mail may have arrived"

Action = Callable[[Session, datetime], None]


@dataclass
class Known:
    """A ticket of the month that is in the record."""

    id: int
    written: Written


class Month:
    """Everything that happens within some days before `until`, in order; a `seed` makes one month of all.

    It ends in the middle of an afternoon, in whatever time zone that is.
    """

    def __init__(self, db: Database, config: Settings, until: datetime, seed: int, days: int = DAYS) -> None:
        self._db, self._config, self._until = db, config, until
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret.
        self._begin = until.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
        self._days, self._noon = days, timedelta(hours=until.hour - 15)
        self._versions = catalogs.versions()
        self._catalog: Catalog = self._versions[0]
        self._writer = Writer(self._versions[-1], self._chance)
        self._sources = sources.configured(config)
        self._plan = schedules.named(config)
        self._events: list[tuple[datetime, int, Action]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._eras = _eras()

    def run(self) -> None:
        """Let the month pass; what belongs to one day, up to its digest, is one transaction."""
        self._plan_month()
        with self._db.write() as session:
            for who, role in zip(PEOPLE, _ROLES, strict=True):
                name = who.partition("@")[0].replace(".", " ").title()
                people.add(session, who, name, role, self._begin, password_hash="!")  # No password is right.  # noqa: S106
        while self._events:
            until = self._next_cut(self._events[0][0])
            with self._db.write() as session:
                while self._events and self._events[0][0] < until:
                    at, _, action = heapq.heappop(self._events)
                    action(session, at)
            self._send_digest(until)
        with self._db.write() as session:
            while latencies.merge(session, self._until):
                pass  # It does an hour at a time.
            session.add(TimetableEntry(name=digests.SCHEDULED, last_slot=self._plan.latest_slot(self._until)))

    def _next_cut(self, at: datetime) -> datetime:
        return min(self._plan.next_slot(at), at + timedelta(days=1))

    def _at(self, at: datetime, action: Action) -> None:
        if at < self._until:
            heapq.heappush(self._events, (at, next(self._order), action))

    # What is known beforehand: which catalog comes when, and what arrives on which day.

    def _plan_month(self) -> None:
        for day, version in zip((0, 6, 17), self._versions, strict=True):
            self._at(self._begin + timedelta(days=day, minutes=17), self._comes_into_force(version))
        for day in range(self._days):
            self._plan_day(self._begin + timedelta(days=day))
        self._at(self._begin + timedelta(days=12, hours=10), self._delivers(helpdesks.HELPDESKS[0], [INJECTION]))
        self._at(self._begin + timedelta(days=26, hours=14), self._delivers(helpdesks.HELPDESKS[1], [INJECTION]))

    def _comes_into_force(self, version: Catalog) -> Action:
        def act(session: Session, at: datetime) -> None:
            catalog_rows.remember(session, version.version, version.text, at, _LOCATION)
            audit.note(session, PEOPLE[0], "reload", f"catalog {version.version}", at)
            self._catalog = version

        return act

    def _plan_day(self, day: datetime) -> None:
        tickets = round((_BUSY_DAY if day.weekday() < 5 else _WEEKEND) * self._chance.uniform(0.85, 1.2))
        while tickets > 0:
            desk = helpdesks.chosen(self._chance)
            many = min(tickets, self._chance.choice([1, 1, 1, desk.most_at_once]))
            tickets -= many
            self._at(self._moment(day), self._delivers(desk, [None] * many))
        for _ in range(2):
            self._at(self._moment(day), self._quarantined)

    def _moment(self, day: datetime) -> datetime:
        hour = self._chance.choices(list(_HOURS), list(_HOURS.values()))[0]
        return day + self._noon + timedelta(hours=hour, seconds=self._chance.uniform(0, 3600))

    # Arrivals.

    def _delivers(self, desk: Helpdesk, texts: Sequence[tuple[str, str] | None]) -> Action:
        def act(session: Session, at: datetime) -> None:
            tickets = [self._written(desk, at, text) for text in texts]
            body = desk.body(tickets)
            if len(tickets) > 2 and self._chance.random() < 0.06:
                body = _spoilt(body)
            delivery = self._record_delivery(session, desk, body, at)
            ids = _ids(session, desk.name, tickets)
            known = [Known(ids[ticket.name], ticket) for ticket in tickets if ticket.name in ids]
            if at < self._until - timedelta(seconds=40):
                self._classify(session, known, at)
            if self._chance.random() < 0.035:
                self._at(at + timedelta(seconds=self._chance.uniform(5, 900)), self._delivers_again(delivery.id, body))

        return act

    def _written(self, desk: Helpdesk, at: datetime, text: tuple[str, str] | None) -> Written:
        written = self._writer.write(desk.number(next(self._numbers)), at - timedelta(seconds=2))
        return replace(written, subject=text[0], text=text[1]) if text else written

    def _record_delivery(self, session: Session, desk: Helpdesk, body: bytes, at: datetime) -> Delivery:
        source = self._sources[desk.name]
        _, headers = samples.compose(source, self._config, at.timestamp(), body)
        if desk.delivery_header:
            headers[desk.delivery_header] = f"{self._chance.getrandbits(64):016x}"
        lower = {name.lower(): value for name, value in headers.items()} | {"user-agent": f"{source.profile.name}/2.4"}
        arrival, content = reading.read(source, Message(lower, body), at, self._config)
        first = deliveries.original(session, arrival.source, arrival.key)
        if first:
            return deliveries.record_redelivery(session, arrival, first)
        latencies.note(session, latencies.ACCEPT, [self._chance.lognormvariate(1.6, 0.5)] * len(content.tickets), at)
        return deliveries.record(session, arrival, content)

    def _delivers_again(self, delivery_id: int, body: bytes) -> Action:
        def act(session: Session, at: datetime) -> None:
            first = session.get_one(Delivery, delivery_id)
            changed = body.replace(b'"', b'" ', 1) if self._chance.random() < 0.08 else body
            digest = first.body_sha256 if changed is body else f"{self._chance.getrandbits(256):064x}"
            arrival = deliveries.Arrival(first.source, first.key, dict(first.headers), changed, digest, at)
            deliveries.record_redelivery(session, arrival, first)

        return act

    def _quarantined(self, session: Session, at: datetime) -> None:
        if self._chance.random() < 0.6:
            desk = helpdesks.HELPDESKS[self._chance.choice([1, 2, 3])]
            body = desk.body([self._written(desk, at, None)])
            cut = self._chance.choice([body[: len(body) // 2], b'{"tickets": []}'])
            self._record_delivery(session, desk, cut, at)

    # Answers.

    def _era(self, at: datetime) -> Era:
        return next((era for era in reversed(self._eras) if (at - self._begin).days >= era.from_day), self._eras[0])

    def _classify(self, session: Session, tickets: Sequence[Known], at: datetime) -> None:
        era, begins = self._era(at), at + timedelta(milliseconds=self._chance.uniform(40, 600))
        due_tickets.claim(session, "month", len(tickets) + 1, begins)
        for ticket in tickets:
            if self._chance.random() < 0.003 and era.engine == "llm":
                due_tickets.fail(session, ticket.id, "other", _REFUSED, 1, "month")
                continue
            found = answers.answer(
                self._chance, era, self._catalog, ticket.written, ticket.id, self._config.review_threshold
            )
            found.created_at = begins + timedelta(milliseconds=found.latency_ms)
            kind = answers.known(self._catalog, (found.category, found.request_type))
            classifications.save(session, "month", found, kind.sla.promise(at, self._config.hours))
            _spend(session, found)
            latencies.note(session, latencies.MODEL, [found.latency_ms], found.created_at)
            whole = (found.created_at - at) / timedelta(milliseconds=1)
            latencies.note(session, latencies.WHOLE, [whole], found.created_at)
            self._plan_review(ticket, found)

    # Reviews.

    def _plan_review(self, ticket: Known, found: Classification) -> None:
        wanted = 0.997 if found.review_reason else 0.08
        if self._chance.random() < wanted:
            later = found.created_at + timedelta(hours=self._chance.expovariate(1 / 20))
            self._at(self._at_work(later), self._reviews(ticket, self._chance.choices(PEOPLE, (5, 3, 2))[0]))

    def _at_work(self, at: datetime) -> datetime:
        while (at - self._noon).weekday() > 4 or not 7 <= (at - self._noon).hour < 18:
            at += timedelta(hours=1)
        return at

    def _reviews(self, ticket: Known, who: str) -> Action:
        def act(session: Session, at: datetime) -> None:
            before = classifications.current(session, ticket.id)
            if before is None:
                return
            kind = answers.known(self._catalog, ticket.written.truth)
            if errs := self._chance.random() < 0.03:
                kind = self._chance.choice([k for k in self._catalog.request_types if k.category == kind.category])
            same = (kind.category, kind.name) == (before.category, before.request_type)
            reviewed = decide(session, ticket.id, (kind.category, kind.name), self._catalog, who, at)
            if reviewed:
                action, details = review.noted(reviewed)
                audit.note(session, who, action, f"ticket {ticket.id}", at, details)
            session.execute(update(Person).where(Person.email == who).values(last_seen_at=at))
            if errs and not same:
                other = next(name for name in PEOPLE if name != who)
                self._at(self._at_work(at + timedelta(hours=5)), self._reviews(ticket, other))

        return act

    # Digests.

    def _send_digest(self, slot: datetime) -> None:
        if slot != self._plan.latest_slot(slot) or slot > self._until:
            return
        with self._db.write() as session:
            claimed = digests.claim(session, slot.isoformat(), self._plan.envelope(self._config), slot)
        if claimed is None:
            return
        digest_job.send(self._db, self._config, claimed.id)
        with self._db.write() as session:
            digests.mark(session, claimed.id, now=slot, **self._fate(slot))
            if (slot - self._begin).days == _MAIL_TROUBLE:
                self._resend(session, claimed.id, slot)

    def _fate(self, slot: datetime) -> dict[str, Any]:
        if (slot - self._begin).days == _MAIL_TROUBLE:
            return {"status": "held", "sent_at": None, "error": _UNKNOWN_FATE}
        return {"status": "sent", "sent_at": slot + timedelta(seconds=self._chance.uniform(2, 6))}

    def _resend(self, session: Session, digest_id: int, slot: datetime) -> None:
        at = slot + timedelta(minutes=41)
        audit.note(session, PEOPLE[0], "resend", f"digest {digest_id}", at)
        if copied := digests.copy(session, digest_id, at):
            digests.mark(session, copied.id, "sent", at, sent_at=at + timedelta(seconds=3), attempts=1)


def _eras() -> tuple[Era, ...]:
    return (
        Era(0, "local", "use-multilingual-v3", None, (3.2, 0.95), 34, 0),
        Era(7, "llm", "gpt-4o-mini", "5a1c07be92d4", (4.2, 0.62), 1150, 410),
        Era(17, "llm", "gpt-4o-mini", "c93fd8e1707b", (5.2, 0.5), 1080, 455),
    )


def _ids(session: Session, source: str, tickets: Sequence[Written]) -> dict[str, int]:
    names = [ticket.name for ticket in tickets]
    rows = session.execute(
        select(Ticket.external_id, Ticket.id).where(Ticket.source == source, Ticket.external_id.in_(names))
    )
    return {row.external_id: row.id for row in rows}


def _spoilt(body: bytes) -> bytes:
    """The last ticket of a batch without its subject."""
    head, _, tail = body.rpartition(b'"short_description"')
    return head + b'"title"' + tail


def _spend(session: Session, found: Classification) -> None:
    if found.cost_micros:
        day = spending.day_of(found.created_at)
        row = Spending(
            day=day, model=found.model, calls=1, prompt_tokens=found.prompt_tokens,
            completion_tokens=found.completion_tokens, cost_micros=found.cost_micros,
        )  # fmt: skip
        spending.add(session, row)
