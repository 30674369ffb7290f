"""Who may come in, and what a browser must be told."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from receiver import secrets
from receiver.app import create_app
from receiver.clock import now
from receiver.record import sign_in
from receiver.record.database import Record
from receiver.record.models import Digest, SignInLink
from receiver.settings import Settings
from tests.factories import due_ticket, settle


def _link(record: Record) -> str:
    with record.write() as session:
        return f"/sign-in/{sign_in.issue(session, now())}"


@pytest.fixture
def link(record: Record) -> str:
    return _link(record)


@pytest.fixture
def person(client: FlaskClient, link: str) -> FlaskClient:
    """A browser that is signed in."""
    assert client.get(link).status_code == 302
    return client


def _csrf(person: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', person.get("/").text)
    assert found
    return found[1]


def _digests(record: Record) -> int:
    with record.read() as session:
        return session.query(Digest).count()


def test_a_link_lets_one_browser_in_once(app: Flask, link: str) -> None:
    first, second = app.test_client(), app.test_client()
    assert first.get(link).headers["Location"] == "/"
    assert first.get("/").status_code == 200
    refused = second.get(link)
    assert refused.status_code == 403
    assert "used before" in refused.text
    assert second.get("/").headers["Location"] == "/sign-in"


def test_a_link_that_is_older_than_a_day_lets_nobody_in(client: FlaskClient, link: str) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=24, seconds=1)):
        assert client.get(link).status_code == 403
        assert client.get("/").status_code == 302


def test_a_look_at_a_link_without_opening_it_does_not_spend_it(client: FlaskClient, link: str) -> None:
    client.head(link)
    client.options(link)
    assert client.get(link).status_code == 302


@pytest.mark.parametrize("token", ["x", "..", "%00", "%ff%fe", "a" * 3000, "<script>alert(1)</script>"])
def test_an_unknown_link_lets_nobody_in_and_is_not_repeated(client: FlaskClient, record: Record, token: str) -> None:
    answer = client.get(f"/sign-in/{token}")
    assert answer.status_code in (403, 404)
    assert "alert(1)" not in answer.text
    assert client.get("/").status_code == 302


def _session_cookie(answer: TestResponse) -> str:
    [cookie] = [value for value in answer.headers.getlist("Set-Cookie") if value.startswith("session=")]
    return cookie


def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(client: FlaskClient, link: str) -> None:
    flags = {part.strip() for part in _session_cookie(client.get(link)).split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= flags
    assert "Secure" not in flags


def test_the_cookie_keeps_to_https_where_the_pages_do(config: Settings, record: Record, link: str) -> None:
    secure = create_app(replace(config, public_url="https://tickets.example.com")).test_client()
    assert "Secure" in _session_cookie(secure.get(link))


def test_a_cookie_that_was_changed_or_signed_elsewhere_lets_nobody_in(
    app: Flask, client: FlaskClient, link: str, config: Settings
) -> None:
    good = parse_cookie(_session_cookie(client.get(link)))["session"]
    (config.data_dir / "session_key").write_text("another key")
    for value, checked in ((good[:-2] + "AA", app), ("e30.x.y", app), (good, create_app(config))):
        thief = checked.test_client()
        thief.set_cookie("session", value)
        assert thief.get("/").status_code == 302


def test_a_stolen_cookie_is_of_no_use_in_another_browser(app: Flask, client: FlaskClient, link: str) -> None:
    cookie = parse_cookie(_session_cookie(client.get(link)))["session"]
    thief = app.test_client()
    thief.set_cookie("session", cookie)
    assert thief.get("/", headers={"User-Agent": "another"}).status_code == 302
    assert thief.get("/api/tickets", headers={"User-Agent": "another"}).status_code == 401


def test_who_signs_out_is_out(person: FlaskClient) -> None:
    assert person.post("/sign-out", data={"csrf_token": _csrf(person)}).headers["Location"] == "/sign-in"
    assert person.get("/").headers["Location"] == "/sign-in"
    assert person.get("/api/tickets").status_code == 401


def test_nobody_is_signed_out_by_another_site(person: FlaskClient) -> None:
    assert person.post("/sign-out").status_code == 400
    assert person.get("/").status_code == 200


def test_a_signed_in_person_reads_the_api_without_a_token(person: FlaskClient) -> None:
    for url in ("/api/tickets", "/api/stats", "/metrics"):
        assert person.get(url).status_code == 200


@pytest.mark.parametrize("url", ["/digests", "/api/digests"])
def test_a_change_by_a_session_needs_the_token_of_the_page(person: FlaskClient, record: Record, url: str) -> None:
    settle(record, due_ticket(record))
    for forged in ({}, {"X-CSRFToken": "x"}, {"Content-Type": "application/json"}, {"Authorization": "Basic eDp4"}):
        assert person.post(url, headers=forged).status_code == 400
    assert _digests(record) == 0
    assert person.post(url, headers={"X-CSRFToken": _csrf(person)}).status_code in (202, 302)
    assert _digests(record) == 1


def test_a_token_of_another_persons_page_does_not_count(app: Flask, person: FlaskClient, record: Record) -> None:
    other = app.test_client()
    assert other.get(_link(record)).status_code == 302
    assert person.post("/digests", data={"csrf_token": _csrf(other)}).status_code == 400


def test_a_wrong_bearer_token_is_refused_even_with_a_session(person: FlaskClient) -> None:
    assert person.get("/api/tickets", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_bearer_token_needs_no_token_of_a_page(client: FlaskClient, record: Record, config: Settings) -> None:
    settle(record, due_ticket(record))
    bearer = {"Authorization": f"Bearer {secrets.api_token(config)}"}
    assert client.post("/api/digests", headers=bearer).status_code == 202


def test_the_pages_do_not_take_the_programs_token(client: FlaskClient, record: Record, config: Settings) -> None:
    settle(record, due_ticket(record))
    bearer = {"Authorization": f"Bearer {secrets.api_token(config)}"}
    assert client.get("/", headers=bearer).headers["Location"] == "/sign-in"
    assert client.post("/digests", headers=bearer).headers["Location"] == "/sign-in"
    assert _digests(record) == 0


@pytest.mark.parametrize("token", ["0123456789abcdef", "with=signs=inside==", "a.b-c_d~e+f/0123"])
def test_the_token_of_the_settings_lets_in(config: Settings, record: Record, token: str) -> None:
    client = create_app(replace(config, api_token=token)).test_client()
    assert client.get("/api/tickets", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/api/tickets", headers={"Authorization": f"bearer {token}"}).status_code == 200
    assert client.get("/api/tickets", headers={"Authorization": f"Bearer {token}x"}).status_code == 401


def _routes(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(int|path|string)?[^>]*>", lambda found: "1" if found[1] == "int" else "x", str(rule))
        path = {"/static/x": "/static/style.css", "/webhooks/x": "/webhooks/standard"}.get(path, path)
        for method in (rule.methods or set()) - {"OPTIONS"}:
            yield method, path


def test_every_answer_tells_the_browser_what_it_may_do(app: Flask, person: FlaskClient) -> None:
    answers = {
        (method, path): browser.open(path, method=method)
        for browser in (person, app.test_client())
        for method, path in [*_routes(app), ("GET", "/nothing"), ("GET", "/static/nothing"), ("TRACE", "/")]
        if path != "/sign-out"
    }
    for route, answer in answers.items():
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, route
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        kept = route[1].startswith("/static/")
        assert kept or answer.headers["Cache-Control"] == "no-store", route
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_sign_in_link_is_not_kept_in_a_form_that_lets_in(client: FlaskClient, record: Record, link: str) -> None:
    with record.read() as session:
        kept = session.query(SignInLink).one().token_sha256
    assert client.get(f"/sign-in/{kept}").status_code == 403
