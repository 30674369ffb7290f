"""Which catalog is in force: the last good one that its location gave, kept in the database.

A URL is asked by the timetable, by an operator, or when it has never given one; a file is read every time. A catalog
that cannot be fetched or is wrong raises the alarm "catalog", and the last good one of the same location stays in
force. One of another location never does: tickets then wait, rather than being attributed to what the settings no
longer name.
"""

import logging
from contextlib import suppress
from functools import lru_cache

from receiver.catalog.entries import Catalog, CatalogError
from receiver.catalog.fetching import Found, fetch, is_url, public
from receiver.catalog.parsing import parse
from receiver.db import alarms, audit, catalogs
from receiver.db.database import Database
from receiver.db.models import CatalogVersion
from receiver.lib.clock import now
from receiver.lib.settings import Settings

ALARM = "catalog"

log = logging.getLogger(__name__)


def last_good(db: Database, config: Settings) -> CatalogVersion | None:
    """The last good version that the settings' location gave, as the database has it."""
    with db.read() as session:
        return catalogs.latest(session, public(config.service_catalog_url))


def current_catalog(db: Database, config: Settings, asks: bool = True) -> Catalog:
    """The catalog to classify by; a URL that has given none yet is only asked where it `asks`.

    Raises CatalogError where the location has never given a good one.
    """
    last, remote = last_good(db, config), is_url(config.service_catalog_url)
    if last is None:
        with db.read() as session:
            trouble = alarms.known(session, ALARM)
        if remote and trouble and trouble.detail.get("asked") == public(config.service_catalog_url):
            raise CatalogError(trouble.message)  # The timetable asks again; jobs that ask too would all have to wait.
        if remote and not asks:
            raise CatalogError("the catalog has not been read from its URL yet; POST /api/catalog/reload reads it now")
        return reload(db, config)
    if not remote:
        # Compared before it is parsed and stored: a file that is as it was costs each job one reading.
        with suppress(CatalogError):
            found = fetch(config.service_catalog_url, config.request_timeout, config.outgoing_allow)
            if found.text == last.text and load_error(db) is None:
                return parsed(last.text)
        with suppress(CatalogError):
            return reload(db, config)
    return parsed(last.text)


def reload(db: Database, config: Settings, seconds: float | None = None, who: str | None = None) -> Catalog:
    """Look at the location now; what is good there comes into force.

    It takes at most `seconds`, or REQUEST_TIMEOUT; the audit names `who` asked for it. Raises CatalogError, and
    what was in force stays so.
    """
    last = last_good(db, config)
    validators = (last.etag, last.modified) if last else ()
    try:
        seconds = seconds or config.request_timeout
        found = fetch(config.service_catalog_url, seconds, config.outgoing_allow, *validators)
        if last and found.text is None:
            found = Found(last.text, found.etag or last.etag, found.modified or last.modified)
        catalog = parsed(found.text or "")
    except CatalogError as error:
        _raise_alarm(db, error, config, last)
        raise
    where = public(config.service_catalog_url)
    with db.write() as session:
        catalogs.remember(session, catalog.version, catalog.text, now(), where, found.etag, found.modified)
        alarms.clear(session, ALARM)
        if who:
            audit.note(session, who, "reload", f"catalog {catalog.version}", now())
    if last is None or last.version != catalog.version:
        log.info("The catalog %s is in force", catalog.version)
    return catalog


def load_error(db: Database) -> str | None:
    """What the alarm says, while it is up."""
    with db.read() as session:
        return alarms.message(session, ALARM)


def _raise_alarm(db: Database, error: CatalogError, config: Settings, last: CatalogVersion | None) -> None:
    where = public(config.service_catalog_url)
    detail = {
        "asked": where,
        "problem": error.brief,
        "location": "" if where in error.brief else where,
        "version": last.version if last else "",
        "loaded_at": f"{last.loaded_at:%Y-%m-%d %H:%M}" if last else "",
    }
    # Looked up first: every classify job reads a broken file again, and only the first of them has to write.
    with db.read() as session:
        known = alarms.known(session, ALARM)
    if known and known.detail == detail:
        return
    with db.write() as session:
        alarms.raise_(session, ALARM, now(), **detail)
    log.error("Alarm: %s", alarms.sentence(ALARM, detail))


@lru_cache(maxsize=2)
def parsed(text: str) -> Catalog:
    """One object for one text, so that what an engine derived from it can be used again."""
    return parse(text)
