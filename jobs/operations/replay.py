"""Replaying deliveries from the command line."""

import logging
from typing import Any

from receiver.actions.deliveries import Replay
from receiver.db import deliveries
from receiver.db.database import Database
from receiver.intake import sources
from receiver.intake.sources.times import moment
from receiver.lib.settings import Settings, SettingsError

_PAGE = 500

log = logging.getLogger(__name__)


def chosen(
    db: Database, config: Settings, source: str | None, since: str | None, status: str | None, ids: str | None
) -> list[int]:
    """The ids of the deliveries that the options name. Raises SettingsError where they name none clearly."""
    if ids is not None:
        return _numbers(ids)
    if not source or not since:
        raise SettingsError("say which deliveries: --source NAME --since TIME, or --ids 1,2,3")
    known = sources.configured(config)
    if source not in known:
        raise SettingsError(f"--source: there is no source {source!r}; there are {', '.join(known)}")
    try:
        start = moment(since)
    except ValueError as error:
        raise SettingsError(f"--since: {error}") from None
    if start is None:
        raise SettingsError("--since: name a time, such as 2026-01-31T10:00:00+01:00")
    found: list[int] = []
    with db.read() as session:
        while page := deliveries.kept_since(session, source, start, status, _PAGE, found[-1] if found else None):
            found += page
    return found


def _numbers(ids: str) -> list[int]:
    try:
        return [int(part) for part in ids.split(",")]
    except ValueError:
        raise SettingsError("--ids: name deliveries by their numbers, such as 7,12") from None


def described(done: Replay) -> str:
    """One line about a replay."""
    if done.before is None or done.after is None:
        return f"{done.delivery}: not replayed: {done.error}"
    return f"{done.delivery}: {_told(done.before)} -> {_told(done.after)}"


def _told(outcome: dict[str, Any]) -> str:
    names = ("accepted", "updated", "duplicates")
    counts = [f"{outcome[name]} {name}" for name in names if outcome[name]]
    counts += [f"{len(outcome['rejected'])} rejected"] if outcome["rejected"] else []
    counts += [outcome["error"]] if outcome["error"] else []
    return f"{outcome['status']} ({', '.join(counts) or 'nothing'})"
