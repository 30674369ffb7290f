"""The journey of a delivery through the receiver."""

import gzip
import itertools
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import redis
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from jobs.operations import embedded_redis
from receiver import queue
from receiver.db import tickets
from receiver.db.database import Database, opened
from receiver.db.models import REVIEWED, Delivery, Ticket
from receiver.lib import secret_files, settings
from receiver.lib.settings import Settings
from receiver.web import state
from receiver.web.app import create_app
from tests import databases
from tests.conftest import ROOT, wait_until
from tests.factories import settle, signed, ticket_json
from tests.peers.http import free_port

STANDARD = "/webhooks/standard"
AT = 1767225600.0
MEGABYTE = 1024 * 1024


@pytest.fixture
def secret(config: Settings) -> str:
    return secret_files.webhook_secrets(config)[0]


@pytest.fixture
def small(config: Settings, db: Database, application: Callable[[Settings], Flask]) -> FlaskClient:
    """A sender to a receiver that takes one megabyte and ten tickets at once."""
    return application(replace(config, max_body_mb=1, max_batch=10)).test_client()


def _all(db: Database, kind: type[Any] = Ticket) -> list[Any]:
    with db.read() as session:
        return session.query(kind).order_by(kind.id).all()


def _due(db: Database) -> int:
    with db.read() as session:
        return tickets.due(session)[0]


def _counts(answer: Any) -> tuple[str, int, int, int]:
    assert answer.status_code == 200, answer.text
    return tuple(answer.json[name] for name in ("status", "accepted", "updated", "duplicates"))


def test_a_signed_ticket_is_stored_before_it_is_acknowledged(client: FlaskClient, db: Database, secret: str) -> None:
    answer = client.post("/webhooks/standard", **signed(secret, ticket_json(id=4711)))
    assert answer.status_code == 200
    assert answer.json == {
        "delivery": 1, "status": "accepted", "accepted": 1, "duplicates": 0, "updated": 0, "rejected": [],
    }  # fmt: skip
    assert "Set-Cookie" not in answer.headers
    with db.read() as session:
        ticket = session.query(Ticket).one()
        assert (ticket.external_id, ticket.status) == ("4711", "received")
        assert session.query(Delivery).one().body is not None


# What a body may look like


@pytest.mark.parametrize(
    "wrap",
    [
        lambda ticket: ticket,
        lambda ticket: [ticket],
        lambda ticket: {"tickets": [ticket]},
        lambda ticket: {"requests": [ticket]},
        lambda ticket: {"data": [ticket]},
        lambda ticket: {"data": ticket},
        lambda ticket: {"type": "ticket.created", "timestamp": "2026-01-01T00:00:00Z", "data": ticket},
        lambda ticket: {"tickets": None, "data": ticket},
        lambda ticket: ticket | {"data": {"room": 12}, "requests": [], "tickets": ["T-2"]},
    ],
    ids=str.split("one list tickets requests data-list data event beside-null own-fields"),
)
@pytest.mark.parametrize("path", [STANDARD, f"{STANDARD}/"])
def test_a_ticket_is_found_in_every_wrapper(
    client: FlaskClient, db: Database, secret: str, path: str, wrap: Callable[[Any], Any]
) -> None:
    assert _counts(client.post(path, **signed(secret, wrap(ticket_json(id="A-1"))))) == ("accepted", 1, 0, 0)
    assert [ticket.external_id for ticket in _all(db)] == ["A-1"]


