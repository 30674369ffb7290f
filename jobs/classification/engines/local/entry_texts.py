"""What is known of each entry of a catalog: its own text and, where that is short, the shipped catalog's."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from receiver import catalog as catalogs
from receiver.catalog import Catalog, RequestType

ENOUGH_EXAMPLES = 10


@dataclass(frozen=True)
class Entry:
    """A request type under its label; `texts` are descriptions, then examples, each of which says what it is about."""

    label: str
    kind: RequestType
    texts: tuple[str, ...]
    descriptions: int
    hints: re.Pattern[str] | None

    def hits(self, text: str) -> set[str]:
        """Which of the entry's keywords stand in the text."""
        return {hit.lower() for hit in self.hints.findall(text)} if self.hints else set()


def entries(catalog: Catalog) -> list[Entry]:
    """The catalog's entries, in its order."""
    known = _shipped()
    return [_entry(label, kind, known.get(_plain(kind))) for label, kind in catalog.labels.items()]


def _entry(label: str, kind: RequestType, known: RequestType | None) -> Entry:
    """The entry; a poorly described one borrows from the shipped catalog's request type of the same name."""
    sources = [kind] if known is None or len(kind.examples) >= ENOUGH_EXAMPLES else [kind, known]
    described = _distinct(f"{kind.name}. {source.description}" for source in sources if source.description.strip())
    descriptions = described or (kind.name,)
    examples = _distinct(text for source in sources for text in source.examples if text.strip())
    return Entry(
        label,
        kind,
        (*descriptions, *examples),
        len(descriptions),
        _pattern(_distinct(word for source in sources for word in source.keywords)),
    )


def _pattern(keywords: tuple[str, ...]) -> re.Pattern[str] | None:
    words = "|".join(re.escape(word) for word in keywords if word.strip())
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE) if words else None


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


@lru_cache(maxsize=1)
def _shipped() -> dict[tuple[str, str], RequestType]:
    return {_plain(kind): kind for kind in catalogs.shipped().request_types}


def _plain(kind: RequestType) -> tuple[str, str]:
    category, name = (" ".join(re.findall(r"\w+", text.casefold())) for text in (kind.category, kind.name))
    return category, name
