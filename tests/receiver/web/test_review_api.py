"""Reviewing and redriving over the API."""

import re
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver import queue
from receiver.catalog import Catalog
from receiver.db import audit, catalogs, due_tickets, sign_in
from receiver.db.database import Database
from receiver.db.models import ExampleRow, Ticket
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web.app import create_app
from tests.conftest import ADMIN, wait_until
from tests.factories import due_ticket, held, settle, use_link

VPN = {"category": "Network & Connectivity", "request_type": "VPN Connection Issue"}


@pytest.fixture
def api(client: FlaskClient, config: Settings) -> FlaskClient:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret_files.api_token(config)}"
    return client


@pytest.fixture
def ticket(db: Database, shipped: Catalog) -> int:
    """A classified ticket, and the shipped catalog in force."""
    with db.write() as session:
        catalogs.remember(session, shipped.version, shipped.text, now())
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    return ticket_id


def _body(answer: TestResponse, code: int = 200) -> dict[str, Any]:
    assert answer.status_code == code, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def test_an_empty_object_confirms(api: FlaskClient, ticket: int) -> None:
    body = _body(api.post(f"/api/tickets/{ticket}/review", json={}))
    assert (body["id"], body["status"], body["learned"]) == (ticket, "reviewed", True)
    assert body["classification"].items() >= {**VPN, "engine": "person", "reviewer": "API token"}.items()
    assert [row["engine"] for row in _body(api.get(f"/api/tickets/{ticket}"))["history"]] == ["person", "local"]


def test_an_entry_corrects(api: FlaskClient, ticket: int, shipped: Catalog) -> None:
    kind = next(kind for kind in shipped.request_types if kind.category != VPN["category"])
    choice = {"category": kind.category, "request_type": kind.name}
    body = _body(api.post(f"/api/tickets/{ticket}/review", json=choice))
    assert body["classification"].items() >= choice.items()


def test_a_review_of_ones_own_is_undone(api: FlaskClient, db: Database, ticket: int) -> None:
    before = _body(api.get(f"/api/tickets/{ticket}"))
    assert "no review" in _body(api.post(f"/api/tickets/{ticket}/undo"), 409)["message"]
    _body(api.post(f"/api/tickets/{ticket}/review", json={}))
    undone = _body(api.post(f"/api/tickets/{ticket}/undo"))
    assert undone == {name: value for name, value in before.items() if name != "history"}
    with db.read() as session:
        assert session.query(ExampleRow).count() == 0
        assert [entry.action for entry in audit.page(session, 2)] == ["undo review", "confirm"]
    _body(api.post("/api/tickets/9/undo"), 404)


def test_a_signed_in_person_is_named(client: FlaskClient, db: Database, ticket: int) -> None:
    with db.write() as session:
        link = sign_in.issue(session, now())
    use_link(client, f"/sign-in/{link}")
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/").text)
    assert found
    url = f"/api/tickets/{ticket}/review"
    assert client.post(url, json={}).status_code == 400
    body = _body(client.post(url, json={}, headers={"X-CSRFToken": found[1]}))
    assert body["classification"]["reviewer"] == ADMIN


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"category": VPN["category"]}, "go together"),
        ({"request_type": VPN["request_type"]}, "go together"),
        ({**VPN, "reviewer": "Eve"}, "Unknown field"),
        ({**VPN, "category": 7}, "Not a valid string"),
        ({**VPN, "category": "Netwrk & Connectivity"}, "Near it: Network & Connectivity / VPN Connection Issue"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(
    api: FlaskClient, db: Database, ticket: int, body: dict[str, Any], said: str
) -> None:
    answer = api.post(f"/api/tickets/{ticket}/review", json=body)
    assert answer.status_code == 422
    assert said in answer.text
    with db.read() as session:
        assert session.get_one(Ticket, ticket).status == "classified"


def test_a_form_does_not_pass_for_a_confirmation(api: FlaskClient, db: Database, ticket: int) -> None:
    assert "application/json" in _body(api.post(f"/api/tickets/{ticket}/review", data=VPN), 415)["message"]
    with db.read() as session:
        assert session.get_one(Ticket, ticket).status == "classified"


@pytest.mark.usefixtures("ticket")
def test_a_ticket_without_an_answer_cannot_be_confirmed(api: FlaskClient, db: Database) -> None:
    waiting = due_ticket(db)
    message = _body(api.post(f"/api/tickets/{waiting}/review", json={}), 409)["message"]
    assert "no answer to confirm" in message
    assert _body(api.post(f"/api/tickets/{waiting}/review", json=VPN))["status"] == "reviewed"


def test_before_any_catalog_is_in_force_the_answer_says_so(db: Database, config: Settings) -> None:
    nowhere = create_app(replace(config, service_catalog_url="https://catalog.example.invalid/it.yaml")).test_client()
    nowhere.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret_files.api_token(config)}"
    answer = _body(nowhere.post(f"/api/tickets/{due_ticket(db)}/review", json=VPN), 409)
    assert answer["message"].startswith("There is nothing to choose from")


@pytest.mark.parametrize("act", ["review", "redrive"])
@pytest.mark.usefixtures("ticket")
def test_an_unknown_ticket_is_404_and_a_stranger_401(api: FlaskClient, act: str) -> None:
    assert _body(api.post(f"/api/tickets/4711/{act}", json={}), 404)["message"] == "There is no ticket with this id."
    stranger = {"Authorization": "Bearer x"}
    assert api.post(f"/api/tickets/1/{act}", json={}, headers=stranger).status_code == 401


@pytest.mark.parametrize("was", ["failed", "classified", "received", "being classified"])
def test_a_redrive_makes_a_ticket_due_and_wakes_a_worker(
    api: FlaskClient, db: Database, config: Settings, ticket: int, was: str
) -> None:
    if was != "classified":
        ticket = due_ticket(db)
    with db.write() as session:
        if was == "failed":
            due_tickets.fail(session, ticket, "other", "gave up", 1, None)
        elif was == "being classified":
            due_tickets.claim(session, "engine", 1, now())
    body = _body(api.post(f"/api/tickets/{ticket}/redrive"))
    assert (body["status"], body["error"], body["attempts"]) == ("received", None, 0)
    with db.read() as session:
        assert due_tickets.any_due(session, now())
    assert held(db) == set()
    with queue.connect(config.redis_url) as connection:
        wait_until(lambda: _waiting(connection) == 1)


def _waiting(connection: "redis.Redis") -> int:
    return queue.depths(connection)[queue.CLASSIFY]


def test_a_reviewed_ticket_is_not_redriven(api: FlaskClient, ticket: int) -> None:
    _body(api.post(f"/api/tickets/{ticket}/review", json={}))
    assert "review it again instead" in _body(api.post(f"/api/tickets/{ticket}/redrive"), 409)["message"]
    assert _body(api.get(f"/api/tickets/{ticket}"))["status"] == "reviewed"