def test_a_ticket_is_kept_as_it_was_sent(client: FlaskClient, db: Database, secret: str) -> None:
    sent = {
        "id": "INC-7", "short_description": "Drucker 🖨 „kaputt“", "long_description": "=SUM(A1)\n\t<b>zweite Zeile</b>",
        "requester_email": "zoë+it@bücher.example", "priority": 2, "url": "https://help.example.com/t/7?a=1#b",
        "created_at": "2026-01-01T09:00:00+01:00", "updated_at": "2026-01-01T08:30:00.5Z",
    }  # fmt: skip
    body = json.dumps(sent | {"custom": {"deep": [1, {"x": None}]}}, ensure_ascii=False, indent=3).encode()
    assert _counts(client.post(STANDARD, **signed(secret, body))) == ("accepted", 1, 0, 0)
    ticket, delivery = _all(db)[0], _all(db, Delivery)[0]
    assert {name: getattr(ticket, name) for name in tickets.TEXT_FIELDS} == {
        name: str(sent[name]) for name in tickets.TEXT_FIELDS
    }
    assert ticket.source_created_at.isoformat() == "2026-01-01T08:00:00+00:00"
    assert ticket.source_updated_at.isoformat() == "2026-01-01T08:30:00.500000+00:00"
    assert delivery.body == body
    assert set(delivery.headers) == {"content-type", "user-agent", "webhook-id", "webhook-timestamp"}


def test_what_is_optional_may_be_missing_empty_or_null(client: FlaskClient, db: Database, secret: str) -> None:
    names = ("long_description", "requester_email", "priority", "url", "created_at", "updated_at")
    bare = [{"id": 1, "short_description": "x"}, {"id": 2, "short_description": "x"} | dict.fromkeys(names)]
    blank = {"id": 3, "short_description": "x", "long_description": "", "requester_email": "", "priority": ""}
    assert _counts(client.post(STANDARD, **signed(secret, [*bare, blank]))) == ("accepted", 3, 0, 0)
    assert {(ticket.long_description, ticket.requester_email) for ticket in _all(db)} == {("", None)}


# Batches


def _batch_with_faults(bad: tuple[int, ...]) -> list[Any]:
    batch: list[Any] = [ticket_json(id=f"B-{index}") for index in range(500)]
    faults: list[Any] = [
        None, "a ticket", {}, {"id": "B-x"}, {"id": True, "short_description": "x"},
        {"id": "B-z", "short_description": ""}, ticket_json(id="B-mail", requester_email="nobody"),
    ]  # fmt: skip
    for index, fault in zip(bad, faults, strict=True):
        batch[index] = fault
    return batch


def test_in_a_batch_the_bad_tickets_are_named_and_the_good_ones_are_due(
    client: FlaskClient, db: Database, secret: str
) -> None:
    bad = (0, 3, 99, 250, 251, 498, 499)
    request = signed(secret, _batch_with_faults(bad))
    answer = client.post(STANDARD, **request)
    assert _counts(answer) == ("partial", 493, 0, 0)
    rejected = answer.json["rejected"]  # type: ignore[index]
    assert [fault["index"] for fault in rejected] == list(bad)
    assert [fault["id"] for fault in rejected] == [None, None, None, "B-x", None, "B-z", "B-mail"]
    assert [set(fault["errors"]) for fault in rejected[2:]] == [
        {"id", "short_description"}, {"short_description"}, {"id"}, {"short_description"}, {"requester_email"},
    ]  # fmt: skip
    assert _due(db) == len(_all(db)) == 493

    again = client.post(STANDARD, **request)
    assert _counts(again) == ("duplicate", 0, 0, 493)
    assert again.json["rejected"] == rejected  # type: ignore[index]
    later = client.post(STANDARD, **signed(secret, _batch_with_faults(bad)))
    assert _counts(later)[1:] == (0, 0, 493)
    assert later.json["rejected"] == rejected  # type: ignore[index]
    assert len(_all(db)) == 493


def test_a_mended_batch_brings_what_was_missing(client: FlaskClient, db: Database, secret: str) -> None:
    good = [ticket_json(id=name) for name in "abc"]
    assert _counts(client.post(STANDARD, **signed(secret, [*good[:2], good[2] | {"id": None}])))[:2] == ("partial", 2)
    assert _counts(client.post(STANDARD, **signed(secret, good))) == ("accepted", 1, 0, 2)
    assert [ticket.external_id for ticket in _all(db)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([{}, {}], ("accepted", 1, 0, 1)),
        ([{}, {"short_description": "later"}], ("accepted", 1, 1, 0)),
        ([{}, {"id": "1"}, {"id": " 1 "}], ("accepted", 1, 0, 2)),
    ],
)
def test_a_ticket_that_stands_twice_in_a_batch_is_one(
    client: FlaskClient, db: Database, secret: str, versions: list[Any], expected: tuple[Any, ...]
) -> None:
    batch = [ticket_json(id=1) | version for version in versions]
    assert _counts(client.post(STANDARD, **signed(secret, batch))) == expected
    (ticket,) = _all(db)
    assert ticket.short_description == batch[-1]["short_description"]


