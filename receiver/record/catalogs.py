"""Catalog versions: every catalog that was in force, word for word, so that a classification can name its own."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.record.models import CatalogVersion


def remember(session: Session, version: str, text: str, now: datetime) -> None:
    """Note that this version is in force as of `now`."""
    if session.get(CatalogVersion, version):
        session.execute(update(CatalogVersion).where(CatalogVersion.version == version).values(loaded_at=now))
    else:
        session.add(CatalogVersion(version=version, text=text, loaded_at=now))


def latest(session: Session) -> CatalogVersion | None:
    """The version that came into force last."""
    return session.scalar(select(CatalogVersion).order_by(CatalogVersion.loaded_at.desc()).limit(1))
