"""Keyword factories: rows as the real code writes them."""

import hashlib
import itertools
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import redis
from flask.testing import FlaskClient
from sqlalchemy import ColumnElement, select, text, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from receiver import queue
from receiver.actions.context import Context, for_command
from receiver.actions.review import decide
from receiver.catalog import Catalog
from receiver.db import (
    catalogs,
    circuit_breaker,
    classifications,
    deliveries,
    due_tickets,
    people,
    reviews,
    sign_in,
    work,
)
from receiver.db.database import Database
from receiver.db.deliveries import Arrival, Content
from receiver.db.models import CLASSIFY, Classification, Delivery, Person, Ticket, Work
from receiver.db.tickets import IncomingTicket
from receiver.intake import signatures
from receiver.intake.signatures.standard import Standard
from receiver.intake.sources import Source, profiles
from receiver.intake.sources.payload_mapping import PayloadMapping
from receiver.lib import roles
from receiver.lib.clock import now
from receiver.lib.failures import Failure
from receiver.lib.settings import Settings
from receiver.lib.shared_secrets import Secret
from receiver.lib.sla import Promise

_numbers = itertools.count(1)


def ticket_json(**fields: Any) -> dict[str, Any]:
    """A ticket as a source sends it."""
    return {
        "id": f"T-{next(_numbers)}",
        "short_description": "VPN does not connect",
        "long_description": "Since this morning the VPN client says: no route.",
        "requester_email": "ada@example.com",
    } | fields


def incoming(**fields: Any) -> IncomingTicket:
    """A validated ticket."""
    values = {"external_id": f"T-{next(_numbers)}", "short_description": "VPN does not connect"} | fields
    return IncomingTicket(**values)


def arrival(source: str = "standard", body: bytes = b"{}", at: datetime | None = None, **fields: Any) -> Arrival:
    """A genuine message."""
    key = fields.pop("key", f"msg_{next(_numbers)}")
    return Arrival(source, key, {}, body, hashlib.sha256(body).hexdigest(), at or now())


def source_named(name: str, secret: str, profile: str = "standard", **options: Any) -> Source:
    """A source that signs and writes as `standard` does, whatever helpdesk it says it is."""
    own = profiles.shipped()["standard"]
    told = replace(own, name=profile, api=profiles.shipped()[profile].api)
    return Source(name, told, (Secret(secret),), Standard(), PayloadMapping.of(own), **options)


def deliver(db: Database, *tickets: IncomingTicket, at: datetime | None = None, source: str = "standard") -> Delivery:
    """Record one delivery of these tickets."""
    with db.write() as session:
        return deliveries.record(session, arrival(source, at=at), Content(tickets))


def due_ticket(db: Database, **fields: Any) -> int:
    """Record one ticket and return its id."""
    at, source = fields.pop("at", None), fields.pop("source", "standard")
    deliver(db, incoming(**fields), at=at, source=source)
    with db.read() as session:
        return int(session.query(Ticket.id).order_by(Ticket.id.desc()).limit(1).scalar())


def classification(ticket_id: int, **fields: Any) -> Classification:
    """A classification that is not saved yet."""
    values: dict[str, Any] = {
        "ticket_id": ticket_id, "current": True, "created_at": now(), "category": "Network & Connectivity",
        "request_type": "VPN Connection Issue", "sla_value": 4, "sla_unit": "hours", "sla_is_default": False,
        "confidence": 0.9, "reasoning": "names vpn", "alternatives": [], "review_reason": None, "engine": "local",
        "model": "use-multilingual-v3", "fallback": False, "fuzzy_matched": False, "catalog_version": "v1",
        "prompt_version": None, "prompt_tokens": 0, "completion_tokens": 0, "latency_ms": 1,
    }  # fmt: skip
    return Classification(**(values | fields))


def promise(due_at: datetime | None = None, received_at: datetime | None = None) -> Promise:
    """What was promised to a ticket, on a clock that always runs."""
    due_at = due_at or now()
    received_at = received_at or due_at
    return Promise(received_at + (due_at - received_at) * 0.75, due_at)


def settle(db: Database, ticket_id: int, due_at: datetime | None = None, **fields: Any) -> None:
    """Claim a due ticket and save a classification of it."""
    with db.write() as session:
        _claim_all(session)
        saved = classification(ticket_id, **fields)
        received_at = session.get_one(Ticket, ticket_id).received_at
        assert classifications.save(session, "factory", saved, promise(due_at, received_at))