def test_a_batch_may_be_as_large_as_the_limit_and_no_larger(small: FlaskClient, db: Database, secret: str) -> None:
    answer = small.post(STANDARD, **signed(secret, [ticket_json() for _ in range(11)]))
    assert answer.status_code == 422
    assert "10" in answer.json["errors"]  # type: ignore[index]
    assert _all(db) == []
    assert _counts(small.post(STANDARD, **signed(secret, [ticket_json() for _ in range(10)]))) == ("accepted", 10, 0, 0)


# The same again


def test_a_redelivery_changes_nothing(client: FlaskClient, db: Database, secret: str) -> None:
    request = signed(secret, [ticket_json(), ticket_json()])
    first = client.post(STANDARD, **request)
    for ticket in _all(db):
        settle(db, ticket.id)
    again = client.post(STANDARD, **request)
    assert _counts(again) == ("duplicate", 0, 0, 2)
    assert again.json["delivery"] == first.json["delivery"]  # type: ignore[index]
    assert {ticket.status for ticket in _all(db)} == {"classified"}
    original, redelivery = _all(db, Delivery)
    assert (redelivery.original_id, redelivery.conflict, redelivery.body) == (original.id, False, None)


def test_the_same_tickets_under_another_id_are_duplicates(client: FlaskClient, db: Database, secret: str) -> None:
    body = [ticket_json(), ticket_json()]
    client.post(STANDARD, **signed(secret, body))
    for ticket in _all(db):
        settle(db, ticket.id)
    assert _counts(client.post(STANDARD, **signed(secret, body))) == ("duplicate", 0, 0, 2)
    assert {ticket.status for ticket in _all(db)} == {"classified"}


def test_a_redelivery_is_known_however_late_it_was_signed_again(client: FlaskClient, db: Database, secret: str) -> None:
    body = ticket_json()
    with time_machine.travel(AT, tick=False):
        client.post(STANDARD, **signed(secret, body, "msg_1", AT))
    with time_machine.travel(AT + 86_400 * 30, tick=False):
        answer = client.post(STANDARD, **signed(secret, body, "msg_1", AT + 86_400 * 30))
    assert _counts(answer) == ("duplicate", 0, 0, 1)


def test_another_body_under_a_known_id_is_a_conflict_that_is_kept(
    client: FlaskClient, db: Database, secret: str
) -> None:
    client.post(STANDARD, **signed(secret, ticket_json(id=1), "msg_1"))
    forged = signed(secret, [ticket_json(id=1, short_description="changed"), ticket_json(id=2)], "msg_1")
    assert _counts(client.post(STANDARD, **forged)) == ("duplicate", 0, 0, 1)
    (ticket,) = _all(db)
    assert ticket.short_description == "VPN does not connect"
    first, conflict = _all(db, Delivery)
    assert (conflict.conflict, conflict.status, conflict.original_id) == (True, "duplicate", first.id)
    assert conflict.body == forged["data"]


def test_a_quarantined_delivery_is_refused_the_same_way_again(client: FlaskClient, db: Database, secret: str) -> None:
    request = signed(secret, b'{"id": 1, "short_description": ')
    answers = [client.post(STANDARD, **request) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json == answers[1].json
    assert [delivery.status for delivery in _all(db, Delivery)] == ["quarantined", "duplicate"]


def test_of_deliveries_that_arrive_at_once_each_counts_once(app: Flask, db: Database, secret: str) -> None:
    requests = [signed(secret, [ticket_json(), ticket_json()]) for _ in range(5)] * 6
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda request: app.test_client().post(STANDARD, **request), requests))
    assert Counter(map(_counts, answers)) == {("accepted", 2, 0, 0): 5, ("duplicate", 0, 0, 2): 25}
    assert _due(db) == len(_all(db)) == 10


