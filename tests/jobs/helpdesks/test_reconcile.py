"""Reconciling: what a lost webhook missed is found and recorded, once, and nothing else is touched."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update

from jobs.helpdesks import reconcile
from receiver import queue
from receiver.actions.deliveries import replay
from receiver.db import alarms
from receiver.db.database import Database
from receiver.db.models import Delivery, Ticket
from receiver.intake.sources import Source, profiles
from receiver.intake.sources.payload_mapping import PayloadMapping
from receiver.lib.settings import Settings
from receiver.web import state
from tests.factories import acting, signed, source_named
from tests.peers import http
from tests.peers.http import Answer, Peer, Request

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BEARER = {"Authorization": "Bearer t0ken"}
FIELDS = {"id": "key", "short_description": "subject", "long_description": "text", "updated_at": "changed"}


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START) as moment:
        yield moment


def item(number: int, **more: Any) -> dict[str, Any]:
    """A ticket as the helpdesk's API lists it."""
    return {"key": number, "subject": f"Problem {number}", "text": "x", "changed": "2026-03-02T08:00:00Z"} | more


def pages(items: list[dict[str, Any]], size: int = 30) -> Callable[[Request], Answer]:
    """An API that gives `size` items a page and the address of the next one."""

    def respond(request: Request) -> Answer:
        if request.headers.get("Authorization") != BEARER["Authorization"]:
            return Answer(401, b"")
        query = parse_qs(urlsplit(request.path).query)
        start = int(query.get("start", ["0"])[0])
        following = f"/list?start={start + size}" if start + size < len(items) else None
        return Answer.of({"found": items[start : start + size], "links": {"next": following}})

    return respond


@pytest.fixture
def peer() -> Iterator[Peer]:
    with http.serve(Peer(pages([]))) as served:
        yield served


def source(peer: Peer, **more: Any) -> Source:
    options = {"every_minutes": 30, "path": "/list", "items": "found", "next": "links.next", "fields": FIELDS} | more
    return source_named("acme", SECRET, api={"url": peer.url, "headers": BEARER}, reconcile=options)


def count(db: Database, model: type[Any]) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def up(db: Database) -> dict[str, str]:
    with db.read() as session:
        return {alarm.name: alarm.message for alarm in alarms.current(session)}


def pushed(number: int) -> dict[str, Any]:
    """The same ticket as its webhook brings it."""
    found = item(number)
    return {ours: found[theirs] for ours, theirs in FIELDS.items()}


def test_exactly_what_lost_webhooks_missed_is_brought_in(
    db: Database, config: Settings, peer: Peer, app: Flask, client: FlaskClient
) -> None:
    state.of(app).context.sources["acme"] = source(peer)
    lost = {3, 14, 15, 26, 35, 58, 79, 88, 93, 97}
    for number in set(range(100)) - lost:
        assert client.post("/webhooks/acme", **signed(SECRET, pushed(number))).status_code == 200
    peer.respond = pages([item(number) for number in range(100)])
    before = count(db, Delivery)
    assert reconcile.reconcile(db, config, source(peer)) == 10
    with db.read() as session:
        names = set(session.scalars(select(Ticket.external_id).join(Delivery).where(Delivery.origin == "reconcile")))
    assert names == {str(number) for number in lost}
    assert (count(db, Ticket), len(peer.requests)) == (100, 4)
    recorded = count(db, Delivery)
    assert recorded - before <= 4
    assert reconcile.reconcile(db, config, source(peer)) == 0
    assert (count(db, Ticket), count(db, Delivery)) == (100, recorded)


def test_what_was_erased_is_not_brought_back_by_the_same_answer(db: Database, config: Settings, peer: Peer) -> None:
    peer.respond = pages([item(1)])
    assert reconcile.reconcile(db, config, source(peer)) == 1
    with db.write() as session:
        session.execute(delete(Ticket))
    assert reconcile.reconcile(db, config, source(peer)) == 0
    assert up(db) == {}


def test_a_webhook_that_comes_late_after_all_doubles_nothing(
    db: Database, config: Settings, peer: Peer, app: Flask, client: FlaskClient
) -> None:
    state.of(app).context.sources["acme"] = source(peer)
    peer.respond = pages([item(1)])
    reconcile.reconcile(db, config, source(peer))
    answer = client.post("/webhooks/acme", **signed(SECRET, pushed(1)))
    assert answer.json and answer.json["status"] == "duplicate"
    assert count(db, Ticket) == 1


