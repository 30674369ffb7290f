"""The daily reading of the whole audit; what is watched all the time is in receiver/actions/watch.py."""

import logging

from receiver.db import alarms, audit
from receiver.db.database import opened
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure

log = logging.getLogger(__name__)


def verify_audit() -> None:
    """The daily job that reads the whole audit. Safe to run twice: it only reads, and an alarm is up or it is not."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        with db.read() as session:
            wrong = audit.verify(session)
        with db.write() as session:
            if not wrong:
                alarms.clear(session, "audit")
            elif told := alarms.raise_(session, "audit", now(), problem=wrong):
                log.error("Alarm: %s", told)