# Changes


def test_a_changed_ticket_is_classified_again(client: FlaskClient, db: Database, secret: str) -> None:
    client.post(STANDARD, **signed(secret, ticket_json(id=1)))
    settle(db, 1)
    changed = ticket_json(id=1, long_description="It was the cable.")
    assert _counts(client.post(STANDARD, **signed(secret, changed))) == ("accepted", 0, 1, 0)
    (ticket,) = _all(db)
    assert (ticket.status, ticket.long_description, ticket.delivery_id) == ("received", "It was the cable.", 2)
    assert _due(db) == 1


def test_a_reviewed_ticket_is_updated_but_not_classified_again(client: FlaskClient, db: Database, secret: str) -> None:
    client.post(STANDARD, **signed(secret, ticket_json(id=1)))
    settle(db, 1)
    with db.write() as session:
        session.execute(update(Ticket).values(status=REVIEWED))
    answer = client.post(STANDARD, **signed(secret, ticket_json(id=1, short_description="Now the mouse too")))
    assert _counts(answer) == ("accepted", 0, 1, 0)
    (ticket,) = _all(db)
    assert (ticket.status, ticket.category) == ("reviewed", "Network & Connectivity")
    assert ticket.short_description == "Now the mouse too"
    assert _due(db) == 0


def _version(hour: int) -> dict[str, Any]:
    return ticket_json(id=1, short_description=f"as of {hour}", updated_at=f"2026-01-01T0{hour}:00:00Z")


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
@pytest.mark.parametrize("together", [True, False])
def test_the_newest_version_stays_in_whatever_order_they_arrive(
    client: FlaskClient, db: Database, secret: str, order: tuple[int, ...], together: bool
) -> None:
    versions = [_version(hour) for hour in order]
    for body in [versions] if together else versions:
        assert client.post(STANDARD, **signed(secret, body)).status_code == 200
    (ticket,) = _all(db)
    assert ticket.short_description == "as of 3"


@pytest.mark.parametrize("together", [True, False])
def test_a_confirmation_makes_what_lies_before_it_old(
    client: FlaskClient, db: Database, secret: str, together: bool
) -> None:
    first = _version(1)
    confirmed = first | {"updated_at": "2026-01-01T05:00:00Z"}
    versions = [first, confirmed, _version(3)]
    for body in [versions] if together else versions:
        client.post(STANDARD, **signed(secret, body))
    (ticket,) = _all(db)
    assert (ticket.short_description, ticket.source_updated_at.hour) == ("as of 1", 5)


def test_an_older_update_never_overwrites_a_newer_one(client: FlaskClient, db: Database, secret: str) -> None:
    client.post(STANDARD, **signed(secret, _version(5)))
    settle(db, 1)
    for hour in (3, 4):
        assert _counts(client.post(STANDARD, **signed(secret, _version(hour)))) == ("duplicate", 0, 0, 1)
    (ticket,) = _all(db)
    assert (ticket.short_description, ticket.source_updated_at.hour, ticket.status) == ("as of 5", 5, "classified")


