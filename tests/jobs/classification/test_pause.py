"""Pausing classification: nothing new is begun, what is asked is saved, and webhooks are accepted."""

import json
import threading
from collections import Counter

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from jobs.classification import classify
from receiver import queue
from receiver.db import pauses
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import wait_until
from tests.factories import deliver, due_ticket, held, incoming, signed, ticket_json
from tests.peers import llm
from tests.peers.http import Answer, Peer, Request

CATALOG = "catalog: {categories: [{name: Network, requests: [{name: VPN Issue}]}]}"
CONCURRENCY = 4


@pytest.fixture
def config(config: Settings, environment: pytest.MonkeyPatch, model: Peer) -> Settings:
    path = config.data_dir.parent / "catalog.yaml"
    path.write_text(CATALOG)
    environment.setenv("SERVICE_CATALOG_URL", str(path))
    environment.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
    environment.setenv("OUTGOING_ALLOW", "127.0.0.1")
    environment.setenv("LLM_CONCURRENCY", str(CONCURRENCY))
    return config


def pause(db: Database) -> None:
    with db.write() as session:
        assert pauses.begin(session, "Ada", now())


def statuses(db: Database) -> Counter[str]:
    with db.read() as session:
        return Counter(session.scalars(select(Ticket.status)))


def test_while_paused_a_run_begins_nothing_and_wakes_nobody(db: Database, config: Settings, model: Peer) -> None:
    due_ticket(db)
    pause(db)
    classify.classify_due()
    assert statuses(db) == {"received": 1}
    assert model.requests == []
    assert held(db) == set()
    with queue.connect(config.redis_url) as connection:
        assert queue.depths(connection)["classify"] == 0


def test_resumed_it_goes_on(db: Database, config: Settings, model: Peer) -> None:
    model.respond = lambda _request: llm.proposal("VPN Issue")
    due_ticket(db)
    pause(db)
    with db.write() as session:
        assert not pauses.begin(session, "Bob", now())
        assert pauses.end(session)
        assert not pauses.end(session)
    classify.classify_due()
    assert statuses(db) == {"classified": 1}


def test_a_pause_in_the_middle_of_a_run_lets_what_is_asked_be_saved_and_claims_nothing_more(
    db: Database, config: Settings, model: Peer
) -> None:
    go_on = threading.Event()

    def respond(_request: Request) -> Answer:
        go_on.wait(30)
        return llm.proposal("VPN Issue")

    model.respond = respond
    deliver(db, *(incoming() for _ in range(40)))
    run = threading.Thread(target=classify.classify_due)
    run.start()
    wait_until(lambda: len(model.requests) >= CONCURRENCY)
    pause(db)
    go_on.set()
    run.join(30)
    assert not run.is_alive()
    found = statuses(db)
    assert CONCURRENCY <= found["classified"] < 40
    assert found.total() == 40
    with db.read() as session:
        assert set(session.scalars(select(Ticket.attempts).where(Ticket.status == "received"))) == {0}
    assert held(db) == set()
    with queue.connect(config.redis_url) as connection:
        assert queue.depths(connection)["classify"] == 0


def test_webhooks_are_accepted_and_the_pause_is_told(client: FlaskClient, db: Database, config: Settings) -> None:
    pause(db)
    answer = client.post("/webhooks/standard", **signed(secret_files.webhook_secrets(config)[0], ticket_json()))
    assert (answer.status_code, answer.get_json()["status"]) == (200, "accepted")
    token = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    stats = client.get("/api/stats", headers=token).get_json()
    assert stats["queue"]["paused"] is True
    assert "paused by Ada" in json.dumps(stats["alarms"])
    with db.write() as session:
        pauses.end(session)
    assert client.get("/api/stats", headers=token).get_json()["queue"]["paused"] is False
