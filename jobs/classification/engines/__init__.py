"""The engines: each answers a ticket's text with a proposal, which `decide` checks before anything is stored."""

from jobs.classification.engines.base import Engine
from receiver.catalog import Catalog
from receiver.db.database import Database
from receiver.lib.settings import Settings


def choose(settings: Settings, catalog: Catalog, db: Database | None = None) -> Engine:
    """The engine the settings ask for: the LLM where an endpoint is configured, else the local engine."""
    return make("llm" if settings.uses_llm else "local", settings, catalog, db)


def make(
    name: str, settings: Settings, catalog: Catalog, db: Database | None = None, *, repeats: bool = True
) -> Engine:
    """The engine of this name, `llm` or `local`; one with a database keeps there what it learned and what it cost.

    One that `repeats` answers a ticket that is identical to an earlier one from the database.
    """
    if name == "llm":
        from jobs.classification.engines import llm

        return llm.LlmEngine(settings, catalog, db, repeats=repeats)
    from jobs.classification.engines import local

    return local.for_catalog(catalog)
