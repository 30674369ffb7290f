"""Coming in, by e-mail and password or by a one-time link, and going out again."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from flask_login import current_user

from receiver.db import api_tokens, audit, browser_sessions, people, refusals, second_factors, sign_in, sign_in_tries
from receiver.db.models import Person
from receiver.lib import roles
from receiver.lib.clock import now
from receiver.web import auth, login_throttle, second_factor_check
from receiver.web.dashboard import forms
from receiver.web.dashboard.formats import span
from receiver.web.state import context, count_refusal, web_state

blueprint = Blueprint("sign_in_pages", __name__)

_SPENT = "This link was used before, or is older than a day. Whoever gave it to you can make another."
_WRONG = "The e-mail address or the password is wrong, or the account is disabled."
_WRONG_CODE = "This code is wrong, or was used before. Wait for the next one; a clock that is wrong makes wrong codes."
_TOO_LATE = "That took more than ten minutes, or your password was changed meanwhile. Sign in again."
_HALF, _HALF_FOR = "half", timedelta(minutes=10)


@blueprint.get("/sign-in")
def sign_in_page() -> ResponseReturnValue:
    """The form, or on a first start how to make the first account."""
    if current_user.is_authenticated:
        return redirect(url_for("overview_pages.overview_page"))
    return _page()


def refuse(problem: str, status: int) -> ResponseReturnValue:
    """The form again, with what is wrong."""
    return _page(problem, status)


def _page(problem: str | None = None, status: int = 200) -> tuple[str, int]:
    with context().db.read() as session:
        is_first = people.first_admin(session) is None
    email = request.form.get("email", "")[:254]
    oidc = web_state().oidc is not None
    return render_template("sign_in.html", problem=problem, is_first=is_first, email=email, oidc=oidc), status


@blueprint.post("/sign-in")
def sign_in_with_password() -> ResponseReturnValue:
    """Come in by e-mail and password; after a few wrong tries each further one waits."""
    auth.csrf.protect()
    email, password = request.form.get("email", "")[:254], request.form.get("password", "")
    with context().db.read() as session:
        person = people.by_email(session, email)
        keys = login_throttle.keys(email, person)
        left = sign_in_tries.wait(session, keys, now())
    if not left:  # Who has to wait takes no turn of those who write.
        with context().db.write() as session:
            left = sign_in_tries.begin(session, keys, now())
    if left:
        count_refusal(refusals.THROTTLED)
        words = f"There were too many tries; wait {span(left.total_seconds() + 1)}, or ask an admin for a link."
        return *_page(words, 429), {"Retry-After": str(int(left.total_seconds()) + 1)}
    fits = web_state().passwords.fits(password, person.password_hash if person else None)
    if not fits or not person or not person.active:
        count_refusal(refusals.PASSWORD)
        return _page(_WRONG, 403)
    return _go_on(_welcome(person, password, keys), "password")


def _welcome(person: Person, password: str, keys: list[sign_in_tries.Key]) -> Person:
    """Forget the tries of whoever knew the password, and keep it by today's parameters."""
    outdated = web_state().passwords.is_outdated(person.password_hash or "")
    fresh = web_state().passwords.hash(password) if outdated else person.password_hash
    with context().db.write() as session:
        sign_in_tries.forgive(session, keys[:1])
        for key in keys[1:]:  # An address is that of others too: only this one try was a good one.
            sign_in_tries.take_back(session, key)
        known = session.get_one(Person, person.id)
        known.password_hash = fresh
    return known


def _go_on(person: Person, by: str) -> ResponseReturnValue:
    """Let in whoever has no second factor; ask the others for it. Until then this browser is signed in nowhere.

    What was shown so far is in the signed session, for ten minutes and as long as the password stays the same.
    """
    with context().db.read() as reading:
        has_factor = second_factors.find(reading, person.id) is not None
    if not has_factor:
        return auth.log_in(person, by)
    cookie[_HALF] = [person.id, by, _fingerprint(person), now().timestamp()]
    return redirect(url_for("sign_in_pages.code_page"))


def _fingerprint(person: Person) -> str:
    return hashlib.sha256((person.password_hash or "").encode()).hexdigest()[:16]


