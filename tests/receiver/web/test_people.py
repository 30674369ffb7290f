"""People and their accounts: inviting, roles, disabling, and tokens that never do more than their person."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from werkzeug.test import TestResponse

from receiver.db import api_tokens, audit, people
from receiver.db.database import Database
from receiver.db.models import ApiToken, Person
from receiver.lib import roles
from receiver.lib.clock import now
from tests.conftest import ADMIN, PASSWORD
from tests.factories import csrf, due_ticket, person, settle, sign_in_as, use_link
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in


@pytest.fixture
def admin(client: FlaskClient, db: Database) -> FlaskClient:
    sign_in_as(client, db, roles.ADMIN, email="ada@example.com", name="Ada", password_hash="x")
    return client


def _send(client: FlaskClient, path: str, **form: Any) -> TestResponse:
    return client.post(path, data={"csrf_token": csrf(client), **form}, follow_redirects=True)


def _said(answer: TestResponse) -> str:
    return " ".join(markup.fromstring(answer.text).find_class("toasts")[0].text_content().split())


def _once(answer: TestResponse) -> str:
    """What a page shows this once."""
    return str(markup.fromstring(answer.text).find_class("once")[0].text_content())


def _now(db: Database, found: Person) -> Person:
    with db.read() as session:
        return session.get_one(Person, found.id)


def _actions(db: Database) -> list[tuple[str, str, str]]:
    with db.read() as session:
        found = [(entry.who, entry.action, entry.subject) for entry in reversed(audit.page(session, 50))]
    return [entry for entry in found if entry[1] not in ("sign in", "sign out")]


def test_who_is_invited_comes_in_by_the_link_and_is_what_they_were_invited_as(
    app: Flask, admin: FlaskClient, db: Database
) -> None:
    shown = _once(_send(admin, "/people", name="Lin", email=" Lin@Example.com", role="reviewer"))
    link = re.sub(r"^http://[^/]+", "", shown)
    assert shown.startswith("http://127.0.0.1:8000/sign-in/")
    assert link not in admin.get("/people").text
    other = app.test_client()
    form = {"csrf_token": csrf(other, link), "name": "Lin Q", "password": "a long password here"}
    assert other.post(link, data=form).status_code == 302
    assert "lin@example.com · reviewer" in other.get("/").text
    assert [other.get(path).status_code for path in ("/people", "/account")] == [403, 200]
    assert [action for _, action, _ in _actions(db)] == ["invite", "set password"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"email": ADMIN.upper()}, "already somebody"),
        ({"email": "nobody"}, "Not a valid email"),
        ({"email": ""}, "about-email"),
        ({"name": ""}, "Between 1 and 100"),
        ({"role": "owner"}, "One of viewer"),
    ],
)
def test_a_wrong_invitation_is_explained(admin: FlaskClient, wrong: dict[str, str], told: str) -> None:
    answer = _send(admin, "/people", **{"name": "Lin", "email": "lin@example.com", "role": "viewer"} | wrong)
    assert answer.status_code == 422
    assert told in answer.text


def test_a_role_holds_from_the_next_click_on(app: Flask, admin: FlaskClient, db: Database) -> None:
    other = app.test_client()
    lin = sign_in_as(other, db, roles.OPERATOR, name="Lin")
    assert "Lin is viewer now" in _said(_send(admin, f"/people/{lin.id}/role", role="viewer"))
    assert other.post("/digests", data={"csrf_token": csrf(other)}).status_code == 403
    assert _actions(db) == [("ada@example.com", "change role", f"person {lin.id}")]


def test_who_is_disabled_is_out_at_once_with_every_token(app: Flask, admin: FlaskClient, db: Database) -> None:
    other = app.test_client()
    lin = sign_in_as(other, db, roles.OPERATOR, name="Lin")
    bearer = _bearer(_token(other))
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 200
    assert "signed out everywhere" in _said(_send(admin, f"/people/{lin.id}/disable"))
    assert other.get("/").status_code == 302
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 401
    assert _send(admin, f"/people/{lin.id}/link").status_code == 409
    assert "may sign in again" in _said(_send(admin, f"/people/{lin.id}/enable"))
    assert other.get("/").status_code == 302
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 401
    assert "/sign-in/" in _once(_send(admin, f"/people/{lin.id}/link"))


def test_an_admin_ends_every_way_in_of_somebody(app: Flask, admin: FlaskClient, db: Database) -> None:
    other = app.test_client()
    lin = sign_in_as(other, db, roles.OPERATOR, name="Lin")
    bearer = _bearer(_token(other))
    link = f"/sign-in/{_once(_send(admin, f'/people/{lin.id}/link')).rpartition('/')[2]}"
    assert "signed out everywhere" in _said(_send(admin, f"/people/{lin.id}/sign-out"))
    assert other.get("/").status_code == 302
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 401
    assert app.test_client().get(link).status_code == 403


def test_a_password_that_was_reset_ends_every_api_token(app: Flask, admin: FlaskClient, db: Database) -> None:
    other = app.test_client()
    lin = sign_in_as(other, db, roles.OPERATOR, name="Lin")
    bearer = _bearer(_token(other))
    link = f"/sign-in/{_once(_send(admin, f'/people/{lin.id}/link')).rpartition('/')[2]}"
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 200
    assert use_link(app.test_client(), link, name="Lin", password="a new long password").status_code == 302
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 401
    assert other.get("/").status_code == 302


@pytest.mark.parametrize(("action", "form"), [("disable", {}), ("role", {"role": "operator"})])
def test_the_last_admin_who_can_come_in_stays(
    admin: FlaskClient, db: Database, action: str, form: dict[str, str]
) -> None:
    with db.write() as session:
        grace = people.by_email(session, ADMIN)
        assert grace
        people.disable(session, grace)
    ada = next(found for found in _everybody(db) if found.name == "Ada")
    person(db, roles.ADMIN, name="Invited, and has never answered")
    assert "last active admin" in _said(_send(admin, f"/people/{ada.id}/{action}", **form))
    assert (_now(db, ada).active, _now(db, ada).role) == (True, "admin")


def _everybody(db: Database) -> list[Person]:
    with db.read() as session:
        return list(people.everybody(session, 50))


def test_a_new_link_voids_the_one_before(app: Flask, admin: FlaskClient, db: Database) -> None:
    lin = person(db, name="Lin")
    first, second = (_once(_send(admin, f"/people/{lin.id}/link")).rpartition("/")[2] for _ in "12")
    assert [app.test_client().get(f"/sign-in/{token}").status_code for token in (first, second)] == [403, 200]


def test_hostile_names_stay_text(admin: FlaskClient, db: Database) -> None:
    lin = person(db, name=HOSTILE, email=HOSTILE)
    _send(admin, f"/people/{lin.id}/role", role="reviewer")
    for path in ("/people", f"/people/{lin.id}"):
        page = markup.fromstring(admin.get(path).text)
        no_way_in(page)
        assert HOSTILE in page.text_content()


def _token(client: FlaskClient, **form: Any) -> str:
    answer = _send(client, "/account/tokens", **{"name": "nightly", "role": "viewer", "days": "90"} | form)
    assert answer.status_code == 200, answer.text
    return _once(answer)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_shown_once_and_names_its_person(app: Flask, client: FlaskClient, db: Database) -> None:
    lin = sign_in_as(client, db, roles.REVIEWER)
    token = _token(client, role="reviewer")
    assert token.startswith(api_tokens.PREFIX)
    assert token not in client.get("/account").text
    with db.read() as session:
        assert token not in str(vars(session.query(ApiToken).one()))
    ticket = due_ticket(db)
    settle(db, ticket)
    answer = app.test_client().post(f"/api/tickets/{ticket}/review", json={}, headers=_bearer(token))
    assert answer.get_json()["classification"]["reviewer"] == lin.email


def test_a_token_may_what_its_role_may_and_its_person_still_may(app: Flask, client: FlaskClient, db: Database) -> None:
    lin = sign_in_as(client, db, roles.OPERATOR)
    looks, acts, reads = _token(client), _token(client, role="operator"), _token(client, role="operator", read_only="1")

    def code(token: str, method: str = "POST") -> int:
        return app.test_client().open("/api/digests", method=method, headers=_bearer(token)).status_code

    assert [code(token, "GET") for token in (looks, acts, reads)] == [200, 200, 200]
    assert [code(token) for token in (looks, acts, reads)] == [403, 409, 403]
    with db.write() as session:
        session.get_one(Person, lin.id).role = roles.VIEWER
    assert code(acts) == 403
    assert code(acts + "x", "GET") == 401
    assert app.test_client().get("/", headers=_bearer(acts)).status_code == 302


@pytest.mark.parametrize(
    "wrong", [{"role": "operator"}, {"role": "admin"}, {"days": "367"}, {"days": "x"}, {"name": ""}]
)
def test_nobody_makes_a_token_above_themselves_or_without_an_end(
    client: FlaskClient, db: Database, wrong: dict[str, str]
) -> None:
    sign_in_as(client, db, roles.REVIEWER)
    form = {"name": "mine", "role": "viewer", "days": "30"} | wrong
    assert _send(client, "/account/tokens", **form).status_code == 422
    with db.read() as session:
        assert session.query(ApiToken).count() == 0


def test_a_token_expires_and_its_use_is_written_down_once_a_minute(
    app: Flask, client: FlaskClient, db: Database
) -> None:
    sign_in_as(client, db)

    def used() -> Any:
        assert app.test_client().get("/api/stats", headers=_bearer(token)).status_code == 200
        with db.read() as session:
            return session.query(ApiToken).one().last_used_at

    with time_machine.travel(now(), tick=False) as clock:
        token = _token(client, days="1")
        first = used()
        clock.shift(timedelta(seconds=59))
        assert used() == first
        clock.shift(timedelta(seconds=1))
        assert used() == now()
        clock.shift(timedelta(days=1))
        refused = app.test_client().get("/api/stats", headers=_bearer(token))
    assert refused.status_code == 401
    assert "has expired" in refused.text


def test_a_token_is_revoked_by_its_person_or_an_admin_and_by_nobody_else(
    app: Flask, admin: FlaskClient, db: Database
) -> None:
    lin, eve = app.test_client(), app.test_client()
    who = sign_in_as(lin, db, roles.REVIEWER)
    sign_in_as(eve, db, roles.OPERATOR)
    tokens = [_token(lin), _token(lin)]
    assert _send(eve, "/account/tokens/1/revoke").status_code == 404
    assert _send(eve, f"/people/{who.id}/tokens/1/revoke").status_code == 403
    assert "is revoked" in _said(_send(lin, "/account/tokens/1/revoke"))
    assert "is revoked" in _said(_send(admin, f"/people/{who.id}/tokens/2/revoke"))
    assert [app.test_client().get("/api/stats", headers=_bearer(token)).status_code for token in tokens] == [401, 401]


def _signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    form = {"csrf_token": csrf(client, "/sign-in"), "email": ADMIN, "password": PASSWORD}
    assert client.post("/sign-in", data=form).status_code == 302
    return client


def test_a_new_password_needs_the_old_one_and_ends_every_other_session(app: Flask, db: Database) -> None:
    here, there = _signed_in(app), _signed_in(app)
    path, good = "/account/password", {"current": PASSWORD, "password": "another long password"}
    assert _send(here, path, **good | {"current": "a guess"}).status_code == 422
    assert _send(here, path, **good | {"password": "short"}).status_code == 422
    assert _send(here, path, **good | {"password": ADMIN}).status_code == 422
    assert there.get("/").status_code == 200
    assert "is changed" in _said(_send(here, path, **good))
    assert (here.get("/").status_code, there.get("/").status_code) == (200, 302)
    with time_machine.travel(now(), tick=False):  # So that no try is forgotten while a machine is slow.
        codes = {_send(here, path, current="a guess", password="another long password").status_code for _ in range(12)}
        assert codes == {422}
        assert "too many tries" in _send(here, path, **good | {"current": "another long password"}).text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/account/password", {"current": PASSWORD, "password": "another long password"}),
        ("/account/sign-out-everywhere", {}),
    ],
)
def test_who_suspects_a_thief_may_end_their_api_tokens_too(app: Flask, path: str, form: dict[str, str]) -> None:
    here = _signed_in(app)
    bearers = [_bearer(_token(here, current=PASSWORD)) for _ in "12"]

    def codes() -> list[int]:
        return [app.test_client().get("/api/stats", headers=bearer).status_code for bearer in bearers]

    assert "End my 2 API tokens too" in here.get("/account").text
    assert "token" not in _said(_send(here, "/account/sign-out-everywhere"))
    assert codes() == [200, 200]
    assert "2 API tokens ended" in _said(_send(here, path, tokens="true", **form))
    assert codes() == [401, 401]


def test_a_token_is_made_by_whoever_knows_the_password(app: Flask, db: Database) -> None:
    here = _signed_in(app)
    form = {"name": "nightly", "role": "viewer", "days": "90"}
    assert "This is not your password" in _send(here, "/account/tokens", **form).text
    with time_machine.travel(now(), tick=False):
        assert {_send(here, "/account/tokens", current="a guess", **form).status_code for _ in range(12)} == {422}
        assert "too many tries" in _send(here, "/account/tokens", current=PASSWORD, **form).text
    with db.read() as session:
        assert session.query(ApiToken).count() == 0


def test_without_a_password_a_token_is_made_soon_after_the_sign_in(client: FlaskClient, db: Database) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        sign_in_as(client, db)
        assert _token(client)
        clock.shift(timedelta(minutes=15))
        refused = _send(client, "/account/tokens", name="late", role="viewer", days="90")
    assert (refused.status_code, "Sign out and in again" in refused.text) == (422, True)


@pytest.mark.parametrize(
    "name", ["\x1b[31mroot", "a\rb", "a\nb", "bell\x07", "\u202egnp.exe", "\x9b2J", "zero\u200bwidth"]
)
def test_no_name_holds_what_a_terminal_obeys_or_nobody_sees(admin: FlaskClient, name: str) -> None:
    for path, form in {
        "/people": {"email": "lin@example.com", "role": "viewer"},
        "/account/name": {},
        "/account/tokens": {"role": "viewer", "days": "1"},
    }.items():
        answer = _send(admin, path, name=f"Lin {name} Q", **form)
        assert (answer.status_code, "cannot be seen" in answer.text) == (422, True), path


@pytest.mark.parametrize("name", ["علی\u200cرضا", "Zoë O’Neill-Ångström", "山田 太郎", "José\xa0Núñez"])
def test_names_of_the_world_are_taken(client: FlaskClient, db: Database, name: str) -> None:
    sign_in_as(client, db)
    assert name in _send(client, "/account/name", name=name).text


def test_signing_out_everywhere_leaves_this_browser(app: Flask, db: Database) -> None:
    here, there = _signed_in(app), _signed_in(app)
    assert "in 2 browsers" in here.get("/account").text
    _send(here, "/account/sign-out-everywhere")
    assert (here.get("/").status_code, there.get("/").status_code) == (200, 302)
    assert "in this browser only" in here.get("/account").text


def test_a_changed_name_is_shown(client: FlaskClient, db: Database) -> None:
    sign_in_as(client, db)
    assert "Lin Q" in _send(client, "/account/name", name=" Lin Q ").text
    assert _send(client, "/account/name", name="").status_code == 422


def test_the_rail_shows_what_a_role_may_open(app: Flask, db: Database) -> None:
    for role, shown in ((roles.VIEWER, False), (roles.ADMIN, True)):
        client = app.test_client()
        sign_in_as(client, db, role)
        assert ('href="/people"' in client.get("/").text) == shown
