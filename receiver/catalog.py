"""The service catalog: categories, their request types and what each promises (SLA)."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
import urllib3
import yaml

SHIPPED = Path(__file__).with_name("catalog.yaml")
MAX_BYTES = 2_000_000
MAX_DEPTH = 50
MAX_REQUEST_TYPES = 1_000
_UNITS = {"minutes": 1 / 60, "hours": 1.0, "days": 24.0, "weeks": 168.0}
_CATCH_ALL_WORDS = re.compile(r"other|uncategori[sz]ed|undefined|general|misc", re.IGNORECASE)


class CatalogError(ValueError):
    """The catalog cannot be read or used; the text says where and why."""


@dataclass(frozen=True)
class Sla:
    """A time promise: `value` in `unit` (minutes, hours, days, weeks)."""

    value: float
    unit: str
    is_default: bool = False

    @property
    def duration(self) -> timedelta:
        """The promise as a span of calendar time."""
        return timedelta(hours=self.value * _UNITS[self.unit])


DEFAULT_SLA = Sla(24, "hours", is_default=True)


@dataclass(frozen=True)
class RequestType:
    """One entry a ticket can be attributed to."""

    category: str
    name: str
    sla: Sla = DEFAULT_SLA
    description: str = ""
    examples: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """What tickets are attributed to; `version` is a digest of `text`, so equal content has equal versions."""

    text: str
    request_types: tuple[RequestType, ...]
    fallback: RequestType
    rules: tuple[str, ...] = ()
    version: str = field(default="", compare=False)

    @cached_property
    def labels(self) -> dict[str, RequestType]:
        """Every request type under a name that is unique in this catalog: its own, or "category: name"."""
        names = [kind.name for kind in self.request_types]
        return {
            kind.name if names.count(kind.name) == 1 else f"{kind.category}: {kind.name}": kind
            for kind in self.request_types
        }

    def find(self, category: str, name: str) -> RequestType | None:
        """The request type with exactly this category and name."""
        for kind in self.request_types:
            if (kind.category, kind.name) == (category, name):
                return kind
        return None


def load(location: str | None, timeout: float) -> Catalog:
    """The catalog at an http(s) URL or a path; the shipped one when there is no `location`.

    `timeout` in seconds. Raises CatalogError.
    """
    return parse(read(location, timeout))


def read(location: str | None, timeout: float) -> str:
    """The text of the catalog at `location`, unchecked; see `load`. Raises CatalogError."""
    if location and location.startswith(("http://", "https://")):
        return _download(location, timeout)
    path = Path(location) if location else SHIPPED
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"the catalog file {path} cannot be read: {error}") from None


def _download(url: str, timeout: float) -> str:
    try:
        with requests.get(url, timeout=timeout, stream=True) as response:
            response.raise_for_status()
            body = response.raw.read(MAX_BYTES + 1, decode_content=True)
            return str(body.decode("utf-8"))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"the catalog cannot be fetched from SERVICE_CATALOG_URL: {type(error).__name__}") from None


def parse(text: str) -> Catalog:
    """The catalog written in `text` (YAML), in any of the accepted shapes. Raises CatalogError."""
    if len(text) > MAX_BYTES:
        raise CatalogError(f"the catalog is larger than {MAX_BYTES} bytes")
    root, categories = _locate(_document(text))
    kinds = tuple(kind for category in categories for kind in _category(category))
    _check(kinds)
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    fallback = _fallback(kinds, str(root.get("fallback") or ""))
    if fallback not in kinds:
        kinds = (*kinds, fallback)
    return Catalog(text, kinds, fallback, _strings(root.get("rules")), version)


def _document(text: str) -> Any:
    try:
        if _is_tame(text):
            return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise CatalogError(f"the catalog is not valid YAML: {error}") from None
    raise CatalogError("the catalog is nested too deeply, or too large when its aliases are followed")


def _is_tame(text: str) -> bool:
    """Whether the YAML is flat and, with its aliases followed, small; yaml.load follows any number to any depth."""
    size = 0
    sizes: dict[str | None, int] = {}
    unclosed: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            size += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            unclosed.append((event.anchor, size))
            sizes[event.anchor] = MAX_BYTES  # An alias of what surrounds it would never end.
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = unclosed.pop()
            sizes[anchor] = size - before
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = len(event.value)
            size += len(event.value)
        size += 1
        if size > MAX_BYTES or len(unclosed) > MAX_DEPTH:
            return False
    return True


def _locate(document: Any) -> tuple[dict[str, Any], list[Any]]:
    """The mapping that may hold `rules` and `fallback`, and the list of categories."""
    root = document.get("service_catalog", document) if isinstance(document, dict) else {}
    holder = root.get("catalog", root) if isinstance(root, dict) else {}
    categories = holder.get("categories") if isinstance(holder, dict) else None
    if not isinstance(categories, list) or not categories:
        raise CatalogError("the catalog has no list of categories: expected service_catalog.catalog.categories")
    return document | root, categories


def _category(raw: Any) -> list[RequestType]:
    name = _name(raw, "category")
    kinds = raw.get("requests")
    if not isinstance(kinds, list) or not kinds:
        raise CatalogError(f"the category {name!r} has no list of requests")
    return [
        RequestType(
            category=name,
            name=_name(kind, f"request type of {name!r}"),
            sla=_sla(kind.get("sla"), str(kind["name"])),
            description=str(kind.get("description") or ""),
            examples=_strings(kind.get("examples")),
            keywords=_strings(kind.get("keywords")),
        )
        for kind in kinds
    ]


def _name(raw: Any, what: str) -> str:
    name = str(raw.get("name") or "").strip() if isinstance(raw, dict) else ""
    if not name or len(name) > 200:
        raise CatalogError(f"a {what} has no name of 1 to 200 characters")
    return name


def _sla(raw: Any, name: str) -> Sla:
    if raw is None:
        return DEFAULT_SLA
    try:
        value, unit = float(raw["value"]), str(raw["unit"]).strip().lower()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise CatalogError(f"the SLA of {name!r} needs a number as value and a unit") from None
    unit = unit if unit.endswith("s") else f"{unit}s"
    if unit not in _UNITS or not 0 < value <= 10_000:
        raise CatalogError(f"the SLA of {name!r} must be a positive number of {', '.join(_UNITS)}")
    return Sla(int(value) if value.is_integer() else value, unit)


def _strings(raw: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in raw if item is not None) if isinstance(raw, list) else ()


def _check(kinds: tuple[RequestType, ...]) -> None:
    if len(kinds) > MAX_REQUEST_TYPES:
        raise CatalogError(f"the catalog has {len(kinds)} request types; at most {MAX_REQUEST_TYPES} are supported")
    seen = set()
    for kind in kinds:
        if (kind.category, kind.name) in seen:
            raise CatalogError(f"the request type {kind.name!r} stands twice in {kind.category!r}")
        seen.add((kind.category, kind.name))


def _fallback(kinds: tuple[RequestType, ...], named: str) -> RequestType:
    """The entry for what fits nowhere: the one `fallback` names, or the one that sounds like it, or the shipped one."""
    for kind in kinds:
        if kind.name == named:
            return kind
    if named:
        raise CatalogError(f"the catalog's fallback {named!r} is not one of its request types")
    likely = max(kinds, key=_catch_all_words)
    return likely if _catch_all_words(likely) >= 2 else load(None, timeout=0).fallback


def _catch_all_words(kind: RequestType) -> int:
    return len({word.lower() for word in _CATCH_ALL_WORDS.findall(f"{kind.category} {kind.name}")})