def test_several_at_once_bring_it_in_once(db: Database, config: Settings, peer: Peer) -> None:
    peer.respond = pages([item(number) for number in range(60)])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: reconcile.reconcile(db, config, source(peer)), range(4)))
    assert sum(found) == 60
    assert (count(db, Ticket), count(db, Delivery)) == (60, 2)


def test_what_was_brought_in_is_replayed_in_the_shape_it_was_kept_in(
    db: Database, config: Settings, peer: Peer
) -> None:
    desk = replace(
        source(peer), shape=PayloadMapping.of(profiles.shipped()["hubspot"])
    )  # It has other names for our fields.
    peer.respond = pages([item(1)])
    assert reconcile.reconcile(db, config, desk) == 1
    with db.read() as session:
        kept = session.scalars(select(Delivery.id)).one()
    done = replay(acting(db, config, {"acme": desk}), "ada", kept)
    assert done.after is not None
    assert (done.after["updated"], done.after["duplicates"]) == (0, 1)
    with db.read() as session:
        assert session.scalar(select(Ticket.short_description)) == "Problem 1"


def test_a_newer_version_is_brought_in_and_an_older_or_undated_one_is_not(
    db: Database, config: Settings, peer: Peer
) -> None:
    for changed, subject, found in [
        ("2026-03-02T08:00:00Z", "First", 1),
        ("2026-03-02T08:10:00Z", "Second", 1),
        ("2026-03-02T08:05:00Z", "Older", 0),
        (None, "Undated", 0),
        ("2026-03-02T08:20:00Z", "Second", 0),
    ]:
        peer.respond = pages([item(1, changed=changed, subject=subject)])
        assert reconcile.reconcile(db, config, source(peer)) == found
    with db.read() as session:
        assert session.scalar(select(Ticket.short_description)) == "Second"


def test_the_next_time_only_what_has_changed_since_is_asked_for(
    db: Database, config: Settings, peer: Peer, clock: time_machine.Traveller
) -> None:
    target = source(peer, since="changed_after", path="/list?sort=asc")
    reconcile.reconcile(db, config, target)
    clock.shift(3600)
    reconcile.reconcile(db, config, target)
    assert [request.path for request in peer.requests] == [
        "/list?sort=asc",
        "/list?sort=asc&changed_after=2026-03-02T08%3A45%3A00Z",
    ]


def test_a_page_may_name_the_next_one_by_a_cursor(db: Database, config: Settings, peer: Peer) -> None:
    chain = {"": "b c", "b c": "d", "d": None}

    def respond(request: Request) -> Answer:
        cursor = parse_qs(urlsplit(request.path).query).get("cursor", [""])[0]
        return Answer.of({"found": [item(len(cursor) + 1)], "next": chain[cursor]})

    peer.respond = respond
    assert reconcile.reconcile(db, config, source(peer, next="next", next_parameter="cursor")) == 3


@pytest.mark.parametrize(
    ("following", "part"),
    [
        ("https://evil.test/list", "points away"),
        ("http://127.0.0.1:1/list", "points away"),
        ("/a/%2e%2e/list", "points away"),
        ("/list", "circles"),
    ],
)
def test_a_next_page_elsewhere_or_once_more_is_not_followed(
    db: Database, config: Settings, peer: Peer, following: str, part: str
) -> None:
    peer.respond = lambda _: Answer.of({"found": [item(1)], "links": {"next": following}})
    assert reconcile.reconcile(db, config, source(peer)) == 1
    assert part in up(db)["reconcile:acme"]
    assert len(peer.requests) == 1


def test_what_goes_wrong_is_an_alarm_until_it_goes_right(db: Database, config: Settings, peer: Peer) -> None:
    for answer in (Answer(500), Answer.of({"found": "nothing"}), Answer(200, b"<html>"), Answer(401)):
        peer.respond = lambda _, answer=answer: answer  # type: ignore[misc]
        assert reconcile.reconcile(db, config, source(peer)) == 0
        assert "cannot be reconciled" in up(db)["reconcile:acme"]
        assert "t0ken" not in str(up(db))
    peer.respond = pages([item(1)])
    assert reconcile.reconcile(db, config, source(peer)) == 1
    assert up(db) == {}


