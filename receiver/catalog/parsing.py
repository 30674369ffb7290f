"""A catalog's text to a Catalog, in any of the accepted shapes, or to a list of its mistakes."""

import hashlib
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import median_low

import yaml

from receiver.catalog.document import compose
from receiver.catalog.entries import DEFAULT_SLA, Catalog, RequestType, labels
from receiver.catalog.reading import Fields, Reader, is_null, kind_of, quoted
from receiver.lib.sla import UNITS, Sla

SHIPPED = Path(__file__).with_name("catalog.yaml")
MAX_REQUEST_TYPES = 1_000
_DESCRIPTION, _EXAMPLE, _KEYWORD, _RULE = 2_000, 2_000, 200, 1_000  # The most characters of one.
_MANY = 200  # The most examples, keywords or rules in one list.
_LONGEST_SLA = 10_000
_CATCH_ALL_WORDS = re.compile(r"other|uncategori[sz]ed|undefined|general|misc", re.IGNORECASE)

_Placed = tuple[RequestType, yaml.Node]


def parse(text: str) -> Catalog:
    """The catalog written in `text` (YAML). Raises CatalogError, which names the line of each mistake."""
    reader = Reader()
    top, categories = _read_categories(reader, compose(text))
    placed: list[_Placed] = []
    seen = set()
    for node in categories:
        category = _read_category(reader, node)
        # The request types of a category that stands twice would be hard to find for whoever edits them.
        name = category[0][0].category if category else ""
        if name in seen:
            reader.note(node, f"the category {quoted(name)} stands twice; put its requests into one")
        seen.add(name or node)
        placed += category
    _check_names(reader, placed)
    rules = reader.texts(top.get("rules"), "rules", _MANY, _RULE)
    kinds = tuple(kind for kind, _ in placed)
    fallback = _named_fallback(reader, top.get("fallback"), kinds)
    reader.finish()
    # Of the text as it is written: two catalogs of one version never differ, and a new comment is a new version.
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    if fallback is None:
        # Where nothing is named, the entry that sounds most as if it were for what fits nowhere.
        likely = max(kinds, key=_catch_all_words)
        fallback = likely if _catch_all_words(likely) >= 2 else None
    if fallback is None:
        # The shipped entry, with no more examples and keywords than the others have, or it would draw their tickets.
        usual = shipped().fallback
        examples = median_low([len(kind.examples) for kind in kinds])
        keywords = median_low([len(kind.keywords) for kind in kinds])
        lent = replace(usual, examples=usual.examples[:examples], keywords=usual.keywords[:keywords])
        return Catalog(text, (*kinds, lent), lent, rules, version, lends_fallback=True)
    return Catalog(text, kinds, fallback, rules, version)


@lru_cache(maxsize=1)
def shipped() -> Catalog:
    """The catalog that comes with the project."""
    return parse(SHIPPED.read_text(encoding="utf-8"))


def _read_categories(reader: Reader, root: yaml.Node | None) -> tuple[Fields, list[yaml.Node]]:
    """The fields beside the categories, at whichever level they stand, and the categories."""
    if not isinstance(root, yaml.MappingNode):
        found = "is empty" if is_null(root) else f"begins with {kind_of(root)}"
        reader.note(root, f"this is no catalog: it {found}; expected service_catalog.catalog.categories")
        reader.finish()
    holders = [reader.fields(root, "the catalog")]
    for name in ("service_catalog", "catalog"):
        if name in holders[-1]:
            holders.append(reader.fields(holders[-1][name], name))
    node = holders[-1].get("categories")
    categories = reader.items(node, "categories", MAX_REQUEST_TYPES)
    if not categories and not reader.faults:
        reader.note(node, "the catalog has no list of categories: expected service_catalog.catalog.categories")
    reader.finish()
    return {key: value for holder in holders for key, value in holder.items()}, categories


