"""How the files in this folder were made: by the code of 0.1.0, which no longer runs beside today's.

    git worktree add ../0.1.0 d0756fa && cd ../0.1.0
    PYTHONPATH=. python .../tests/upgrade/from-0.1.0/make.py sqlite
    DATABASE_URL=postgresql://... PYTHONPATH=. python .../tests/upgrade/from-0.1.0/make.py postgresql

The database is a new, empty one. Every row is written by the functions that wrote it in service, at moments of one
Monday; Redis holds what RQ writes of jobs that wait, run, are planned, and have failed. `sqlite` also writes redis.json
and answers.json: what the API and the pages of 0.1.0 said of the same database.
"""

import base64
import hashlib
import hmac
import json
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import redis
import time_machine
from rq.cron import CronScheduler
from sqlalchemy import select

from jobs import embedded_redis, outcome, reconcile, schedule
from jobs.decide import decide
from jobs.engines import Cause, EngineError, Proposal
from jobs.outgoing import errands as outgoing
from jobs.worker import AttributionWorker
from receiver import catalog, queue, reviewing, secrets, settings, signatures, sources
from receiver.app import create_app
from receiver.clock import now
from receiver.heartbeat import Heartbeat
from receiver.passwords import Passwords
from receiver.queue import changes
from receiver.record import (
    alarms,
    api_tokens,
    audit,
    catalogs,
    classifications,
    database,
    deliveries,
    digests,
    endpoints,
    errands,
    leases,
    linear_models,
    outages,
    pauses,
    people,
    processes,
    recipients,
    refusals,
    reviews,
    runs,
    second_factors,
    sign_in,
    spending,
    tickets,
    timetable,
    tombstones,
    undoing,
)
from receiver.record.models import Digest, LinearModel, Ticket
from receiver.record.models import Spending as SpendingRow
from receiver.record.recipients import Outcome
from receiver.replay import replay
from tests.conftest import CHEAP
from tests.peers import http
from tests.peers.http import Answer

HERE = Path(__file__).parent
MONDAY = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)
PASSWORD = "a long password of words"
ACME = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
MODEL = "gpt-4o-mini"
ENGINE = {"engine": "llm", "model": MODEL, "prompt_version": "p7", "prompt_tokens": 900, "completion_tokens": 40}
PERMANENT = "the endpoint refuses the key (401); check OPENAI_API_KEY"


