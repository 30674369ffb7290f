"""What admins do to people: invite them, change what they may, and end what they have."""

from datetime import datetime

from sqlalchemy.orm import Session

from receiver.actions.context import Context
from receiver.actions.errors import ConflictError, NotFoundError
from receiver.db import api_tokens, audit, browser_sessions, people, second_factors, sign_in
from receiver.db.models import ApiToken, Person


def invite(context: Context, who: str, email: str, name: str, role: str) -> tuple[Person, str]:
    """A new person, and the token of the link by which they set a password. Raises PersonError."""
    moment = context.clock()
    with context.db.write() as session:
        person = people.add(session, email, name, role, moment)
        token = sign_in.issue(session, moment, person, sets_password=True)
        audit.note(session, who, "invite", f"person {person.id}", moment, {"role": person.role})
    return person, token


def change_role(context: Context, who: str, person_id: int, role: str) -> Person:
    """Give a person another role, from their next request on. Raises NotFoundError and PersonError."""
    with context.db.write() as session:
        person = get(session, person_id)
        before = person.role
        people.change_role(session, person, role)
        details = {"from": before, "to": person.role}
        audit.note(session, who, "change role", f"person {person_id}", context.clock(), details)
    return person


def disable(context: Context, who: str, person_id: int) -> Person:
    """Keep a person out: sessions, links and tokens end at once. Raises NotFoundError and PersonError."""
    moment = context.clock()
    with context.db.write() as session:
        person = get(session, person_id)
        people.disable(session, person)
        _end_access(session, person, moment)
        audit.note(session, who, "disable", f"person {person_id}", moment)
    return person


def end_access(context: Context, who: str, person_id: int) -> Person:
    """End a person's sessions, links and API tokens; they may sign in again. Raises NotFoundError."""
    moment = context.clock()
    with context.db.write() as session:
        person = get(session, person_id)
        tokens = _end_access(session, person, moment)
        audit.note(session, who, "end access", f"person {person_id}", moment, {"tokens_ended": tokens})
    return person


def _end_access(session: Session, person: Person, moment: datetime) -> int:
    """End everything by which a person comes in; returns how many API tokens ended."""
    browser_sessions.end_all(session, person.id)
    sign_in.void(session, person, moment)
    return api_tokens.end_all(session, person.id)


def enable(context: Context, who: str, person_id: int) -> Person:
    """Let a disabled person in again. Raises NotFoundError."""
    with context.db.write() as session:
        person = get(session, person_id)
        person.active = True
        audit.note(session, who, "enable", f"person {person_id}", context.clock())
    return person


def forget_identity(context: Context, who: str, person_id: int) -> Person:
    """Let the next who comes from the OpenID Connect provider with this person's address have the account.

    Raises NotFoundError.
    """
    with context.db.write() as session:
        person = get(session, person_id)
        person.oidc_issuer = person.oidc_subject = None
        audit.note(session, who, "forget identity", f"person {person_id}", context.clock())
    return person


def reset_second_factor(context: Context, who: str, person_id: int) -> Person:
    """Forget the second factor of a person who has lost it; their sessions end.

    Raises NotFoundError, and ConflictError where there is none.
    """
    with context.db.write() as session:
        person = get(session, person_id)
        if not second_factors.remove(session, person_id):
            raise ConflictError(f"{person.name} has no second factor.")
        # Whoever has the lost phone may also have a browser that is signed in.
        browser_sessions.end_all(session, person_id)
        audit.note(session, who, "reset second factor", f"person {person_id}", context.clock())
    return person


def make_password_link(context: Context, who: str, person_id: int) -> tuple[Person, str]:
    """The token of a link by which a person sets a new password; earlier ones are void.

    Raises NotFoundError, and ConflictError where the person is disabled.
    """
    moment = context.clock()
    with context.db.write() as session:
        person = get(session, person_id)
        if not person.active:
            raise ConflictError(f"{person.name} is disabled; enable the account first.")
        # A link is asked for again when the first one went astray, so that one must not work any more.
        sign_in.void(session, person, moment)
        token = sign_in.issue(session, moment, person, sets_password=True)
        audit.note(session, who, "make link", f"person {person_id}", moment)
    return person, token


def make_sign_in_link(context: Context, who: str, email: str | None) -> str:
    """The token of a link that lets somebody in: by default the first admin, or whoever makes the first account.

    Raises NotFoundError.
    """
    moment = context.clock()
    with context.db.write() as session:
        person = people.by_email(session, email) if email else people.first_admin(session)
        if email and (person is None or not person.active):
            raise NotFoundError(f"There is nobody active with the address {email}; People shows who is there.")
        subject = f"person {person.id}" if person else "the first account"
        audit.note(session, who, "make link", subject, moment)
        return sign_in.issue(session, moment, person)


def revoke_token(context: Context, who: str, person_id: int, token_id: int) -> ApiToken:
    """Make an API token of a person worthless. Raises NotFoundError."""
    with context.db.write() as session:
        token = api_tokens.revoke(session, person_id, token_id)
        if token is None:
            raise NotFoundError("This person has no such API token; it may have been revoked already.")
        details = {"token": token.name}
        audit.note(session, who, "revoke token", f"person {person_id}", context.clock(), details)
    return token


def get(session: Session, person_id: int) -> Person:
    """The person of this number. Raises NotFoundError."""
    found = session.get(Person, person_id)
    if found is None:
        raise NotFoundError("There is nobody with this number; the list has everybody.")
    return found
