"""Learning: what people have reviewed reaches the engine, before the next ticket does."""

import logging
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from jobs.classification.engines.base import Engine, Example, TicketText
from jobs.classification.engines.linear import Linear
from jobs.classification.engines.local import LocalEngine, for_catalog
from receiver.catalog import Catalog
from receiver.db import examples, linear_models
from receiver.db.database import Database
from receiver.db.examples import Reviewed

# The engine places each example by itself, in some milliseconds; beyond this the linear model knows more.
MAX_EXAMPLES = 2_000

log = logging.getLogger(__name__)

# What each engine of this process was taught last (the record and its examples' extent), and which linear model
# each local engine has adopted (the record and its id).
_taught: WeakKeyDictionary[Engine, Any] = WeakKeyDictionary()
_adopted: WeakKeyDictionary[LocalEngine, Any] = WeakKeyDictionary()


def refresh(db: Database, engine: Engine, catalog: Catalog) -> None:
    """Teach the engine what people have reviewed since the last time; two small queries where that is nothing.

    The engine learns up to MAX_EXAMPLES, the newest of each entry first, and none of an entry that left the catalog.
    """
    with db.read() as session:
        present = (db.url, examples.extent(session))
        if present != _taught.get(engine, (db.url, (0, 0))):  # It knows nothing at first.
            engine.learn(in_catalog(session, catalog, MAX_EXAMPLES))
        _taught[engine] = present
        model = (db.url, linear_models.current(session))
        if model[1] or _adopted:
            taker = engine if isinstance(engine, LocalEngine) else for_catalog(catalog)
            if model != _adopted.get(taker):
                taker.adopt(_linear(session, catalog, model[1]), linear_models.trained_to(session, model[1]))
                _adopted[taker] = model


def in_catalog(session: Session, catalog: Catalog, limit: int) -> list[Example]:
    """Up to `limit` examples of the catalog's entries, the newest of each entry first."""
    return list(map(_example, examples.newest(session, catalog.names.keys(), limit)))


def _example(row: Reviewed) -> Example:
    text = TicketText(row.short_description, row.long_description)
    return Example(row.id, text, row.category, row.request_type)


def _linear(session: Session, catalog: Catalog, model_id: int | None) -> Linear | None:
    """The model in force, as far as the catalog goes; None where there is none, or it is of another version."""
    weights = linear_models.weights(session, model_id) if model_id else None
    if weights is None:
        return None
    try:
        return Linear.from_bytes(weights).within(catalog.names.keys())
    except ValueError as error:
        log.warning("%s; it stays unused until the next training", error)
        return None
