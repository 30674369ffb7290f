"""Who may come in, and what a browser must be told."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from receiver.db import sign_in
from receiver.db.database import Database
from receiver.db.models import Digest, SignInLink
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web.app import create_app
from tests.conftest import ADMIN
from tests.factories import csrf, due_ticket, settle, use_link


def _link(db: Database) -> str:
    with db.write() as session:
        return f"/sign-in/{sign_in.issue(session, now())}"


@pytest.fixture
def link(db: Database) -> str:
    return _link(db)


@pytest.fixture
def person(client: FlaskClient, link: str) -> FlaskClient:
    """A browser that is signed in."""
    assert use_link(client, link).status_code == 302
    return client


def _csrf(person: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', person.get("/").text)
    assert found
    return found[1]


def _digests(db: Database) -> int:
    with db.read() as session:
        return session.query(Digest).count()


def test_a_link_lets_one_browser_in_once(app: Flask, link: str) -> None:
    first, second = app.test_client(), app.test_client()
    before = csrf(second, link)
    assert use_link(first, link).headers["Location"] == "/"
    assert first.get("/").status_code == 200
    assert second.post(link, data={"csrf_token": before}).status_code == 403
    refused = second.get(link)
    assert refused.status_code == 403
    assert "used before" in refused.text
    assert second.get("/").headers["Location"] == "/sign-in"


def test_a_link_that_is_older_than_a_day_lets_nobody_in(client: FlaskClient, link: str) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=24, seconds=1)):
        assert client.get(link).status_code == 403
        assert client.get("/").status_code == 302


def test_whoever_looks_at_a_link_first_neither_spends_it_nor_comes_in(
    app: Flask, client: FlaskClient, link: str
) -> None:
    """As mail scanners, link previews and browsers that load a page ahead do."""
    for method in ("GET", "HEAD", "OPTIONS", "GET"):
        scanner = app.test_client()
        looked = scanner.open(link, method=method)
        assert looked.status_code == 200
        assert scanner.get("/").headers["Location"] == "/sign-in"
        assert scanner.post(link).status_code == 400
    assert "no-store" in looked.headers["Cache-Control"]
    assert looked.headers["Referrer-Policy"] == "same-origin"
    assert link not in looked.headers.get("Location", "")
    assert client.get(link).status_code == 200
    assert use_link(client, link).headers["Location"] == "/"
    assert client.get("/").status_code == 200


def test_a_link_says_whom_it_signs_in_and_needs_no_script(client: FlaskClient, link: str) -> None:
    page = client.get(link).text
    assert ADMIN in page
    assert page.count("<button") == 1
    assert f'<form method="post" action="{link}">' in page


@pytest.mark.parametrize("token", ["x", "..", "%00", "%ff%fe", "a" * 3000, "<script>alert(1)</script>"])
def test_an_unknown_link_lets_nobody_in_and_is_not_repeated(client: FlaskClient, db: Database, token: str) -> None:
    answer = client.get(f"/sign-in/{token}")
    assert answer.status_code in (403, 404)
    assert "alert(1)" not in answer.text
    assert client.get("/").status_code == 302


def _session_cookie(answer: TestResponse) -> str:
    [cookie] = [
        value for value in answer.headers.getlist("Set-Cookie") if "tickets_session_" in value.partition("=")[0]
    ]
    return cookie


def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(client: FlaskClient, link: str) -> None:
    flags = {part.strip() for part in _session_cookie(use_link(client, link)).split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= flags
    assert "Secure" not in flags


def test_the_cookie_keeps_to_https_where_the_pages_do(config: Settings, db: Database, link: str) -> None:
    secure = create_app(replace(config, public_url="https://tickets.example.com")).test_client()
    assert "Secure" in _session_cookie(secure.get(link))


def test_a_cookie_that_was_changed_or_signed_elsewhere_lets_nobody_in(
    app: Flask, client: FlaskClient, link: str, config: Settings
) -> None:
    good = parse_cookie(_session_cookie(use_link(client, link)))[app.config["SESSION_COOKIE_NAME"]]
    (config.data_dir / "session_key").write_text("another key")
    for value, checked in ((good[:-2] + "AA", app), ("e30.x.y", app), (good, create_app(config))):
        thief = checked.test_client()
        thief.set_cookie(checked.config["SESSION_COOKIE_NAME"], value)
        assert thief.get("/").status_code == 302


def test_a_session_survives_another_address_and_another_browser_version(person: FlaskClient) -> None:
    for address, browser in (("127.0.0.1", "Firefox/140"), ("192.0.2.7", "Firefox/141"), ("2001:db8::7", "Edg/141")):
        told = {"REMOTE_ADDR": address}
        assert person.get("/", environ_base=told, headers={"User-Agent": browser}).status_code == 200
        headers = {"User-Agent": browser, "X-CSRFToken": _csrf(person)}
        renamed = person.post("/account/name", data={"name": "Grace"}, environ_base=told, headers=headers)
        assert renamed.status_code == 302


def test_two_stacks_on_one_host_sign_nobody_out_of_the_other(
    application: Callable[[Settings], Flask], config: Settings, db: Database
) -> None:
    """A browser sends its cookies to every port of a host: those of production, staging and one restored from it."""
    other = replace(config, data_dir=config.data_dir.parent / "other")
    stacks = [application(one).test_client() for one in (config, other, replace(config, port=8001))]
    for stack in stacks:
        stack._cookies = stacks[0]._cookies
    for stack in stacks:
        assert use_link(stack, _link(db)).status_code == 302
    assert [stack.get("/").status_code for stack in stacks] == [200, 200, 200]
    assert stacks[1].post("/sign-out", data={"csrf_token": csrf(stacks[1])}).status_code == 302
    assert [stack.get("/").status_code for stack in stacks] == [200, 302, 200]


def test_signing_out_leaves_the_cookies_of_other_programs_alone(person: FlaskClient) -> None:
    for name in ("session", "remember_token", "csrf_token"):
        person.set_cookie(name, "of another program")
    person.post("/sign-out", data={"csrf_token": _csrf(person)})
    assert all(person.get_cookie(name) for name in ("session", "remember_token", "csrf_token"))


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("https://tickets.example.com", "__Host-"),
        ("HTTPS://tickets.example.com/", "__Host-"),
        ("https://example.com/tickets", ""),
        ("http://tickets.example.com", ""),
    ],
)
def test_only_the_host_itself_sets_the_cookies_where_the_pages_keep_to_https(
    config: Settings, db: Database, link: str, url: str, prefix: str
) -> None:
    secure = create_app(replace(config, public_url=url)).test_client()
    answer = secure.post(link, base_url="https://x", data={"csrf_token": csrf(secure, link, base_url="https://x")},
                         headers={"Referer": url.lower()})  # fmt: skip
    names = [value.partition("=")[0] for value in answer.headers.getlist("Set-Cookie")]
    kinds = [name.removeprefix(prefix).rpartition("_")[0] for name in names]
    assert sorted(kinds) == ["tickets_known", "tickets_session"]
    for cookie in answer.headers.getlist("Set-Cookie"):
        flags = {part.strip() for part in cookie.split(";")[1:]}
        assert "Path=/" in flags
        assert ("Secure" in flags) is url.lower().startswith("https")
        assert not any(flag.startswith("Domain") for flag in flags)


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
def test_a_change_by_a_session_needs_the_token_of_the_page(person: FlaskClient, db: Database, url: str) -> None:
    settle(db, due_ticket(db))
    for forged in ({}, {"X-CSRFToken": "x"}, {"Content-Type": "application/json"}, {"Authorization": "Basic eDp4"}):
        assert person.post(url, headers=forged).status_code == 400
    assert _digests(db) == 0
    assert person.post(url, headers={"X-CSRFToken": _csrf(person)}).status_code in (202, 302)
    assert _digests(db) == 1


def test_a_token_of_another_persons_page_does_not_count(app: Flask, person: FlaskClient, db: Database) -> None:
    other = app.test_client()
    assert use_link(other, _link(db)).status_code == 302
    assert person.post("/digests", data={"csrf_token": _csrf(other)}).status_code == 400


def test_a_wrong_bearer_token_is_refused_even_with_a_session(person: FlaskClient) -> None:
    assert person.get("/api/tickets", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_bearer_token_needs_no_token_of_a_page(client: FlaskClient, db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    bearer = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    assert client.post("/api/digests", headers=bearer).status_code == 202


def test_the_pages_do_not_take_the_programs_token(client: FlaskClient, db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    bearer = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    assert client.get("/", headers=bearer).headers["Location"] == "/sign-in"
    assert client.post("/digests", headers=bearer).headers["Location"] == "/sign-in"
    assert _digests(db) == 0


@pytest.mark.parametrize("token", ["0123456789abcdef", "with=signs=inside==", "a.b-c_d~e+f/0123"])
def test_the_token_of_the_settings_lets_in(config: Settings, db: Database, token: str) -> None:
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


def test_a_sign_in_link_is_not_kept_in_a_form_that_lets_in(client: FlaskClient, db: Database, link: str) -> None:
    with db.read() as session:
        kept = session.query(SignInLink).one().token_sha256
    assert client.get(f"/sign-in/{kept}").status_code == 403
