"""What SOURCES_FILE may say of the way back: a mistake is refused at the start, and no token is repeated."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.helpdesks.write_back import names_of
from receiver.intake import sources
from receiver.intake.sources import outgoing
from receiver.lib import settings
from receiver.lib.settings import Settings, SettingsError
from tests.factories import classification

WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
API = {"url": "https://acme.example.com", "token": "t0ken", "user": "bot@example.com"}


@pytest.fixture
def written(config: Settings, environment: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Writes SOURCES_FILE with one source and returns the settings."""

    def write(**parts: Any) -> Settings:
        entry = {"profile": "zendesk", "secrets": ["whsec_" + "A" * 32], **parts}
        (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": {"acme": entry}}))
        environment.setenv("PUBLIC_URL", "https://hooks.example.com")
        environment.setenv("SOURCES_FILE", str(tmp_path / "sources.yaml"))
        return settings.load()

    return write


def test_a_source_may_have_an_api_a_write_back_and_a_reconcile(written: Any) -> None:
    back = {"labels": ["svc-{request_type}"], "fields": {"23": "{category}"}, "note": "{sla}", "uncertain": True}
    again = {"every_minutes": 30, "path": "/list", "items": "tickets", "fields": {"id": "id"}}
    found = sources.configured(written(api=API, write_back=back, reconcile=again))
    assert (found["acme"].api, found["acme"].write_back, found["acme"].reconcile) == (API, back, again)
    assert sources.writing_back(found) == {"acme": True}


def test_a_source_without_them_is_told_nothing(written: Any) -> None:
    found = sources.configured(written())
    assert sources.writing_back(found) == {}
    assert not found["acme"].completes


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"write_back": {"note": "x"}}, "need api"),
        ({"reconcile": {"every_minutes": 5, "path": "/"}}, "need api"),
        ({"api": {"token": "t0ken"}}, "url"),
        ({"api": API | {"url": "ftp://t0ken.example.com"}}, "https://"),
        ({"api": API, "write_back": {}}, "nothing to write"),
        ({"api": API, "write_back": True}, "Not a valid mapping"),
        ({"api": API, "write_back": {"feilds": {}}}, "feilds"),
        ({"api": API, "write_back": {"note": "{customer}"}}, "{request_type}"),
        ({"api": API, "write_back": {"note": "{category.x}"}}, "{request_type}"),
        ({"api": API, "write_back": {"labels": ["{"]}}, "{request_type}"),
        ({"api": API, "write_back": {"note": "{category.__class__}"}}, "{request_type}"),
        ({"api": API, "write_back": {"note": "{category:>200000000}"}}, "{request_type}"),
        ({"api": API, "write_back": {"fields": {"a.b": "x", "a": "y"}}}, "a.b cannot stand inside"),
        ({"write_back": {"webhook": "https://x.example.com"}}, "go together"),
        ({"write_back": {"webhook": "https://x.example.com", "secret": "t0ken"}}, "whsec_"),
        ({"write_back": {"webhook": "https://x.example.com", "secret": WHSEC, "note": "x"}}, "leave out note"),
        ({"api": API, "reconcile": {"every_minutes": 0, "path": "/"}}, "every_minutes"),
        ({"api": API, "reconcile": {"every_minutes": 5}}, "path"),
        ({"api": API, "reconcile": {"every_minutes": 5, "path": "/", "items": "a["}}, "JMESPath"),
        ({"api": API, "reconcile": {"every_minutes": 5, "path": "/", "items": "!" * 499 + "a"}}, "JMESPath"),
        ({"api": API, "reconcile": {"every_minutes": 5, "path": "/", "next": "(" * 5000}}, "Longer"),
    ],
)
def test_a_mistake_is_refused_in_words_without_the_token(written: Any, parts: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sources.configured(written(**parts))
    assert word in str(caught.value)
    assert "'acme'" in str(caught.value)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "parameters", "write_back", "told"),
    [
        ("hubspot", {}, {"fields": {"a": "b"}, "labels": ["x"], "note": "y"}, "labels and note: HubSpot takes only f"),
        ("linear", {}, {"fields": {"a": "b"}}, "fields: Linear takes only labels"),
        ("github", {}, {"note": "x"}, "note: GitHub issues takes only labels"),
        ("glpi", {}, {"labels": ["x"]}, "labels: GLPI 11 takes only fields and note"),
        ("standard", {}, {"labels": ["x"]}, "takes none of these, only a webhook"),
        ("intercom", {}, {"note": "x"}, "Intercom needs admin_id in api: parameters"),
        ("freescout", {"user_id": "3"}, {"fields": {"Service": "x"}, "note": "x"}, "by its number, not as Service"),
        ("freescout", {}, {"fields": {"23": "x"}, "note": "x"}, "FreeScout needs user_id"),
        ("freescout", {}, {"fields": {"23": "x"}, "labels": ["x"]}, None),
        ("github", {}, {"labels": ["x"]}, None),
        ("servicenow", {}, {"fields": {"u_service": "x"}, "note": "x"}, None),
    ],
)  # fmt: skip
def test_what_a_helpdesk_cannot_take_is_refused_at_the_start(
    written: Any, profile: str, parameters: dict[str, str], write_back: dict[str, Any], told: str | None
) -> None:
    config = written(profile=profile, api=API | {"parameters": parameters}, write_back=write_back)
    if told is None:
        assert sources.configured(config)["acme"].write_back == write_back
        return
    with pytest.raises(SettingsError, match=told):
        sources.configured(config)


@pytest.mark.parametrize(
    ("profile", "given", "told"),
    [
        ("zendesk", {"token": "t0ken"}, "api: user missing; Zendesk wants to know who calls"),
        ("jira", {}, "api: token missing"),
        ("jira", {"token": "t0ken"}, None),
        ("zendesk", {"headers": {"Authorization": "Bearer t0ken"}}, None),
        ("standard", {}, None),
    ],
)
def test_an_api_needs_what_its_helpdesk_asks_for(
    written: Any, profile: str, given: dict[str, Any], told: str | None
) -> None:
    config = written(profile=profile, api={"url": "https://acme.example.com"} | given)
    if told is None:
        assert sources.configured(config)["acme"].api
        return
    with pytest.raises(SettingsError, match=told):
        sources.configured(config)


def test_every_name_that_a_template_may_use_is_given() -> None:
    assert tuple(names_of(classification(1))) == outgoing.NAMES
