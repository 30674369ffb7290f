"""Classifications on their way back to helpdesks: written once, as each API wants it, or visibly given up."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import select, update
from standardwebhooks import Webhook

from jobs.__main__ import main
from jobs.classification.classify import classify_due
from jobs.helpdesks import outbox as job
from jobs.operations import maintenance
from receiver import queue
from receiver.db import alarms, classifications, due_tickets, outbox, tickets, work
from receiver.db.database import Database
from receiver.db.models import WRITE_BACK, Circuit, OutgoingCall, Ticket, Work
from receiver.intake.sources import Source, profiles, writing_back
from receiver.lib.clock import now
from receiver.lib.retry_policy import WORK
from receiver.lib.settings import Settings
from tests.factories import classification, due_ticket, promise, source_named
from tests.peers import http
from tests.peers.helpdesks import APIS, TOKEN, USER, Helpdesk, Known, serving
from tests.peers.http import Answer, Peer, Request
from tests.receiver.intake.sources import desks

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
VPN = "VPN Connection Issue"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def source(peer: Peer, profile: str = "zendesk", *, name: str = "acme", **write_back: Any) -> Source:
    parameters = {"admin_id": "7", "user_id": "3", "owner": "acme", "repository": "desk"}
    api = {"url": peer.url, "user": USER, "token": TOKEN, "parameters": parameters}
    write_back = write_back or {"labels": ["svc-{request_type}"]}
    return source_named(name, SECRET, profile, api=api, write_back=write_back)


def classify(db: Database, target: Source, external_id: str = "4711", **fields: Any) -> int:
    """Record a ticket, if it is not there, and save a classification of it."""
    with db.read() as session:
        known = session.scalar(select(Ticket.id).where(Ticket.external_id == external_id))
    ticket_id = known or due_ticket(db, external_id=external_id, source=target.name)
    with db.write() as session:
        tickets.make_due(session, ticket_id, now())
        due_tickets.claim(session, "test", 1000, now())
        saved = classification(ticket_id, **fields)
        writes = writing_back({target.name: target})
        assert classifications.save(session, "test", saved, promise(), writes)
    return ticket_id


def run(db: Database, config: Settings, *targets: Source) -> None:
    job.do_due(db, config, {target.name: target for target in targets})


@dataclass(frozen=True)
class Call:
    """An outgoing call as it stands, with what its work says while it is not over."""

    source: str
    steps: int
    state: str
    attempts: int
    run_at: datetime | None
    error_code: str | None
    error: str | None


def rows(db: Database) -> list[Call]:
    its = (Work.kind == OutgoingCall.kind) & (Work.subject_id == OutgoingCall.id)
    with db.read() as session:
        found = session.execute(select(OutgoingCall, Work).outerjoin(Work, its).order_by(OutgoingCall.id)).all()
        assert session.query(Work).filter_by(kind=WRITE_BACK).count() == sum(row[1] is not None for row in found)
    assert all((call.outcome is None) == (its_work is not None) for call, its_work in found)
    return [
        Call(call.source, call.steps, waits.state, waits.attempts, waits.run_at, waits.error_code, waits.error)
        if waits
        else Call(call.source, call.steps, str(call.outcome), 0, None, None, None)
        for call, waits in found
    ]


def one(db: Database) -> Call:
    [row] = rows(db)
    return row


def _until(call: Call) -> float:
    """In how many seconds it is tried again."""
    assert call.run_at
    return (call.run_at - now()).total_seconds()


def up(db: Database) -> dict[str, str]:
    with db.read() as session:
        return {alarm.name: alarm.message for alarm in alarms.current(session)}


def make_due(db: Database) -> None:
    with db.write() as session:
        session.execute(update(Work).where(Work.state == "due").values(run_at=now() - timedelta(seconds=1)))
        session.execute(update(Circuit).values(probe_at=now() - timedelta(seconds=1)))


PAIRS = {"23": VPN}
WRITTEN: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("zendesk", {"23": "{request_type}"}, PAIRS, ["svc-vpn-connection-issue"]),
    ("freshdesk", {"custom_fields.cf_service": "{request_type}"}, {"custom_fields": {"cf_service": VPN}}, ["l"]),
    ("freshservice", {"category": "{category}"}, {"category": "Network & Connectivity"}, ["l"]),
    ("jira", {"customfield_7": "{request_type}"}, {"customfield_7": VPN}, ["svc-network-connectivity"]),
    ("servicenow", {"u_service": "{request_type}", "u_sla": "{sla}"}, {"u_service": VPN, "u_sla": "4 hours"}, []),
    ("zammad", {"service": "{request_type}"}, {"service": VPN}, ["a", "b"]),
    ("glpi", {"category.id": "{category}"}, {"category": {"id": 17}}, []),
    ("freescout", {"23": "{request_type}"}, PAIRS, ["l"]),
    ("intercom", {"Service": "{request_type}"}, {"Service": VPN}, ["99"]),
    ("hubspot", {"service": "{request_type}"}, {"service": VPN}, []),
    ("servicedeskplus", {"udf_fields.udf_sline_1": "{category}"}, {"udf_fields": {"udf_sline_1": 17}}, []),
    ("linear", {}, {}, ["uuid-1", "uuid-2"]),
    ("github", {}, {}, ["svc-vpn-connection-issue"]),
]  # fmt: skip
NOTELESS = {"hubspot", "linear", "github"}
FOUND = {
    "/api/now/table/incident?sysparm_query=number%3DINC0010023%5EORsys_id%3DINC0010023"
    "&sysparm_fields=number,sys_id&sysparm_limit=1": {
        "result": [{"number": "INC0010023", "sys_id": "9d385017c611228701d22104cc95c371"}]
    },
}
TEMPLATES = {
    "svc-vpn-connection-issue": "svc-{request_type}",
    "svc-network-connectivity": "svc-{category}",
}


@pytest.mark.shows("write-back")
@pytest.mark.parametrize(("profile", "fields", "written", "labels"), WRITTEN)
def test_every_helpdesk_is_told_as_its_api_wants_it(
    db: Database, config: Settings, stack: ExitStack, profile: str,
    fields: dict[str, str], written: dict[str, Any], labels: list[str],
) -> None:  # fmt: skip
    delivered = desks.fixture(profile)
    name = delivered["expected"]["external_id"]
    in_api = delivered.get("in_api", name)
    helpdesk, peer = serving(profile, tickets={in_api: Known(name=in_api)}, answers=FOUND)
    stack.enter_context(http.serve(peer))
    note = {} if profile in NOTELESS else {"note": "Attributed to {category}: {request_type}, {sla}"}
    values = {"Network & Connectivity": 17} if profile in ("glpi", "servicedeskplus") else {}
    named: dict[str, Any] = {"labels": [TEMPLATES.get(label, label) for label in labels]} if labels else {}
    target = source(peer, profile, fields=fields, values=values, **named, **note)
    classify(db, target, name)
    run(db, config, target)
    assert (one(db).state, one(db).error) == ("done", None)
    expected = ["Attributed to Network & Connectivity: VPN Connection Issue, 4 hours"] if note else []
    assert helpdesk.tickets == {in_api: Known(written, ["kept", *labels], expected)}
    sent = len(peer.requests)
    make_due(db)
    run(db, config, target)
    assert len(peer.requests) == sent


@pytest.mark.parametrize("result", [[], [{"number": "INC0010024", "sys_id": "9d38"}], None])
def test_what_a_search_finds_is_told_only_where_it_is_the_ticket(
    db: Database, config: Settings, stack: ExitStack, result: Any
) -> None:
    _, peer = serving("servicenow", answers={next(iter(FOUND)): {"result": result}})
    stack.enter_context(http.serve(peer))
    target = source(peer, "servicenow", fields={"u_service": "{request_type}"})
    classify(db, target, "INC0010023")
    run(db, config, target)
    assert (one(db).state, [request.method for request in peer.requests]) == ("dead", ["GET"])


def test_every_helpdesk_that_can_be_told_is_imitated() -> None:
    told = {profile.name for profile in profiles.shipped().values() if profile.api}
    assert told == set(APIS) == {profile for profile, *_ in WRITTEN}


@pytest.fixture
def zendesk(stack: ExitStack) -> tuple[Helpdesk, Peer]:
    helpdesk, peer = serving("zendesk")
    stack.enter_context(http.serve(peer))
    return helpdesk, peer


Desk = tuple[Helpdesk, Peer]


def test_a_source_without_write_back_is_told_nothing(db: Database, config: Settings, zendesk: Desk) -> None:
    classify(db, replace(source(zendesk[1]), write_back=None))
    assert rows(db) == []


def test_what_goes_to_review_is_told_only_where_that_is_wanted(db: Database, zendesk: Desk) -> None:
    classify(db, source(zendesk[1]), review_reason="low_confidence")
    assert rows(db) == []
    classify(db, source(zendesk[1], labels=["x"], uncertain=True), review_reason="low_confidence")
    assert one(db).state == "due"


def test_only_the_newest_classification_is_told(db: Database, config: Settings, zendesk: Desk) -> None:
    helpdesk, peer = zendesk
    classify(db, source(peer), request_type="Old")
    classify(db, source(peer), request_type="New")
    run(db, config, source(peer))
    assert [row.state for row in rows(db)] == ["superseded", "done"]
    assert helpdesk.tickets["4711"].labels == ["kept", "svc-new"]


def test_a_later_uncertain_classification_takes_the_certain_one_back(db: Database, zendesk: Desk) -> None:
    classify(db, source(zendesk[1]))
    classify(db, source(zendesk[1]), review_reason="low_confidence")
    assert one(db).state == "superseded"


def test_several_runs_at_once_tell_it_once(db: Database, config: Settings, zendesk: Desk) -> None:
    helpdesk, peer = zendesk
    helpdesk.tickets |= {str(number): Known() for number in range(20)}
    target = source(peer, note="once", per_minute=600)
    for number in range(20):
        classify(db, target, str(number))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run(db, config, target), range(4)))
    assert {row.state for row in rows(db)} == {"done"}
    assert [helpdesk.tickets[str(number)].notes for number in range(20)] == [["once"]] * 20


def test_a_request_that_succeeded_is_not_repeated_when_the_next_one_fails(
    db: Database, config: Settings, zendesk: Desk
) -> None:
    helpdesk, peer = zendesk
    target = source(peer, note="once", labels=["l"])
    classify(db, target)
    peer.respond = lambda request: Answer(500) if "tags" in request.path else helpdesk.respond(request)
    run(db, config, target)
    assert (one(db).state, one(db).steps) == ("due", 1)
    peer.respond = helpdesk.respond
    make_due(db)
    run(db, config, target)
    assert helpdesk.tickets["4711"] == Known({}, ["kept", "l"], ["once"])


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_what_the_helpdesk_refuses_for_good_is_a_dead_letter_with_an_alarm(
    db: Database, config: Settings, zendesk: Desk, status: int
) -> None:
    zendesk[1].respond = lambda _: Answer(status, b"VPN does not connect")
    ticket_id = classify(db, source(zendesk[1]))
    run(db, config, source(zendesk[1]))
    assert one(db).state == "dead"
    message = up(db)["outgoing:acme"]
    assert str(status) in message
    assert f"ticket {ticket_id}" in message
    assert "VPN" not in message + str(one(db).error)


def test_a_dead_letter_can_be_redriven_and_its_alarm_ends(db: Database, config: Settings, zendesk: Desk) -> None:
    helpdesk, peer = zendesk
    peer.respond = lambda _: Answer(422)
    classify(db, source(peer))
    run(db, config, source(peer))
    peer.respond = helpdesk.respond
    with db.write() as session:
        assert outbox.redrive(session, "other", now()) == 0
        assert outbox.redrive(session, "acme", now()) == 1
    run(db, config, source(peer))
    assert (one(db).state, up(db)) == ("done", {})


@pytest.mark.parametrize("status", [301, 401, 403, 408, 409, 425, 500, 502])
def test_what_may_pass_is_tried_again_by_the_schedule_and_then_given_up(
    db: Database, config: Settings, zendesk: Desk, status: int
) -> None:
    zendesk[1].respond = lambda _: Answer(status, b"{}", {"Location": zendesk[1].url})
    target = source(zendesk[1], labels=["l"], per_minute=600)
    classify(db, target)
    waits = []
    for _ in range(9):
        run(db, config, target)
        assert one(db).state == "due"
        waits.append(_until(one(db)))
        make_due(db)
    schedule = [max(5, waits[0] if status != 408 else 5), 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert all(due * 0.99 <= wait <= due * 1.2 for wait, due in zip(waits[1:], schedule[1:], strict=True))
    assert 4 <= waits[0] <= 310
    run(db, config, target)
    assert one(db).state == "dead"
    assert len(zendesk[1].requests) == 10


def test_a_credential_that_is_refused_is_an_alarm_at_once(db: Database, config: Settings, zendesk: Desk) -> None:
    target = source(zendesk[1])
    assert target.api
    wrong = replace(target, api=dict(target.api) | {"token": "wr0ng"})
    classify(db, wrong)
    run(db, config, wrong)
    assert "401" in up(db)["outgoing:acme"]
    assert "wr0ng" not in str(up(db)) + str(one(db).error)
    make_due(db)
    run(db, config, target)
    assert (one(db).state, up(db)) == ("done", {})


def test_retry_after_is_obeyed_by_the_whole_source_and_costs_no_attempt(
    db: Database, config: Settings, zendesk: Desk
) -> None:
    helpdesk, peer = zendesk
    helpdesk.limit, helpdesk.seconds = 3, 40
    helpdesk.tickets |= {str(number): Known() for number in range(8)}
    target = source(peer, labels=["l"], per_minute=600)
    for number in range(6):
        classify(db, target, str(number))
    run(db, config, target)
    waiting = [row for row in rows(db) if row.state == "due"]
    assert (len(waiting), len(peer.requests)) == (3, 4)
    assert [row.attempts for row in waiting] == [0, 0, 0]
    assert 35 < _until(waiting[0]) < 50
    assert up(db) == {}

    def are_due(seconds: int) -> list[str]:
        with db.read() as session:
            return outbox.sources_due(session, now() + timedelta(seconds=seconds))

    # Nobody asks meanwhile, also not for what is to be told since; others are told.
    classify(db, target, "7")
    run(db, config, target)
    assert len(peer.requests) == 4
    classify(db, source(peer, name="other"), "8")
    assert (are_due(0), are_due(35), sorted(are_due(41))) == (["other"], ["other"], ["acme", "other"])
    helpdesk.limit = 100
    make_due(db)
    run(db, config, target)
    assert {row.state for row in rows(db) if row.source == "acme"} == {"done"}


def test_what_is_redriven_is_tried_at_once_also_where_its_helpdesk_is_left_alone(
    db: Database, config: Settings, zendesk: Desk
) -> None:
    helpdesk, peer = zendesk
    peer.respond = lambda _: Answer(422)
    classify(db, source(peer), "4711")
    run(db, config, source(peer))
    peer.respond = lambda _: Answer(401)
    classify(db, source(peer), "4712")
    run(db, config, source(peer))
    peer.respond = helpdesk.respond
    run(db, config, source(peer))
    assert [row.state for row in rows(db)] == ["dead", "due"]
    with db.write() as session:
        assert outbox.redrive(session, None, now()) == 1
    run(db, config, source(peer))
    assert [row.state for row in rows(db)] == ["done", "due"]


def test_a_source_is_told_no_more_in_a_minute_than_it_is_to_be(db: Database, config: Settings, zendesk: Desk) -> None:
    target = source(zendesk[1], labels=["l"], per_minute=2)
    zendesk[0].tickets |= {str(number): Known() for number in range(5)}
    for number in range(5):
        classify(db, target, str(number))
    for _ in range(3):
        run(db, config, target)
    assert len(zendesk[1].requests) == 2
    with db.write() as session:
        session.execute(update(OutgoingCall).values(attempted_at=now() - timedelta(seconds=61)))
    run(db, config, target)
    assert len(zendesk[1].requests) == 4


def test_a_source_that_hangs_keeps_no_other_waiting(
    db: Database, config: Settings, zendesk: Desk, stack: ExitStack
) -> None:
    told = threading.Event()
    helpdesk, other = serving("zendesk")
    stack.enter_context(http.serve(other))
    slow = source(zendesk[1], name="a-slow")
    zendesk[1].respond = lambda _: Answer() if told.wait(20) else Answer(500)
    quick = source(other, name="quick")
    classify(db, slow, "slow-1")
    classify(db, quick)

    def respond(request: Request) -> Answer:
        told.set()
        return helpdesk.respond(request)

    other.respond = respond
    run(db, config, slow, quick)
    assert {row.source: row.state for row in rows(db)} == {"a-slow": "done", "quick": "done"}


def test_a_newer_classification_overtaken_on_its_way_is_told_again(
    db: Database, config: Settings, stack: ExitStack
) -> None:
    helpdesk, peer = serving("hubspot")
    stack.enter_context(http.serve(peer))
    target = source(peer, "hubspot", fields={"service": "{request_type}"})

    def respond(request: Request) -> Answer:
        if len(peer.requests) == 1:
            classify(db, target, request_type="New")
            run(db, config, target)
        return helpdesk.respond(request)

    peer.respond = respond
    classify(db, target, request_type="Old")
    run(db, config, target)
    run(db, config, target)
    assert [found.json["properties"]["service"] for found in peer.requests] == ["Old", "New", "New"]
    assert helpdesk.tickets["4711"].fields == {"service": "New"}
    assert [row.state for row in rows(db)] == ["superseded", "done"]


def test_a_run_that_died_leaves_the_call_to_another(db: Database, config: Settings, zendesk: Desk) -> None:
    classify(db, source(zendesk[1]))
    with db.write() as session:
        assert outbox.claim(session, "acme", "dead", now(), 60)
    maintenance.sweep()
    run(db, config, source(zendesk[1]))
    assert one(db).state == "leased"
    with db.write() as session:
        session.execute(update(Work).values(lease_until=now()))
    maintenance.sweep()
    run(db, config, source(zendesk[1]))
    assert one(db).state == "done"


def test_who_has_lost_a_call_to_another_run_settles_nothing(db: Database, zendesk: Desk) -> None:
    classify(db, source(zendesk[1]))
    with db.write() as session:
        first = outbox.claim(session, "acme", "slow", now(), 60)
        assert work.expire(session, WRITE_BACK, now() + WORK[WRITE_BACK].lease)
        second = outbox.claim(session, "acme", "mine", now() + WORK[WRITE_BACK].lease, 60)
        assert first
        assert second
        call = first.call
        assert not outbox.finish(session, call, "slow")
        outbox.note_steps(session, call, "slow", 9)
        assert not work.bury(session, WRITE_BACK, call.id, "slow", "away", "late")
        assert not work.retry(session, WRITE_BACK, [call.id], "slow", now())
        outbox.note_steps(session, call, "mine", 1)
        assert second.attempts == 2
        assert outbox.finish(session, call, "mine")
    assert (one(db).state, one(db).steps) == ("done", 1)


def test_a_call_is_held_as_long_as_it_takes(
    db: Database, config: Settings, zendesk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WORK, WRITE_BACK, replace(WORK[WRITE_BACK], lease=timedelta(seconds=1), renew_seconds=0.1))
    helpdesk, peer = zendesk
    began: list[datetime] = []

    def respond(request: Request) -> Answer:
        began.append(now())
        while now() < began[0] + timedelta(seconds=2):
            maintenance.sweep()
            run(db, config, source(peer))  # Another worker.
            time.sleep(0.05)
        return helpdesk.respond(request)

    peer.respond = respond
    classify(db, source(peer))
    run(db, config, source(peer))
    assert (len(began), one(db).state) == (1, "done")


@pytest.mark.parametrize("name", ["..", ".", "a/../../users/1", "4711?x=1", "4711#"])
def test_a_ticket_s_name_cannot_point_to_another_path(db: Database, config: Settings, zendesk: Desk, name: str) -> None:
    classify(db, source(zendesk[1], note="x"), name)
    run(db, config, source(zendesk[1], note="x"))
    assert one(db).state == "dead"
    assert all(request.path.startswith("/api/v2/tickets/") for request in zendesk[1].requests)
    assert all(request.path.count("/") == 4 for request in zendesk[1].requests)


@pytest.mark.parametrize("name", ["..", "."])
def test_a_ticket_s_name_cannot_point_to_the_folder_above(
    db: Database, config: Settings, stack: ExitStack, name: str
) -> None:
    _, peer = serving("hubspot")
    stack.enter_context(http.serve(peer))
    target = source(peer, "hubspot", fields={"service": "x"})
    classify(db, target, name)
    run(db, config, target)
    assert (one(db).state, peer.requests) == ("dead", [])


def test_an_api_that_resolves_to_a_private_address_is_not_reached(
    db: Database, config: Settings, zendesk: Desk
) -> None:
    target = source(zendesk[1])
    assert target.api
    hidden = replace(target, api=dict(target.api) | {"url": zendesk[1].url.replace("127.0.0.1", "2130706433")})
    classify(db, hidden)
    run(db, config, hidden)
    assert "OUTGOING_ALLOW" in up(db)["outgoing:acme"]
    assert zendesk[1].requests == []


def test_no_credential_and_no_ticket_text_is_in_the_log(
    db: Database, config: Settings, zendesk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (401, 422, 500, 429):
        zendesk[1].respond = lambda _, status=status: Answer(status, b"VPN does not connect", {"Retry-After": "1"})  # type: ignore[misc]
        classify(db, source(zendesk[1]))
        make_due(db)
        run(db, config, source(zendesk[1]))
    assert len(zendesk[1].requests) >= 4
    text = caplog.text + str(up(db)) + str([row.error for row in rows(db)])
    assert "Alarm" in text
    assert not [leak for leak in (TOKEN, USER, "VPN does not connect", "Basic ") if leak in text]


def test_an_error_inside_a_good_answer_is_an_error(db: Database, config: Settings, stack: ExitStack) -> None:
    _, peer = serving("linear")
    stack.enter_context(http.serve(peer))
    target = source(peer, "linear", labels=["unknown"])
    classify(db, target)
    run(db, config, target)
    assert (one(db).state, one(db).attempts) == ("due", 1)


def test_labels_that_cannot_be_read_are_not_overwritten(db: Database, config: Settings, stack: ExitStack) -> None:
    helpdesk, peer = serving("freshdesk")
    stack.enter_context(http.serve(peer))
    target = source(peer, "freshdesk", labels=["l"])
    peer.respond = lambda request: Answer(200, b"{}") if request.method == "GET" else helpdesk.respond(request)
    classify(db, target)
    run(db, config, target)
    assert (one(db).state, helpdesk.tickets["4711"].labels) == ("due", ["kept"])
    peer.respond = helpdesk.respond
    helpdesk.tickets["4711"].labels = []
    make_due(db)
    run(db, config, target)
    assert (one(db).state, helpdesk.tickets["4711"].labels) == ("done", ["l"])


def test_a_call_over_which_worker_after_worker_dies_is_given_up(db: Database, config: Settings, zendesk: Desk) -> None:
    classify(db, source(zendesk[1]))
    for _ in range(WORK[WRITE_BACK].most_crashes):
        with db.write() as session:
            assert outbox.claim(session, "acme", "dead", now(), 60)
            session.execute(update(Work).values(lease_until=now()))
        maintenance.sweep()
    assert (one(db).state, one(db).error_code) == ("dead", "crashed")
    assert "its worker died 10 times" in up(db)["outgoing:acme"]
    run(db, config, source(zendesk[1]))
    assert zendesk[1].requests == []
    with db.write() as session:
        assert outbox.redrive(session, None, now()) == 1
    run(db, config, source(zendesk[1]))
    assert (one(db).state, up(db)) == ("done", {})


def test_dead_letters_are_listed_and_redriven_from_the_command_line(
    db: Database, config: Settings, zendesk: Desk
) -> None:
    zendesk[1].respond = lambda _: Answer(422)
    ticket_id = classify(db, source(zendesk[1]))
    run(db, config, source(zendesk[1]))
    listed = CliRunner().invoke(main, ["outgoing"]).output
    assert f"ticket {ticket_id}" in listed
    assert "422" in listed
    assert "1 calls are due" in CliRunner().invoke(main, ["outgoing", "--redrive"]).output
    assert "Nothing" in CliRunner().invoke(main, ["outgoing", "acme"]).output


def hooked(peer: Peer) -> Source:
    return source_named("hooked", SECRET, write_back={"webhook": f"{peer.url}/hook", "secret": SECRET})


@pytest.fixture
def hook(stack: ExitStack) -> Peer:
    return stack.enter_context(http.serve(Peer(lambda _: Answer(204, b""))))


def test_an_outgoing_webhook_is_signed_as_the_specification_says(db: Database, config: Settings, hook: Peer) -> None:
    ticket_id = classify(db, hooked(hook))
    run(db, config, hooked(hook))
    [request] = hook.requests
    message = Webhook(SECRET).verify(request.body, {name.lower(): value for name, value in request.headers.items()})
    assert message["type"] == "ticket.classified"
    assert message["data"]["id"] == ticket_id
    assert message["data"]["classification"]["request_type"] == VPN
    assert b"no route" not in request.body
    assert one(db).state == "done"


def test_a_person_s_decision_is_announced_as_such(db: Database, config: Settings, hook: Peer) -> None:
    classify(db, hooked(hook), reviewer="ada@example.com")
    run(db, config, hooked(hook))
    assert hook.requests[0].json["type"] == "ticket.reviewed"
    assert b"ada@" not in hook.requests[0].body


def test_every_attempt_has_the_same_id_and_its_own_time(db: Database, config: Settings, hook: Peer) -> None:
    classify(db, hooked(hook))
    for status in (500, 404, 204):
        hook.respond = lambda _, status=status: Answer(status, b"")  # type: ignore[misc]
        run(db, config, hooked(hook))
        make_due(db)
    assert len({request.headers["webhook-id"] for request in hook.requests}) == 1
    assert len(hook.requests) == 3
    assert one(db).state == "done"


def test_410_ends_a_webhook_until_somebody_redrives_it(db: Database, config: Settings, hook: Peer) -> None:
    hook.respond = lambda _: Answer(410)
    for name in ("1", "2"):
        classify(db, hooked(hook), name)
    run(db, config, hooked(hook))
    classify(db, hooked(hook), "3")
    run(db, config, hooked(hook))
    assert [row.state for row in rows(db)] == ["dead"] * 3
    assert len(hook.requests) == 1
    assert "410" in up(db)["outgoing:hooked"]
    hook.respond = lambda _: Answer(204, b"")
    with db.write() as session:
        assert outbox.redrive(session, None, now()) == 3
    run(db, config, hooked(hook))
    assert [row.state for row in rows(db)] == ["done"] * 3
    assert up(db) == {}


def test_a_ticket_s_way_ends_in_the_helpdesk(
    db: Database, config: Settings, hook: Peer, model: Peer, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = {"profile": "standard", "secrets": [SECRET], "write_back": hooked(hook).write_back}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": {"hooked": entry}}))
    environment.setenv("SOURCES_FILE", str(tmp_path / "sources.yaml"))
    environment.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
    ticket_id = due_ticket(db, source="hooked")
    due_ticket(db)
    classify_due()
    job.run_due()
    assert [request.json["data"]["id"] for request in hook.requests] == [ticket_id]
    assert one(db).state == "done"


def test_the_sweep_wakes_the_worker_for_what_is_due(db: Database, config: Settings, hook: Peer) -> None:
    classify(db, hooked(hook))
    maintenance.sweep()
    with queue.connect(config.redis_url) as connection:
        assert [found.func_name for found in queue.queue(queue.OUTGOING, connection).get_jobs()] == [queue.OUTGOING_JOB]
