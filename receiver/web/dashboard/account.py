"""Your account: name, password, where you are signed in, and your API tokens."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from receiver.actions import account, people
from receiver.db import api_tokens, browser_sessions, second_factors
from receiver.db.models import Person
from receiver.lib import passwords
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.pages import ID
from receiver.web.dashboard import forms
from receiver.web.identity_check import identity_problem
from receiver.web.state import context, web_state

blueprint = Blueprint("account_pages", __name__, url_prefix="/account")


@blueprint.get("")
@auth.require_role(auth.VIEWER)
def account_page(errors: dict[str, str] | None = None, fresh: str | None = None) -> ResponseReturnValue:
    """What you may change about yourself; with what is wrong in a form, or a token that was just made."""
    moment, person_id = now(), current_user.person_id
    with context().db.read() as session:
        person = session.get_one(Person, person_id)
        tokens, browsers = api_tokens.of(session, person_id), browser_sessions.count(session, person_id, moment)
        factor = second_factors.find(session, person_id)
    # A token may do at most what its person may.
    roles = auth.ROLES[: auth.ROLES.index(person.role) + 1]
    shown = render_template(
        "account.html", person=person, tokens=tokens, browsers=browsers, roles=roles, moment=moment, fresh=fresh,
        factor=factor, errors=errors or {}, form=request.form,
    )  # fmt: skip
    return shown, 422 if errors else 200


@blueprint.post("/name")
@auth.require_role(auth.VIEWER)
def change_name() -> ResponseReturnValue:
    """Change your name."""
    values, errors = forms.read(forms.Name())
    if errors:
        return account_page(errors)
    account.change_name(context(), auth.caller(), current_user.person_id, values["name"])
    return _back_to_account("Your name is changed.")


@blueprint.post("/password")
@auth.require_role(auth.VIEWER)
def change_password() -> ResponseReturnValue:
    """Set a new password, given the one of today; every other session ends, and the tokens where asked."""
    with context().db.read() as session:
        person = session.get_one(Person, current_user.person_id)
    # Before the password of today is asked for: a try of that counts.
    wrong = passwords.problem(request.form.get("password", ""), person.email, person.name)
    if wrong:
        return account_page({"password": wrong})
    if doubt := identity_problem(person):
        return account_page({"current": doubt})
    kept = web_state().passwords.hash(request.form["password"])
    many = account.change_password(
        context(), auth.caller(), person.id, kept, current_user.id, end_tokens="tokens" in request.form
    )
    return _back_to_account(f"The password is changed, and every other browser signed out{_tokens_ended(many)}.")


@blueprint.post("/sign-out-everywhere")
@auth.require_role(auth.VIEWER)
def sign_out_everywhere() -> ResponseReturnValue:
    """End every session but this one, and every API token where asked."""
    many = account.sign_out_everywhere(
        context(), auth.caller(), current_user.person_id, current_user.id, end_tokens="tokens" in request.form
    )
    return _back_to_account(f"Every other browser is signed out{_tokens_ended(many)}.")


def _tokens_ended(tokens: int) -> str:
    return f"; {tokens} API token{'s' if tokens > 1 else ''} ended" if tokens else ""


@blueprint.post("/tokens")
@auth.require_role(auth.VIEWER)
def make_token() -> ResponseReturnValue:
    """Make an API token, which is shown once; it may never do more than its person."""
    values, errors = forms.read(forms.Token())
    if not errors and not auth.has_role(values["role"]):
        errors = {"role": f"Not above your own role, {current_user.role}."}
    person_id = current_user.person_id
    with context().db.read() as session:
        person = session.get_one(Person, person_id)
    if not errors and (doubt := identity_problem(person)):
        errors = {"current": doubt}
    if errors:
        return account_page({f"token-{name}": words for name, words in errors.items()})
    text = account.make_token(context(), auth.caller(), person_id, **values)
    return account_page(fresh=text)


@blueprint.post(f"/tokens/<{ID}:token_id>/revoke")
@auth.require_role(auth.VIEWER)
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Make one of your tokens worthless."""
    token = people.revoke_token(context(), auth.caller(), current_user.person_id, token_id)
    return _back_to_account(f"The token {token.name} is revoked.")


def _back_to_account(words: str) -> ResponseReturnValue:
    flash(words)
    return redirect(url_for("account_pages.account_page"))