# Who may send


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"webhook-id": None}, "webhook-id"),
        ({"webhook-timestamp": None}, "webhook-timestamp"),
        ({"webhook-signature": None}, "webhook-signature"),
        ({"webhook-id": ""}, "webhook-id"),
        ({"webhook-signature": ""}, "webhook-signature"),
        ({"webhook-id": "msg_other"}, "webhook-signature"),
        ({"webhook-timestamp": "soon"}, "webhook-timestamp"),
        ({"webhook-signature": "v1,AAAA"}, "webhook-signature"),
        ({"webhook-signature": "v1,Ã©\xff v1,=== v1"}, "webhook-signature"),
        ({"webhook-id": "Ã©\xff"}, "webhook-signature"),
        ({"webhook-timestamp": "²"}, "webhook-timestamp"),
    ],
)
def test_what_is_not_signed_is_refused_with_the_reason_and_nothing_is_kept(
    client: FlaskClient, db: Database, secret: str, changed: dict[str, str | None], named: str
) -> None:
    request = signed(secret, ticket_json())
    right = request["headers"]["webhook-signature"]
    request["headers"] = {k: v for k, v in (request["headers"] | changed).items() if v is not None}
    answer = client.post(STANDARD, **request)
    assert answer.status_code == 401
    assert named in answer.json["message"]  # type: ignore[index]
    assert right.removeprefix("v1,") not in answer.text
    assert _all(db, Delivery) == _all(db) == []


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_a_header_that_comes_twice_is_refused(client: FlaskClient, db: Database, secret: str, name: str) -> None:
    request = signed(secret, ticket_json())
    request["headers"] = [*request["headers"].items(), (name, request["headers"][name])]
    assert client.post(STANDARD, **request).status_code == 401
    assert _all(db, Delivery) == []


@pytest.mark.parametrize(("late", "expected"), [(-301, 401), (-300, 200), (300, 200), (301, 401)])
def test_a_signature_is_good_for_five_minutes(client: FlaskClient, secret: str, late: int, expected: int) -> None:
    with time_machine.travel(AT + late, tick=False):
        assert client.post(STANDARD, **signed(secret, ticket_json(), at=AT)).status_code == expected


def test_a_changed_body_is_refused_before_it_is_read(client: FlaskClient, db: Database, secret: str) -> None:
    request = signed(secret, ticket_json())
    for body in (b"", b"[" * 1000, request["data"].replace(b"VPN", b"WAN"), request["data"] + b"\n"):
        assert client.post(STANDARD, **(request | {"data": body})).status_code == 401
    assert _all(db, Delivery) == []


def test_while_rotating_both_secrets_sign_and_afterwards_only_the_new_one(config: Settings, db: Database) -> None:
    old, new = secret_files.new_webhook_secret(), secret_files.new_webhook_secret()
    rotating = create_app(replace(config, webhook_secret=(new, old))).test_client()
    assert [rotating.post(STANDARD, **signed(key, ticket_json())).status_code for key in (old, new)] == [200, 200]
    rotated = create_app(replace(config, webhook_secret=(new,))).test_client()
    assert [rotated.post(STANDARD, **signed(key, ticket_json())).status_code for key in (old, new)] == [401, 200]


# What is refused before it is read


class _Untouchable(BytesIO):
    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")

    readline = readinto = read  # type: ignore[assignment]


def _untouchable(length: int) -> dict[str, Any]:
    return {"input_stream": _Untouchable(), "environ_overrides": {"CONTENT_LENGTH": str(length)}}


def test_the_untouchable_body_cannot_be_read(client: FlaskClient) -> None:
    with pytest.raises(AssertionError, match="was read"):
        client.post(STANDARD, content_type="application/json", **_untouchable(1))


@pytest.mark.parametrize("path", [STANDARD, f"{STANDARD}/"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_only_post_is_a_delivery(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["//webhooks/standard", "/webhooks//standard", "/webhooks/standard//"])
def test_no_delivery_is_redirected(client: FlaskClient, secret: str, path: str) -> None:
    answer = client.post(path, **signed(secret, ticket_json()))
    assert (answer.status_code, answer.headers.get("Location")) == (404, None)


@pytest.mark.parametrize("name", ["nobody", "nobody/", "Standard", "standard%20", "..", "%00", "%FF", "ü"])
def test_an_unknown_source_is_not_found_signed_or_not(
    client: FlaskClient, db: Database, secret: str, name: str
) -> None:
    answer = client.post(f"/webhooks/{name}", **signed(secret, ticket_json()))
    assert answer.status_code == 404
    assert answer.json is not None
    assert _all(db, Delivery) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip, gzip"},
    ],
)
def test_what_is_neither_json_nor_a_form_is_refused_unread(
    client: FlaskClient, db: Database, secret: str, headers: dict[str, str]
) -> None:
    request = signed(secret, ticket_json())
    answer = client.post(STANDARD, headers=request["headers"] | headers, **_untouchable(len(request["data"])))
    assert answer.status_code == 415
    assert _all(db, Delivery) == []


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"]
)
def test_json_may_be_called_by_any_of_its_names(client: FlaskClient, secret: str, kind: str) -> None:
    request = signed(secret, ticket_json()) | {"content_type": kind}
    assert _counts(client.post(STANDARD, **request)) == ("accepted", 1, 0, 0)


