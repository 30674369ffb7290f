"""People: who may sign in and as what; admins invite, change roles, disable, and make links for a new password."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
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
def people_page() -> ResponseReturnValue:
    """Everybody, with role and state, and the form that invites."""
    return _list({})


def _list(errors: dict[str, str]) -> ResponseReturnValue:
    with context().db.read() as session:
        found = people.everybody(session, _MOST)
        waiting = sign_in.waiting(session, now())
    shown = render_template(
        "people.html", people=found, waiting=waiting, roles=roles.ROLES, errors=errors, form=request.form
    )
    return shown, 422 if errors else 200


@blueprint.post("")
@auth.require_role(auth.ADMIN)
def invite() -> ResponseReturnValue:
    """Let somebody make an account by a link, which is shown once."""
    values, errors = forms.read(forms.Invitation())
    if errors:
        return _list(errors)
    try:
        person, token = actions.invite(context(), auth.caller(), **values)
    except PersonError as error:
        return _list({"email": str(error)})
    return _link(person, token)


def _link(person: Person, token: str) -> ResponseReturnValue:
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
    """Make a person something else; it holds from their next click on."""
    values, errors = forms.read(forms.Role())
    if errors:
        return _back(person_id, errors["role"], "error")
    try:
        person = actions.change_role(context(), auth.caller(), person_id, values["role"])
    except PersonError as error:
        return _back(person_id, str(error), "error")
    return _back(person_id, f"{person.name} is {person.role} now.")


@blueprint.post(f"/<{ID}:person_id>/disable")
@auth.require_role(auth.ADMIN)
def disable(person_id: int) -> ResponseReturnValue:
    """Keep a person out: sessions, links and tokens end at once."""
    try:
        person = actions.disable(context(), auth.caller(), person_id)
    except PersonError as error:
        return _back(person_id, str(error), "error")
    return _back(person_id, f"{person.name} is disabled and signed out everywhere.")


@blueprint.post(f"/<{ID}:person_id>/sign-out")
@auth.require_role(auth.ADMIN)
def end_access(person_id: int) -> ResponseReturnValue:
    """End a person's sessions, links and API tokens; they may sign in again."""
    person = actions.end_access(context(), auth.caller(), person_id)
    return _back(person_id, f"{person.name} is signed out everywhere, and every link and API token of theirs ended.")


@blueprint.post(f"/<{ID}:person_id>/enable")
@auth.require_role(auth.ADMIN)
def enable(person_id: int) -> ResponseReturnValue:
    """Let a disabled person in again."""
    person = actions.enable(context(), auth.caller(), person_id)
    return _back(person_id, f"{person.name} may sign in again.")


@blueprint.post(f"/<{ID}:person_id>/forget-identity")
@auth.require_role(auth.ADMIN)
def forget_identity(person_id: int) -> ResponseReturnValue:
    """Let the next who comes from the OpenID Connect provider with this person's address have the account."""
    person = actions.forget_identity(context(), auth.caller(), person_id)
    return _back(person_id, f"The next sign-in at your provider with the address of {person.name} decides who it is.")


@blueprint.post(f"/<{ID}:person_id>/reset-factor")
@auth.require_role(auth.ADMIN)
def reset_factor(person_id: int) -> ResponseReturnValue:
    """Forget the second factor of a person who has lost it; their sessions end."""
    person = actions.reset_second_factor(context(), auth.caller(), person_id)
    return _back(person_id, f"{person.name} has no second factor now, and is signed out everywhere.")


@blueprint.post(f"/<{ID}:person_id>/link")
@auth.require_role(auth.ADMIN)
def make_link(person_id: int) -> ResponseReturnValue:
    """A link by which a person sets a new password, shown once; earlier ones are void."""
    return _link(*actions.make_password_link(context(), auth.caller(), person_id))


@blueprint.post(f"/<{ID}:person_id>/tokens/<{ID}:token_id>/revoke")
@auth.require_role(auth.ADMIN)
def revoke_token(person_id: int, token_id: int) -> ResponseReturnValue:
    """Make a person's API token worthless."""
    token = actions.revoke_token(context(), auth.caller(), person_id, token_id)
    return _back(person_id, f"The token {token.name} is revoked.")


def _back(person_id: int, words: str, category: str = "message") -> ResponseReturnValue:
    flash(words, category)
    return redirect(url_for("people_pages.person_page", person_id=person_id))
