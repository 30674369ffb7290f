"""The sources: those of the file beside our own, each trusted by its own secrets alone."""

import base64
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from receiver.db.database import Database
from receiver.db.models import Delivery, Ticket
from receiver.intake import sources
from receiver.lib import secret_files
from receiver.lib.settings import Settings, SettingsError
from receiver.web.app import create_app
from tests.factories import signed, ticket_json

OWN, OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2, 3))
DESK = {"profile": "standard", "secrets": [NEW, OLD]}


def _with_file(config: Settings, text: str) -> Settings:
    path = config.data_dir.with_name("sources.yaml")
    path.write_text(text, encoding="utf-8")
    return replace(config, sources_file=str(path), webhook_secret=(OWN,))


def _configured(config: Settings, entries: Any) -> dict[str, sources.Source]:
    return sources.configured(_with_file(config, yaml.safe_dump({"sources": entries})))


def _values(source: sources.Source) -> tuple[str, ...]:
    return tuple(secret.value for secret in source.secrets)


def _error(config: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        sources.configured(config)
    told = str(caught.value)
    assert told.startswith("SOURCES_FILE: ")
    assert "whsec_" not in told.replace("Write whsec_ and then", "")
    assert NEW not in "".join(traceback.format_exception(caught.value))
    return told


@pytest.fixture
def client(config: Settings, db: Database, application: Callable[[Settings], Flask]) -> FlaskClient:
    """A sender to a receiver with one more source, `desk`."""
    return application(_with_file(config, yaml.safe_dump({"sources": {"desk": DESK}}))).test_client()


def test_without_a_file_there_is_our_own_source(config: Settings) -> None:
    (source,) = sources.configured(config).values()
    assert (source.name, _values(source)) == ("standard", secret_files.webhook_secrets(config))


def test_the_file_adds_sources_of_any_name(config: Settings) -> None:
    found = _configured(config, {"desk": DESK, 7: {"secrets": [OLD]}, "Büro 2": DESK})
    assert {name: _values(source) for name, source in found.items()} == {
        "standard": (OWN,), "desk": (NEW, OLD), "7": (OLD,), "Büro 2": (NEW, OLD),
    }  # fmt: skip
    assert {source.profile.name for source in found.values()} == {"standard"}


@pytest.mark.parametrize("name", ["", " ", "..", "../desk", "a/b", "a\nb", "desk ", "\x07", "x" * 101])
def test_a_name_that_no_address_could_hold_is_refused(config: Settings, name: str) -> None:
    assert "Its name is" in _error(_with_file(config, yaml.safe_dump({"sources": {"good": DESK, name: DESK}})))


@pytest.mark.parametrize("second", ["desk", "'desk'"])
def test_a_name_that_is_there_twice_is_refused_with_its_line(config: Settings, second: str) -> None:
    text = f"sources:\n  desk: {{secrets: ['{OLD}']}}\n  {second}: {{secrets: ['{NEW}']}}\n"
    assert "the same name twice in one mapping (line 3)" in _error(_with_file(config, text))


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
@pytest.mark.parametrize("path", ["/webhooks/desk", "/webhooks/desk/"])
def test_each_live_secret_of_a_source_signs_for_it(client: FlaskClient, path: str, secret: str) -> None:
    answer = client.post(path, **signed(secret, ticket_json()))
    assert (answer.status_code, answer.json["status"]) == (200, "accepted")  # type: ignore[index]


@pytest.mark.parametrize(("name", "secret"), [("desk", OWN), ("standard", OLD)], ids=["desk", "standard"])
def test_no_source_signs_for_another(client: FlaskClient, db: Database, name: str, secret: str) -> None:
    assert client.post(f"/webhooks/{name}", **signed(secret, ticket_json())).status_code == 401
    with db.read() as session:
        assert session.query(Delivery).count() == 0


def test_the_ids_of_one_source_say_nothing_about_another(client: FlaskClient, db: Database) -> None:
    for name, secret in (("standard", OWN), ("desk", NEW)):
        answer = client.post(f"/webhooks/{name}", **signed(secret, ticket_json(id=1), "msg_1"))
        assert (answer.status_code, answer.json["status"]) == (200, "accepted")  # type: ignore[index]
    with db.read() as session:
        assert {(ticket.source, ticket.external_id) for ticket in session.query(Ticket)} == {
            ("standard", "1"), ("desk", "1"),
        }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b'{"id": 1', b"[]", b'[{"id": 1}, {"id": 2}]'])
