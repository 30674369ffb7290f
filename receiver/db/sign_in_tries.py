"""How often somebody tried to sign in: each further try waits longer, also after a restart."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, text
from sqlalchemy.orm import Session

from receiver.db.models import SignInTry, UtcDateTime

FORGOTTEN_AFTER = timedelta(days=1)
_NOTHING = timedelta(0)
_MAKE = text(
    "INSERT INTO sign_in_tries (key_sha256, tries, last_at, until) VALUES (:key, 0, :now, :now)"
    " ON CONFLICT (key_sha256) DO NOTHING"
).bindparams(bindparam("now", type_=UtcDateTime))


@dataclass(frozen=True)
class Key:
    """What tries are counted by; after `free` of them each waits twice as long as the one before, `longest` at most."""

    name: str
    free: int
    longest: timedelta

    @property
    def digest(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def pause(self, tries: int) -> timedelta:
        """How long the next try waits after so many."""
        beyond = tries - self.free
        return min(self.longest, timedelta(seconds=2 ** min(beyond, 20))) if beyond >= 0 else _NOTHING


def wait(session: Session, keys: Sequence[Key], now: datetime) -> timedelta:
    """How long whoever tries by these keys has to wait yet; zero where they may try."""
    return _left([session.get(SignInTry, key.digest) for key in keys], now)


def begin(session: Session, keys: Sequence[Key], now: datetime) -> timedelta:
    """Count a try, before it is known whether it is a good one; where it has to wait, say how long and count nothing.

    So of many tries at once no more pass than of as many in a row.
    """
    session.execute(delete(SignInTry).where(SignInTry.last_at <= now - FORGOTTEN_AFTER))
    rows = [_row(session, key, now) for key in keys]
    left = _left(rows, now)
    if not left:
        for row, key in zip(rows, keys, strict=True):
            row.tries, row.last_at = row.tries + 1, now
            row.until = now + key.pause(row.tries)
    return left


def _left(rows: Sequence[SignInTry | None], now: datetime) -> timedelta:
    return max((row.until - now for row in rows if row and row.until > now), default=_NOTHING)


def _row(session: Session, key: Key, now: datetime) -> SignInTry:
    """The row of a key, locked; made where it is missing."""
    session.execute(_MAKE, {"key": key.digest, "now": now})
    return session.get_one(SignInTry, key.digest, with_for_update=True)


def forgive(session: Session, keys: Sequence[Key]) -> None:
    """Forget the tries by these keys: who has made them is welcome."""
    session.execute(delete(SignInTry).where(SignInTry.key_sha256.in_([key.digest for key in keys])))


def take_back(session: Session, key: Key) -> None:
    """Uncount one try."""
    row = session.get(SignInTry, key.digest)
    if row:
        row.tries, row.until = max(0, row.tries - 1), row.last_at
