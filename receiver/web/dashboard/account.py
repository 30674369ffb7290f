"""Your account: name, password, where you are signed in, and your API tokens."""

from datetime import timedelta

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy.orm import Session

from receiver.db import api_tokens, audit, browser_sessions, second_factors, sign_in_tries
from receiver.db.models import Person
from receiver.lib import passwords
from receiver.lib.clock import now
from receiver.web import auth, login_throttle
from receiver.web.api.pages import ID
from receiver.web.dashboard import forms
from receiver.web.state import context, web_state

blueprint = Blueprint("account_pages", __name__, url_prefix="/account")

_MOST_TOKENS = 50
_RECENT = timedelta(minutes=15)


@blueprint.get("")
@auth.require_role(auth.VIEWER)
def account_page() -> ResponseReturnValue:
    """What you may change about yourself."""
    return _page()


def _page(errors: dict[str, str] | None = None, fresh: str | None = None) -> ResponseReturnValue:
    moment, person_id = now(), current_user.person_id
    with context().db.read() as session:
        person = session.get_one(Person, person_id)
        tokens, browsers = api_tokens.of(session, person_id), browser_sessions.count(session, person_id, moment)
        factor = second_factors.find(session, person_id)
    roles = auth.ROLES[: auth.ROLES.index(person.role) + 1]
    shown = render_template(
        "account.html", person=person, tokens=tokens, browsers=browsers, roles=roles, moment=moment, fresh=fresh,
        factor=factor, errors=errors or {}, form=request.form,
    )  # fmt: skip
    return shown, 422 if errors else 200


@blueprint.post("/name")
@auth.require_role(auth.VIEWER)
def change_name() -> ResponseReturnValue:
    """Be called otherwise."""
    values, errors = forms.read(forms.Name())
    if errors:
        return _page(errors)
    with context().db.write() as session:
        person = session.get_one(Person, current_user.person_id)
        person.name = values["name"]
        audit.note(session, auth.caller(), "change name", f"person {person.id}", now())
    return _back("Your name is changed.")


@blueprint.post("/password")
@auth.require_role(auth.VIEWER)
def change_password() -> ResponseReturnValue:
    """Set a new password, for whoever knows the one of today; every other session ends, and tokens where asked."""
    with context().db.read() as session:
        person = session.get_one(Person, current_user.person_id)
    wrong = passwords.problem(request.form.get("password", ""), person.email, person.name)
    if wrong:
        return _page({"password": wrong})
    if told := doubt(person):
        return _page({"current": told})
    known: passwords.Passwords = web_state().passwords
    kept = known.hash(request.form["password"])
    with context().db.write() as session:
        session.get_one(Person, person.id).password_hash = kept
        tokens = _end_others(session, "change password")
    return _back(f"The password is changed, and every other browser signed out{tokens}.")


@blueprint.post("/sign-out-everywhere")
@auth.require_role(auth.VIEWER)
def sign_out_everywhere() -> ResponseReturnValue:
    """End every session but this one, and every API token where asked."""
    with context().db.write() as session:
        tokens = _end_others(session, "sign out everywhere")
    return _back(f"Every other browser is signed out{tokens}.")


def _end_others(session: Session, action: str) -> str:
    """End one's other sessions, and one's API tokens where the form says so; the words that tell of the tokens."""
    person_id = current_user.person_id
    browser_sessions.end_all(session, person_id, but=current_user.id)
    many = api_tokens.end_all(session, person_id) if "tokens" in request.form else 0
    audit.note(session, auth.caller(), action, f"person {person_id}", now(), {"tokens_ended": many} if many else {})
    return f"; {many} API token{'s' if many > 1 else ''} ended" if many else ""


def is_recent() -> bool:
    """Whether this browser was signed in within the last 15 minutes."""
    moment = now()
    with context().db.read() as session:
        found = browser_sessions.find(session, current_user.id, moment)
    return found is not None and found[0].created_at > moment - _RECENT


def doubt(person: Person) -> str | None:
    """Why it may not be the person who sits here: a wrong password, or without one a sign-in of some time ago."""
    moment = now()
    if person.password_hash is None:
        return (
            None if is_recent() else "You signed in more than 15 minutes ago. Sign out and in again, then repeat this."
        )
    keys = login_throttle.keys(person.email, person)
    with context().db.write() as session:
        waits = sign_in_tries.begin(session, keys, moment)
    if waits:
        return "There were too many tries; wait a quarter of an hour."
    known: passwords.Passwords = web_state().passwords
    if not known.fits(request.form.get("current", ""), person.password_hash):
        return "This is not your password."
    with context().db.write() as session:
        sign_in_tries.forgive(session, keys[:1])
    return None


@blueprint.post("/tokens")
@auth.require_role(auth.VIEWER)
def make_token() -> ResponseReturnValue:
    """Make an API token, which is shown once; it may never do more than its person."""
    values, errors = forms.read(forms.Token())
    if not errors and not auth.has_role(values["role"]):
        errors = {"role": f"Not above your own role, {current_user.role}."}
    moment, person_id = now(), current_user.person_id
    with context().db.read() as session:
        person = session.get_one(Person, person_id)
    if not errors and (told := doubt(person)):
        errors = {"current": told}
    if errors:
        return _page({f"token-{name}": words for name, words in errors.items()})
    with context().db.write() as session:
        if len(api_tokens.of(session, person_id)) >= _MOST_TOKENS:
            abort(409, f"You have {_MOST_TOKENS} tokens; revoke some first.")
        token, text = api_tokens.issue(session, person_id, moment=moment, **values)
        details = {"token": token.name, "role": token.role, "read_only": token.read_only}
        audit.note(session, auth.caller(), "make token", f"person {person_id}", moment, details)
    return _page(fresh=text)


@blueprint.post(f"/tokens/<{ID}:token_id>/revoke")
@auth.require_role(auth.VIEWER)
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Make one of your tokens worthless."""
    with context().db.write() as session:
        token = api_tokens.revoke(session, current_user.person_id, token_id) or abort(404)
        audit.note(
            session, auth.caller(), "revoke token", f"person {current_user.person_id}", now(), {"token": token.name}
        )
    return _back(f"The token {token.name} is revoked.")


def _back(words: str) -> ResponseReturnValue:
    flash(words)
    return redirect(url_for("account_pages.account_page"))