def test_a_form_is_read_as_it_was_signed(client: FlaskClient, db: Database, secret: str) -> None:
    request = signed(secret, b"id=1&short_description=x") | {"content_type": "application/x-www-form-urlencoded"}
    assert _counts(client.post(STANDARD, **request)) == ("accepted", 1, 0, 0)
    assert _all(db, Delivery)[0].body == b"id=1&short_description=x"


def test_a_packed_body_is_signed_as_it_travels(client: FlaskClient, db: Database, secret: str) -> None:
    request = signed(secret, gzip.compress(json.dumps(ticket_json(id="packed")).encode()))
    headers = request.pop("headers") | {"Content-Encoding": "gzip"}
    assert _counts(client.post(STANDARD, headers=headers, **request)) == ("accepted", 1, 0, 0)
    assert [ticket.external_id for ticket in _all(db)] == ["packed"]
    bomb = signed(secret, gzip.compress(b" " * (50 * MEGABYTE)))
    answer = client.post(STANDARD, headers=bomb.pop("headers") | {"Content-Encoding": "gzip"}, **bomb)
    assert answer.status_code == 422
    assert "unpacks" in answer.json["errors"]  # type: ignore[index]


def _padded(size: int) -> bytes:
    return json.dumps(ticket_json()).encode().ljust(size)


def test_a_body_that_is_too_large_is_refused_by_its_length_alone(small: FlaskClient, db: Database, secret: str) -> None:
    answer = small.post(STANDARD, content_type="application/json", **_untouchable(MEGABYTE + 1))
    assert answer.status_code == 413
    assert _all(db, Delivery) == []


def test_a_body_of_exactly_the_limit_is_taken(small: FlaskClient, secret: str) -> None:
    assert _counts(small.post(STANDARD, **signed(secret, _padded(MEGABYTE)))) == ("accepted", 1, 0, 0)


# Over the wire


