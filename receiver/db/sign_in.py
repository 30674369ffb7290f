"""One-time links: they make the first account, let a person in, or let one set a password."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.db import people
from receiver.db.models import Person, SignInLink

LIFETIME = timedelta(hours=24)


def issue(session: Session, now: datetime, person: Person | None = None, sets_password: bool = False) -> str:
    """A new token, good for one use within a day; only its digest is kept.

    Without a `person` it is for whoever has a shell on this machine: it lets in as the first of the active admins,
    or makes an admin's account where there is none.
    """
    token = secrets.token_urlsafe(32)
    person = person or people.first_admin(session)
    session.add(
        SignInLink(
            token_sha256=digest(token),
            created_at=now,
            expires_at=now + LIFETIME,
            person_id=person.id if person else None,
            sets_password=sets_password,
        )
    )
    return token


def opened(session: Session, token: str, now: datetime) -> tuple[SignInLink, Person | None] | None:
    """A link that is still good, and whose it is; None where it is unknown, spent or expired."""
    found = session.get(SignInLink, digest(token))
    if found is None or found.used_at is not None or found.expires_at <= now:
        return None
    person = session.get(Person, found.person_id) if found.person_id else None
    # A link of nobody makes the first admin, and there is a first one only once.
    good = person.active if person else people.first_admin(session) is None
    return (found, person) if good else None


def use(session: Session, token: str, now: datetime) -> tuple[SignInLink, Person | None] | None:
    """Spend a link and say whose it was; None where it is unknown, spent or expired, or its person disabled."""
    found = opened(session, token, now)
    spent = session.execute(
        update(SignInLink)
        .where(SignInLink.token_sha256 == digest(token), SignInLink.used_at.is_(None))
        .values(used_at=now)
        .returning(SignInLink.token_sha256)
    )
    return found if spent.first() and found else None


def void(session: Session, person: Person, now: datetime) -> None:
    """Spend every link of a person."""
    mine = (SignInLink.person_id == person.id, SignInLink.used_at.is_(None))
    session.execute(update(SignInLink).where(*mine).values(used_at=now))


def waiting(session: Session, now: datetime) -> set[int]:
    """The ids of people who have a link that is still good."""
    good = (SignInLink.person_id.is_not(None), SignInLink.used_at.is_(None), SignInLink.expires_at > now)
    return {found for found in session.scalars(select(SignInLink.person_id).where(*good)) if found}


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
