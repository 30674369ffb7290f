"""What is known of erased tickets: that these names of these sources are not to come back, and nothing else."""

import hashlib
from collections.abc import Iterable

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from receiver.db.database import PARAMETERS
from receiver.db.models import Tombstone

# Built once, because every delivery of new tickets executes it.
_KNOWN = select(Tombstone.name_sha256).where(Tombstone.name_sha256.in_(bindparam("digests", expanding=True)))


def put(session: Session, names: Iterable[tuple[str, str]]) -> None:
    """Remember pairs of a source and a ticket's name there; a pair that is known already is left as it is."""
    put_digests(session, {digest(*pair) for pair in names})


def put_digests(session: Session, digests: set[str]) -> None:
    """Remember what another database knew of erased tickets; what is known already is left as it is."""
    if new := digests - _known(session, digests):
        session.execute(insert(Tombstone), [{"name_sha256": each} for each in new])


def erased(session: Session, source: str, names: Iterable[str]) -> set[str]:
    """Those of a source's names whose tickets were erased."""
    by_digest = {digest(source, name): name for name in names}
    return {by_digest[each] for each in _known(session, by_digest)}


def everything(session: Session) -> set[str]:
    """What is known of all erased tickets."""
    return set(session.scalars(select(Tombstone.name_sha256)))


def _known(session: Session, digests: Iterable[str]) -> set[str]:
    found: set[str] = set()
    pending = sorted(digests)
    for start in range(0, len(pending), PARAMETERS):
        chunk = {"digests": pending[start : start + PARAMETERS]}
        found.update(session.connection().execute(_KNOWN, chunk).scalars())
    return found


def digest(source: str, name: str) -> str:
    """What is kept of an erased ticket's name."""
    return hashlib.sha256(f"{source}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