class World:
    """The stack of 0.1.0 in one process, on a clock that is set by hand."""

    def __init__(self, folder: Path, helpdesk: str) -> None:
        for name in ("sources.yaml", "digests.yaml", "catalog.yaml"):
            (folder / name).write_text((HERE / name).read_text().replace("HELPDESK", helpdesk))
        os.environ |= {
            "DATA_DIR": str(folder / "data"),
            "OUTPUT_DIR": str(folder / "output"),
            "SOURCES_FILE": str(folder / "sources.yaml"),
            "DIGESTS_FILE": str(folder / "digests.yaml"),
            "SERVICE_CATALOG_URL": str(folder / "catalog.yaml"),
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "OUTGOING_ALLOW": "127.0.0.0/8",
            "RECIPIENT_EMAIL": "boss@example.com,deputy@example.com",
            "ALERT_RECIPIENTS": "duty@example.com",
            "SMTP_HOST": "127.0.0.1",
            "FROM_EMAIL": "tickets@example.com",
            "LLM_PRICES": f"{MODEL}=0.15/0.075/0.6",
        }
        self.config = settings.load()
        self.config.data_dir.mkdir(parents=True)
        self.catalog = catalog.load(self.config.service_catalog_url, timeout=1)
        self.record = database.Record(self.config.database_url)
        database.migrate(self.record)
        self.clock = time_machine.travel(MONDAY, tick=False).start()
        self.app = create_app(self.config)
        self.app.extensions["passwords"] = Passwords(CHEAP)
        self.secret = secrets.webhook_secrets(self.config)[0]
        self.kept: dict[str, Any] = {}

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.clock.shift(timedelta(**span))

    @contextmanager
    def write(self) -> Iterator[Any]:
        """A transaction."""
        with self.record.write() as session:
            yield session

    # Deliveries.

    def push(self, source: str, body: Any, key: str, status: int = 200) -> int:
        """Send a delivery through the webhook; returns its row's id."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {}
        if source == "standard":
            headers = signatures.sign_standard(self.secret, key, int(time.time()), raw)
        elif source == "acme":
            stamp = now().strftime("%Y-%m-%dT%H:%M:%SZ")
            mac = hmac.new(ACME.encode(), stamp.encode() + raw, hashlib.sha256).digest()
            headers = {
                "X-Zendesk-Webhook-Signature": base64.b64encode(mac).decode(),
                "X-Zendesk-Webhook-Signature-Timestamp": stamp,
                "X-Zendesk-Webhook-Invocation-Id": key,
            }
        elif source == "crm":
            mac = hmac.new(b"a-secret-of-the-crm-that-is-long", raw, hashlib.sha256).hexdigest()
            headers = {"X-Signature": mac}
        answer = self.app.test_client().post(
            f"/webhooks/{source}", data=raw, headers=headers, content_type="application/json"
        )
        assert answer.status_code == status, (answer.status_code, answer.text)
        return int(answer.json["delivery"])

    def ticket(self, external_id: str) -> Ticket:
        """A ticket by its name."""
        with self.record.read() as session:
            return session.scalars(select(Ticket).where(Ticket.external_id == external_id)).one()

    # Attribution.

    def claim(self, *names: str, lease: str = "job-1") -> None:
        """Hold these tickets, and no others, under a lease."""
        wanted = {self.ticket(name).id for name in names}
        with self.write() as session:
            others = [row.id for row in session.scalars(select(Ticket)) if row.id not in wanted]
            claimed = leases.claim(session, lease, 1000, now(), None, others)
            assert {row.id for row in claimed} == wanted, (names, [row.external_id for row in claimed])

    def answer(self, name: str, label: str, confidence: float = 0.93, stand_in: str | None = None, **more: Any) -> None:
        """Save what an engine says of a ticket, checked as `classify` checks it."""
        self.claim(name)
        engine = {"engine": "local", "model": "use-multilingual-v3"} if stand_in else ENGINE
        proposal = Proposal(label=label, confidence=confidence, reasoning="it names it", **(engine | more))
        decision = decide(proposal, self.catalog, 0.6, stand_in)
        ticket = self.ticket(name)
        row = outcome.classification(
            ticket.id, proposal, decision, self.catalog, latency_ms=850,
            stood_in=stand_in is not None, cause=Cause.BUSY if stand_in else None,
        )  # fmt: skip
        start = self.config.sla_clock.start(ticket.source_created_at, ticket.received_at)
        promise = decision.request_type.sla.promise(start, self.config.sla_clock.hours)
        writes = sources.writing_back(sources.configured(self.config))
        with self.write() as session:
            assert classifications.save(session, "job-1", row, promise, writes)
            outcome.note_latencies(session, [(ticket, row)])
            outcome.note_answer(session, proposal)
            spending.add(
                session,
                SpendingRow(
                    day=spending.day_of(now()), model=MODEL, calls=1, prompt_tokens=900, completion_tokens=40,
                    cost_micros=159,
                ),
            )  # fmt: skip

    def review(self, name: str, *choice: str, who: str = "ada@example.com") -> None:
        """Confirm or correct, as the page does."""
        with self.write() as session:
            found = reviews.review(
                session, self.ticket(name).id, (choice[0], choice[1]) if choice else None, self.catalog, who, now(),
                sources.writing_back(sources.configured(self.config)), self.config.sla_clock,
            )  # fmt: skip
            assert found
            action, details = reviewing.noted(found)
            audit.note(session, who, action, f"ticket {found.ticket.id}", now(), details)

    # Digests.

    def send(self, digest_id: int, resends: bool = False, retry: bool = True, **outcomes: Outcome) -> None:
        """An attempt to send a digest, and what became of each recipient; those are named by their mailbox."""
        with self.write() as session:
            digest = digests.take(session, digest_id, now())
            assert digest
            assert digests.begin_sending(session, digest, now())
            by_address = {f"{name}@example.com": found for name, found in outcomes.items()}
            at = now() + timedelta(minutes=1) if retry else None
            recipients.settle(session, digest_id, by_address, now(), retry_at=at, resends=resends)
            digests.conclude(session, digest_id, now())

    def digest(self, name: str = "digest", to: str = "boss,deputy", period: str | None = None) -> int:
        """Claim a digest of what is new."""
        envelope = digests.Envelope(tuple(f"{who}@example.com" for who in to.split(",")), "example.com")
        with self.write() as session:
            found = digests.claim(session, period or now().isoformat(), envelope, now(), name=name, even_empty=True)
            assert found
            return int(found.id)


SENT = Outcome(recipients.SENT)


def people_come(world: World) -> None:
    """An admin, a reviewer, an operator with a second factor, somebody invited, and somebody disabled."""
    with world.write() as session:
        hashed = CHEAP.hash(PASSWORD)
        grace = people.add(session, "grace@example.com", "Grace Hopper", people.ADMIN, now(), hashed)
        ada = people.add(session, "ada@example.com", "Ada Lovelace", people.REVIEWER, now(), hashed)
        otto = people.add(session, "otto@example.com", "Otto Operator", people.OPERATOR, now(), hashed)
        vera = people.add(session, "vera@example.com", "Vera Viewer", people.VIEWER, now())
        dan = people.add(session, "dan@example.com", "Dan Gone", people.VIEWER, now(), hashed)
        for person in (ada, otto, vera, dan):
            audit.note(session, grace.email, "invite", f"person {person.id}", now(), {"role": person.role})
        people.disable(session, dan)
        audit.note(session, grace.email, "disable", f"person {dan.id}", now())
        world.kept["link"] = sign_in.issue(session, now(), vera, sets_password=True)
        token, text = api_tokens.issue(session, ada.id, "my script", people.REVIEWER, False, 365, now())
        audit.note(session, ada.email, "make token", f"token {token.id}", now(), {"name": token.name})
        world.kept["token"] = text
        cipher = secrets.factor_cipher(world.config)
        second_factors.begin(session, otto.id, cipher, now())
        world.kept["totp"] = secret = second_factors.unconfirmed(session, otto.id, cipher, now())
        assert secret and second_factors.confirm(session, otto.id, pyotp.TOTP(secret).at(now()), cipher, now())
        world.kept["recovery_code"] = second_factors.new_recovery_codes(session, otto.id)[0]
        audit.note(session, otto.email, "set up second factor", f"person {otto.id}", now())
    browser = world.app.test_client()
    page = browser.get("/sign-in").text
    csrf = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    wrong = {"csrf_token": csrf, "email": "grace@example.com", "password": "wrong"}
    assert browser.post("/sign-in", data=wrong).status_code == 403
    right = wrong | {"password": PASSWORD}
    assert browser.post("/sign-in", data=right).status_code == 302
    names = [value for key, value in world.app.config.items() if key in ("SESSION_COOKIE_NAME", "KNOWN_COOKIE_NAME")]
    cookies = {name: cookie.value for name in names if (cookie := browser.get_cookie(name))}
    world.kept["cookies"] = cookies


def deliveries_arrive(world: World) -> None:
    """Every state of a delivery, with tickets by signature, credential, address, reconciling and the command line."""
    with world.write() as session:
        catalogs.remember(session, world.catalog.version, world.catalog.text, now(), "catalog.yaml")
        audit.note(session, "grace@example.com", "reload", f"catalog {world.catalog.version}", now())
    texts = {"VPN": "VPN does not connect", "PW": "Forgot my password", "PR": "Printer prints stripes"}
    many = [
        {
            "id": f"{kind}-{number}", "short_description": text, "long_description": f"{text}, since {number} o'clock.",
            "requester_email": f"user{number}@example.com", "priority": "high" if number == 1 else None,
            "url": f"https://desk.example.com/{kind}-{number}", "created_at": (MONDAY - timedelta(hours=1)).isoformat(),
        }
        for kind, text in texts.items() for number in range(1, 9)
    ]  # fmt: skip
    world.push("standard", {"tickets": many}, "msg_accepted")
    world.later(minutes=1)
    mixed = [{"id": "M-1", "short_description": "Wi-Fi is slow"}, {"id": "M-2", "short_description": ""}]
    world.push("standard", mixed, "msg_partial")
    world.push("standard", b'{"id": "Q-1", ', "msg_quarantined", 422)
    dismissed = world.push("standard", b"[]", "msg_dismissed", 422)
    world.push("standard", {"tickets": many}, "msg_accepted")
    world.push("standard", many[0], "msg_accepted")  # The same id, another body: a conflict.
    world.later(minutes=1)
    world.push("standard", many[0], "msg_same_ticket")
    world.push(
        "door", {"id": "D-1", "short_description": "Door does not open", "requester_email": "user1@example.com"}, ""
    )
    wrong = world.push("crm", {"number": "C-1", "title": "CRM is slow"}, "")
    for number in range(2, 6):
        world.push("crm", {"key": f"C-{number}", "title": f"Contract {number} is missing"}, "")
    for number in range(1, 8):
        event = {
            "ticket": {"id": number, "title": f"Laptop {number} is slow", "requester": {"email": "eve@example.com"}}
        }
        world.push("acme", event, f"inv-{number}")
    for number in (8, 9, 10):
        world.push("acme", {"ticket": {"id": number, "title": f"Screen {number} is dark"}}, f"inv-{number}")
    acme = sources.configured(world.config)["acme"]
    assert reconcile.bring_in(world.record, acme, [{"id": 11, "subject": "Nobody told us of this"}]) == 1
    with world.write() as session:
        assert deliveries.dismiss(session, dismissed)
        audit.note(session, "otto@example.com", "dismiss", f"delivery {dismissed}", now())
    mended = Path(os.environ["SOURCES_FILE"])
    text = mended.read_text()
    mended.write_text(text.replace("id: key", "id: number"))
    replay(world.record, sources.configured(world.config), wrong, world.config, "otto@example.com")
    mended.write_text(text)
    with world.write() as session:
        tombstones.put(session, [("standard", "ERASED-1")])
        refusals.add(session, {(refusals.SIGNATURE, "acme"): 3}, {(refusals.SIGNATURE, "acme"): "192.0.2.7"}, now())


def helpdesks_are_told(world: World, peer: http.Peer) -> None:
    """Write-backs and completions: done, due, set back, given up, superseded, and of a receiver that is gone."""
    said: dict[str, Answer] = {}
    peer.respond = lambda request: next((said[part] for part in said if part in request.path), Answer.of({}))
    known = sources.configured(world.config)

    def run() -> None:
        outgoing.do_due(world.record, world.config, known)

    user = Answer.of({"user": {"email": "frida@example.com"}})
    said |= {"/users/": user, "tickets/8.json": Answer.of({"ticket": {"description": "Black.", "requester_id": 9}})}
    said |= {"tickets/9.json": Answer.of({"error": "no such ticket"}, 404), "tickets/10.json": Answer.of({}, 503)}
    said |= {"tickets/11.json": Answer.of({}, 503)}
    run()
    for number, label in ((1, "VPN Issue"), (2, "New Account"), (3, "Printer Issue")):
        world.answer(str(number), label)
    said |= {"/3": Answer.of({}, 500), "/2": Answer.of({"error": "closed"}, 422)}
    run()
    world.review("1", "Network", "Wi-Fi Issue")  # Told once, told again of the correction.
    run()
    world.answer("4", "VPN Issue")
    world.review("4", "Access", "Password Reset")  # The first was never told: superseded. The second is due.
    world.answer("9", "Printer Issue")
    world.answer("C-2", "Other misc")
    said["/hook"] = Answer.of({}, 410)
    outgoing._Round(world.record, world.config, "crm", known["crm"]).run()
    world.answer("C-3", "Other misc")  # Planned after the receiver was gone.


def tickets_are_attributed(world: World) -> None:
    """Every status of a ticket, every reason to review, and every way of waiting."""
    world.answer("VPN-1", "VPN Issue")
    world.answer("VPN-2", "vpn issue", alternatives=("Wi-Fi Issue", "Other misc"))  # Mended.
    world.answer("VPN-3", "VPN Issue", 0.41, alternatives=("Wi-Fi Issue",))
    world.answer("VPN-4", "VPN Issue", 0.7, second_opinion="Wi-Fi Issue")
    world.answer("VPN-5", "VPN Issue", steers=True)
    world.answer("VPN-6", "VPN Issue", 0.8, stand_in="the model did not answer within 30 seconds")
    world.answer("VPN-7", "Coffee machine")
    world.answer("VPN-8", "VPN Issue", repeated=True, answer_key="k" * 64)
    world.answer("PW-1", "Password Reset", second_opinion="Password Reset", answer_key="a" * 64)
    world.review("PW-1")
    world.answer("PW-2", "VPN Issue", 0.5, answer_key="b" * 64)
    world.review("PW-2", "Access", "Password Reset")
    world.answer("PW-3", "VPN Issue", 0.5)
    world.review("PW-3", "Hardware", "Printer Issue")
    world.later(minutes=1)
    world.review("PW-3", "Access", "Password Reset", who="otto@example.com")
    world.answer("PW-4", "Password Reset", 0.55)
    world.review("PW-4")
    with world.write() as session:
        assert undoing.undo(session, world.ticket("PW-4").id, "ada@example.com", now())
        audit.note(session, "ada@example.com", "undo review", f"ticket {world.ticket('PW-4').id}", now())
    world.review("PW-5", "Access", "New Account")  # Before any engine has looked.
    world.answer("PW-6", "Password Reset")
    with world.write() as session:
        assert tickets.make_due(session, world.ticket("PW-6").id, now())
        audit.note(session, "otto@example.com", "redrive", f"ticket {world.ticket('PW-6').id}", now())
    world.claim("PR-1")
    with world.write() as session:
        leases.fail(
            session,
            world.ticket("PR-1").id,
            "the model refuses this text (content filter); classify it by hand",
            "job-1",
        )
    for _ in range(leases.MAX_CRASHES):
        with world.write() as session:
            leases.recover_future(session, now())
            suspects = leases.claim_suspects(session, "job-2", now()) or leases.claim(
                session, "job-2", 1, now(), None, _all_but(session, "PR-2")
            )
            assert [row.external_id for row in suspects] == ["PR-2"]
            leases.end(session, "job-2", now())
    assert world.ticket("PR-2").status == "failed"
    world.claim("PR-3", lease="job-3")
    with world.write() as session:
        leases.end(session, "job-3", now())  # A suspect.
    world.claim("PR-4", lease="job-4")
    with world.write() as session:
        again = now() + timedelta(seconds=10)
        leases.release(session, [world.ticket("PR-4").id], "job-4", again, "the model did not answer within 30 seconds")


def _all_but(session: Any, name: str) -> list[int]:
    return [row.id for row in session.scalars(select(Ticket).where(Ticket.external_id != name))]


def digests_go_out(world: World) -> None:
    """Every end that a digest can come to, for each of its recipients."""
    first = world.digest(period=MONDAY.replace(hour=8).isoformat())
    world.send(first, boss=SENT, deputy=SENT)
    with world.write() as session:
        copied = digests.copy(session, first, now())
        assert copied
        audit.note(session, "grace@example.com", "resend", f"digest {first}", now(), {"copy": copied.id})
        copied_id = copied.id
    world.send(copied_id, boss=SENT, deputy=SENT)
    nobody = Outcome(
        recipients.REFUSED, "recipient", "the mail server does not know deputy@example.com: 550 no such user"
    )
    unknown = Outcome(
        recipients.HELD, "no_answer", "the connection ended after the text was sent; the mail may have arrived"
    )
    wrong = Outcome(
        recipients.FAILED, "sign_in", "the mail server wants a sign-in; set SMTP_USERNAME and SMTP_PASSWORD"
    )
    world.later(minutes=1)
    world.send(world.digest(), boss=SENT, deputy=nobody)  # partly_sent
    world.later(minutes=1)
    world.send(world.digest(), boss=wrong, deputy=wrong)  # failed
    world.later(minutes=1)
    world.send(world.digest(), boss=unknown, deputy=SENT)  # held
    world.later(minutes=1)
    resent = world.digest()
    world.send(resent, resends=True, boss=unknown, deputy=SENT)
    world.send(resent, resends=True, boss=unknown)  # held, after having been sent twice
    world.later(minutes=1)
    held = world.digest()
    world.send(held, boss=unknown, deputy=unknown)
    with world.write() as session:
        assert digests.redrive(session, held, now())  # claimed again by a person, which counts a resend
        audit.note(session, "otto@example.com", "redrive", f"digest {held}", now())
    world.later(minutes=1)
    accepted = world.digest()
    world.send(accepted, boss=unknown, deputy=unknown)
    with world.write() as session:
        assert digests.accept(session, accepted, now())
        audit.note(session, "otto@example.com", "mark as sent", f"digest {accepted}", now())


def digests_wait(world: World) -> None:
    """Digests that are on their way, those of `run`, one to the outbox, and an alert."""
    later = Outcome(recipients.DUE, "later", "the mail server does not take it now: 451 try again")
    world.later(minutes=1)
    world.send(world.digest(), boss=SENT, deputy=later)  # claimed, due again for one
    died = world.digest("weekly", "chief")
    with world.write() as session:
        taken = digests.take(session, died, now())
        assert taken and digests.begin_sending(session, taken, now())  # sending, and its sender died
    large = world.digest("weekly", "chief", "large")
    with world.write() as session:
        session.get_one(Digest, large).without_workbook = True
    with world.write() as session:
        ids = [world.ticket(name).id for name in ("PW-1", "PW-2")]
        skipped = runs.claim(session, ids, world.config.envelope, now())
        assert skipped
        runs.skip_mail(session, skipped, now())  # cancelled
        runs.finish(session, skipped.id, now())
    world.later(seconds=1)
    with world.write() as session:
        assert runs.claim(session, ids[:1], world.config.envelope, now())  # of a run that was killed
        outbox = digests.claim(
            session, "outbox", digests.Envelope((), "example.com"), now(), name="weekly", even_empty=True
        )
        assert outbox
    world.later(hours=2)  # The password reset is at risk by now.
    with world.write() as session:
        alert = digests.claim_alert(session, replace(world.config.envelope, recipients=("duty@example.com",)), now())
        assert alert
        alert_id = alert.id
    world.send(alert_id, duty=SENT)
    with world.write() as session:
        for name, hour in (("digest", 8), ("weekly", 9)):
            digests.take_slot(session, name, MONDAY.replace(hour=hour))


def something_is_wrong(world: World) -> None:
    """Tickets in every kind of waiting, an outage and a pause in force, and other alarms."""
    world.claim("PR-5", lease="job-5")
    error = EngineError(PERMANENT, Cause.KEY)
    with world.write() as session:
        assert outcome.note_failure(session, error)
        leases.release(
            session, [world.ticket("PR-5").id], "job-5", now() + outages.PROBE_EVERY, str(error), counts=False
        )
        for _ in range(4):
            outages.failed(session, PERMANENT, now())
    world.later(seconds=5)
    world.claim("PR-6", "PR-7", lease="job-of-a-living-worker")
    with world.write() as session:
        held = errands.take(session, "acme", now(), 60)  # By a worker that died.
        assert held and held.kind == "complete"
        assert pauses.begin(session, "otto@example.com", now())
        audit.note(session, "otto@example.com", "pause", "classification", now())
        alarms.sound(
            session, "budget", "the day's budget of 5 is spent; the local engine answers until midnight UTC", now()
        )
        alarms.sound(session, "silent:door", "the source door has sent nothing for 3 hours", now())
        endpoints.remember(session, "http://127.0.0.1:9/v1 gpt-4o-mini", {"schema": "json_object"}, now(), sure=True)
        assert spending.reserve(session, spending.day_of(now()), 1000, 5_000_000)
        linear_models.save(
            session,
            LinearModel(
                created_at=now(), examples=4, known_count=4, known_newest=4, accuracy=0.7, rival_accuracy=0.8,
                in_force=False, weights=None,
            ),
        )  # fmt: skip
        timetable.note(session, "reconcile:acme", now())
        timetable.note(session, "reconcile-pause:acme", now() + timedelta(minutes=5))
        timetable.note(session, timetable.BACKUP, now())
        processes.beat(session, "p-1", "worker classify", "host:4711", now())
        processes.died(session, "p-2", "worker digest", "host:4712", now(), "killed by signal 9")
    schedule.announce(world.record)
    with world.write() as session:
        for timed in schedule.TIMETABLE:
            failed = "OperationalError" if timed.name.endswith("train") else None
            timetable.ran(session, timed.name, now(), now(), failed)


def jobs_wait(world: World) -> dict[str, Any]:
    """Every job by its path of then, waiting; and some that run, are planned, and have failed. Returns Redis' keys."""
    connection = queue.connect(world.config.redis_url)
    connection.flushall()
    for name in (queue.CLASSIFY, queue.DIGEST, queue.OUTGOING):
        queue.wake(name, connection)
    for timed in schedule.TIMETABLE:
        changes.run_now(connection, timed.queue, timed.name)
    changes.preview(connection, "weekly")
    for path, words in ((queue.CLASSIFY_JOB, ()), (queue.PREVIEW_JOB, ("digest",))):
        where = queue.CLASSIFY if path == queue.CLASSIFY_JOB else queue.TRAINING
        worker = AttributionWorker(
            [queue.queue(where, connection)], connection=connection, serializer=queue.JSONSerializer,
            heartbeat=Heartbeat(world.config.database_url, f"worker {where}"),
        )  # fmt: skip
        worker.register_birth()
        for fails in (True, False):
            job = queue.queue(where, connection).enqueue(path, *words, failure_ttl=7 * 86400, description=path)
            connection.lrem(queue.queue(where, connection).key, 0, job.id)
            execution = worker.prepare_execution(job)
            worker.prepare_job_execution(job)
            if fails:
                worker.handle_job_failure(
                    job,
                    job.origin and queue.queue(where, connection),
                    exc_string="OperationalError: away",
                    execution=execution,
                )
    queue.queue(queue.DIGEST, connection).enqueue_at(
        now() + timedelta(days=1), queue.DIGEST_JOB, description=queue.DIGEST_JOB
    )
    CronScheduler(connection).register_birth()
    # The dead workers' own keys would have expired by the time of an upgrade; that the set names them stays.
    keys = sorted(key for key in connection.scan_iter("*") if not key.startswith(b"rq:worker:"))
    return {key.decode(): _dumped(connection, key) for key in keys}


