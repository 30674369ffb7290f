"""Every helpdesk: sample to ticket, forged refused, resent, out of order, broken, and what it makes of other events."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from receiver.db.database import Database
from receiver.db.models import Delivery, Ticket
from receiver.intake.signatures import Message, SignatureError
from receiver.intake.signatures.static import Credential
from receiver.lib.settings import Settings
from tests.receiver.intake.sources import desks
from tests.receiver.intake.sources.desks import AT, NAMES, Desk, desk

SIGNING = [name for name in NAMES if name not in desks._TOKENS]


@pytest.fixture
def receiver(config: Settings, db: Database, application: Callable[[Settings], Flask]) -> Iterator[Flask]:
    with time_machine.travel(AT, tick=False):
        yield application(desks.settings_for(config))


@pytest.fixture
def client(receiver: Flask) -> FlaskClient:
    return receiver.test_client()


@pytest.fixture(params=NAMES)
def any_desk(request: pytest.FixtureRequest, config: Settings, receiver: Flask) -> Desk:
    return desk(config, request.param)


def _post(client: FlaskClient, desk: Desk, **changes: Any) -> Any:
    return client.post(desk.url, base_url=desks.PUBLIC, **(desk.request() | changes))


def _told(answer: Any) -> tuple[int, str, int, int, int]:
    counts = (answer.json[name] for name in ("status", "accepted", "updated", "duplicates"))
    return (answer.status_code, *counts)


def _all(db: Database, kind: type[Any] = Ticket) -> list[Any]:
    with db.read() as session:
        return session.query(kind).order_by(kind.id).all()


@pytest.mark.shows("ticket")
def test_a_delivery_becomes_its_ticket(client: FlaskClient, db: Database, any_desk: Desk) -> None:
    assert _told(_post(client, any_desk)) == (200, "accepted", 1, 0, 0)
    (ticket,) = _all(db)
    expected = any_desk.fixture["expected"]
    assert {name: getattr(ticket, name) for name in expected} == expected
    assert ticket.source_updated_at.replace(microsecond=0) == datetime(2026, 1, 1, 10, tzinfo=UTC)
    if ticket.source_created_at and any_desk.source.name != "hubspot":
        assert ticket.source_created_at.replace(microsecond=0) == datetime(2026, 1, 1, 9, tzinfo=UTC)


@pytest.mark.shows("forged")
def test_without_its_proof_a_delivery_is_refused_and_nothing_is_kept(
    client: FlaskClient, db: Database, any_desk: Desk
) -> None:
    request = any_desk.request()
    proof = set(request["headers"]) - set(any_desk.fixture["headers"])
    for name in proof:
        left = {key: value for key, value in request["headers"].items() if key != name}
        assert client.post(any_desk.url, base_url=desks.PUBLIC, **request | {"headers": left}).status_code == 401
    for name in proof - {"webhook-id", "webhook-timestamp"}:
        forged = request["headers"] | {name: request["headers"][name][:-8] + "AAAAAAA="}
        assert client.post(any_desk.url, base_url=desks.PUBLIC, **request | {"headers": forged}).status_code == 401
    assert _all(db, Delivery) == []


@pytest.mark.shows("forged")
@pytest.mark.parametrize("name", SIGNING)
def test_a_body_that_was_changed_is_refused(client: FlaskClient, db: Database, config: Settings, name: str) -> None:
    sender = desk(config, name)
    request = sender.request()
    for place in range(0, len(request["data"]), 17):
        body = bytearray(request["data"])
        body[place] ^= 1
        assert _post(client, sender, **request | {"data": bytes(body)}).status_code == 401
    assert _all(db, Delivery) == []


@pytest.mark.shows("vector")
@pytest.mark.parametrize("name", desks._TOKENS)
def test_a_credential_passes_its_vector_and_nothing_near_it_does(config: Settings, name: str) -> None:
    source, right = desk(config, name).source, "Basic dGlja2V0czpzM2NyM3QtZm9yLXRlc3RzLTAwMDE="
    source.verify(Message({"authorization": right}, b""), AT)
    for place in range(len(right)):
        wrong = right[:place] + chr(ord(right[place]) ^ 1) + right[place + 1 :]
        with pytest.raises(SignatureError):
            source.verify(Message({"authorization": wrong}, b""), AT)


@pytest.mark.shows("duplicate")
def test_a_resent_delivery_is_a_duplicate(client: FlaskClient, db: Database, any_desk: Desk) -> None:
    assert _told(_post(client, any_desk))[1] == "accepted"
    assert _told(_post(client, any_desk)) == (200, "duplicate", 0, 0, 1)
    request = any_desk.request()
    bare = {name: value for name, value in request["headers"].items() if name not in any_desk.fixture["headers"]}
    assert _told(_post(client, any_desk, headers=bare))[:3] == (200, "duplicate", 0)
    renamed = {name: value.replace("delivery-1", "delivery-9") for name, value in request["headers"].items()}
    assert _told(_post(client, any_desk, headers=renamed))[:3] == (200, "duplicate", 0)
    assert len(_all(db)) == 1


def test_a_stripped_id_does_not_bring_an_old_text_back(client: FlaskClient, db: Database, config: Settings) -> None:
    sender = desk(config, "zammad")
    first, second = sender.fixture["body"], sender.newer().fixture["body"]
    for version in (first, second):
        del version["ticket"]["updated_at"]
    for version, name in ((first, "a"), (second, "b"), (first, "c"), (first, None)):
        request = sender.request(json.dumps(version).encode())
        request["headers"]["X-Zammad-Delivery"] = name
        headers = {key: value for key, value in request["headers"].items() if value}
        assert _post(client, sender, **request | {"headers": headers}).status_code == 200
    assert [ticket.short_description for ticket in _all(db)] == ["VPN still down"]
    assert [row.status for row in _all(db, Delivery)] == ["accepted", "accepted", "duplicate", "duplicate"]


@pytest.mark.shows("reorder")
def test_the_newer_version_wins_in_any_order(client: FlaskClient, db: Database, any_desk: Desk) -> None:
    newer = any_desk.newer()
    assert _told(_post(client, newer))[1] == "accepted"
    assert _told(_post(client, any_desk)) == (200, "duplicate", 0, 0, 1)
    (ticket,) = _all(db)
    assert ticket.source_updated_at.replace(microsecond=0) == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert ticket.short_description == any_desk.newer().fixture["expected"]["short_description"]


def test_an_update_is_taken_once(client: FlaskClient, db: Database, any_desk: Desk) -> None:
    _post(client, any_desk)
    changes = any_desk.fixture["expected"]["short_description"] != ""
    assert _told(_post(client, any_desk.newer())) == (
        200, "accepted" if changes else "duplicate", 0, int(changes), int(not changes),
    )  # fmt: skip
    assert len(_all(db)) == 1


BROKEN = [b"", b'{"id": 1,', b"[]", b"null", b'"x"', b"[[[]]]", b"\xff\xfe", b"[null, 5]"]


@pytest.mark.shows("broken")
def test_a_broken_body_is_kept_and_not_asked_for_again(client: FlaskClient, db: Database, any_desk: Desk) -> None:
    # What Linear signs and can be read must name its time, or it may be old.
    nameless = BROKEN[2:6] + BROKEN[7:] if any_desk.source.name == "linear" else []
    for second, body in enumerate(BROKEN):
        request = changed(any_desk, at=AT + second).request(body)
        names = {name: value.replace("delivery-1", f"delivery-{second}") for name, value in request["headers"].items()}
        answer = _post(client, any_desk, **request | {"headers": names})
        expected = 401 if body in nameless else 422 if any_desk.source.name == "standard" else 200
        assert answer.status_code == expected
        assert expected != 200 or answer.json["status"] == "quarantined"
    kept = _all(db, Delivery)
    assert [delivery.body for delivery in kept] == [body for body in BROKEN if body not in nameless]
    assert {delivery.status for delivery in kept} == {"quarantined"}
    assert all(delivery.error or delivery.rejected for delivery in kept)
    assert _all(db) == []


def test_no_proof_is_kept_with_a_delivery(client: FlaskClient, db: Database, any_desk: Desk) -> None:
    _post(client, any_desk)
    (delivery,) = _all(db, Delivery)
    request = any_desk.request()
    proof = set(request["headers"]) - set(any_desk.fixture["headers"]) - {"webhook-id"}
    kept = {name for name in proof if name.lower() in delivery.headers}
    assert all("timestamp" in name.lower() for name in kept)
    assert isinstance(any_desk.source.signing, Credential) is (any_desk.source.name in desks._TOKENS)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("zendesk", {"type": "zen:event-type:ticket.comment_added"}),
        ("jira", {"webhookEvent": "jira:issue_deleted"}),
        ("glpi", {"event": "delete"}),
        ("intercom", {"topic": "ping", "data": {"item": {"type": "ping"}}}),
        ("linear", {"action": "remove"}),
        ("linear", {"type": "Comment"}),
        ("github", {"action": "labeled"}),
    ],
)
def test_other_events_are_acknowledged_and_nothing_comes_of_them(
    client: FlaskClient, db: Database, config: Settings, name: str, change: dict[str, Any]
) -> None:
    sender = desk(config, name)
    request = sender.request(json.dumps(sender.fixture["body"] | change).encode())
    assert _told(_post(client, sender, **request)) == (200, "accepted", 0, 0, 0)
    (delivery,) = _all(db, Delivery)
    assert delivery.error.startswith("nothing to do: ")
    assert _all(db) == []


@pytest.mark.parametrize(
    ("name", "header", "event"),
    [
        ("github", "X-GitHub-Event", "ping"),
        ("github", "X-GitHub-Event", "issue_comment"),
        ("freescout", "X-FreeScout-Event", "convo.note.created"),
    ],
)
def test_an_event_may_stand_in_a_header(
    client: FlaskClient, db: Database, config: Settings, name: str, header: str, event: str
) -> None:
    sender = desk(config, name)
    request = sender.request(b'{"zen": "Design for failure.", "hook_id": 1}' if event == "ping" else None)
    headers = request["headers"] | {header: event}
    assert _told(_post(client, sender, **request | {"headers": headers})) == (200, "accepted", 0, 0, 0)
    assert _all(db) == []


def test_hubspot_sends_batches_in_any_order(client: FlaskClient, db: Database, config: Settings) -> None:
    sender = desk(config, "hubspot")
    (event,) = sender.fixture["body"]
    batch = [
        event | {"eventId": number, "objectId": number % 5, "occurredAt": 1767261600000 - number}
        for number in range(20)
    ]
    batch.append(event | {"eventId": 99, "subscriptionType": "ticket.deletion"})
    assert _told(_post(client, sender, **sender.request(json.dumps(batch).encode())))[:3] == (200, "accepted", 5)
    assert len(_all(db)) == 5
    retried = [event | {"attemptNumber": 1} for event in batch]
    assert _told(_post(client, sender, **sender.request(json.dumps(retried).encode())))[:3] == (200, "duplicate", 0)
    assert len(_all(db)) == 5


def test_hubspot_signs_the_public_address_with_its_query(client: FlaskClient, config: Settings) -> None:
    sender = desk(config, "hubspot")
    request = sender.request()
    for query, status in (("", 200), ("?t=a1", 401)):
        answer = client.post(f"{sender.url}{query}", base_url="http://10.0.0.7:8000", **request)
        assert answer.status_code == status


def test_a_thousand_tickets_of_a_helpdesk_are_taken_at_once(
    client: FlaskClient, db: Database, config: Settings
) -> None:
    sender = desk(config, "hubspot")
    (event,) = sender.fixture["body"]
    batch = [event | {"eventId": number, "objectId": number} for number in range(1000)]
    assert _told(_post(client, sender, **sender.request(json.dumps(batch).encode())))[:3] == (200, "accepted", 1000)


def test_ten_senders_at_once_leave_the_newest_version(receiver: Flask, db: Database, config: Settings) -> None:
    sender = desk(config, "zammad")

    def send(number: int) -> int:
        body = json.loads(json.dumps(sender.fixture["body"]))
        body["ticket"] |= {"title": f"version {number:02}", "updated_at": f"2026-01-01T10:00:{number:02}Z"}
        request = sender.request(json.dumps(body).encode())
        request["headers"]["X-Zammad-Delivery"] = f"job-{number}"
        return _post(receiver.test_client(), sender, **request).status_code  # type: ignore[no-any-return]

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(send, [*range(0, 40, 2), *range(39, 0, -2)])) == {200}
    assert [ticket.short_description for ticket in _all(db)] == ["version 39"]


def test_a_helpdesks_odd_address_costs_the_address_and_not_the_ticket(
    client: FlaskClient, db: Database, config: Settings
) -> None:
    sender = desk(config, "zammad")
    body = sender.fixture["body"]
    body["ticket"] |= {"title": "", "customer": {"email": "nobody"}, "priority": {"name": ["odd"]}}
    assert _told(_post(client, sender))[1] == "accepted"
    (ticket,) = _all(db)
    assert (ticket.requester_email, ticket.priority) == (None, None)
    assert ticket.short_description.startswith("Since")


def test_a_time_that_is_none_is_quarantined_by_name(client: FlaskClient, db: Database, config: Settings) -> None:
    sender = desk(config, "zammad")
    sender.fixture["body"]["ticket"]["updated_at"] = "yesterday"
    answer = _post(client, sender)
    assert answer.json["status"] == "quarantined"
    assert list(answer.json["rejected"][0]["errors"]) == ["updated_at"]


def test_the_glpi_challenge_is_answered_for_its_one_token(client: FlaskClient) -> None:
    token = "d2066ff7c4701a24e2763f10c68e258fb8363d18c7195e218c580df37103e063"
    answer = client.get(f"/webhooks/glpi?crc_token={token}")
    expected = "1eb6dd0b2c22b7a5bdeb1dbf1d5d4bffd6ca27f76eb0e4ef49618bb8a3ff68b2"
    assert (answer.status_code, answer.text) == (200, expected)
    for other in ("", token.upper(), token[:-1], token + "0", '{"item":{}}1767225600', "é", "%FF"):
        assert client.get(f"/webhooks/glpi?crc_token={other}").status_code == 403
    assert client.get(f"/webhooks/zammad?crc_token={token}").status_code == 405
    assert client.get("/webhooks/glpi").status_code == 405


def test_intercoms_probe_is_answered_and_no_other(client: FlaskClient) -> None:
    assert client.head("/webhooks/intercom").status_code == 200
    assert client.head("/webhooks/zendesk").status_code == 405
    assert client.get("/webhooks/intercom").status_code == 405