def test_a_helpdesk_is_told_200_where_resending_would_not_help(client: FlaskClient, db: Database, body: bytes) -> None:
    request = signed(NEW, body)
    first, again = (client.post("/webhooks/desk", **request) for _ in range(2))
    assert (first.status_code, first.json["status"]) == (200, "quarantined")  # type: ignore[index]
    assert (again.status_code, again.json["status"]) == (200, "duplicate")  # type: ignore[index]
    with db.read() as session:
        assert session.query(Ticket).count() == 0
        assert session.query(Delivery).filter_by(status="quarantined").one().body == body


@pytest.mark.parametrize(
    "text",
    [
        "", "sources", "[]", "sources: []", "sources: null", f"sources: {NEW}", "source: {}", "sources: {a: }",
        f"sources: {{desk: {{secrets: ['{NEW}']}}", f"sources:\n  desk:\n  secrets: '{NEW}\n", f"a: b: {NEW}",
        f"sources:\n\tdesk: {NEW}", f"sources: {{desk: !!python/name:{NEW} x}}", f"sources: *{NEW[6:9]}",
        f"sources: {{desk: {{secrets: [2026-13-45, {NEW}]}}}}", f"sources: {{desk: {{secrets: [!!int '{NEW}']}}}}",
        "[" * 20_000, f"? [{NEW}]\n: x", f"sources: {{desk: {{secrets: ['{NEW}'], x: '\\x00'}}}}\x00",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_explained_without_its_secrets(config: Settings, text: str) -> None:
    _error(_with_file(config, text))


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"profile": "carrier pigeon", "secrets": [NEW]}, "standard"),
        ({"profile": ["standard"], "secrets": [NEW]}, "standard"),
        ({"profile": None, "secrets": [NEW]}, "standard"),
        ([NEW], "profile"),
        (NEW, "profile"),
        ({"profile": "standard"}, "secrets"),
        ({"secrets": []}, "secrets"),
        ({"secrets": None}, "secrets"),
        ({"secrets": NEW}, "secrets"),
        ({"secrets": 5}, "secrets"),
        ({"secrets": [""]}, "secret"),
        ({"secrets": [NEW, "whsec_short"]}, "secret"),
        ({"secrets": [None]}, "secret"),
        ({"secrets": [{"value": NEW}]}, "secret"),
    ],
)
def test_a_source_that_nothing_could_be_trusted_from_is_refused(config: Settings, entry: Any, told: str) -> None:
    config = _with_file(config, yaml.safe_dump({"sources": {"good": DESK, "desk": entry}}))
    message = _error(config)
    assert told in message
    assert "'desk'" in message


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_is_not_there_is_named(config: Settings, tmp_path: Path, name: str) -> None:
    assert str(tmp_path / name) in _error(replace(config, sources_file=str(tmp_path / name)))