def acting(db: Database, config: Settings, known: Mapping[str, Source] | None = None) -> Context:
    """What actions need, with other sources than those of the settings where they are given."""
    made = for_command(db, config)
    if known is not None:
        vars(made)["sources"] = dict(known)
    return made


def review(db: Database, ticket_id: int, catalog: Catalog, *choice: str, at: datetime | None = None) -> reviews.Review:
    """What the reviewer Ada says a ticket is, a category and a request type; none confirms what is known."""
    with db.write() as session:
        catalogs.remember(session, catalog.version, catalog.text, at or now())
        chosen = (choice[0], choice[1]) if choice else None
        found = decide(session, ticket_id, chosen, catalog, "Ada", at or now())
    assert found is not None
    return found


def _claim_all(session: Session) -> None:
    due_tickets.claim(session, "factory", 1000, now())


def queued(db: Database) -> dict[int, Work]:
    """The work of classifying, by ticket; what is done has none."""
    with db.read() as session:
        return {row.subject_id: row for row in session.scalars(select(Work).where(Work.kind == CLASSIFY))}


def held(db: Database) -> set[int]:
    """The tickets under somebody's lease."""
    return {ticket_id for ticket_id, row in queued(db).items() if row.lease_owner}


def outrun_leases(session: Session, kind: str = CLASSIFY, *which: ColumnElement[bool]) -> None:
    """As if the leases of all who do this kind of work were over."""
    leased = (Work.kind == kind, Work.lease_owner.is_not(None))
    session.execute(update(Work).where(*leased, *which).values(lease_until=now()))


def waits_until(db: Database, kind: str, subject_id: int) -> datetime:
    """From when a piece of work that waits can be claimed."""
    with db.read() as session:
        found = work.of(session, kind, subject_id)
    assert found
    return found.run_at


def outrun_waits(session: Session, kind: str, *which: ColumnElement[bool]) -> None:
    """As if the time of all work of this kind had come, and the leases on it were over."""
    session.execute(update(Work).where(Work.kind == kind, *which).values(run_at=now()))
    outrun_leases(session, kind, *which)


def open_circuit(db: Database, code: str = "key", **facts: str | int) -> None:
    """The model is out since now, for this cause."""
    with db.write() as session:
        failure = Failure(code, facts or {"status": 401})
        circuit_breaker.record_failure(session, circuit_breaker.ENGINE, failure, now(), timedelta(seconds=10))


def person(db: Database, role: str = roles.VIEWER, **fields: Any) -> Person:
    """Somebody of this role."""
    email = fields.pop("email", f"{role}-{next(_numbers)}@example.com")
    with db.write() as session:
        return people.add(session, email, fields.pop("name", role.title()), role, now(), **fields)


def sign_in_as(client: FlaskClient, db: Database, role: str = roles.ADMIN, **fields: Any) -> Person:
    """Sign a browser in as somebody new of this role."""
    made = person(db, role, **fields)
    with db.write() as session:
        token = sign_in.issue(session, now(), made)
    assert use_link(client, f"/sign-in/{token}").status_code == 302
    return made


def use_link(client: FlaskClient, link: str, **form: Any) -> TestResponse:
    """Open a one-time link and send the form it shows; the answer to the first request where there is no form."""
    page = client.get(link)
    if page.status_code != 200:
        return page
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', page.text))
    return client.post(link, data={"csrf_token": token, **form})


def csrf(client: FlaskClient, path: str = "/", **options: Any) -> str:
    """The CSRF token that a page gives its browser."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path, **options).text)
    assert found
    return found[1]


def signed(secret: str, body: Any, delivery_id: str | None = None, at: float | None = None) -> dict[str, Any]:
    """The keyword arguments of a Flask test client's POST for a signed delivery; `body` is JSON or raw bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = delivery_id or f"msg_{next(_numbers)}"
    headers = signatures.sign_standard(secret, key, int(at if at is not None else time.time()), raw)
    return {"data": raw, "headers": headers, "content_type": "application/json"}


def disarm_audit(session: Session) -> None:
    """Let the audit be changed, as somebody can who may change the tables themselves."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        return
    session.execute(text("DROP TRIGGER audit_no_update"))
    session.execute(text("DROP TRIGGER audit_no_delete"))


def serve_every_queue(connection: "redis.Redis") -> None:
    """Have Redis know of a living worker that serves every queue."""
    fields = {"queues": ",".join(queue.QUEUES), "state": "idle", "last_heartbeat": f"{now():%Y-%m-%dT%H:%M:%S.%fZ}"}
    connection.sadd("rq:workers", "rq:worker:one")
    connection.hset("rq:worker:one", mapping=fields)  # type: ignore[arg-type]
