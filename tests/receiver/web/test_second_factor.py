"""A second factor: set up, asked for, never twice the same code, required of a role, and reset where it was lost."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest
import time_machine
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from sqlalchemy import select
from werkzeug.test import TestResponse

from jobs.cli import main
from jobs.operations import backup
from receiver.db import audit, people, refusals, second_factors, sign_in
from receiver.db.database import Database
from receiver.db.models import AuditEntry, Person, RecoveryCode, SecondFactor
from receiver.lib import roles, secret_files
from receiver.lib.clock import now
from receiver.lib.passwords import Passwords
from receiver.lib.settings import Settings
from receiver.web import state
from receiver.web.app import create_app
from tests.conftest import ADMIN, CHEAP, PASSWORD
from tests.factories import csrf, person, sign_in_as, use_link
from tests.jobs.operations.test_backup import _restore
from tests.receiver.web.test_people import _bearer, _token

FORM = "application/x-www-form-urlencoded"
Grace = tuple[FlaskClient, pyotp.TOTP, list[str]]
PAGE, STEP = "/account/second-factor", timedelta(seconds=30)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """The clock stands until a test moves it."""
    with time_machine.travel(now(), tick=False) as moved:
        yield moved


def _send(client: FlaskClient, path: str, page: str = PAGE, **form: Any) -> TestResponse:
    return client.post(path, data={"csrf_token": csrf(client, page), **form})


def _password(client: FlaskClient, email: str = ADMIN) -> TestResponse:
    return _send(client, "/sign-in", "/sign-in", email=email, password=PASSWORD)


def _code(client: FlaskClient, code: str) -> TestResponse:
    return _send(client, "/sign-in/code", "/sign-in/code", code=code)


def _shown(page: str) -> str:
    return str(markup.fromstring(page).find_class("once")[0].text_content())


def _set_up(client: FlaskClient) -> tuple[pyotp.TOTP, list[str]]:
    """Set up a factor for who is signed in; what makes its codes, and the recovery codes."""
    assert _send(client, PAGE, current=PASSWORD).status_code == 302
    totp = pyotp.TOTP(_shown(client.get(PAGE).text).replace(" ", ""))
    done = _send(client, f"{PAGE}/confirm", code=totp.at(now()))
    assert done.status_code == 200
    return totp, _shown(done.text).split("\n")


@pytest.fixture
def grace(app: Flask, db: Database) -> Grace:
    """The admin's browser, with a factor that was set up in the half minute before this one."""
    browser = app.test_client()
    assert _password(browser).headers["Location"] == "/"
    return (browser, *_set_up(browser))


def _later(clock: time_machine.Traveller, steps: int = 1) -> None:
    clock.shift(steps * STEP)


def _entries(db: Database) -> list[AuditEntry]:
    with db.read() as session:
        return list(audit.page(session, 100))