def _half_in() -> tuple[Person, str] | None:
    """Who showed all but the second factor in this browser within the last ten minutes, and by what."""
    if _HALF not in cookie:
        return None
    person_id, by, fingerprint, at = cookie[_HALF]
    with context().db.read() as reading:
        person = reading.get(Person, person_id)
    if person is None or not person.active or _fingerprint(person) != fingerprint:
        return None
    return (person, by) if now().timestamp() - at < _HALF_FOR.total_seconds() else None


@blueprint.get("/sign-in/code")
def code_page() -> ResponseReturnValue:
    """Where the second factor is asked for."""
    if _half_in() is None:
        return redirect(url_for("sign_in_pages.sign_in_page"))
    return render_template("sign_in_code.html", problem=None)


@blueprint.post("/sign-in/code")
def use_code() -> ResponseReturnValue:
    """Come in by a code, after a password or a link."""
    auth.csrf.protect()
    half = _half_in()
    if half is None:
        return _page(_TOO_LATE, 403)
    person, by = half
    answer = second_factor_check.check(person, request.form.get("code", ""))
    if answer.kind:
        return auth.log_in(person, by, answer.kind)
    if answer.wait:
        seconds = answer.wait.total_seconds() + 1
        words = f"There were too many tries; wait {span(seconds)}, or ask an admin to reset your second factor."
        return render_template("sign_in_code.html", problem=words), 429, {"Retry-After": str(int(seconds))}
    return render_template("sign_in_code.html", problem=_WRONG_CODE), 403


@blueprint.get("/sign-in/<token>")
def show_link(token: str) -> ResponseReturnValue:
    """What a one-time link asks for: a click, or an account's name and password.

    This spends no link: mail scanners and the previews of chat programs open every address they see.
    """
    with context().db.read() as session:
        found = sign_in.opened(session, token, now())
    if found is None:
        return _page(_SPENT, 403)
    link, person = found
    if person is None or link.sets_password:
        return _ask(token, person)
    return render_template("use_link.html", token=token, person=person)


@blueprint.post("/sign-in/<token>")
def use_link(token: str) -> ResponseReturnValue:
    """Spend a one-time link: come in, make the first account, or set the name and password of an invited person."""
    auth.csrf.protect()
    with context().db.read() as session:
        found = sign_in.opened(session, token, now())
    if found is None:
        return _page(_SPENT, 403)
    link, person = found
    if person and not link.sets_password:
        with context().db.write() as session:
            spent = sign_in.use(session, token, now())
        return _go_on(person, "link") if spent else _page(_SPENT, 403)
    values, errors = forms.read(forms.NewAccount() if person is None else forms.Password())
    errors |= forms.password_problems(values, person.email if person else values.get("email", ""))
    if errors:
        return _ask(token, person, errors)
    kept = web_state().passwords.hash(values.pop("password"))
    admitted = _set_up(token, _Account(**values), kept)
    return _go_on(admitted, "link") if admitted else _page(_SPENT, 403)


@dataclass(frozen=True)
class _Account:
    name: str
    email: str = ""


def _set_up(token: str, account: _Account, password_hash: str) -> Person | None:
    """Spend the link for an account with this password; the person's other links, sessions and API tokens end."""
    moment = now()
    with context().db.write() as session:
        spent = sign_in.use(session, token, moment)
        if spent is None:
            return None
        person = spent[1] or people.add(session, account.email, account.name, roles.ADMIN, moment)
        action = "set password" if spent[1] else "create account"
        person.name, person.password_hash = account.name, password_hash
        sign_in.void(session, person, moment)
        browser_sessions.end_all(session, person.id)
        told = {"by": "link", "role": person.role, **_ended(api_tokens.end_all(session, person.id))}
        audit.note(session, person.email, action, f"person {person.id}", moment, told)
    return person


def _ended(tokens: int) -> dict[str, int]:
    return {"tokens_ended": tokens} if tokens else {}


def _ask(token: str, person: Person | None, errors: dict[str, str] | None = None) -> tuple[str, int]:
    shown = render_template("set_up.html", token=token, person=person, errors=errors or {}, form=request.form)
    return shown, 422 if errors else 200


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this browser's session."""
    auth.csrf.protect()
    auth.log_out()
    return redirect(url_for("sign_in_pages.sign_in_page"))
