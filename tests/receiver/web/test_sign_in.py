"""Accounts: the first one, signing in against those who guess, and when a session ends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete
from werkzeug.test import TestResponse

from receiver.db import audit, browser_sessions, people, sign_in
from receiver.db.database import Database
from receiver.db.models import Person
from receiver.lib.clock import now
from receiver.lib.passwords import Passwords
from receiver.lib.settings import Settings
from receiver.web import state
from receiver.web.app import create_app
from tests.conftest import ADMIN, CHEAP, PASSWORD
from tests.factories import csrf, person, sign_in_as, use_link

ACCOUNT = {"name": "Ada", "email": "Ada@Example.com", "password": "correct horse battery"}


def _nobody_yet(db: Database) -> str:
    """The link of a first start."""
    with db.write() as session:
        session.execute(delete(Person))
        return f"/sign-in/{sign_in.issue(session, now())}"


def _send(client: FlaskClient, path: str, page: str = "/sign-in", **form: Any) -> TestResponse:
    return client.post(path, data={"csrf_token": csrf(client, page), **form})


def _try(client: FlaskClient, password: str = PASSWORD, email: str = ADMIN) -> TestResponse:
    return _send(client, "/sign-in", email=email, password=password)


def _everybody(db: Database) -> list[tuple[str, str]]:
    with db.read() as session:
        return [(found.email, found.role) for found in people.everybody(session, 10)]


def test_the_first_link_makes_the_first_account_and_no_second_one(app: Flask, db: Database) -> None:
    link, other = _nobody_yet(db), _nobody_yet(db)
    first, second = app.test_client(), app.test_client()
    assert "token --sign-in" in first.get("/sign-in").text
    assert "The first account" in first.get(link).text
    assert _send(first, link, link, **ACCOUNT).headers["Location"] == "/"
    assert "ada@example.com" in first.get("/").text
    assert [second.get(path).status_code for path in (link, other)] == [403, 403]
    assert _everybody(db) == [("ada@example.com", "admin")]
    assert _try(second, ACCOUNT["password"], "ADA@example.com ").headers["Location"] == "/"


def test_there_is_no_default_account(client: FlaskClient, db: Database) -> None:
    _nobody_yet(db)
    assert 'name="password"' not in client.get("/sign-in").text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"password": "eleven char"}, "password"),
        ({"password": "x" * 201}, "password"),
        ({"password": "ADA@example.com"}, "password"),
        ({"password": "password1234"}, "password"),
        ({"email": '"a\x1b[2J"@example.com'}, "email"),
        ({"name": "Ada\x1b[31m"}, "name"),
        ({"email": "ada"}, "email"),
        ({"email": ""}, "email"),
        ({"name": "x" * 101}, "name"),
        ({"name": " "}, "name"),
    ],
)
def test_a_mistake_in_the_form_is_named_and_spends_no_link(
    client: FlaskClient, db: Database, wrong: dict[str, str], field: str
) -> None:
    link = _nobody_yet(db)
    answer = _send(client, link, link, **ACCOUNT | wrong)
    assert answer.status_code == 422
    assert f'id="about-{field}"' in answer.text
    assert "wrong" in answer.text
    assert ACCOUNT["password"] not in answer.text
    assert _send(client, link, link, **ACCOUNT).status_code == 302


def test_an_invited_person_sets_a_password_and_other_links_and_sessions_end(app: Flask, db: Database) -> None:
    invited = person(db, "reviewer", email="lin@example.com")
    with db.write() as session:
        link, older = (f"/sign-in/{sign_in.issue(session, now(), invited, sets_password=True)}" for _ in "12")
        elsewhere = app.test_client()
        plain = sign_in.issue(session, now(), invited)
    assert use_link(elsewhere, f"/sign-in/{plain}").status_code == 302
    client = app.test_client()
    assert "lin@example.com" in client.get(link).text
    assert _send(client, link, link, name="Lin", password="a new long password").status_code == 302
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert app.test_client().get(older).status_code == 403
    assert _try(app.test_client(), "a new long password", "lin@example.com").status_code == 302


def test_wrong_unknown_disabled_and_without_a_password_are_told_the_same(app: Flask, db: Database) -> None:
    away = person(db, email="away@example.com", password_hash=CHEAP.hash(PASSWORD))
    person(db, email="oidc@example.com")
    with db.write() as session:
        people.disable(session, session.get_one(Person, away.id))
    tries = [(ADMIN, "not this one"), ("eve@example.com", PASSWORD), ("away@example.com", PASSWORD)]
    answers = [_try(app.test_client(), password, email) for email, password in [*tries, ("oidc@example.com", "")]]
    assert {answer.status_code for answer in answers} == {403}
    assert all("e-mail address or the password is wrong" in answer.text for answer in answers)


def test_an_unknown_account_costs_a_guess_as_much_as_a_known_one() -> None:
    counted: list[str] = []

    class Counting(type(CHEAP)):  # type: ignore[misc]
        def verify(self, kept: str, password: str) -> bool:
            counted.append(kept)
            return bool(super().verify(kept, password))

    passwords = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    for kept in (None, CHEAP.hash(PASSWORD), "", "broken"):
        assert not passwords.fits("a guess", kept)
    assert len(counted) == 4
    assert len({kept.rpartition("$")[0].rpartition("$")[0] for kept in counted[:2]}) == 1
    assert passwords.fits(PASSWORD, CHEAP.hash(PASSWORD))


@pytest.fixture
def standing() -> Iterator[None]:
    """The clock stands, so that no try is forgotten while a test is slow."""
    with time_machine.travel(now(), tick=False):
        yield


@pytest.mark.usefixtures("standing")
def test_of_hundreds_of_tries_none_comes_in_though_one_has_the_right_password(app: Flask, db: Database) -> None:
    guesses = [PASSWORD if number == 100 else f"guess number {number}" for number in range(200)]
    attacker = app.test_client()
    token = csrf(attacker, "/sign-in")
    form = {"csrf_token": token, "email": ADMIN}
    codes = [attacker.post("/sign-in", data=form | {"password": guess}).status_code for guess in guesses]
    assert set(codes) == {403, 429}
    assert codes.count(403) < 10
    assert attacker.get("/").status_code == 302


@pytest.mark.usefixtures("standing")
def test_tries_at_once_are_no_more_than_tries_in_a_row(app: Flask, db: Database) -> None:
    def guess(number: int) -> int:
        return _try(app.test_client(), f"guess number {number}").status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(guess, range(24)))
    assert codes.count(403) < 10
    assert codes.count(429) > 10


def _attack(app: Flask) -> TestResponse:
    attacker = app.test_client()
    while (answer := _try(attacker, "guess")).status_code == 403:
        pass
    return answer


@pytest.mark.usefixtures("standing")
def test_who_is_attacked_comes_in_where_they_were_before_and_elsewhere_a_little_later(
    app: Flask, config: Settings, db: Database
) -> None:
    known = app.test_client()
    assert _try(known).status_code == 302
    assert _send(known, "/sign-out", "/").status_code == 302
    refused = _attack(app)
    assert int(refused.headers["Retry-After"]) <= 15 * 60
    assert "too many tries" in refused.text
    restarted = create_app(config)
    state.of(restarted).passwords = Passwords(CHEAP)
    assert _try(restarted.test_client()).status_code == 429
    assert _try(known).status_code == 302
    with time_machine.travel(now() + timedelta(minutes=15, seconds=1)):
        assert _try(restarted.test_client()).status_code == 302


def test_a_patient_attacker_has_few_guesses_a_night(app: Flask, db: Database) -> None:
    guesses, client = 0, app.test_client()
    form = {"csrf_token": csrf(client, "/sign-in"), "email": ADMIN, "password": "guess"}
    with time_machine.travel(now(), tick=False) as clock:
        ends = now() + timedelta(hours=8)
        while now() < ends:
            answer = client.post("/sign-in", data=form)
            guesses += answer.status_code == 403
            clock.shift(timedelta(seconds=int(answer.headers.get("Retry-After", 0))))
    assert guesses < 50


@pytest.mark.usefixtures("standing")
def test_one_address_that_tries_many_accounts_is_slowed_as_well(app: Flask, db: Database) -> None:
    codes = [_try(app.test_client(), "guess", f"person-{number}@example.com").status_code for number in range(30)]
    assert codes.count(429) > 5


def test_a_session_ends_when_idle_and_when_old(client: FlaskClient, db: Database) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        sign_in_as(client, db)
        clock.shift(browser_sessions.IDLE - timedelta(seconds=1))
        assert client.get("/").status_code == 200
        clock.shift(browser_sessions.IDLE)
        assert client.get("/").status_code == 302
        sign_in_as(client, db)
        for _ in range(20):
            clock.shift(timedelta(hours=8))
            assert client.get("/").status_code == 200
        clock.shift(timedelta(hours=8))
        assert client.get("/").status_code == 302


def test_who_signs_in_again_leaves_no_session_behind(client: FlaskClient, db: Database) -> None:
    first, second = sign_in_as(client, db), sign_in_as(client, db)
    with db.read() as session:
        assert [browser_sessions.count(session, found.id, now()) for found in (first, second)] == [0, 1]


def test_a_cookie_kept_from_before_the_sign_out_is_worthless(app: Flask, client: FlaskClient, db: Database) -> None:
    sign_in_as(client, db)
    name = app.config["SESSION_COOKIE_NAME"]
    cookie = client.get_cookie(name)
    assert cookie
    assert _send(client, "/sign-out", "/").status_code == 302
    thief = app.test_client()
    thief.set_cookie(name, cookie.value)
    assert thief.get("/").headers["Location"] == "/sign-in"


def test_a_person_comes_to_the_page_they_wanted_and_to_no_other_site(client: FlaskClient, db: Database) -> None:
    assert client.get("/docs?x=1").headers["Location"] == "/sign-in"
    assert _send(client, "/sign-in?next=//evil.example", email=ADMIN, password=PASSWORD).headers[
        "Location"
    ] == "/docs?x=1"  # fmt: skip
    for hostile in ("//evil.example/docs", "/\\evil.example", "https://evil.example"):
        other = client.application.test_client()
        with other.session_transaction() as kept:
            kept["wanted"] = hostile
        token = csrf(other, "/sign-in")
        answer = other.post("/sign-in", data={"csrf_token": token, "email": ADMIN, "password": PASSWORD})
        assert answer.headers["Location"] == "/"


def test_a_part_of_a_page_sends_the_whole_of_it_to_sign_in(client: FlaskClient, db: Database) -> None:
    answer = client.get("/docs", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/sign-in")


def test_the_first_account_is_in_the_audit(client: FlaskClient, db: Database) -> None:
    link = _nobody_yet(db)
    assert _send(client, link, link, **ACCOUNT).status_code == 302
    with db.read() as session:
        came_in, made = audit.page(session, 5)
        assert (made.who, made.action) == ("ada@example.com", "create account")
        assert (came_in.who, came_in.action) == ("ada@example.com", "sign in")


def test_coming_in_and_going_out_are_in_the_audit(client: FlaskClient, db: Database) -> None:
    for _ in "12":
        assert _try(client).status_code == 302
        assert _send(client, "/sign-out", "/").status_code == 302
    assert _try(client, "a wrong password").status_code == 403
    with db.read() as session:
        found = [(entry.who, entry.action, entry.details) for entry in reversed(audit.page(session, 5))]
    told = {"by": "password", "address": "127.0.0.1"}
    assert found == [(ADMIN, "sign in", told), (ADMIN, "sign out", {})] * 2
