"""The catalog in force, for jobs: read from the record, reloaded by the timetable, its gaps said once."""

import logging
from contextlib import suppress
from functools import lru_cache

from receiver.catalog import Catalog, CatalogError, current, quality
from receiver.db.database import Database, opened
from receiver.lib import settings
from receiver.lib.log import configure
from receiver.lib.settings import Settings

_SHOWN = 5

log = logging.getLogger(__name__)


def reload_catalog() -> None:
    """The job that looks whether the catalog has changed. Safe to run twice: what is good is in force or it is not."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db, suppress(CatalogError):  # The alarm is up and logged.
        current.reload(db, config)


def current_catalog(db: Database, config: Settings, asks: bool = True) -> Catalog:
    """The catalog to classify by, noted in the record; a URL that gave none yet is only asked where this `asks`.

    Raises CatalogError where there never was a good one.
    """
    found = current.current_catalog(db, config, asks)
    _say_what_is_missing(found)
    return found


def newest_catalog(db: Database, config: Settings) -> Catalog:
    """The same after a look at its location, for who waits for no timetable."""
    with suppress(CatalogError):  # The alarm is up and logged.
        current.reload(db, config)
    return current_catalog(db, config)


@lru_cache(maxsize=8)
def _say_what_is_missing(catalog: Catalog) -> None:
    """Once per version in a process; a worker's jobs inherit what it has said."""
    warnings = quality(catalog)
    for warning in warnings[:_SHOWN]:
        log.warning("Catalog %s: %s", catalog.version, warning)
    if len(warnings) > _SHOWN:
        log.warning("Catalog %s: python -m jobs catalog shows %d more", catalog.version, len(warnings) - _SHOWN)