def test_what_earlier_pages_held_is_kept_when_a_later_one_fails(db: Database, config: Settings, peer: Peer) -> None:
    listing = pages([item(number) for number in range(60)])
    peer.respond = lambda request: Answer(500) if "start" in request.path else listing(request)
    assert reconcile.reconcile(db, config, source(peer)) == 30
    assert reconcile.is_due(db, config, source(peer)) is False  # It is left alone for half a minute.


def test_its_time_comes_as_often_as_configured(
    db: Database, config: Settings, peer: Peer, clock: time_machine.Traveller
) -> None:
    assert reconcile.is_due(db, config, source(peer))
    reconcile.reconcile(db, config, source(peer))
    for seconds, due in [(60, False), (1700, False), (60, True), (-7200, True)]:
        clock.shift(seconds)
        assert reconcile.is_due(db, config, source(peer)) is due
    assert not reconcile.is_due(db, config, replace(source(peer), reconcile=None))


def test_retry_after_is_obeyed(db: Database, config: Settings, peer: Peer, clock: time_machine.Traveller) -> None:
    peer.respond = lambda _: Answer(429, b"", {"Retry-After": "600"})
    reconcile.reconcile(db, config, source(peer))
    clock.shift(590)
    assert not reconcile.is_due(db, config, source(peer))
    clock.shift(20)
    assert reconcile.is_due(db, config, source(peer))


def test_what_is_no_ticket_is_left_out_and_said(
    db: Database, config: Settings, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.respond = pages([item(1), item(2, subject=None), item(3, subject="")])
    assert reconcile.reconcile(db, config, source(peer)) == 1
    assert "2 of 3 items of acme are no tickets" in caplog.text


def test_without_fields_an_item_is_read_as_a_delivery_of_the_source(db: Database, config: Settings, peer: Peer) -> None:
    peer.respond = pages([pushed(1), pushed(2)])
    target = source(peer)
    assert target.reconcile
    plain = {name: value for name, value in target.reconcile.items() if name != "fields"}
    assert reconcile.reconcile(db, config, replace(target, reconcile=plain)) == 2


def test_a_ticket_that_a_person_reviewed_keeps_their_decision(db: Database, config: Settings, peer: Peer) -> None:
    peer.respond = pages([item(1)])
    reconcile.reconcile(db, config, source(peer))
    with db.write() as session:
        session.execute(update(Ticket).values(status="reviewed"))
    peer.respond = pages([item(1, subject="Changed", changed="2026-03-02T08:30:00Z")])
    reconcile.reconcile(db, config, source(peer))
    with db.read() as session:
        assert session.scalar(select(Ticket.status)) == "reviewed"


def test_the_pull_api_reconciles_the_source_standard(
    db: Database, config: Settings, peer: Peer, environment: pytest.MonkeyPatch,
    client: FlaskClient, app: Flask, clock: time_machine.Traveller,
) -> None:  # fmt: skip
    environment.setenv("HELPDESK_WEBHOOK_URL", f"{peer.url}/pull")
    environment.setenv("RECONCILE_MINUTES", "15")
    requests = [pushed(number) for number in range(5)]
    peer.respond = lambda _: Answer.of({"response_code": 200, "data": {"requests": requests}})
    secret = state.of(app).context.sources["standard"].secrets[0].value
    client.post("/webhooks/standard", **signed(secret, requests[:3]))
    for _ in range(3):
        reconcile.reconcile_due()
    assert (count(db, Ticket), len(peer.requests)) == (5, 1)
    clock.shift(timedelta(minutes=16))
    reconcile.reconcile_due()
    assert (count(db, Ticket), len(peer.requests)) == (5, 2)
    with queue.connect(config.redis_url) as connection:
        assert queue.depths(connection)["classify"] >= 1
    with db.read() as session:
        body = session.scalars(select(Delivery.body).where(Delivery.origin == "reconcile")).one()
    assert [found["id"] for found in json.loads(body or b"")] == [3, 4]
