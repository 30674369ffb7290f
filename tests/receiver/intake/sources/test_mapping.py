"""From any body to tickets or to reasons, whatever the profile, and never to an exception."""

import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.intake.sources import mapping, profiles
from receiver.intake.sources.expressions import Expression
from receiver.intake.sources.helpdesk_profile import Names
from receiver.intake.sources.payload_mapping import PayloadMapping
from tests.properties import tries

JSON = {"content-type": "application/json"}
SHAPES = {name: PayloadMapping.of(profile) for name, profile in profiles.shipped().items()}
_words = [
    "id", "key", "item", "issue", "fields", "ticket", "data", "detail", "request", "type", "action", "topic", "event",
    "webhookEvent", "subscriptionType", "objectId", "eventId", "occurredAt", "short_description", "subject", "title",
    "description", "updated_at", "updated", "created_at", "customer", "email", "requester_email", "self", "summary",
]  # fmt: skip
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["a@example.com", "2026-01-01T00:00:00Z", "1767225600000", "\x00", "<p>x</p>", "new"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_words), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@given(_values, st.sampled_from(["", "issues", "convo.created", "\xff"]))
@settings(deadline=None, max_examples=tries(150))
def test_any_document_gives_tickets_or_reasons(document: Any, event: str) -> None:
    body = json.dumps(document).encode()
    for shape in SHAPES.values():
        headers = JSON | dict.fromkeys(shape.headers, event)
        content = mapping.read(shape, body, headers, 100, 10**6)
        assert content.tickets or content.rejected or content.error or content.ignored
        assert all(ticket.external_id for ticket in content.tickets)


def _read(name: str, body: bytes, headers: dict[str, str], **limits: int) -> Any:
    values = {"max_batch": 10, "max_bytes": 10_000} | limits
    return mapping.read(SHAPES[name], body, headers, **values)


def test_a_packed_body_and_a_form_are_read_like_any_other() -> None:
    ticket = {"id": "7", "short_description": "VPN", "requester_email": "ada@example.com"}
    packed = _read("token", gzip.compress(json.dumps(ticket).encode()), JSON | {"content-encoding": "gzip"})
    form = _read("token", urlencode(ticket).encode(), {"content-type": "application/x-www-form-urlencoded"})
    assert [t.external_id for t in packed.tickets] == [t.external_id for t in form.tickets] == ["7"]


def test_a_bomb_and_too_large_a_batch_are_refused() -> None:
    bomb = _read("token", gzip.compress(b" " * 10**6), JSON | {"content-encoding": "gzip"})
    assert "unpacks" in bomb.error
    many = _read("hubspot", json.dumps([{"objectId": number} for number in range(11)]).encode(), JSON)
    assert "at most 10" in many.error


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00+00:00"),
        ("2026-01-01T05:00:00.000-0500", "2026-01-01T10:00:00+00:00"),
        ("2026-01-01 11:00:00 +0100", "2026-01-01T10:00:00+00:00"),
        ("2026-01-01 10:00:00", "2026-01-01T10:00:00+00:00"),
        (1767261600, "2026-01-01T10:00:00+00:00"),
        (1767261600000, "2026-01-01T10:00:00+00:00"),
        ("1767261600000", "2026-01-01T10:00:00+00:00"),
    ],
)
def test_times_are_read_in_every_form_that_helpdesks_write(written: Any, meant: str) -> None:
    item = {"number": "INC1", "short_description": "VPN", "sys_updated_on": written}
    (ticket,) = _read("servicenow", json.dumps(item).encode(), JSON).tickets
    assert ticket.source_updated_at.isoformat() == meant


@pytest.mark.parametrize(
    ("profile", "event", "acted"),
    [
        ("jira", {"issue": {"key": "IT-1", "fields": {"summary": "VPN"}}}, "user.accountId"),
        ("linear", {"type": "Issue", "action": "update", "data": {"id": "1", "title": "VPN"}}, "actor.id"),
        (
            "github",
            {"action": "edited", "issue": {"number": 1, "title": "VPN"}, "repository": {"full_name": "a/b"}},
            "sender.login",
        ),
    ],
)  # fmt: skip
def test_what_our_own_write_back_causes_is_ignored(profile: str, event: dict[str, Any], acted: str) -> None:
    shape = PayloadMapping.of(profiles.shipped()[profile], {"own_actor": "Robot-1"})
    outer, inner = acted.split(".")
    for actor, is_ours in (({inner: "robot-1"}, True), ({inner: "ada"}, False), ({}, False)):
        found = mapping.read(shape, json.dumps(event | {outer: actor}).encode(), JSON, 10, 10_000)
        assert (len(found.tickets), "own_actor" in (found.ignored or "")) == ((0, True) if is_ours else (1, False))