def test_a_file_in_another_encoding_is_refused(config: Settings, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("sources: {Büro: {}}".encode("latin-1"))
    assert "latin.yaml" in _error(replace(config, sources_file=str(tmp_path / "latin.yaml")))


# The rest of what the file may say.

HMAC = "s3cr3t-for-tests-0001"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"profile": "zendesk", "secrets": ["dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="]}, "documentation"),
        ({"profile": "github", "secrets": [HMAC, "It's a Secret to Everybody"]}, "secret 2"),
        ({"profile": "github", "secrets": [""]}, "too easy"),
        ({"profile": "github", "secrets": [{"secret": HMAC, "until": "soon"}]}, "2026-12-31"),
        ({"profile": "github", "secrets": [{"secret": HMAC, "til": "2026-12-31"}]}, "til"),
        ({"profile": "github"}, "secrets"),
        ({"profile": "freshdesk", "secrets": [HMAC]}, "cannot sign"),
        ({"profile": "freshdesk", "token": {"basic": "user"}}, "user:password"),
        ({"profile": "freshdesk", "token": {"basic": f"u:{HMAC}", "bearer": HMAC}}, "one of"),
        ({"profile": "freshdesk", "token": {}}, "one of"),
        ({"profile": "freshdesk", "token": {"header": "X-Key", "value": "short"}}, "too easy"),
        ({"profile": "github", "secrets": [HMAC], "token": {"bearer": HMAC}}, "two ways"),
        ({"profile": "hubspot", "secrets": [HMAC]}, "PUBLIC_URL"),
        ({"profile": "hubspot", "secrets": [HMAC], "signing": "v4"}, "v3"),
        ({"profile": "token", "unsigned": True, "secrets": [HMAC]}, "contradict"),
        ({"profile": "token", "unsigned": False}, "unsigned"),
        ({"profile": "token", "unsigned": True, "allow_from": ["everybody"]}, "10.1.0.0/16"),
        ({"profile": "token", "unsigned": True, "allow_from": []}, "allow_from"),
        ({"profile": "github", "secrets": [HMAC], "fields": {"id": "a..b"}}, "JMESPath"),
        ({"profile": "github", "secrets": [HMAC], "fields": {"subject": "a"}}, "short_description"),
        ({"profile": "github", "secrets": [HMAC], "fields": {"id": {"path": "a", "format": "rtf"}}}, "markdown"),
        ({"profile": "github", "secrets": [HMAC], "fields": {"updated_at": {"path": "a", "zone": "Mars"}}}, "Berlin"),
        ({"profile": "github", "secrets": [HMAC], "items": 5}, "items"),
        ({"profile": "github", "secrets": [HMAC], HMAC: 1}, "Unknown field"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {}}, "header"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "algorithm": "md5"}}, "sha256"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "signed": "{timestamp}"}}, "{body}"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "signed": "{time}.{body}"}}, "{timestamp}"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "signed": "{timestamp}{body}"}}, "stands"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "signed": "{id}{body}"}}, "id_header"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "window": 5}}, "timestamp"),
        ({"profile": "hmac", "secrets": [HMAC], "hmac": {"header": "X", "signed": "{secret}{body}"}}, "plain"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_and_no_secret_is(config: Settings, entry: Any, told: str) -> None:
    message = _error(_with_file(config, yaml.safe_dump({"sources": {"desk": entry}})))
    assert told in message
    assert "'desk'" in message
    assert HMAC not in message


def test_all_mistakes_are_named_at_once(config: Settings) -> None:
    entries = {"a": {"profile": "x"}, "b": {"profile": "github"}, "c": {"secrets": ["short"], "items": "a..b", "no": 1}}
    told = _error(_with_file(config, yaml.safe_dump({"sources": entries})))
    assert [f"'{name}'" in told for name in "abc"] == [True] * 3
    assert "items" in told
    assert "no: Unknown" in told


def test_unsigned_is_refused_where_others_can_reach_us(config: Settings) -> None:
    entry = {"profile": "token", "unsigned": True}
    (_, source) = _configured(config, {"desk": entry}).values()
    assert not source.is_signed
    hosts = ("0.0.0.0", "::", "192.168.1.7", "tickets.example.com")
    for reached in (*(replace(config, host=host) for host in hosts), replace(config, public_url="https://a.example")):
        open_to_all = _with_file(reached, yaml.safe_dump({"sources": {"desk": entry}}))
        assert "allow_from" in _error(open_to_all)
        named = yaml.safe_dump({"sources": {"desk": entry | {"allow_from": ["10.1.0.0/16"]}}})
        assert len(sources.configured(_with_file(reached, named))) == 2


def test_an_unsigned_delivery_says_so(config: Settings, db: Database) -> None:
    entry = {"profile": "token", "unsigned": True, "allow_from": ["127.0.0.0/8", "10.1.0.0/16"]}
    client = create_app(_with_file(config, yaml.safe_dump({"sources": {"desk": entry}}))).test_client()
    body = ticket_json()
    assert client.post("/webhooks/desk", json=body).status_code == 200
    for peer, headers in (("10.2.0.1", {}), ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"})):
        refused = client.post("/webhooks/desk", json=body, headers=headers, environ_base={"REMOTE_ADDR": peer})
        assert refused.status_code == 401
    with db.read() as session:
        delivery = session.query(Delivery).one()
    assert (delivery.verification, delivery.peer, "unsigned" in delivery.headers) == ("unsigned", "127.0.0.1", False)


def test_an_operators_paths_and_events_go_before_the_profiles(config: Settings, db: Database) -> None:
    entry = {
        "profile": "token",
        "token": {"header": "X-Api-Key", "value": [{"secret": HMAC, "until": "2999-01-01"}, "another-key-0002"]},
        "items": "payload.cases",
        "event": {"body": "kind"},
        "events": ["case.opened"],
        "delivery": {"header": "X-Call"},
        "fields": {
            "id": "nr", "short_description": "about", "long_description": {"path": "text", "format": "html"},
            "requester_email": "from", "updated_at": {"path": "changed", "zone": "Europe/Berlin"},
        },
        "api": {"url": "https://desk.example.com", "token": "x"},
    }  # fmt: skip
    made = _with_file(config, yaml.safe_dump({"sources": {"desk": entry}}))
    source = sources.configured(made)["desk"]
    assert (source.api, source.write_back, source.reconcile) == (entry["api"], None, None)
    assert HMAC not in repr(source)
    client = create_app(made).test_client()
    case = {
        "nr": 1,
        "about": "VPN",
        "text": "<p>down</p>",
        "from": "Ada <ada@example.com>",
        "changed": "2026-07-01 12:00",
    }
    for kind, key, accepted in (("case.opened", "another-key-0002", 1), ("case.closed", HMAC, 0)):
        body = {"kind": kind, "payload": {"cases": [case]}}
        answer = client.post("/webhooks/desk", json=body, headers={"X-Api-Key": key, "X-Call": kind})
        assert (answer.status_code, answer.json["accepted"]) == (200, accepted)  # type: ignore[index]
    with db.read() as session:
        ticket = session.query(Ticket).one()
        assert (ticket.external_id, ticket.requester_email, ticket.long_description) == ("1", "ada@example.com", "down")
        assert ticket.source_updated_at.isoformat() == "2026-07-01T10:00:00+00:00"  # type: ignore[union-attr]
        assert {row.key for row in session.query(Delivery)} == {"case.opened", "case.closed"}


@pytest.mark.parametrize(
    ("until", "live"),
    [("2026-01-01", True), ("2025-12-31", False), ("2026-01-01T10:00:31Z", True), ("2026-01-01T11:00:00+01:00", False)],
)
def test_a_secret_counts_until_its_day_is_over(config: Settings, until: str, live: bool) -> None:
    entry = {"profile": "github", "secrets": [{"secret": HMAC, "until": until}]}
    (secret,) = _configured(config, {"desk": entry})["desk"].secrets
    assert secret.is_live(1767261630.0) is live  # 2026-01-01T10:00:30Z
    assert HMAC not in repr(secret)


def test_own_actor_is_read_and_refused_where_nothing_says_who_acted(config: Settings) -> None:
    token: dict[str, Any] = {"token": {"bearer": "a-long-enough-credential"}, "own_actor": "robot"}
    found = _configured(config, {"desk": token | {"profile": "token", "actor": {"body": "by"}}})["desk"]
    assert found.shape.is_own("Robot")
    assert not found.shape.is_own(None)
    with pytest.raises(SettingsError, match="add actor"):
        _configured(config, {"desk": token | {"profile": "token"}})


def test_a_body_that_this_program_itself_fails_to_read_is_kept_for_a_replay(config: Settings) -> None:
    own = sources.configured(config)["standard"]

    def broken(_item: Any) -> Any:
        raise TypeError("text of the ticket")

    read = replace(own, shape=replace(own.shape, items=cast(Any, broken))).read(b"{}", {}, 10, 1_000)
    assert "replay it after an upgrade" in str(read.error)
    assert "TypeError at test_sources.py" in str(read.error)
    assert "text of the ticket" not in str(read.error)