def _dumped(connection: redis.Redis, key: bytes) -> dict[str, Any]:
    kind = connection.type(key).decode()
    if kind == "hash":
        return {"hash": {field: _text(value) for field, value in _fields(connection, key) if field != "ip_address"}}
    if kind == "list":
        return {"list": [_text(value) for value in connection.lrange(key, 0, -1)]}
    if kind == "set":
        return {"set": sorted(_text(value) for value in connection.smembers(key))}
    if kind == "zset":
        return {"zset": {_text(value): score for value, score in connection.zrange(key, 0, -1, withscores=True)}}
    if kind == "stream":
        entries = connection.xrange(key)
        return {"stream": [[name.decode(), {k.decode(): _text(v) for k, v in row.items()}] for name, row in entries]}
    return {"string": _text(connection.get(key))}


def _fields(connection: redis.Redis, key: bytes) -> Iterator[tuple[str, bytes]]:
    for field, value in connection.hgetall(key).items():
        yield field.decode(), value


def _text(value: bytes) -> Any:
    """A value as it can be read; what RQ has compressed is marked with how."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"zlib": zlib.decompress(value).decode()}


def answers(world: World) -> dict[str, Any]:
    """What the API and the pages say of all this."""
    client = world.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secrets.api_token(world.config)}"
    tickets_ = client.get("/api/tickets?limit=100").json["items"]
    found: dict[str, Any] = {
        "tickets": [client.get(f"/api/tickets/{item['id']}").json for item in tickets_],
        "deliveries": client.get("/api/deliveries?limit=100").json["items"],
        "digests": client.get("/api/digests?limit=100").json["items"],
        "stats": client.get("/api/stats").json,
    }
    browser = world.app.test_client()
    for name, value in world.kept["cookies"].items():
        browser.set_cookie(name, value)
    found["review"] = {}
    for reason in ("", "low confidence", "disagreement", "steering", "fallback", "out of catalog"):
        ids: list[str] = []
        while fresh := re.findall(
            r'data-card="(\d+)"',
            browser.get("/review", query_string={"reason": reason, "after": ids[-1] if ids else ""}).text,
        ):
            ids += fresh
        found["review"][reason] = [int(each) for each in ids]
    with world.record.read() as session:
        assert audit.verify(session) is None
        found["audit_head"] = audit.head(session)
        found["examples"] = session.connection().exec_driver_sql("SELECT count(*) FROM examples").scalar()
    return found


def dump(world: World, kind: str) -> str:
    """The whole database as SQL."""
    if kind == "postgresql":
        url = world.config.database_url.replace("+psycopg", "")
        command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return "\n".join(line for line in lines if line and not line.startswith(("--", "\\", "SET "))) + "\n"
    with sqlite3.connect(world.config.data_dir / "tickets.db") as connection:
        lines = [line for line in connection.iterdump() if "writable_schema" not in line and "ticket_words" not in line]
        words = connection.execute("SELECT type, sql FROM sqlite_master WHERE name LIKE 'ticket_words%'").fetchall()
    # The index of words is made anew from the tickets: its tables are FTS5's own, and binary.
    index = [sql for kind, sql in words if sql.startswith("CREATE VIRTUAL")]
    index += ["INSERT INTO ticket_words (ticket_words) VALUES ('rebuild')"]
    index += [sql for kind, sql in words if kind == "trigger"]
    return "\n".join([*lines[:-1], *(f"{sql};" for sql in index), lines[-1]]) + "\n"


def _be_the_same_every_time() -> None:
    """The same tokens, ids and salts, so that both kinds of database have the same answers."""
    chance = random.Random(10)
    random._urandom = os.urandom = chance.randbytes
    random.seed(10)
    os.getpid = lambda: 4711
    socket.gethostname = lambda: "desk"


def main(kind: str) -> None:
    """Make the files of one kind of database."""
    with tempfile.TemporaryDirectory() as folder, http.serve(http.Peer(lambda _: Answer.of({}))) as peer:
        os.environ.setdefault("DATABASE_URL", "")
        os.environ["REDIS_URL"] = ""
        _be_the_same_every_time()
        world = World(Path(folder), peer.url)
        with subprocess.Popen(embedded_redis.command(world.config)) as server:
            try:
                while True:
                    try:
                        queue.connect(world.config.redis_url).ping()
                        break
                    except redis.RedisError:
                        os.sched_yield()
                _be_the_same_every_time()
                people_come(world)
                deliveries_arrive(world)
                helpdesks_are_told(world, peer)
                tickets_are_attributed(world)
                digests_go_out(world)
                digests_wait(world)
                something_is_wrong(world)
                kept = jobs_wait(world)
                said = answers(world)
            finally:
                server.terminate()
        said |= {"at": now().isoformat(), "kept": world.kept}
        said["files"] = {
            name: (world.config.data_dir / name).read_text() for name in ("session_key", "api_token", "webhook_secret")
        }
        (HERE / f"{kind}.sql").write_text(dump(world, kind))
        (HERE / "answers.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
        (HERE / "redis.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
