"""Whether it is really the person who sits here, asked before what is dangerous is changed."""

from datetime import timedelta

from flask import request
from flask_login import current_user

from receiver.db import browser_sessions, sign_in_tries
from receiver.db.models import Person
from receiver.lib.clock import now
from receiver.web import login_throttle
from receiver.web.state import context, web_state

_RECENT = timedelta(minutes=15)


def is_recent() -> bool:
    """Whether this browser was signed in within the last 15 minutes."""
    moment = now()
    with context().db.read() as session:
        found = browser_sessions.find(session, current_user.id, moment)
    return found is not None and found[0].created_at > moment - _RECENT


def identity_problem(person: Person) -> str | None:
    """Why this may be somebody else at the person's browser: a wrong password, or no password and no recent sign-in."""
    moment = now()
    # People of an OpenID Connect provider have no password here.
    if person.password_hash is None:
        return (
            None if is_recent() else "You signed in more than 15 minutes ago. Sign out and in again, then repeat this."
        )
    keys = login_throttle.keys(person.email, person)
    with context().db.write() as session:
        waits = sign_in_tries.begin(session, keys, moment)
    if waits:
        return "There were too many tries; wait a quarter of an hour."
    if not web_state().passwords.fits(request.form.get("current", ""), person.password_hash):
        return "This is not your password."
    with context().db.write() as session:
        # Only the person's own tries: those of the address are other people's too.
        sign_in_tries.forgive(session, keys[:1])
    return None
