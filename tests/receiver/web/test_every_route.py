"""Every route of the application, whoever added it: who comes in, what a change needs, and what a look never does."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from receiver.catalog import current
from receiver.db import api_tokens
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.web import auth, state
from tests.factories import csrf, due_ticket, person, settle, sign_in_as
from tests.properties import tries

LOOKING = {"GET", "HEAD"}
OPEN = {
    "health.healthz", "health.readyz", "sign_in_pages.sign_in_page", "sign_in_pages.sign_in_with_password",
    "sign_in_pages.show_link", "sign_in_pages.use_link", "sign_in_pages.sign_out", "sign_in_pages.code_page",
    "sign_in_pages.use_code", "api-docs.openapi_json", "static", "webhooks.receive", "webhooks.shake_hands",
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    endpoint: str
    method: str
    path: str
    role: str

    @property
    def changes(self) -> bool:
        return self.method not in LOOKING

    @property
    def is_for_programs(self) -> bool:
        return self.path.startswith(("/api/", "/metrics"))


def _routes(app: Flask) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(\w+)?[^>]*>", lambda found: "1" if found[1] == "int" else "x", str(rule))
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield Route(rule.endpoint, method, path, _role(app, rule.endpoint, method))


def _role(app: Flask, endpoint: str, method: str) -> str:
    view = app.view_functions[endpoint]
    view = getattr(getattr(view, "view_class", None), method.lower(), view)
    return getattr(view, "needs", auth.VIEWER if method in LOOKING else "nobody said")


@pytest.fixture
def guarded(app: Flask, db: Database) -> list[Route]:
    """Every route that is not open, over a record that has something to show."""
    settle(db, due_ticket(db))
    current.current_catalog(db, state.of(app).context.settings)  # Whoever asks first for the catalog has it remembered.
    return [route for route in _routes(app) if route.endpoint not in OPEN]


@pytest.fixture
def signed_in(app: Flask, db: Database) -> FlaskClient:
    client = app.test_client()
    sign_in_as(client, db)
    return client


def _call(client: FlaskClient, route: Route, **headers: str) -> TestResponse:
    answer = client.open(route.path, method=route.method, headers=headers, buffered=False)
    answer.close()  # A stream of events has no end.
    return answer


def test_the_open_routes_are_the_ones_we_mean(app: Flask) -> None:
    assert {route.endpoint for route in _routes(app)} >= OPEN
    client = app.test_client()
    found = {
        (route.method, route.path): _call(client, route).status_code for route in _routes(app) if route.endpoint in OPEN
    }
    assert {place: code for place, code in found.items() if place[0] != "HEAD"} == {
        ("GET", "/healthz"): 200, ("GET", "/readyz"): 200, ("GET", "/sign-in"): 200, ("POST", "/sign-in"): 400,
        ("GET", "/sign-in/x"): 403, ("POST", "/sign-in/x"): 400, ("POST", "/sign-out"): 400,
        ("GET", "/sign-in/code"): 302, ("POST", "/sign-in/code"): 400,
        ("GET", "/openapi.json"): 200, ("GET", "/static/x"): 404, ("POST", "/webhooks/x"): 404,
        ("GET", "/webhooks/x"): 404,
    }  # fmt: skip


def test_every_view_that_changes_something_names_the_role_it_needs(guarded: list[Route]) -> None:
    assert [route for route in guarded if route.role not in auth.ROLES] == []


def test_no_stranger_comes_in_anywhere(app: Flask, guarded: list[Route]) -> None:
    passed = [route for route in guarded if not _is_kept_out(_call(app.test_client(), route), route)]
    assert len(guarded) > 40
    assert passed == []


def _is_kept_out(answer: TestResponse, route: Route) -> bool:
    if route.is_for_programs:
        return answer.status_code == 401
    return answer.status_code == 302 and answer.headers["Location"] == "/sign-in"


@pytest.mark.parametrize("role", auth.ROLES)
def test_nobody_goes_beyond_their_role(app: Flask, db: Database, guarded: list[Route], role: str) -> None:
    client = app.test_client()
    sign_in_as(client, db, role)
    token = csrf(client)
    for route in guarded:
        if auth.ROLES.index(route.role) > auth.ROLES.index(role):
            assert _call(client, route, **{"X-CSRFToken": token}).status_code == 403, route
        elif not route.changes:
            assert _call(client, route).status_code in (200, 302, 400, 404, 409, 410, 422), route


def test_no_change_without_the_csrf_token_of_the_page(app: Flask, db: Database, guarded: list[Route]) -> None:
    client, other = app.test_client(), app.test_client()
    sign_in_as(client, db)
    sign_in_as(other, db)
    stolen = csrf(other)
    with _unchanged(db):
        for route in guarded:
            for headers in ({}, {"X-CSRFToken": "x"}, {"X-CSRFToken": stolen}, {"Authorization": "Basic eDp4"}):
                if route.changes:
                    assert _call(client, route, **headers).status_code == 400, (route, headers)


def test_no_token_goes_beyond_its_role(app: Flask, db: Database, guarded: list[Route]) -> None:
    admin = person(db, auth.ADMIN)
    with db.write() as session:
        _, viewer = api_tokens.issue(session, admin.id, "v", auth.VIEWER, read_only=False, days=1, moment=now())
        _, reads = api_tokens.issue(session, admin.id, "r", auth.ADMIN, read_only=True, days=1, moment=now())
    for text, may_change in ((viewer, [auth.VIEWER]), (reads, [])):
        assert app.test_client().get("/api/stats", headers={"Authorization": f"Bearer {text}"}).status_code == 200
        with _unchanged(db):
            for route in guarded:
                code = _call(app.test_client(), route, Authorization=f"Bearer {text}").status_code
                refused = route.changes and route.role not in may_change
                expected = 302 if not route.is_for_programs else 403 if refused else code
                assert (code, code < 500) == (expected, True), route


def test_a_look_changes_nothing(app: Flask, db: Database, guarded: list[Route]) -> None:
    client = app.test_client()
    sign_in_as(client, db)
    for route in guarded:
        if not route.changes and not route.endpoint.startswith("tickets_pages.export_"):  # Those are in the audit.
            with _unchanged(db, route):
                _call(client, route)


@contextmanager
def _unchanged(db: Database, route: Route | None = None) -> Iterator[None]:
    """Nobody writes anything into the database meanwhile."""
    assert db.path
    with closing(sqlite3.connect(db.path)) as watching:
        before = watching.execute("PRAGMA data_version").fetchone()
        yield
        assert watching.execute("PRAGMA data_version").fetchone() == before, route


def test_no_answer_believes_the_host_header(app: Flask, db: Database, guarded: list[Route]) -> None:
    signed_in = app.test_client()
    sign_in_as(signed_in, db)
    for client in (app.test_client(), signed_in):
        for route in _routes(app):
            if not route.changes:
                answer = client.open(route.path, method=route.method, headers={"Host": "evil.example"}, buffered=False)
                told = "" if answer.mimetype == "text/event-stream" else answer.get_data(as_text=True)
                assert "evil.example" not in answer.headers.get("Location", "") + told, route
                answer.close()


PARAMETERS = (
    "after", "before", "cursor", "limit", "days", "asked", "q", "status", "source", "category", "request_type", "since",
    "sla", "order", "waits", "requester_email", "reason", "who", "action", "subject", "model", "prompt_version",
    "catalog_version", "conflict", "check", "version", "with", "list",
)  # fmt: skip
HOSTILE = (
    "1" * 31, "-1" + "0" * 30, "9223372036854775808", "-1", "0", "1.5", "nan", "inf", "1e400", "\u0663", "x", "\0",
    "\ud800", "\n", "%", "?x=\n", "' OR 1=1 --", '"', "*", "(", "\\", "a" * 5_000, "{{7*7}}", "\u202e", "NULL",
)  # fmt: skip


@pytest.mark.parametrize("value", ["1" * 31, "-1", "\0", "x\n"])
def test_nothing_in_a_url_is_an_error_of_ours(app: Flask, db: Database, guarded: list[Route], value: str) -> None:
    client = app.test_client()
    sign_in_as(client, db)
    query = urlencode(dict.fromkeys(PARAMETERS, value), errors="surrogatepass")
    for route in guarded:
        if route.method == "GET" and "/live/" not in route.path:
            assert client.get(f"{route.path}?{query}").status_code < 500, route


@given(st.data())
@hypothesis_settings(
    deadline=None, max_examples=tries(100), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_parameter_of_any_view_is_an_error_of_ours(
    app: Flask, db: Database, guarded: list[Route], signed_in: FlaskClient, data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from([route for route in guarded if route.method == "GET"]))
    values = st.sampled_from(HOSTILE) | st.text(max_size=20) | st.integers().map(str)
    query = data.draw(st.dictionaries(st.sampled_from(PARAMETERS), values, max_size=4))
    written = urlencode({name: value.encode("utf-8", "surrogatepass") for name, value in query.items()})
    answer = signed_in.get(f"{route.path}?{written}", buffered=False)
    answer.close()
    assert answer.status_code < 500


def test_what_a_form_says_of_its_list_breaks_no_header(app: Flask, db: Database, guarded: list[Route]) -> None:
    client = app.test_client()
    sign_in_as(client, db)
    for said, there in {
        "?x=\n": "/tickets?x=%0A", "?q=a+b&status=failed": "/tickets?q=a+b&status=failed", "//evil.example": "/tickets",
        "?" + "&" * 9_000: "/tickets", "?\r\nSet-Cookie: a=b": "/tickets?%0D%0ASet-Cookie%3A+a=b",
        "": "/tickets",
    }.items():  # fmt: skip
        answer = client.post("/tickets/redrive", data={"csrf_token": csrf(client), "list": said})
        assert (answer.status_code, answer.headers["Location"]) == (302, there)
