"""The sources: those of the file beside our own, each trusted by its own secrets alone."""

import base64
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient

from receiver import secrets, sources
from receiver.app import create_app
from receiver.record.database import Record
from receiver.record.models import Delivery, Ticket
from receiver.settings import Settings, SettingsError
from tests.factories import signed, ticket_json

OWN, OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2, 3))
DESK = {"profile": "standard", "secrets": [NEW, OLD]}


def _with_file(config: Settings, text: str) -> Settings:
    path = config.data_dir.with_name("sources.yaml")
    path.write_text(text, encoding="utf-8")
    return replace(config, sources_file=str(path), webhook_secret=(OWN,))


def _configured(config: Settings, entries: Any) -> dict[str, sources.Source]:
    return sources.configured(_with_file(config, yaml.safe_dump({"sources": entries})))


def _error(config: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        sources.configured(config)
    told = str(caught.value)
    assert told.startswith("SOURCES_FILE: ")
    assert "whsec_" not in told.replace("Write whsec_ and then", "")
    assert NEW not in "".join(traceback.format_exception(caught.value))
    return told


@pytest.fixture
def client(config: Settings, record: Record) -> FlaskClient:
    """A sender to a receiver with one more source, `desk`."""
    return create_app(_with_file(config, yaml.safe_dump({"sources": {"desk": DESK}}))).test_client()


def test_without_a_file_there_is_our_own_source(config: Settings) -> None:
    (source,) = sources.configured(config).values()
    assert (source.name, source.secrets) == ("standard", secrets.webhook_secrets(config))


def test_the_file_adds_sources_of_any_name(config: Settings) -> None:
    found = _configured(config, {"desk": DESK, 7: {"secrets": [OLD]}, "Büro 2": DESK})
    assert {name: source.secrets for name, source in found.items()} == {
        "standard": (OWN,), "desk": (NEW, OLD), "7": (OLD,), "Büro 2": (NEW, OLD),
    }  # fmt: skip
    assert {source.profile.name for source in found.values()} == {"standard"}


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
@pytest.mark.parametrize("path", ["/webhooks/desk", "/webhooks/desk/"])
def test_each_live_secret_of_a_source_signs_for_it(client: FlaskClient, path: str, secret: str) -> None:
    answer = client.post(path, **signed(secret, ticket_json()))
    assert (answer.status_code, answer.json["status"]) == (200, "accepted")  # type: ignore[index]


@pytest.mark.parametrize(("name", "secret"), [("desk", OWN), ("standard", OLD)], ids=["desk", "standard"])
def test_no_source_signs_for_another(client: FlaskClient, record: Record, name: str, secret: str) -> None:
    assert client.post(f"/webhooks/{name}", **signed(secret, ticket_json())).status_code == 401
    with record.read() as session:
        assert session.query(Delivery).count() == 0


def test_the_ids_of_one_source_say_nothing_about_another(client: FlaskClient, record: Record) -> None:
    for name, secret in (("standard", OWN), ("desk", NEW)):
        answer = client.post(f"/webhooks/{name}", **signed(secret, ticket_json(id=1), "msg_1"))
        assert (answer.status_code, answer.json["status"]) == (200, "accepted")  # type: ignore[index]
    with record.read() as session:
        assert {(ticket.source, ticket.external_id) for ticket in session.query(Ticket)} == {
            ("standard", "1"), ("desk", "1"),
        }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b'{"id": 1', b"[]", b'[{"id": 1}, {"id": 2}]'])
def test_a_helpdesk_is_told_200_where_resending_would_not_help(
    client: FlaskClient, record: Record, body: bytes
) -> None:
    request = signed(NEW, body)
    first, again = (client.post("/webhooks/desk", **request) for _ in range(2))
    assert (first.status_code, first.json["status"]) == (200, "quarantined")  # type: ignore[index]
    assert (again.status_code, again.json["status"]) == (200, "duplicate")  # type: ignore[index]
    with record.read() as session:
        assert session.query(Ticket).count() == 0
        assert session.query(Delivery).filter_by(status="quarantined").one().body == body


@pytest.mark.parametrize(
    "text",
    [
        "", "sources", "[]", "sources: []", "sources: null", f"sources: {NEW}", "source: {}", "sources: {a: }",
        f"sources: {{desk: {{secrets: ['{NEW}']}}", f"sources:\n  desk:\n  secrets: '{NEW}\n", f"a: b: {NEW}",
        f"sources:\n\tdesk: {NEW}", f"sources: {{desk: !!python/name:{NEW} x}}", f"sources: *{NEW[6:9]}",
        f"sources: {{desk: {{secrets: [2026-13-45, {NEW}]}}}}", f"sources: {{desk: {{secrets: [!!int '{NEW}']}}}}",
        f"? [{NEW}]\n: x", f"sources: {{desk: {{secrets: ['{NEW}'], x: '\\x00'}}}}\x00",
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
