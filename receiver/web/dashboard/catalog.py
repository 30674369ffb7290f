"""Catalog: what tickets are attributed to, what each entry is known by, its versions, and reading it anew."""

from collections.abc import Mapping
from itertools import groupby

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from receiver import catalog
from receiver.actions import classification
from receiver.catalog import Catalog, CatalogError, changes, current
from receiver.db import audit, catalog_usage, catalogs
from receiver.db.catalog_usage import Entry
from receiver.db.models import CatalogVersion
from receiver.web import auth
from receiver.web.dashboard import query_args
from receiver.web.state import context

blueprint = Blueprint("catalog_pages", __name__, url_prefix="/catalog")

_VERSIONS, _SHOWN_EXAMPLES = 20, 6


@blueprint.get("")
def catalog_page(refused: CatalogError | None = None) -> str:
    """The tree of the catalog in force, or its entries with the words of `q`, and why a newer one was `refused`."""
    db, settings = context().db, context().settings
    words = query_args.text("q")[:200]
    try:
        # Only what is there already: a page must not wait for a slow location.
        found, missing = current.current_catalog(db, settings, asks=False), None
    except CatalogError as error:
        found, missing = None, error
    with db.read() as session:
        versions = catalogs.history(session, _VERSIONS)
        readers = audit.first_about(session, [f"catalog {version.version}" for version in versions])
        tickets, learned = catalog_usage.tickets(session), catalog_usage.learned(session)
    # Entries that tickets have and the catalog has no longer, those with most tickets first.
    gone = [(*entry, count) for entry, count in tickets.items() if found and found.find(*entry) is None]
    gone.sort(key=lambda row: (-row[2], row))
    return render_template(
        "catalog.html",
        catalog=found,
        missing=missing,
        refused=refused,
        words=words,
        version=current.last_good(db, settings),
        trouble=current.load_error(db),
        versions=versions,
        readers=readers,
        counts=catalog.counts(found) if found else {},
        warnings=catalog.quality(found) if found else [],
        tree=_categories(found, words, tickets, learned) if found else [],
        left=gone[:_VERSIONS],
        shown_examples=_SHOWN_EXAMPLES,
    )


def _categories(
    found: Catalog, words: str, tickets: Mapping[Entry, int], learned: Mapping[Entry, int]
) -> list[dict[str, object]]:
    """The categories with their entries, in the catalog's order; with a search only entries that hold every word."""
    wanted = words.casefold().split()
    kept = []
    for kind in found.request_types:
        text = "\n".join((kind.category, kind.name, kind.description, *kind.examples, *kind.keywords)).casefold()
        if all(word in text for word in wanted):
            kept.append(kind)
    categories: list[dict[str, object]] = []
    # groupby needs equal categories side by side, as a catalog's text has them.
    for category, kinds in groupby(kept, key=lambda kind: kind.category):
        rows: list[dict[str, object]] = []
        total = 0
        for kind in kinds:
            entry = (kind.category, kind.name)
            total += tickets.get(entry, 0)
            rows.append(
                {
                    "kind": kind,
                    "tickets": tickets.get(entry, 0),
                    "learned": learned.get(entry, 0),
                    "gaps": catalog.gaps(kind),
                    "is_fallback": kind == found.fallback,
                }
            )
        categories.append({"name": category, "rows": rows, "tickets": total})
    return categories


@blueprint.get("/changes/<before>/<after>")
def changes_page(before: str, after: str) -> ResponseReturnValue:
    """What is different from one version to another."""
    with context().db.read() as session:
        pair = [session.get(CatalogVersion, version) for version in (before, after)]
    old, new = (version or abort(404, "There is no such version of the catalog.") for version in pair)
    try:
        found = changes.compare(current.parsed(old.text), current.parsed(new.text))
    except CatalogError as error:  # The rules for catalogs have become stricter since it was in force.
        abort(404, f"One of these versions cannot be read any more: {error.brief}.")
    return render_template("catalog_changes.html", old=old, new=new, changes=found)


@blueprint.post("/reload")
@auth.require_role(auth.OPERATOR)
def reload() -> ResponseReturnValue:
    """Look at the catalog's location now; where that is refused, the page says in which lines it is wrong."""
    db, settings = context().db, context().settings
    before = current.last_good(db, settings)
    try:
        found = classification.reload_catalog(context(), auth.caller())
    except CatalogError as error:
        return catalog_page(error), 422
    is_same = before is not None and before.version == found.version
    flash(f"Nothing has changed: version {found.version}." if is_same else f"Version {found.version} is in force.")
    return redirect(url_for("catalog_pages.catalog_page"))
