"""Thin tickets: completed from the helpdesk's API before they are classified, or classified with what is there."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from jobs.helpdesks import outbox as job
from receiver import queue
from receiver.actions.deliveries import replay
from receiver.catalog import Catalog
from receiver.db import alarms, due_tickets, examples, outbox, tickets
from receiver.db.database import Database
from receiver.db.models import COMPLETE, Circuit, OutgoingCall, Ticket, Work
from receiver.intake.sources.expressions import Expression
from receiver.intake.sources.helpdesk_profile import FieldPath
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import state
from tests.factories import acting, queued, review, settle, signed, source_named
from tests.peers import http
from tests.peers.helpdesks import TOKEN, USER, Helpdesk, serving
from tests.peers.http import Answer, Peer, Request

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
THIN = {"id": "4711", "short_description": "VPN does not connect", "long_description": "No route."}
CONTACT = {"contacts": {"contacts": [{"id": "c1"}]}}
HUBSPOT_TICKET = "/crm/v3/objects/tickets/4711?properties=subject,content,hs_ticket_priority&associations=contacts"
ANSWERS: dict[str, dict[str, Any]] = {
    "zendesk": {
        "/api/v2/tickets/4711.json": {"ticket": {"description": "No route.", "requester_id": 9}},
        "/api/v2/users/9.json": {"user": {"email": "ada@example.com"}},
    },
    "jira": {
        "/rest/api/2/issue/4711?fields=description,reporter,priority": {
            "fields": {"reporter": {"emailAddress": "ada@example.com"}, "priority": {"name": "High"}}
        },
    },
    "glpi": {
        "/api.php/v2/Assistance/Ticket/4711": {
            "team": [{"role": "assigned", "type": "User", "id": 1}, {"role": "requester", "type": "User", "id": 9}]
        },
        "/api.php/v2/Administration/User/9": {
            "emails": [
                {"email": "old@example.com", "is_default": False},
                {"email": "ada@example.com", "is_default": True},
            ]
        },
    },
    "intercom": {
        "/tickets/4711": {"ticket_attributes": {"_default_description_": "No route."}} | CONTACT,
        "/contacts/c1": {"email": "ada@example.com"},
    },
    "hubspot": {
        HUBSPOT_TICKET: {
            "properties": {"subject": "VPN does not connect", "content": "No route.", "hs_ticket_priority": "HIGH"},
            "associations": {"contacts": {"results": [{"id": "c1"}]}},
        },
        "/crm/v3/objects/contacts/c1?properties=email": {"properties": {"email": "ada@example.com"}},
    },
}


class Desk:
    """A source of a thin profile, its helpdesk, and the application that it sends to."""

    def __init__(self, profile: str, peer: Peer, helpdesk: Helpdesk, client: FlaskClient, db: Database) -> None:
        api = {"url": peer.url, "user": USER, "token": TOKEN}
        self.source = source_named("acme", SECRET, profile, api=api)
        self.peer, self.helpdesk, self.client, self.db = peer, helpdesk, client, db

    def send(self, **fields: Any) -> Any:
        answer = self.client.post("/webhooks/acme", **signed(SECRET, THIN | fields))
        assert answer.status_code == 200
        return answer.json

    def run(self, config: Settings) -> None:
        job.do_due(self.db, config, {"acme": self.source})

    def ticket(self) -> Ticket:
        with self.db.read() as session:
            return session.scalars(select(Ticket)).one()

    def calls(self) -> list[str | None]:
        """What became of every call, or the state of its work."""
        its = (Work.kind == OutgoingCall.kind) & (Work.subject_id == OutgoingCall.id)
        state = func.coalesce(OutgoingCall.outcome, Work.state)
        with self.db.read() as session:
            return list(session.scalars(select(state).outerjoin(Work, its).order_by(OutgoingCall.id)))

    def work(self) -> Work:
        with self.db.read() as session:
            return session.scalars(select(Work).where(Work.kind == COMPLETE)).one()

    def is_due(self) -> bool:
        with self.db.read() as session:
            return due_tickets.any_due(session, now())

    def make_due(self) -> None:
        with self.db.write() as session:
            session.execute(update(Work).where(Work.kind == COMPLETE, Work.state == "due").values(run_at=now()))
            session.execute(update(Circuit).values(probe_at=now()))

    def alarms(self) -> str:
        with self.db.read() as session:
            return " ".join(alarm.message for alarm in alarms.current(session))


@pytest.fixture
def desk(request: pytest.FixtureRequest, app: Flask, client: FlaskClient, db: Database) -> Iterator[Desk]:
    profile = getattr(request, "param", "zendesk")
    helpdesk, peer = serving(profile, answers=deepcopy(ANSWERS[profile]))
    with ExitStack() as stack:
        found = Desk(profile, stack.enter_context(http.serve(peer)), helpdesk, client, db)
        state.of(app).context.sources["acme"] = found.source
        yield found


@pytest.mark.parametrize("desk", sorted(ANSWERS), indirect=True)
def test_a_thin_ticket_is_completed_before_it_is_classified(desk: Desk, config: Settings) -> None:
    if desk.source.profile.name == "hubspot":
        desk.send(short_description="Ticket 4711", long_description="")
    else:
        desk.send()
    assert not desk.is_due()
    desk.run(config)
    ticket = desk.ticket()
    assert ticket.requester_email == "ada@example.com"
    assert (ticket.short_description, ticket.long_description) == ("VPN does not connect", "No route.")
    assert desk.is_due()
    assert desk.calls() == ["done"]
    with queue.connect(config.redis_url) as connection:
        assert queue.depths(connection)["classify"] >= 1


@pytest.mark.parametrize("desk", ["hubspot"], indirect=True)
def test_what_the_api_knows_is_read_in_the_form_that_a_delivery_would_have(desk: Desk, config: Settings) -> None:
    desk.helpdesk.answers[HUBSPOT_TICKET]["properties"]["content"] = "<p>R&amp;D:</p><ul><li>No route.</li></ul>"
    fields = {"long_description": FieldPath(Expression("long_description"), format="html")}
    desk.source = replace(desk.source, shape=replace(desk.source.shape, fields=fields))
    desk.send(long_description="")
    desk.run(config)
    assert desk.ticket().long_description == "R&D:\n\n- No route."


@pytest.mark.parametrize("desk", ["intercom"], indirect=True)
def test_a_ticket_without_a_subject_is_completed_as_far_as_its_helpdesk_knows(desk: Desk, config: Settings) -> None:
    desk.source = replace(desk.source, shape=replace(desk.source.shape, thin=True))
    state.of(desk.client.application).context.sources["acme"] = desk.source
    desk.send(short_description="")
    desk.run(config)
    assert (desk.ticket().requester_email, desk.is_due()) == ("ada@example.com", True)


def test_a_ticket_with_a_requester_is_not_asked_for(desk: Desk, config: Settings) -> None:
    desk.send(requester_email="bob@example.com")
    assert desk.is_due()
    desk.run(config)
    assert (desk.calls(), desk.peer.requests) == ([], [])


def test_our_own_change_comes_back_as_a_duplicate(desk: Desk, config: Settings) -> None:
    desk.send(updated_at="2026-03-02T09:00:00Z")
    desk.run(config)
    answer = desk.send(updated_at="2026-03-02T09:05:00Z")
    assert (answer["status"], answer["duplicates"]) == ("duplicate", 1)
    assert desk.ticket().requester_email == "ada@example.com"
    assert len(desk.calls()) == 1


def test_a_real_change_of_a_completed_ticket_is_completed_again(desk: Desk, config: Settings) -> None:
    desk.send()
    desk.run(config)
    assert desk.send(short_description="Printer")["updated"] == 1
    assert not desk.is_due()
    desk.run(config)
    assert (desk.ticket().short_description, desk.ticket().requester_email) == ("Printer", "ada@example.com")


def test_a_ticket_the_helpdesk_does_not_know_is_classified_with_what_is_there(desk: Desk, config: Settings) -> None:
    desk.helpdesk.answers.clear()
    desk.send()
    desk.run(config)
    assert desk.is_due()
    assert (desk.calls(), desk.work().error_code) == (["dead"], "request")
    assert "404" in str(desk.work().error)
    assert "is not complete" in desk.alarms()


def test_a_helpdesk_that_is_away_is_asked_again_and_then_done_without(desk: Desk, config: Settings) -> None:
    desk.peer.respond = lambda _: Answer(503, b"")
    desk.send()
    for attempt in range(1, 6):
        desk.peer.respond = lambda _: Answer(500, b"")
        assert not desk.is_due()
        desk.run(config)
        assert desk.work().attempts == attempt
        desk.make_due()
    assert desk.calls() == ["dead"]
    assert desk.is_due()


def test_what_the_delivery_said_is_not_overwritten(desk: Desk, config: Settings) -> None:
    desk.helpdesk.answers["/api/v2/tickets/4711.json"]["ticket"]["description"] = "Another text."
    desk.send()
    desk.run(config)
    assert (desk.ticket().long_description, desk.ticket().requester_email) == ("No route.", "ada@example.com")
    desk.send(long_description="")
    desk.run(config)
    assert desk.ticket().long_description == "Another text."


def test_a_later_full_delivery_is_compared_with_itself(desk: Desk, config: Settings) -> None:
    desk.send()
    desk.run(config)
    whole = {"short_description": "Printer", "requester_email": "bob@example.com"}
    assert [desk.send(**whole)["status"] for _ in range(2)] == ["accepted", "duplicate"]


def test_a_full_delivery_that_came_meanwhile_stays_as_it_is(desk: Desk, config: Settings) -> None:
    def respond(request: Request) -> Answer:
        desk.send(requester_email="bob@example.com")
        return desk.helpdesk.respond(request)

    desk.peer.respond = respond
    desk.send()
    desk.run(config)
    assert desk.ticket().requester_email == "bob@example.com"
    assert desk.calls() == ["superseded"]


def test_where_nobody_completes_a_ticket_it_is_classified_after_a_while(desk: Desk) -> None:
    desk.send()
    with desk.db.read() as session:
        assert not due_tickets.any_due(session, now() + outbox.PATIENCE - timedelta(minutes=1))
        assert due_tickets.any_due(session, now() + outbox.PATIENCE + timedelta(seconds=1))


def test_what_is_no_address_stays_unknown(desk: Desk, config: Settings) -> None:
    desk.helpdesk.answers["/api/v2/users/9.json"] = {"user": {"email": "not an address"}}
    desk.send()
    desk.run(config)
    assert desk.ticket().requester_email is None
    assert desk.is_due()
    assert desk.send()["status"] == "duplicate"


def test_what_came_meanwhile_is_not_overwritten(desk: Desk, config: Settings) -> None:
    def respond(request: Request) -> Answer:
        if "users" in request.path and len(desk.calls()) == 1:
            desk.send(short_description="Printer", long_description="")
        return desk.helpdesk.respond(request)

    desk.peer.respond = respond
    desk.send()
    desk.run(config)
    assert desk.calls() == ["superseded", "done"]
    assert desk.ticket().short_description == "Printer"


def test_a_ticket_that_a_person_reviewed_is_not_classified_again(desk: Desk, config: Settings) -> None:
    desk.send()
    with desk.db.write() as session:
        session.execute(update(Ticket).values(status="reviewed"))
    desk.run(config)
    assert (desk.ticket().status, desk.ticket().requester_email) == ("reviewed", "ada@example.com")


def test_a_batch_of_thin_tickets_is_completed_one_by_one(desk: Desk, config: Settings) -> None:
    for number in range(20):
        desk.helpdesk.answers[f"/api/v2/tickets/{number}.json"] = {"ticket": {"requester_id": 9}}
    batch = [THIN | {"id": str(number)} for number in range(20)]
    desk.client.post("/webhooks/acme", **signed(SECRET, batch))
    desk.run(config)
    with desk.db.read() as session:
        names = [str(number) for number in range(20)]
        assert len(tickets.ids(session, "acme", names)) == 20
        assert set(session.scalars(select(Ticket.requester_email))) == {"ada@example.com"}


def test_a_replayed_thin_ticket_is_completed_too(desk: Desk, config: Settings) -> None:
    other = replace(desk.source.shape, fields={"id": FieldPath(Expression("nr"))})
    state.of(desk.client.application).context.sources["acme"] = replace(desk.source, shape=other)
    answer = desk.send()
    assert answer["status"] == "quarantined"
    done = replay(acting(desk.db, config, {"acme": desk.source}), "ada", answer["delivery"])
    assert done.made_due
    assert not desk.is_due()
    desk.run(config)
    assert (desk.ticket().requester_email, desk.is_due()) == ("ada@example.com", True)


def test_a_mended_mapping_takes_no_completed_requester_away(desk: Desk, config: Settings) -> None:
    delivery = desk.send()["delivery"]
    desk.run(config)
    settle(desk.db, desk.ticket().id)
    names = {"id": "id", "short_description": "long_description", "long_description": "long_description"}
    fields = {name: FieldPath(Expression(path)) for name, path in names.items()}
    desk.source = replace(desk.source, shape=replace(desk.source.shape, fields=fields))
    again = [replay(acting(desk.db, config, {"acme": desk.source}), "ada", delivery).made_due for _ in range(2)]
    assert again == [True, False]
    assert desk.calls() == ["done", "due"]
    desk.run(config)
    assert (desk.ticket().short_description, desk.ticket().requester_email) == ("No route.", "ada@example.com")


def test_a_replay_leaves_alone_what_is_being_classified(desk: Desk, config: Settings) -> None:
    delivery = desk.send()["delivery"]
    desk.run(config)
    with desk.db.write() as session:
        session.execute(update(Ticket).values(requester_email=None))
        due_tickets.claim(session, "worker", 1, now())
    [before] = queued(desk.db).values()
    replay(acting(desk.db, config, {"acme": desk.source}), "ada", delivery)
    [after] = queued(desk.db).values()
    assert (after.lease_owner, after.lease_until) == ("worker", before.lease_until)
    assert len(desk.calls()) == 1


@pytest.fixture
def bare(desk: Desk, app: Flask, config: Settings) -> Desk:
    """A helpdesk whose events say only which ticket it is, after its first one was completed and classified."""
    desk.source = replace(desk.source, shape=replace(desk.source.shape, thin=True))
    state.of(app).context.sources["acme"] = desk.source
    event(desk)
    desk.run(config)
    settle(desk.db, desk.ticket().id)
    return desk


def event(desk: Desk) -> Any:
    return desk.send(short_description="Ticket 4711", long_description="")


@pytest.mark.parametrize("desk", ["hubspot", "zendesk", "intercom"], indirect=True)
def test_a_later_event_of_the_same_thin_text_brings_a_real_change(bare: Desk, config: Settings) -> None:
    text = json.dumps(bare.helpdesk.answers).replace("No route.", "The printer is on fire.")
    bare.helpdesk.answers.update(json.loads(text))
    assert event(bare)["status"] == "duplicate"
    assert bare.ticket().status == "classified"
    bare.run(config)
    assert (bare.ticket().status, bare.ticket().long_description) == ("received", "The printer is on fire.")
    assert bare.is_due()


@pytest.mark.parametrize("desk", ["hubspot"], indirect=True)
def test_a_later_event_without_a_change_leaves_the_classification(bare: Desk, config: Settings) -> None:
    event(bare)
    event(bare)
    bare.run(config)
    assert bare.calls() == ["done", "superseded", "done"]
    assert bare.ticket().status == "classified"


@pytest.mark.parametrize("desk", ["hubspot"], indirect=True)
def test_a_ticket_that_cannot_be_asked_for_again_stays_classified(bare: Desk, config: Settings) -> None:
    bare.helpdesk.answers.clear()
    event(bare)
    bare.run(config)
    assert bare.ticket().status == "classified"
    assert "is not complete" in bare.alarms()


@pytest.mark.parametrize("desk", ["hubspot"], indirect=True)
def test_the_same_delivery_again_asks_for_nothing(bare: Desk, config: Settings) -> None:
    request = signed(SECRET, THIN | {"short_description": "Ticket 4711", "long_description": ""})
    for _ in range(2):
        bare.client.post("/webhooks/acme", **request)
    assert len(bare.calls()) == 2


@pytest.mark.parametrize("desk", ["hubspot"], indirect=True)
def test_an_example_goes_with_the_text_that_was_reviewed(bare: Desk, config: Settings, shipped: Catalog) -> None:
    review(bare.db, bare.ticket().id, shipped)
    bare.helpdesk.answers[HUBSPOT_TICKET]["properties"]["content"] = "The printer is on fire."
    event(bare)
    bare.run(config)
    assert (bare.ticket().status, bare.ticket().long_description) == ("reviewed", "The printer is on fire.")
    with bare.db.read() as session:
        assert examples.extent(session)[0] == 0
