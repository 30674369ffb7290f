"""The browsers in which people are signed in: each ends when it is idle, when it is old, or when somebody ends it."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from receiver.db.models import BrowserSession, Person
from receiver.db.sign_in import digest

IDLE, LONGEST = timedelta(hours=12), timedelta(days=7)
_SEEN_EVERY = timedelta(minutes=1)


def begin(session: Session, person: Person, now: datetime) -> str:
    """Sign a browser in; the token goes into its cookie, and only its digest is kept. The ended ones are forgotten."""
    ended = or_(BrowserSession.seen_at <= now - IDLE, BrowserSession.created_at <= now - LONGEST)
    session.execute(delete(BrowserSession).where(ended))
    token = secrets.token_urlsafe(32)
    session.add(BrowserSession(token_sha256=digest(token), person_id=person.id, created_at=now, seen_at=now))
    person.last_seen_at = now
    return token


def find(session: Session, token: str, now: datetime) -> tuple[BrowserSession, Person] | None:
    """The session of a cookie's token and its person, while neither has ended."""
    found = session.execute(
        select(BrowserSession, Person)
        .join(Person, Person.id == BrowserSession.person_id)
        .where(BrowserSession.token_sha256 == digest(token), Person.active)
    ).first()
    if found is None or found[0].seen_at <= now - IDLE or found[0].created_at <= now - LONGEST:
        return None
    return found[0], found[1]


def is_stale(found: BrowserSession, now: datetime) -> bool:
    """Whether it is time to write down again that the session is in use."""
    return found.seen_at <= now - _SEEN_EVERY


def touch(session: Session, token: str, now: datetime) -> None:
    """Write down that the session is in use, and its person here."""
    found = find(session, token, now)
    if found:
        found[0].seen_at = found[1].last_seen_at = now


def end(session: Session, token: str) -> None:
    """Sign one browser out."""
    session.execute(delete(BrowserSession).where(BrowserSession.token_sha256 == digest(token)))


def end_all(session: Session, person_id: int, but: str = "") -> None:
    """Sign a person out everywhere, `but` in the browser that holds this token."""
    others = BrowserSession.token_sha256 != digest(but)
    session.execute(delete(BrowserSession).where(BrowserSession.person_id == person_id, others))


def count(session: Session, person_id: int, now: datetime) -> int:
    """In how many browsers a person is signed in."""
    mine = (BrowserSession.person_id == person_id, BrowserSession.seen_at > now - IDLE)
    alive = (*mine, BrowserSession.created_at > now - LONGEST)
    return session.scalar(select(func.count()).select_from(BrowserSession).where(*alive)) or 0
