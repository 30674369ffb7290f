"""Sources: what is seen of who pushes, how one is tried, and how its secret is changed."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
import yaml
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]

from receiver.db import alarms, audit
from receiver.db.database import Database
from receiver.db.models import Delivery
from receiver.intake import sources
from receiver.intake.sources import profiles
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import auth
from receiver.web.app import create_app
from tests.factories import csrf, sign_in_as, signed, ticket_json
from tests.receiver.intake.sources import desks
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in


@pytest.fixture
def config(config: Settings) -> Settings:
    """Settings with a desk of every profile, and one that proves nothing; the secret of `standard` is kept."""
    # Where the browser is: a cookie for https would not come back over http.
    made = replace(desks.settings_for(config), webhook_secret=(), public_url="http://localhost")
    path = config.data_dir.with_name("sources.yaml")
    entries = yaml.safe_load(path.read_text())["sources"]
    entries["open-desk"] = {"profile": "token", "unsigned": True, "allow_from": ["127.0.0.1"]}
    entries["key-desk"] = {"profile": "token", "token": {"header": "X-Api-Key", "value": desks.SECRET}}
    path.write_text(yaml.safe_dump({"sources": entries}))
    return made


@pytest.fixture
def person(client: FlaskClient, db: Database) -> FlaskClient:
    """An admin's browser."""
    sign_in_as(client, db)
    return client


def _page(person: FlaskClient, path: str) -> Any:
    answer = person.get(path)
    assert answer.status_code == 200
    return markup.fromstring(answer.text)


