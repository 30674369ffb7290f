"""Catalog versions: every catalog that was in force, word for word, so that a classification can name its own."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, defer

from receiver.db.models import CatalogVersion


def remember(
    session: Session,
    version: str,
    text: str,
    now: datetime,
    location: str | None = None,
    etag: str | None = None,
    modified: str | None = None,
) -> None:
    """Note that this version is in force as of `now`, as `location` gave it with these validators."""
    # Nothing else is as young, even when the clock has been set back.
    older = CatalogVersion.loaded_at >= now
    session.execute(update(CatalogVersion).where(older).values(loaded_at=now - timedelta(microseconds=1)))
    known = {"loaded_at": now, "location": location, "etag": etag, "modified": modified}
    if session.get(CatalogVersion, version):
        session.execute(update(CatalogVersion).where(CatalogVersion.version == version).values(known))
    else:
        session.add(CatalogVersion(version=version, text=text, since=now, **known))


def latest(session: Session, location: str | None = None) -> CatalogVersion | None:
    """The version that came into force last, of those that `location` gave where one is named."""
    query = select(CatalogVersion).order_by(CatalogVersion.loaded_at.desc()).limit(1)
    return session.scalar(query.where(CatalogVersion.location == location) if location else query)


def history(session: Session, limit: int) -> Sequence[CatalogVersion]:
    """Up to `limit` versions without their text, the one confirmed last first."""
    query = select(CatalogVersion).options(defer(CatalogVersion.text, raiseload=True))
    return session.scalars(query.order_by(CatalogVersion.loaded_at.desc()).limit(limit)).all()
