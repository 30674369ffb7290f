"""Coming in, by e-mail and password or by a one-time link, and going out again."""

import hashlib
import hmac
from datetime import timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from flask_login import current_user

from receiver.db import api_tokens, audit, browser_sessions, people, refusals, second_factors, sign_in, sign_in_tries
from receiver.db.models import Person
from receiver.lib import passwords, roles
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
    return render_sign_in()


def render_sign_in(problem: str | None = None, status: int = 200) -> tuple[str, int]:
    """The form, with what is wrong."""
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
    # A try is counted before it is judged, so that many at once cannot all pass the limit. Whoever must wait anyway
    # is turned away without a write, which would make senders wait.
    if not left:
        with context().db.write() as session:
            left = sign_in_tries.begin(session, keys, now())
    if left:
        count_refusal(refusals.THROTTLED)
        words = f"There were too many tries; wait {span(left.total_seconds() + 1)}, or ask an admin for a link."
        return *render_sign_in(words, 429), {"Retry-After": str(int(left.total_seconds()) + 1)}
    # An unknown address costs as much time as a wrong password, and gets the same sentence: nobody learns who is here.
    fits = web_state().passwords.fits(password, person.password_hash if person else None)
    if not fits or not person or not person.active:
        count_refusal(refusals.PASSWORD)
        return render_sign_in(_WRONG, 403)
    # Only now is the password at hand, to be hashed again where the parameters have become stronger.
    outdated = web_state().passwords.is_outdated(person.password_hash or "")
    fresh = web_state().passwords.hash(password) if outdated else person.password_hash
    with context().db.write() as session:
        sign_in_tries.forgive(session, keys[:1])
        # Others share the address: this try did not count, and theirs still do.
        for key in keys[1:]:
            sign_in_tries.take_back(session, key)
        known = session.get_one(Person, person.id)
        known.password_hash = fresh
    return _log_in_or_ask_code(known, "password")


def _log_in_or_ask_code(person: Person, by: str) -> ResponseReturnValue:
    """Let in whoever has no second factor; ask the others for it. Until then this browser is not signed in."""
    with context().db.read() as reading:
        has_factor = second_factors.find(reading, person.id) is not None
    if not has_factor:
        return auth.log_in(person, by)
    # The session cookie is signed, so what was shown so far can wait in it: for ten minutes, and as long as the
    # password stays the same.
    cookie[_HALF] = [person.id, by, _password_fingerprint(person), now().timestamp()]
    return redirect(url_for("sign_in_pages.code_page"))


def _password_fingerprint(person: Person) -> str:
    # The cookie is signed and not encrypted, so it must not hold the hash itself.
    return hashlib.sha256((person.password_hash or "").encode()).hexdigest()[:16]


def _person_half_in() -> tuple[Person, str] | None:
    """Who has shown all but the second factor in this browser, and how; None after ten minutes."""
    if _HALF not in cookie:
        return None
    person_id, by, fingerprint, at = cookie[_HALF]
    with context().db.read() as reading:
        person = reading.get(Person, person_id)
    if person is None or not person.active or not hmac.compare_digest(_password_fingerprint(person), fingerprint):
        return None
    return (person, by) if now().timestamp() - at < _HALF_FOR.total_seconds() else None


@blueprint.get("/sign-in/code")
def code_page() -> ResponseReturnValue:
    """Where the second factor is asked for."""
    if _person_half_in() is None:
        return redirect(url_for("sign_in_pages.sign_in_page"))
    return render_template("sign_in_code.html", problem=None)


@blueprint.post("/sign-in/code")
def use_code() -> ResponseReturnValue:
    """Come in by a code, after a password or a link."""
    auth.csrf.protect()
    half = _person_half_in()
    if half is None:
        return render_sign_in(_TOO_LATE, 403)
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
    """What a one-time link asks for: a click, or an account's name and password."""
    # A GET spends no link: mail scanners and the previews of chat programs open every address they see.
    with context().db.read() as session:
        found = sign_in.opened(session, token, now())
    if found is None:
        return render_sign_in(_SPENT, 403)
    link, person = found
    if person is None or link.sets_password:
        return _render_account_form(token, person)
    return render_template("use_link.html", token=token, person=person)


@blueprint.post("/sign-in/<token>")
def use_link(token: str) -> ResponseReturnValue:
    """Spend a one-time link: come in, make the first account, or set the name and password of an invited person."""
    auth.csrf.protect()
    with context().db.read() as session:
        found = sign_in.opened(session, token, now())
    if found is None:
        return render_sign_in(_SPENT, 403)
    link, person = found
    if person and not link.sets_password:
        with context().db.write() as session:
            spent = sign_in.use(session, token, now())
        return _log_in_or_ask_code(person, "link") if spent else render_sign_in(_SPENT, 403)
    values, errors = forms.read(forms.NewAccount() if person is None else forms.Password())
    email, name, password = (str(values.get(field, "")) for field in ("email", "name", "password"))
    if weak := passwords.problem(password, person.email if person else email, name):
        errors["password"] = weak
    if errors:
        return _render_account_form(token, person, errors)
    # Before the transaction: a hash takes a tenth of a second, and senders wait for our lock.
    admitted = _spend_link(token, name, email, web_state().passwords.hash(password))
    return _log_in_or_ask_code(admitted, "link") if admitted else render_sign_in(_SPENT, 403)


def _spend_link(token: str, name: str, email: str, password_hash: str) -> Person | None:
    """Spend the link for an account with this password; the person's other links, sessions and API tokens end.

    None where the link was spent meanwhile.
    """
    moment = now()
    with context().db.write() as session:
        spent = sign_in.use(session, token, moment)
        if spent is None:
            return None
        # A link without a person is that of a first start, and makes the first admin.
        person = spent[1] or people.add(session, email, name, roles.ADMIN, moment)
        action = "set password" if spent[1] else "create account"
        person.name, person.password_hash = name, password_hash
        sign_in.void(session, person, moment)
        browser_sessions.end_all(session, person.id)
        details: dict[str, object] = {"by": "link", "role": person.role}
        if ended := api_tokens.end_all(session, person.id):
            details["tokens_ended"] = ended
        audit.note(session, person.email, action, f"person {person.id}", moment, details)
    return person


def _render_account_form(token: str, person: Person | None, errors: dict[str, str] | None = None) -> tuple[str, int]:
    shown = render_template("set_up.html", token=token, person=person, errors=errors or {}, form=request.form)
    return shown, 422 if errors else 200


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this browser's session."""
    auth.csrf.protect()
    auth.log_out()
    return redirect(url_for("sign_in_pages.sign_in_page"))
