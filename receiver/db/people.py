"""The people who may sign in, and what changes about them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from receiver.db.models import Person
from receiver.lib.roles import ADMIN

_JOINERS = "\u200c\u200d"
_NO_BREAK_SPACE = "\xa0"


class PersonError(Exception):
    """Something cannot be done to a person; the text says why, and what to do."""


def plain(email: str) -> str:
    """An address as it is kept: nobody can be there twice by another spelling."""
    return email.strip().lower()


def visible(name: str) -> str:
    """A name without what no terminal and no page can show; the joiners of Persian and Indic scripts stay."""
    return "".join(sign for sign in name if sign.isprintable() or sign in _JOINERS or sign == _NO_BREAK_SPACE)


def add(session: Session, email: str, name: str, role: str, now: datetime, password_hash: str | None = None) -> Person:
    """A new person. Raises PersonError where the address is taken."""
    if by_email(session, email):
        raise PersonError(f"There is already somebody with the address {plain(email)}; give them a new link instead.")
    person = Person(email=plain(email), name=name, role=role, password_hash=password_hash, active=True, created_at=now)
    session.add(person)
    session.flush()
    return person


def by_email(session: Session, email: str) -> Person | None:
    """The person with this address."""
    return session.scalar(select(Person).where(Person.email == plain(email)))


def by_identity(session: Session, issuer: str, subject: str) -> Person | None:
    """The person whom this provider knows by this subject."""
    return session.scalar(select(Person).where(Person.oidc_issuer == issuer, Person.oidc_subject == subject))


def everybody(session: Session, limit: int) -> Sequence[Person]:
    """Up to `limit` people by name, the active ones first."""
    return session.scalars(select(Person).order_by(Person.active.desc(), Person.name, Person.id).limit(limit)).all()


def first_admin(session: Session) -> Person | None:
    """The first of those admins who can come in; None on a first start."""
    return session.scalars(_admins().limit(1)).first()


def change_role(session: Session, person: Person, role: str) -> None:
    """Make the person a `role`. Raises PersonError where nobody would be left to undo it."""
    if role != ADMIN:
        _must_leave_an_admin(session, person)
    person.role = role


def disable(session: Session, person: Person) -> None:
    """Keep the person out. Raises PersonError where nobody would be left to let them in again."""
    _must_leave_an_admin(session, person)
    person.active = False


def _must_leave_an_admin(session: Session, person: Person) -> None:
    if [admin.id for admin in session.scalars(_admins().with_for_update())] == [person.id]:
        raise PersonError(f"{person.name} is the last active admin; make somebody else an admin first.")


def _admins() -> Select[Person]:
    """The active admins who have been here; locked where one is about to go, so that two cannot remove each other."""
    known = or_(Person.password_hash.is_not(None), Person.last_seen_at.is_not(None))
    return select(Person).where(Person.role == ADMIN, Person.active, known).order_by(Person.id)
