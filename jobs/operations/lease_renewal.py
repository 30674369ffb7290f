"""Holding on to work for as long as it takes."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from receiver.db import work
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.lib.retry_policy import WORK

log = logging.getLogger(__name__)


@contextmanager
def renewed(db: Database, kind: str, owner: str) -> Iterator[None]:
    """Renew all that `owner` has of this kind while the block runs, however long that is.

    The owner may lose it all the same, where the database is away for longer than a lease, or somebody cancels the
    work: whatever the block ends with says whether it was still the owner's.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(WORK[kind].renew_seconds):
            try:
                with db.write() as session:
                    work.renew(session, kind, owner, now())
            except (SQLAlchemyError, OSError) as error:
                log.warning("A lease of %s is not renewed now (%s)", kind, type(error).__name__)

    thread = threading.Thread(target=renew, name=f"lease of {kind}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
