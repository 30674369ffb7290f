"""Which catalog to classify by."""

import logging
from datetime import timedelta
from functools import lru_cache

from receiver import catalog
from receiver.catalog import Catalog, CatalogError
from receiver.clock import now
from receiver.record import catalogs
from receiver.record.database import Record
from receiver.settings import Settings

_MAX_AGE = timedelta(minutes=5)

log = logging.getLogger(__name__)


def catalog_in_force(record: Record, config: Settings) -> Catalog:
    """The settings' catalog, noted in the record. While its source fails, the last good version stays in force.

    Raises CatalogError where there never was a good one.
    """
    with record.read() as session:
        kept = catalogs.latest(session)
    remote = (config.service_catalog_url or "").startswith("http")
    if remote and kept and abs(now() - kept.loaded_at) < _MAX_AGE:
        return _parsed(kept.text)
    try:
        found = _parsed(catalog.read(config.service_catalog_url, config.request_timeout))
    except CatalogError as error:
        if kept is None:
            raise
        log.warning("%s; version %s, read at %s, stays in force", error, kept.version, kept.loaded_at)
        return _parsed(kept.text)
    if remote or kept is None or kept.version != found.version:
        with record.write() as session:
            catalogs.remember(session, found.version, found.text, now())
    return found


@lru_cache(maxsize=2)
def _parsed(text: str) -> Catalog:
    """One object for one text, so that what an engine derived from it can be used again."""
    return catalog.parse(text)