@pytest.fixture(scope="module")
def server(redis_server: str, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The web server itself, which takes one megabyte."""
    folder = tmp_path_factory.mktemp("server")
    url = databases.new_url(folder)
    environ = {
        "DATA_DIR": str(folder), "REDIS_URL": redis_server, "PORT": str(free_port()),
        "WEB_WORKERS": "1", "MAX_BODY_MB": "1", "WEBHOOK_SECRET": secret_files.new_webhook_secret(),
        "PYTHONPATH": str(ROOT), "DATABASE_URL": url,
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:receiver.web.gunicorn_conf",
        "receiver.web.app:create_app()",
    ]
    with databases.made(url, migrated), subprocess.Popen(command, env=environ, cwd=folder) as process:
        found = settings.load(environ)
        wait_until(lambda: listens(found.port), 60)
        yield found
        process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _send(server: Settings, headers: list[tuple[str, str]], body: Any, chunked: bool = False) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.putrequest("POST", STANDARD)
        for name, value in [("Content-Type", "application/json"), *headers]:
            connection.putheader(name, value)
        connection.endheaders(body, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(("size", "expected"), [(MEGABYTE, 200), (MEGABYTE + 1, 413)])
def test_a_body_without_a_length_is_measured_while_it_is_read(server: Settings, size: int, expected: int) -> None:
    request = signed(server.webhook_secret[0], _padded(size))
    headers = [*request["headers"].items(), ("Transfer-Encoding", "chunked")]
    status, answer = _send(server, headers, (request["data"][at : at + 50_000] for at in range(0, size, 50_000)), True)
    assert status == expected, answer
    with opened(server.database_url) as db:
        bodies = [delivery.body for delivery in _all(db, Delivery)]
    assert (request["data"] in bodies) is (expected == 200)


def test_who_sends_far_too_much_hears_why(server: Settings) -> None:
    """The refusal is made at once; the connection is not reset under what the sender still sends."""
    size = 16 * MEGABYTE
    head = f"POST {STANDARD} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 60) as sender:
        sender.sendall(head.encode())
        for _ in range(16):
            sender.sendall(b"x" * MEGABYTE)
        assert b" 413 " in sender.makefile("rb").readline()


@pytest.mark.parametrize("chunks", [b"ZZ\r\n{}\r\n0\r\n\r\n", b"2\r\n{}##0\r\n\r\n", b"9\r\n{}"])
def test_a_body_whose_chunks_are_broken_is_the_senders_mistake(server: Settings, chunks: bytes) -> None:
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed(server.webhook_secret[0], {})["headers"].items())
    start = f"POST {STANDARD} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 60) as sender:
        sender.sendall(f"{start}{headers}\r\n".encode() + chunks)
        sender.shutdown(socket.SHUT_WR)
        assert b" 400 " in sender.makefile("rb").readline()


@pytest.mark.parametrize(
    "extra",
    [
        ("webhook-id", "msg_other"),
        ("webhook-signature", "v1,AAAA"),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", "v1,\xe9\xff"),
    ],
)
def test_over_the_wire_a_header_that_comes_twice_is_refused(server: Settings, extra: tuple[str, str]) -> None:
    request = signed(server.webhook_secret[0], ticket_json())
    headers = [*request["headers"].items(), ("Content-Length", str(len(request["data"]))), extra]
    assert _send(server, headers, request["data"])[0] == 401


# When something is broken


def _junk(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 500)


def _no_tables(path: Path) -> None:
    path.write_bytes(b"")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _gone(path: Path) -> None:
    shutil.rmtree(path.parent)


def _no_lock(path: Path) -> None:
    path.with_name(f"{path.name}.lock").mkdir()


@pytest.mark.sqlite
@pytest.mark.parametrize("spoil", [_junk, _no_tables, _a_folder, _gone, _no_lock])
def test_while_the_record_cannot_be_used_the_sender_is_asked_to_come_back(
    client: FlaskClient, config: Settings, secret: str, spoil: Callable[[Path], None]
) -> None:
    path = config.data_dir / "tickets.db"
    spoil(path)
    answer = client.post(STANDARD, **signed(secret, ticket_json()))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "accepted" not in answer.text
    assert str(config.data_dir) not in answer.text


@contextmanager
def _full_disk(free: int) -> Iterator[None]:
    """No file of this process grows beyond `free` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.sqlite
def test_a_full_disk_loses_nothing_and_is_recovered_from(client: FlaskClient, db: Database, secret: str) -> None:
    assert client.post(STANDARD, **signed(secret, ticket_json(id="before"))).status_code == 200
    request = signed(secret, ticket_json(id="during", long_description="x" * 2 * MEGABYTE))
    with _full_disk(MEGABYTE):
        answers = [client.post(STANDARD, **request) for _ in range(3)]
    assert [(answer.status_code, answer.headers.get("Retry-After")) for answer in answers] == [(503, "10")] * 3
    assert [ticket.external_id for ticket in _all(db)] == ["before"]
    assert _counts(client.post(STANDARD, **request)) == ("accepted", 1, 0, 0)
    assert [ticket.external_id for ticket in _all(db)] == ["before", "during"]


@pytest.mark.sqlite
def test_a_delivery_that_fails_half_way_leaves_nothing(
    client: FlaskClient, config: Settings, db: Database, secret: str
) -> None:
    request = signed(secret, [ticket_json(id=name) for name in ("a", "b", "cursed", "d")])
    path = config.data_dir / "tickets.db"
    with sqlite3.connect(path) as connection:
        refusal = "WHEN NEW.external_id = 'cursed' BEGIN SELECT RAISE(ABORT, 'no'); END"
        connection.execute(f"CREATE TRIGGER curse BEFORE INSERT ON tickets {refusal}")
    answer = client.post(STANDARD, **request)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert _all(db) == _all(db, Delivery) == []
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER curse")
    assert _counts(client.post(STANDARD, **request)) == ("accepted", 4, 0, 0)


def test_a_delivery_wakes_the_workers(client: FlaskClient, config: Settings, secret: str) -> None:
    client.post(STANDARD, **signed(secret, [ticket_json() for _ in range(100)]))
    with queue.connect(config.redis_url) as connection:
        waiting = queue.queue(queue.CLASSIFY, connection)
        wait_until(lambda: waiting.count)
        assert {job.func_name for job in waiting.jobs} == {queue.CLASSIFY_JOB}


def _answers(url: str) -> bool:
    try:
        with queue.connect(url, timeout=1) as connection:
            return bool(connection.ping())
    except redis.RedisError:
        return False


@contextmanager
def _running(config: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(embedded_redis.command(config)) as process:
        try:
            wait_until(lambda: _answers(config.redis_url))
            yield process
        finally:
            process.kill()


def _deliver_many(client: FlaskClient, secret: str, count: int) -> float:
    started = time.monotonic()
    for _ in range(count):
        assert _counts(client.post(STANDARD, **signed(secret, ticket_json()))) == ("accepted", 1, 0, 0)
    return time.monotonic() - started


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock", "redis://redis.invalid:6379"])
def test_without_redis_tickets_are_taken_as_ever(config: Settings, db: Database, secret: str, url: str) -> None:
    client = create_app(replace(config, redis_url=url)).test_client()
    _deliver_many(client, secret, 20)
    assert _due(db) == 20


def test_a_redis_that_hangs_slows_no_request_and_is_woken_when_it_is_back(
    config: Settings, db: Database, secret: str, tmp_path: Path
) -> None:
    own = settings.load({"DATA_DIR": str(tmp_path / "own")})
    client = create_app(replace(config, redis_url=own.redis_url)).test_client()
    timeout, count = 0.25, 40
    with _running(own) as process:
        usual = _deliver_many(client, secret, count)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            assert _deliver_many(client, secret, count) < usual + timeout * count / 2
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert _due(db) == 2 * count
        with queue.connect(own.redis_url) as connection:
            wait_until(lambda: _answers(own.redis_url))
            connection.flushall()
            wait_until(lambda: _woken(client, secret, connection))


def _woken(client: FlaskClient, secret: str, connection: "redis.Redis") -> int:
    _deliver_many(client, secret, 1)
    return queue.queue(queue.CLASSIFY, connection).count


def test_a_mended_body_under_a_quarantined_id_is_a_conflict_and_kept(
    client: FlaskClient, db: Database, secret: str
) -> None:
    assert client.post("/webhooks/standard", **signed(secret, b"{broken", "msg_1")).status_code == 422
    again = client.post("/webhooks/standard", **signed(secret, ticket_json(), "msg_1"))
    assert again.json is not None
    assert (again.status_code, again.json["status"], again.json["delivery"]) == (200, "duplicate", 1)
    with db.read() as session:
        conflict = session.get_one(Delivery, 2)
        assert (conflict.conflict, conflict.body is None) == (True, False)


def test_a_mistake_of_ours_is_no_record_that_is_away(
    config: Settings, secret: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file", "planted")

    app = create_app(config)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.logger.addHandler(caplog.handler)
    monkeypatch.setattr(state.of(app).group, "write", fails)
    answer = app.test_client().post(STANDARD, **signed(secret, ticket_json()))
    assert answer.status_code == 500
    assert "Retry-After" not in answer.headers
    assert "planted" not in answer.text
    assert "Traceback" in caplog.text


@pytest.mark.sqlite
def test_a_database_that_is_away_is_logged_with_the_places_and_without_words(
    client: FlaskClient, config: Settings, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.application.logger.addHandler(caplog.handler)
    _junk(config.data_dir / "tickets.db")
    assert client.post(STANDARD, **signed(secret, ticket_json(short_description="planted"))).status_code == 503
    assert "SQLITE_NOTADB" in caplog.text
    assert "webhooks.py" in caplog.text
    assert "planted" not in caplog.text
