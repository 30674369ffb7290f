"""People: who may sign in and as what; admins invite, change roles, disable, and make links for a new password."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

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
    moment = now()
    try:
        with context().db.write() as session:
            person = people.add(session, values["email"], values["name"], values["role"], moment)
            token = sign_in.issue(session, moment, person, sets_password=True)
            audit.note(session, auth.caller(), "invite", _named(person), moment, {"role": person.role})
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
        person = _person(session, person_id)
        known: dict[str, Any] = {
            "tokens": api_tokens.of(session, person_id),
            "browsers": browser_sessions.count(session, person_id, moment),
            "changes": audit.about(session, _named(person), 20),
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
        with context().db.write() as session:
            person = _person(session, person_id)
            before = person.role
            people.change_role(session, person, values["role"])
            details = {"from": before, "to": person.role}
            audit.note(session, auth.caller(), "change role", _named(person), now(), details)
    except PersonError as error:
        return _back(person_id, str(error), "error")
    return _back(person_id, f"{person.name} is {person.role} now.")


@blueprint.post(f"/<{ID}:person_id>/disable")
@auth.require_role(auth.ADMIN)
def disable(person_id: int) -> ResponseReturnValue:
    """Keep a person out: sessions, links and tokens end at once."""
    moment = now()
    try:
        with context().db.write() as session:
            person = _person(session, person_id)
            people.disable(session, person)
            browser_sessions.end_all(session, person_id)
            sign_in.void(session, person, moment)
            api_tokens.end_all(session, person_id)
            audit.note(session, auth.caller(), "disable", _named(person), moment)
    except PersonError as error:
        return _back(person_id, str(error), "error")
    return _back(person_id, f"{person.name} is disabled and signed out everywhere.")


@blueprint.post(f"/<{ID}:person_id>/sign-out")
@auth.require_role(auth.ADMIN)
def end_access(person_id: int) -> ResponseReturnValue:
    """End a person's sessions, links and API tokens; they may sign in again."""
    moment = now()
    with context().db.write() as session:
        person = _person(session, person_id)
        browser_sessions.end_all(session, person_id)
        sign_in.void(session, person, moment)
        tokens = api_tokens.end_all(session, person_id)
        audit.note(session, auth.caller(), "end access", _named(person), moment, {"tokens_ended": tokens})
    return _back(person_id, f"{person.name} is signed out everywhere, and every link and API token of theirs ended.")


@blueprint.post(f"/<{ID}:person_id>/enable")
@auth.require_role(auth.ADMIN)
def enable(person_id: int) -> ResponseReturnValue:
    """Let a disabled person in again."""
    with context().db.write() as session:
        person = _person(session, person_id)
        person.active = True
        audit.note(session, auth.caller(), "enable", _named(person), now())
    return _back(person_id, f"{person.name} may sign in again.")


@blueprint.post(f"/<{ID}:person_id>/forget-identity")
@auth.require_role(auth.ADMIN)
def forget_identity(person_id: int) -> ResponseReturnValue:
    """Let the next who comes from the OpenID Connect provider with this person's address have the account."""
    with context().db.write() as session:
        person = _person(session, person_id)
        person.oidc_issuer = person.oidc_subject = None
        audit.note(session, auth.caller(), "forget identity", _named(person), now())
    return _back(person_id, f"The next sign-in at your provider with the address of {person.name} decides who it is.")


@blueprint.post(f"/<{ID}:person_id>/reset-factor")
@auth.require_role(auth.ADMIN)
def reset_factor(person_id: int) -> ResponseReturnValue:
    """Forget the second factor of a person who has lost it; their sessions end."""
    with context().db.write() as session:
        person = _person(session, person_id)
        if not second_factors.reset(session, person, auth.caller(), now()):
            abort(409, f"{person.name} has no second factor.")
    return _back(person_id, f"{person.name} has no second factor now, and is signed out everywhere.")


@blueprint.post(f"/<{ID}:person_id>/link")
@auth.require_role(auth.ADMIN)
def make_link(person_id: int) -> ResponseReturnValue:
    """A link by which a person sets a new password, shown once; earlier ones are void."""
    moment = now()
    with context().db.write() as session:
        person = _person(session, person_id)
        if not person.active:
            abort(409, f"{person.name} is disabled; enable the account first.")
        sign_in.void(session, person, moment)
        token = sign_in.issue(session, moment, person, sets_password=True)
        audit.note(session, auth.caller(), "make link", _named(person), moment)
    return _link(person, token)


@blueprint.post(f"/<{ID}:person_id>/tokens/<{ID}:token_id>/revoke")
@auth.require_role(auth.ADMIN)
def revoke_token(person_id: int, token_id: int) -> ResponseReturnValue:
    """Make a person's API token worthless."""
    with context().db.write() as session:
        token = api_tokens.revoke(session, person_id, token_id) or abort(404)
        details = {"token": token.name}
        audit.note(session, auth.caller(), "revoke token", f"person {person_id}", now(), details)
    return _back(person_id, f"The token {token.name} is revoked.")


def _person(session: Any, person_id: int) -> Person:
    found: Person | None = session.get(Person, person_id)
    return found or abort(404, "There is nobody with this number; the list has everybody.")


def _named(person: Person) -> str:
    return f"person {person.id}"


def _back(person_id: int, words: str, category: str = "message") -> ResponseReturnValue:
    flash(words, category)
    return redirect(url_for("people_pages.person_page", person_id=person_id))
