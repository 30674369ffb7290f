"""The API tokens of people, of which only digests are kept."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from receiver.db.models import ApiToken, Person
from receiver.db.sign_in import digest

PREFIX = "ta_"  # So that a scanner for leaked secrets knows one when it sees it.
_USED_EVERY = timedelta(minutes=1)


def issue(
    session: Session, person_id: int, name: str, role: str, read_only: bool, days: int, moment: datetime
) -> tuple[ApiToken, str]:
    """A new token of a person, and its text, which nobody can be told again."""
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        token_sha256=digest(text),
        person_id=person_id,
        name=name,
        role=role,
        read_only=read_only,
        created_at=moment,
        expires_at=moment + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    return token, text


def find(session: Session, text: str) -> tuple[ApiToken, Person] | None:
    """A token and its person, expired or not; None where it is unknown or its person disabled."""
    found = session.execute(
        select(ApiToken, Person)
        .join(Person, Person.id == ApiToken.person_id)
        .where(ApiToken.token_sha256 == digest(text), Person.active)
    ).first()
    return (found[0], found[1]) if found else None


def of(session: Session, person_id: int) -> Sequence[ApiToken]:
    """A person's tokens, the newest first."""
    return session.scalars(select(ApiToken).where(ApiToken.person_id == person_id).order_by(ApiToken.id.desc())).all()


def is_stale(token: ApiToken, now: datetime) -> bool:
    """Whether it is time to write down again that the token is in use."""
    return token.last_used_at is None or token.last_used_at <= now - _USED_EVERY


def touch(session: Session, token_id: int, now: datetime) -> None:
    """Write down that the token is in use."""
    session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))


def end_all(session: Session, person_id: int) -> int:
    """Make every token of a person worthless, and say how many there were."""
    ended = session.scalars(delete(ApiToken).where(ApiToken.person_id == person_id).returning(ApiToken.id))
    return len(ended.all())


def revoke(session: Session, person_id: int, token_id: int) -> ApiToken | None:
    """Make a person's token worthless; None where they have no such token."""
    token = session.get(ApiToken, token_id)
    if token is None or token.person_id != person_id:
        return None
    session.delete(token)
    return token
