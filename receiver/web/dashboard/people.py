"""People: who may sign in and as what; admins invite, change roles, disable, and make links for a new password."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from receiver.actions import people as actions
from receiver.db import api_tokens, audit, browser_sessions, people, second_factors, sign_in
from receiver.db.models import Person
from receiver.db.people import PersonError
from receiver.lib import roles
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.pages import ID
from receiver.web.dashboard import forms
from receiver.web.state import context

blueprint = Blueprint("people_pages", __name__, url_prefix="/people")

_MOST = 1000


@blueprint.get("")
@auth.require_role(auth.ADMIN)
def people_page(errors: dict[str, str] | None = None) -> ResponseReturnValue:
    """Everybody, with role and state, and the form that invites, with what is wrong in it."""
    with context().db.read() as session:
        found = people.everybody(session, _MOST)
        waiting = sign_in.waiting(session, now())
    shown = render_template(
        "people.html", people=found, waiting=waiting, roles=roles.ROLES, errors=errors or {}, form=request.form
    )
    return shown, 422 if errors else 200


@blueprint.post("")
@auth.require_role(auth.ADMIN)
def invite() -> ResponseReturnValue:
    """Let somebody make an account by a link, which is shown once."""
    values, errors = forms.read(forms.Invitation())
    if errors:
        return people_page(errors)
    try:
        person, token = actions.invite(context(), auth.caller(), **values)
    except PersonError as error:
        return people_page({"email": str(error)})
    return _render_link(person, token)


def _render_link(person: Person, token: str) -> ResponseReturnValue:
    # Shown and never mailed: it has to reach the person by a way that nobody else reads. Only its digest is kept.
    return render_template("link.html", person=person, link=f"{context().settings.url}/sign-in/{token}")


@blueprint.get(f"/<{ID}:person_id>")
@auth.require_role(auth.ADMIN)
def person_page(person_id: int) -> ResponseReturnValue:
    """One person: what is known, what was changed, and what an admin may do."""
    moment = now()
    with context().db.read() as session:
        person = actions.get(session, person_id)
        known: dict[str, object] = {
            "tokens": api_tokens.of(session, person_id),
            "browsers": browser_sessions.count(session, person_id, moment),
            "changes": audit.about(session, f"person {person_id}", 20),
            "factor": second_factors.find(session, person_id),
            "waiting": person_id in sign_in.waiting(session, moment),
        }
    return render_template("person.html", person=person, roles=roles.ROLES, moment=moment, **known)


@blueprint.post(f"/<{ID}:person_id>/role")
@auth.require_role(auth.ADMIN)
def change_role(person_id: int) -> ResponseReturnValue:
    """Give a person another role, from their next request on."""
    values, errors = forms.read(forms.Role())
    if errors:
        return _back_to_person(person_id, errors["role"], "error")
    try:
        person = actions.change_role(context(), auth.caller(), person_id, values["role"])
    except PersonError as error:
        return _back_to_person(person_id, str(error), "error")
    return _back_to_person(person_id, f"{person.name} is {person.role} now.")


_ACTIONS = {
    "disable": (actions.disable, "{name} is disabled and signed out everywhere."),
    "enable": (actions.enable, "{name} may sign in again."),
    "sign-out": (
        actions.end_access,
        "{name} is signed out everywhere, and every link and API token of theirs ended.",
    ),
    "forget-identity": (
        actions.forget_identity,
        "The next sign-in at your provider with the address of {name} decides who it is.",
    ),
    "reset-factor": (
        actions.reset_second_factor,
        "{name} has no second factor now, and is signed out everywhere.",
    ),
}


@blueprint.post(f"/<{ID}:person_id>/<action>")
@auth.require_role(auth.ADMIN)
def change_access(person_id: int, action: str) -> ResponseReturnValue:
    """Disable or enable a person, end their access, or forget their second factor or their identity at a provider."""
    change, told = _ACTIONS.get(action) or abort(404)
    try:
        person = change(context(), auth.caller(), person_id)
    except PersonError as error:
        return _back_to_person(person_id, str(error), "error")
    return _back_to_person(person_id, told.format(name=person.name))


@blueprint.post(f"/<{ID}:person_id>/link")
@auth.require_role(auth.ADMIN)
def make_link(person_id: int) -> ResponseReturnValue:
    """A link by which a person sets a new password, shown once; earlier ones are void."""
    return _render_link(*actions.make_password_link(context(), auth.caller(), person_id))


@blueprint.post(f"/<{ID}:person_id>/tokens/<{ID}:token_id>/revoke")
@auth.require_role(auth.ADMIN)
def revoke_token(person_id: int, token_id: int) -> ResponseReturnValue:
    """Make a person's API token worthless."""
    token = actions.revoke_token(context(), auth.caller(), person_id, token_id)
    return _back_to_person(person_id, f"The token {token.name} is revoked.")


def _back_to_person(person_id: int, words: str, category: str = "message") -> ResponseReturnValue:
    flash(words, category)
    return redirect(url_for("people_pages.person_page", person_id=person_id))