def _read_category(reader: Reader, node: yaml.Node) -> list[_Placed]:
    fields = reader.fields(node, "a category")
    if not isinstance(node, yaml.MappingNode):
        return []
    name = reader.name(fields.get("name"), node, "a category")
    faults = len(reader.faults)
    kinds = reader.items(fields.get("requests"), f"requests of {quoted(name)}", MAX_REQUEST_TYPES)
    if not kinds and len(reader.faults) == faults:
        reader.note(fields.get("requests", node), f"the category {quoted(name)} has no list of requests")
    placed = []
    for kind in kinds:
        fields = reader.fields(kind, f"a request type of {quoted(name)}")
        if not isinstance(kind, yaml.MappingNode):
            placed.append((RequestType(name, ""), kind))  # Its mistake is noted, and those after it are still read.
            continue
        own_name = reader.name(fields.get("name"), kind, f"a request type of {quoted(name)}")
        known = quoted(own_name)
        request_type = RequestType(
            category=name,
            name=own_name,
            sla=_read_sla(reader, fields.get("sla"), f"the SLA of {known}"),
            description=reader.text(fields.get("description"), f"the description of {known}", _DESCRIPTION),
            examples=reader.texts(fields.get("examples"), f"the examples of {known}", _MANY, _EXAMPLE),
            keywords=reader.texts(fields.get("keywords"), f"the keywords of {known}", _MANY, _KEYWORD),
        )
        placed.append((request_type, kind))
    return placed


def _read_sla(reader: Reader, node: yaml.Node | None, what: str) -> Sla:
    if node is None or is_null(node):
        return DEFAULT_SLA
    faults = len(reader.faults)
    fields = reader.fields(node, what)
    try:
        value = float(reader.text(fields.get("value"), f"the value of {what}", 40))
    except ValueError:
        value = 0.0  # Which is refused below, with what is needed.
    unit = reader.text(fields.get("unit"), f"the unit of {what}", 40).lower()
    unit = unit if unit.endswith("s") else f"{unit}s"
    if unit in UNITS and 0 < value <= _LONGEST_SLA:
        return Sla(int(value) if value.is_integer() else value, unit)
    if len(reader.faults) == faults:
        wrong = fields.get("value") if unit in UNITS else fields.get("unit")
        needed = f"a value above 0 and up to {_LONGEST_SLA}, and a unit: {', '.join(UNITS)}"
        reader.note(wrong or node, f"{what} must have {needed}")
    return DEFAULT_SLA


def _check_names(reader: Reader, placed: list[_Placed]) -> None:
    """There are not too many request types, none stands twice, and no label means two of them."""
    if len(placed) > MAX_REQUEST_TYPES:
        _, node = placed[MAX_REQUEST_TYPES]
        reader.note(node, f"the catalog has {len(placed)} request types; at most {MAX_REQUEST_TYPES} are supported")
        reader.finish()
    seen: dict[str, RequestType] = {}
    for label, (kind, node) in zip(labels([kind for kind, _ in placed]), placed, strict=True):
        other = seen.setdefault(label, kind)
        if other is kind or not kind.name:
            continue
        if (other.category, other.name) == (kind.category, kind.name):
            message = f"the request type {quoted(kind.name)} stands twice in {quoted(kind.category)}"
        else:
            message = f"{quoted(label)} could mean two request types; rename one of them"
        reader.note(node, message)


def _named_fallback(reader: Reader, node: yaml.Node | None, kinds: tuple[RequestType, ...]) -> RequestType | None:
    """The entry that `fallback` names, by its name or its label."""
    named = reader.text(node, "fallback", 500)
    if not named:
        return None
    found = {label: kind for label, kind in zip(labels(kinds), kinds, strict=True) if named in (label, kind.name)}
    if len(found) != 1 and not reader.faults:
        several = f"could be {' or '.join(map(quoted, found))}; name one of them"
        reader.note(node, f"the fallback {quoted(named)} {several if found else 'is not one of the request types'}")
    return next(iter(found.values()), None)


def _catch_all_words(kind: RequestType) -> int:
    return len({word.lower() for word in _CATCH_ALL_WORDS.findall(f"{kind.category} {kind.name}")})