def test_of_a_batch_only_what_others_did_is_taken() -> None:
    actor = Names(item=Expression("sourceId"))
    shape = PayloadMapping.of(profiles.shipped()["hubspot"], {"actor": actor, "own_actor": "userId:7"})
    batch = [{"objectId": number, "sourceId": f"userId:{number}"} for number in (6, 7, 8)]
    found = mapping.read(shape, json.dumps(batch).encode(), JSON, 10, 10_000)
    assert [ticket.external_id for ticket in found.tickets] == ["6", "8"]


def test_an_item_that_is_no_object_is_called_that_whatever_the_profile() -> None:
    for name in ("token", "zendesk", "freshdesk"):
        (fault,) = _read(name, b"[7]", JSON).rejected
        assert fault["errors"] == {"_schema": ["Not an object with the fields of a ticket."]}, name


def test_a_field_that_is_missing_is_told_with_the_place_where_it_was_looked_for() -> None:
    (fault,) = _read("freshdesk", b'{"freshdesk_webhook": {"ticket_subject": "VPN"}}', JSON).rejected
    assert list(fault["errors"]) == ["id"]
    assert "nothing at ticket_id || id;" in fault["errors"]["id"][0]


def test_a_name_that_no_template_filled_in_is_no_ticket() -> None:
    for name in ("{{ticket.id}}", "INC-{{ticket.id}}", "#{ticket.id}", "${RequestId}", "$RequestId", "{% x %}"):
        (fault,) = _read("freshdesk", json.dumps({"ticket_id": name, "ticket_subject": "VPN"}).encode(), JSON).rejected
        assert "not filled in" in fault["errors"]["id"][0], name
    assert _read("freshdesk", b'{"ticket_id": "$7 {a}", "ticket_subject": "{{VPN}}"}', JSON).tickets


def test_a_time_that_nobody_can_read_costs_the_ticket_only_where_it_decides_which_version_is_new() -> None:
    ticket = {"id": "7", "subject": "VPN", "created_time": "Nov 25, 2026 03:15 PM"}
    (taken,) = _read("servicedeskplus", json.dumps(ticket).encode(), JSON).tickets
    assert taken.source_created_at is None
    (fault,) = _read("servicedeskplus", json.dumps(ticket | {"last_updated_time": "gestern"}).encode(), JSON).rejected
    assert "send ISO 8601" in fault["errors"]["updated_at"][0]


def test_an_issue_of_jira_keeps_its_address_however_it_was_sent() -> None:
    native = {"issue": {"key": "IT-1", "self": "https://a.example/rest/1", "fields": {"summary": "VPN"}}}
    automation = {"id": "IT-1", "short_description": "VPN", "url": "https://a.example/browse/IT-1"}
    for body in (native, automation):
        (ticket,) = _read("jira", json.dumps(body).encode(), JSON).tickets
        assert ticket.url == "https://a.example/browse/IT-1"


def test_an_issue_without_its_repository_goes_by_its_number() -> None:
    event = {"action": "opened", "issue": {"number": 7, "title": "VPN"}}
    named = event | {"repository": {"full_name": "acme/it"}}
    found = [_read("github", json.dumps(body).encode(), JSON).tickets[0].external_id for body in (event, named)]
    assert found == ["7", "acme/it#7"]


def test_what_is_missing_and_what_was_cut_off_is_told_with_what_to_do() -> None:
    (fault,) = _read("token", b'{"nr": "7", "short_description": "VPN"}', JSON).rejected
    assert fault["errors"] == {"id": ["It is missing; send it, or say under fields in SOURCES_FILE where it stands."]}
    assert "cut off on its way" in _read("servicenow", b'{"number": "INC1", "short_description": "VPN"', JSON).error


def test_many_texts_share_the_time_that_one_delivery_has(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"<p>The VPN at desk {number} does not <b>connect</b>.</p>" for number in range(3)]
    body = json.dumps(
        [{"id": f"Z-{number}", "subject": "VPN", "description": text} for number, text in enumerate(texts)]
    )
    read = [ticket.long_description for ticket in _read("freshdesk", body.encode(), JSON).tickets]
    assert read == [f"The VPN at desk {number} does not connect." for number in range(3)]

    monkeypatch.setattr(mapping, "_SECONDS_FOR_MB", -1.0)  # All of it is used up.
    read = [ticket.long_description for ticket in _read("freshdesk", body.encode(), JSON).tickets]
    assert [text.endswith("nested too deeply]") for text in read] == [True] * 3
    assert all(f"The VPN at desk {number} does not" in text for number, text in enumerate(read))


def test_far_too_many_items_are_refused_before_each_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_at(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(mapping, "_joined_name", looked_at)
    content = _read("jira", b"[" + b"[]," * 100 + b"[]]", JSON)
    assert content.error == "101 tickets in one delivery; at most 10 are taken, send several"
