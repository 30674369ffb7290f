"""The catalogs of the month: two earlier versions, and the shipped one that followed them."""

from collections.abc import Iterator
from typing import Any

import yaml

from receiver import catalog
from receiver.catalog import Catalog

_ADDED_LATER = "Other Network Issue"
_OTHER_PROMISES = {
    "Report Lost/Stolen Device": (4, "hours"),
    "New Employee Onboarding": (7, "days"),
    "Laptop Repair/Replacement": (5, "days"),
}


def versions() -> tuple[Catalog, Catalog, Catalog]:
    """From thin to full: a few examples and one entry less; all entries with other promises; the shipped one."""
    full = catalog.shipped()
    return catalog.parse(_text(_thin(_document(full)))), catalog.parse(_text(_earlier(_document(full)))), full


def _document(full: Catalog) -> Any:
    return yaml.safe_load(full.text)


def _text(document: Any) -> str:
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)


def _kinds(document: Any) -> Iterator[dict[str, Any]]:
    for category in document["service_catalog"]["catalog"]["categories"]:
        yield from category["requests"]


def _earlier(document: Any) -> Any:
    for kind in _kinds(document):
        kind["examples"] = kind["examples"][:14]
        if kind["name"] in _OTHER_PROMISES:
            value, unit = _OTHER_PROMISES[kind["name"]]
            kind["sla"] = {"value": value, "unit": unit}
    return document


def _thin(document: Any) -> Any:
    for category in document["service_catalog"]["catalog"]["categories"]:
        category["requests"] = [kind for kind in category["requests"] if kind["name"] != _ADDED_LATER]
    for kind in _kinds(_earlier(document)):
        kind["examples"] = kind["examples"][:3]
        kind["description"] = kind["description"].split(". ")[0].rstrip(".") + "."
    document["service_catalog"]["rules"] = document["service_catalog"]["rules"][:4]
    return document
