"""What is old goes: raw bodies, tickets, workbooks, mails, previews and copies, each as the settings say."""

import logging
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from jobs.operations import backup
from receiver.db import deliveries, erasure, latencies
from receiver.db.database import Database, opened
from receiver.db.models import Digest
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure
from receiver.lib.settings import Settings

_AT_ONCE = 500
_OF_DIGEST = re.compile(r"digest-(\d+)\.(xlsx|eml)")
_ON_THEIR_WAY = ("claimed", "sending", "held")

log = logging.getLogger(__name__)


def retain() -> None:
    """The hourly job that drops what is older than the settings keep it. Safe to run twice: gone is gone."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        retain_in(db, config, now())


def retain_in(db: Database, config: Settings, moment: datetime) -> None:
    """Drop what is too old at `moment`; rows a few hundred at a time, so that nobody waits long for their turn."""
    raw_before = moment - timedelta(days=config.raw_retention_days)
    _repeat(db, lambda session: deliveries.empty_before(session, raw_before, _AT_ONCE))
    merges = True
    while merges:
        with db.write() as session:
            merges = latencies.merge(session, moment)
    if config.ticket_retention_days:
        before = moment - timedelta(days=config.ticket_retention_days)
        if forgotten := _repeat(db, lambda session: erasure.forget_before(session, before, _AT_ONCE)):
            log.info("%d tickets were older than TICKET_RETENTION_DAYS, and are deleted", forgotten)
    _drop_files(db, config, moment)
    _drop_copies(config)


def _repeat(db: Database, step: Callable[[Session], int]) -> int:
    """Do a step, each time in a transaction of its own, until it had less than `_AT_ONCE` to do; how much it was."""
    total = 0
    while True:
        with db.write() as session:
            found = step(session)
        total += found
        if found < _AT_ONCE:
            return total


def _drop_files(db: Database, config: Settings, moment: datetime) -> None:
    """Workbooks, mails and previews; what a digest that is on its way or held may need yet stays."""
    kept_days = {".xlsx": config.workbook_retention_days, ".eml": config.mail_retention_days}
    for place in (config.data_dir / "digests", config.data_dir / "outbox"):
        for path in place.iterdir() if place.is_dir() else ():
            if path.name.startswith("preview-"):
                days = config.preview_retention_days
            elif found := _OF_DIGEST.fullmatch(path.name):
                with db.read() as session:
                    digest = session.get(Digest, int(found[1]))
                is_over = digest is None or digest.status not in _ON_THEIR_WAY
                days = kept_days[path.suffix] if is_over else 0
            else:
                continue  # Not ours.
            if days and path.stat().st_mtime < (moment - timedelta(days=days)).timestamp():
                path.unlink(missing_ok=True)


def _drop_copies(config: Settings) -> None:
    """All but the newest copies of what a restore has replaced; their names hold their times."""
    if not config.before_restore_keep:
        return
    place = backup.folder(config.data_dir)
    for pattern in ("before-restore-*.zip", "damaged-*"):
        for path in sorted(place.glob(pattern))[: -config.before_restore_keep]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