def test_a_factor_counts_once_it_is_confirmed_and_its_secret_is_nowhere_in_the_clear(
    app: Flask, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    browser = app.test_client()
    _password(browser)
    assert "not your password" in _send(browser, PAGE, current="another one").text
    assert _send(browser, PAGE, current=PASSWORD).status_code == 302
    page = browser.get(PAGE).text
    secret = _shown(page).replace(" ", "")
    assert "<svg" in page
    assert "style=" not in page
    assert _password(app.test_client()).headers["Location"] == "/"
    assert _send(browser, f"{PAGE}/confirm", code="000000").status_code == 422
    done = _send(browser, f"{PAGE}/confirm", code=pyotp.TOTP(secret).at(now()))
    codes = _shown(done.text).split("\n")
    assert len(set(codes)) == 10
    assert not any(code in browser.get(PAGE).text for code in codes)
    assert secret not in browser.get(PAGE).text
    with db.read() as session:
        kept = session.scalars(select(SecondFactor)).one().secret
        digests = session.scalars(select(RecoveryCode.code_sha256)).all()
    assert secret not in kept
    assert not set(digests) & {*codes, *(code.replace("-", "").upper() for code in codes)}
    told = caplog.text + "".join(str(entry.details) for entry in _entries(db))
    assert "signed in by password" in told
    assert not any(word in told for word in (secret, *codes))
    assert _password(app.test_client()).headers["Location"] == "/sign-in/code"


def test_a_secret_that_nobody_confirms_is_forgotten(app: Flask, db: Database, clock: time_machine.Traveller) -> None:
    browser = app.test_client()
    _password(browser)
    _send(browser, PAGE, current=PASSWORD)
    totp = pyotp.TOTP(_shown(browser.get(PAGE).text).replace(" ", ""))
    clock.shift(timedelta(minutes=10))
    assert "Show the secret" in browser.get(PAGE).text
    late = _send(browser, f"{PAGE}/confirm", code=totp.at(now()))
    assert (late.status_code, "took too long" in late.text) == (422, True)
    _set_up(browser)


def test_a_password_alone_lets_in_nowhere(app: Flask, grace: Grace) -> None:
    half = app.test_client()
    assert half.get("/people").headers["Location"] == "/sign-in"
    assert _password(half).headers["Location"] == "/sign-in/code"
    assert [half.get(path).status_code for path in ("/", "/docs", PAGE, "/api/stats", "/metrics")] == [
        302, 302, 302, 401, 401,
    ]  # fmt: skip
    assert _send(half, "/account/name", "/sign-in/code", name="Eve").headers["Location"] == "/sign-in"


def test_a_code_lets_in_once_to_the_page_that_was_wanted(
    app: Flask, grace: Grace, db: Database, clock: time_machine.Traveller
) -> None:
    _, totp, _ = grace
    first, second = app.test_client(), app.test_client()
    first.get("/people")
    _password(first)
    assert _code(first, totp.at(now())).status_code == 403  # It confirmed the factor.
    _later(clock)
    code = totp.at(now())
    assert _code(first, f" {code[:3]} {code[3:]} ").headers["Location"] == "/people"
    assert first.get("/people").status_code == 200
    _password(second)
    assert "used before" in _code(second, code).text
    assert second.get("/").status_code == 302
    assert _entries(db)[1].details | {"address": ""} == {"by": "password", "address": "", "second_factor": "code"}
    assert _entries(db)[0].action == "wrong second factor"


@pytest.mark.parametrize(("off", "is_in"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_off(
    app: Flask, grace: Grace, clock: time_machine.Traveller, off: int, is_in: bool
) -> None:
    _, totp, _ = grace
    _later(clock, 10)
    browser = app.test_client()
    _password(browser)
    assert (_code(browser, totp.at(now() + off * STEP)).status_code == 302) is is_in


@pytest.mark.parametrize("zero", ["0", "\uff10", "\u0660", "\u06f0", "\u0966"])
def test_a_code_may_be_typed_in_the_digits_of_any_keyboard(
    app: Flask, grace: Grace, clock: time_machine.Traveller, zero: str
) -> None:
    _, totp, _ = grace
    _later(clock)
    browser = app.test_client()
    _password(browser)
    assert _code(browser, "".join(chr(ord(zero) + int(digit)) for digit in totp.at(now()))).status_code == 302


@pytest.mark.parametrize("code", ["", " ", "\0", "\u202e", "\ud800", "1" * 5_000, "12345\u00b2x", "' OR 1=1 --"])
def test_what_is_no_code_is_refused(app: Flask, grace: Grace, code: str) -> None:
    browser = app.test_client()
    _password(browser)
    data = {"csrf_token": csrf(browser, "/sign-in/code"), "code": code.encode("utf-8", "surrogatepass")}
    assert browser.post("/sign-in/code", data=urlencode(data), content_type=FORM).status_code == 403


def test_the_longest_address_can_be_drawn(client: FlaskClient, db: Database) -> None:
    long = "\u4e2d" * 64 + "@" + ".".join(["\u4e2d" * 40] * 4) + ".example"
    sign_in_as(client, db, email=long, password_hash=CHEAP.hash(PASSWORD))
    assert _send(client, PAGE, current=PASSWORD).status_code == 302
    assert "<svg" in client.get(PAGE).text


def test_an_older_code_than_the_last_one_is_spent_too(app: Flask, grace: Grace, clock: time_machine.Traveller) -> None:
    _, totp, _ = grace
    _later(clock, 10)
    first, second = app.test_client(), app.test_client()
    _password(first)
    assert _code(first, totp.at(now())).status_code == 302
    _password(second)
    assert _code(second, totp.at(now() + -1 * STEP)).status_code == 403
    assert _code(second, totp.at(now() + 1 * STEP)).status_code == 302


def test_a_recovery_code_lets_in_once(app: Flask, grace: Grace, db: Database) -> None:
    browser, _, codes = grace
    first, second = app.test_client(), app.test_client()
    _password(first)
    assert _code(first, codes[3].upper().replace("-", " ")).status_code == 302
    _password(second)
    assert _code(second, codes[3]).status_code == 403
    assert _code(second, codes[4]).status_code == 302
    assert "8 recovery codes are left" in browser.get(PAGE).text
    assert _entries(db)[0].details["second_factor"] == "recovery code"


def test_who_guesses_codes_is_slowed_and_seen(
    app: Flask, grace: Grace, db: Database, clock: time_machine.Traveller
) -> None:
    known, totp, _ = grace
    attacker = app.test_client()
    _password(attacker)
    token = csrf(attacker, "/sign-in/code")
    answers = [attacker.post("/sign-in/code", data={"csrf_token": token, "code": "12345"}) for _ in range(12)]
    refused = [answer.status_code for answer in answers].count(403)
    assert refused < 10
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
    wrong = [entry for entry in _entries(db) if entry.action == "wrong second factor"]
    assert len(wrong) == refused
    state.of(app).refusals.flush()
    with db.read() as session:
        assert refusals.totals(session)[refusals.SECOND_FACTOR, ""] == refused
    _send(known, "/sign-out", "/")  # Whoever was signed in there before is counted by that browser.
    _later(clock)
    _password(known)
    assert _code(known, totp.at(now())).status_code == 302


@pytest.mark.parametrize("what", ["late", "disabled", "new password", "reset", "planted"])
def test_half_a_sign_in_ends(
    app: Flask, grace: Grace, db: Database, clock: time_machine.Traveller,
    what: str,
) -> None:  # fmt: skip
    _, totp, _ = grace
    person(db, roles.ADMIN, password_hash="x")
    half = app.test_client()
    _password(half)
    token = csrf(half, "/sign-in/code")
    with db.write() as session:
        known = people.by_email(session, ADMIN)
        assert known
        if what == "disabled":
            people.disable(session, known)
        if what == "new password":
            known.password_hash = CHEAP.hash("another long password")
        if what == "reset":
            assert second_factors.remove(session, known.id)
    if what == "planted":
        half.set_cookie(app.config["SESSION_COOKIE_NAME"], "eyJoYWxmIjpbMV19.x.y")
    clock.shift(timedelta(minutes=10) if what == "late" else timedelta(seconds=30))
    answer = half.post("/sign-in/code", data={"csrf_token": token, "code": totp.at(now())})
    assert answer.status_code == (400 if what == "planted" else 403)
    assert half.get("/").status_code == 302


@pytest.mark.parametrize("sets_password", [False, True])
def test_a_link_asks_for_the_code_too(
    app: Flask,
    grace: Grace,
    db: Database,
    clock: time_machine.Traveller,
    sets_password: bool,
) -> None:
    _, totp, _ = grace
    with db.write() as session:
        link = f"/sign-in/{sign_in.issue(session, now(), people.by_email(session, ADMIN), sets_password)}"
    browser = app.test_client()
    form = {"name": "Grace", "password": "quite another password"} if sets_password else {}
    assert use_link(browser, link, **form).headers["Location"] == "/sign-in/code"
    assert browser.get("/").status_code == 302
    _later(clock)
    assert _code(browser, totp.at(now())).headers["Location"] == "/"


def test_tokens_need_no_factor(app: Flask, client: FlaskClient, db: Database, grace: Grace) -> None:
    browser, _, _ = grace
    bearer = _bearer(_token(browser, current=PASSWORD))
    assert app.test_client().get("/api/stats", headers=bearer).status_code == 200


def test_new_codes_and_turning_off_need_the_password_and_a_code(
    app: Flask, grace: Grace, db: Database, clock: time_machine.Traveller
) -> None:
    browser, totp, codes = grace
    _later(clock)
    for path in ("recovery-codes", "turn-off"):
        for form in ({"current": "wrong", "code": totp.at(now())}, {"current": PASSWORD, "code": "000000"}):
            assert _send(browser, f"{PAGE}/{path}", **form).status_code == 422
    fresh = _shown(_send(browser, f"{PAGE}/recovery-codes", current=PASSWORD, code=codes[0]).text).split("\n")
    assert _send(browser, f"{PAGE}/turn-off", current=PASSWORD, code=codes[1]).status_code == 422
    assert _send(browser, PAGE, current=PASSWORD).status_code == 409
    assert _send(browser, f"{PAGE}/turn-off", current=PASSWORD, code=fresh[0]).status_code == 302
    assert _password(app.test_client()).headers["Location"] == "/"
    with db.read() as session:
        assert session.scalars(select(RecoveryCode)).all() == []
    assert _send(browser, f"{PAGE}/turn-off", current=PASSWORD, code=totp.at(now())).status_code == 409


def _requiring(config: Settings, role: str) -> Flask:
    made = create_app(replace(config, require_second_factor=role))
    state.of(made).passwords = Passwords(CHEAP)
    return made


def test_whose_role_needs_a_factor_does_nothing_before_it_is_set_up(config: Settings, db: Database) -> None:
    app = _requiring(config, "operator")
    browser = app.test_client()
    _password(browser)
    for path in ("/", "/people", "/account", "/docs", "/live/overview"):
        assert browser.get(path).headers["Location"] == PAGE, path
    assert browser.get("/people", headers={"HX-Request": "true"}).headers["HX-Redirect"] == PAGE
    token = csrf(browser, PAGE)
    assert browser.get("/api/stats", headers={"X-CSRFToken": token}).status_code == 403
    assert browser.post("/account/name", data={"csrf_token": token, "name": "Eve"}).headers["Location"] == PAGE
    assert 'href="/tickets"' not in browser.get(PAGE).text
    _set_up(browser)
    assert [browser.get(path).status_code for path in ("/", "/people", "/account")] == [200, 200, 200]
    free = app.test_client()
    sign_in_as(free, db, roles.REVIEWER)
    assert free.get("/").status_code == 200


def test_who_came_by_a_link_with_the_password_forgotten_can_set_it_up(config: Settings, db: Database) -> None:
    browser = _requiring(config, "viewer").test_client()
    with db.write() as session:
        link = f"/sign-in/{sign_in.issue(session, now())}"
    assert use_link(browser, link).status_code == 302
    assert 'name="current"' not in browser.get(PAGE).text
    assert _send(browser, PAGE).status_code == 302
    assert "<svg" in browser.get(PAGE).text


def test_a_role_that_needs_no_factor_asks_the_password_first(client: FlaskClient, db: Database) -> None:
    sign_in_as(client, db, password_hash=CHEAP.hash(PASSWORD))
    assert _send(client, PAGE).status_code == 422


def test_an_admin_resets_a_factor_that_was_lost(app: Flask, grace: Grace, db: Database) -> None:
    browser, _, _ = grace
    other = app.test_client()
    sign_in_as(other, db, email="ada@example.com")
    with db.read() as session:
        lost = session.scalars(select(Person).where(Person.email == ADMIN)).one()
    assert "Reset" in other.get(f"/people/{lost.id}").text
    assert _send(other, f"/people/{lost.id}/reset-factor", "/").status_code == 302
    assert _send(other, f"/people/{lost.id}/reset-factor", "/").status_code == 409
    assert browser.get("/").status_code == 302
    assert _password(app.test_client()).headers["Location"] == "/"
    told = [(entry.who, entry.action, entry.subject) for entry in _entries(db)]
    assert ("ada@example.com", "reset second factor", f"person {lost.id}") in told


def test_a_shell_resets_a_factor_that_was_lost(app: Flask, grace: Grace, db: Database) -> None:
    done = CliRunner().invoke(main, ["reset-factor", ADMIN.upper()])
    assert (done.exit_code, "no second factor now" in done.output) == (0, True)
    assert _password(app.test_client()).headers["Location"] == "/"
    assert _entries(db)[1].who.startswith("shell ")
    for email, told in ((ADMIN, "has no second factor"), ("eve@example.com", "nobody with the address")):
        again = CliRunner().invoke(main, ["reset-factor", email])
        assert (again.exit_code, told in again.output) == (1, True)


def test_without_the_session_key_a_recovery_code_lets_in_and_the_log_says_why(
    config: Settings,
    grace: Grace,
    clock: time_machine.Traveller,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, totp, codes = grace
    (config.data_dir / "session_key").write_text("another")
    app = create_app(config)
    state.of(app).passwords = Passwords(CHEAP)
    browser = app.test_client()
    _password(browser)
    _later(clock)
    assert _code(browser, totp.at(now())).status_code == 403
    assert "another session key" in capsys.readouterr().err
    state.of(app).refusals.flush()  # Its thread would log when the output of this test is gone.
    assert _code(browser, codes[0]).status_code == 302


@pytest.mark.sqlite
def test_a_restored_backup_brings_the_key_of_the_factors(
    config: Settings, db: Database, grace: Grace, clock: time_machine.Traveller, tmp_path: Path
) -> None:
    _, totp, _ = grace
    archive = backup.backup(db, config, tmp_path)
    (config.data_dir / "session_key").write_text("another")
    _restore(db, config, archive)
    _later(clock)
    with db.write() as session:
        person_id = session.scalars(select(SecondFactor.person_id)).one()
        cipher = secret_files.factor_cipher(config)
        assert second_factors.accept(session, person_id, totp.at(now()), cipher, now()) == "code"