def _text(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def _send(app: Flask, config: Settings, secret: str, body: Any) -> int:
    return app.test_client().post("/webhooks/standard", **signed(secret, body)).status_code


def test_every_source_is_listed_with_what_it_sent(
    person: FlaskClient, app: Flask, config: Settings, db: Database
) -> None:
    secret = secret_files.webhook_secrets(config)[0]
    for body in (ticket_json(), [ticket_json(), ticket_json()], b"{broken"):
        _send(app, config, secret, body)
    with time_machine.travel(now() - timedelta(days=9)):
        _send(app, config, secret, ticket_json())
    with db.write() as session:
        alarms.raise_(session, "source", now(), "other", subject="zammad", text="the source zammad has sent nothing")
    page = _page(person, "/sources")
    rows = {row.xpath("string(td[1])").strip(): _text(row) for row in page.xpath("//tbody/tr")}
    assert set(rows) == set(sources.configured(config))
    assert re.search(r"standard signed \d* ?\w+( ago)? 3 1 Standard Webhooks /webhooks/standard", rows["standard"])
    assert "unsigned none yet 0 0" in rows["open-desk"]
    assert "credential" in rows["freshdesk"]
    assert [_text(problem) for problem in page.find_class("problem")] == ["the source zammad has sent nothing"]


def test_the_page_of_a_source_says_how_its_helpdesk_is_set_up_and_tries_it(person: FlaskClient, db: Database) -> None:
    token = csrf(person, "/sources/standard")
    for name in desks.NAMES:
        page = _page(person, f"/sources/{name}")
        assert desks.SECRET not in page.text_content()
        steps = _text(page.find_class("steps")[0])
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", profiles.shipped()[name].setup)
        assert [word for word in re.findall(r"\w{4,}", plain) if word not in steps] == []
        answer = person.post(f"/sources/{name}/test", data={"csrf_token": token})
        [trial] = markup.fromstring(answer.text).find_class("trial")
        assert "The sample would be a ticket" in _text(trial)
        if name != "standard":  # Its steps lead to another site.
            no_way_in(markup.fromstring(answer.text))
    with db.read() as session:
        assert session.query(Delivery).count() == 0


def test_a_body_of_ones_own_is_tried_and_its_fault_told(person: FlaskClient) -> None:
    token = csrf(person, "/sources/zammad")
    for body, told in (('{"id": 7, "title": "x"}', "would be no ticket"), ("{", "line 1 column 2"), ("[", "not JSON")):
        answer = person.post("/sources/zammad/test", data={"csrf_token": token, "body": body})
        assert told in _text(markup.fromstring(answer.text).find_class("trial")[0])
    answer = person.post("/sources/zammad/test", data={"csrf_token": token, "body": f'{{"id": "{HOSTILE[:20]}"}}'})
    no_way_in(markup.fromstring(answer.text))
    assert person.get("/sources/nobody").status_code == 404


def test_a_new_secret_is_shown_once_and_the_old_one_counts_for_its_time_in_every_process(
    person: FlaskClient, app: Flask, config: Settings, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    [old] = secret_files.webhook_secrets(config)
    other = create_app(config)  # As another process has it.
    token = csrf(person, "/sources/standard")
    answer = person.post("/sources/standard/secret", data={"csrf_token": token, "hours": 24})
    [fresh] = re.findall(r"whsec_[A-Za-z0-9+/=]{44}", answer.text)
    assert answer.headers["Cache-Control"] == "no-store"
    assert fresh not in person.get("/sources/standard").text
    assert (config.data_dir / "webhook_secret").stat().st_mode & 0o777 == 0o600
    for receiver in (app, other, create_app(config)):
        assert [_send(receiver, config, secret, ticket_json()) for secret in (fresh, old)] == [200, 200]
    with time_machine.travel(now() + timedelta(hours=25)):
        for receiver in (app, other, create_app(config)):
            assert [_send(receiver, config, secret, ticket_json()) for secret in (fresh, old)] == [200, 401]
        assert secret_files.webhook_secrets(config) == (fresh,)
    with db.read() as session:
        entry = audit.page(session, 1)[0]
    assert (entry.action, entry.subject) == ("rotate secret", "source standard")
    assert fresh not in str(entry.details) + caplog.text


def test_the_old_secret_can_be_ended_at_once(person: FlaskClient, app: Flask, config: Settings) -> None:
    [old] = secret_files.webhook_secrets(config)
    token = csrf(person, "/sources/standard")
    for _ in range(2):
        person.post("/sources/standard/secret", data={"csrf_token": token, "hours": 168})
    fresh = secret_files.webhook_secrets(config)[0]
    assert len(secret_files.webhook_secrets(config)) == 3
    assert person.post("/sources/standard/end-old", data={"csrf_token": token}).status_code == 302
    assert [_send(app, config, secret, ticket_json()) for secret in (fresh, old)] == [200, 401]


def test_what_stands_elsewhere_is_said_exactly(person: FlaskClient, config: Settings) -> None:
    for name, lines in (
        ("zendesk", r'secrets: \["the new one", {secret: "the present one", until: \d{4}-\d\d-\d\d}\]'),
        ("freshdesk", r'token: {value: \["Basic <base64 of user:new password>", {secret: "Basic .*", until: .*}\]}'),
        ("key-desk", r'token: {header: X-Api-Key, value: \["the new one", {.*}\]}'),
    ):
        page = _page(person, f"/sources/{name}")
        [told] = page.xpath("//section[@aria-labelledby='rotation-title']//pre")
        assert re.search(lines, told.text_content())
        entry = yaml.safe_load(told.text_content())["sources"][name]
        assert config.sources_file in page.text_content()
        assert set(entry) <= {"secrets", "token"}
        assert person.post(f"/sources/{name}/secret", data={"csrf_token": csrf(person), "hours": 24}).status_code == 409
    assert _page(person, "/sources/open-desk").xpath("//section[@aria-labelledby='rotation-title']") == []


def test_where_the_secret_is_in_the_environment_nothing_is_written(config: Settings, db: Database) -> None:
    client = create_app(replace(config, webhook_secret=(desks.WEBHOOK_SECRET,))).test_client()
    sign_in_as(client, db)
    assert "WEBHOOK_SECRET=whsec_the_new_one,whsec_the_present_one" in client.get("/sources/standard").text
    token = csrf(client, "/sources/standard")
    assert client.post("/sources/standard/secret", data={"csrf_token": token, "hours": 24}).status_code == 409


@pytest.mark.parametrize(("role", "tries", "rotates"), [(auth.VIEWER, 403, 403), (auth.OPERATOR, 200, 403)])
def test_who_may_try_and_who_may_change_a_secret(
    client: FlaskClient, config: Settings, db: Database, role: str, tries: int, rotates: int
) -> None:
    sign_in_as(client, db, role)
    token = csrf(client, "/sources/standard")
    before = secret_files.webhook_secrets(config)
    for action, expected in (("test", tries), ("secret", rotates), ("end-old", rotates)):
        answer = client.post(f"/sources/standard/{action}", data={"csrf_token": token, "hours": 24})
        assert answer.status_code == expected
    assert secret_files.webhook_secrets(config) == before
    assert "Make a new secret" not in client.get("/sources/standard").text


def test_a_rotation_has_one_of_the_periods_that_are_offered(person: FlaskClient, config: Settings) -> None:
    before, token = secret_files.webhook_secrets(config), csrf(person, "/sources/standard")
    for hours in ("", "0", "999999", "x"):
        answer = person.post("/sources/standard/secret", data={"csrf_token": token, "hours": hours})
        assert answer.status_code == 400
    assert secret_files.webhook_secrets(config) == before
