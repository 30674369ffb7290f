"""One-time sign-in links."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.record.models import SignInLink

LIFETIME = timedelta(hours=24)


def issue(session: Session, now: datetime) -> str:
    """A new token, good for one sign-in within a day; only its digest is kept."""
    token = secrets.token_urlsafe(32)
    session.add(SignInLink(token_sha256=_digest(token), created_at=now, expires_at=now + LIFETIME))
    return token


def use(session: Session, token: str, now: datetime) -> bool:
    """Spend a token; False where it is unknown, spent or expired."""
    result = session.execute(
        update(SignInLink)
        .where(SignInLink.token_sha256 == _digest(token), SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(used_at=now)
        .returning(SignInLink.token_sha256)
    )
    return result.first() is not None


def was_ever_issued(session: Session) -> bool:
    """Whether this installation has had a sign-in link before."""
    return session.scalar(select(SignInLink.token_sha256).limit(1)) is not None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
