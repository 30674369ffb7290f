"""What is known of each entry of a catalog: its own text and, where that is short, the shipped catalog's."""

import re
from dataclasses import dataclass

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
    """The catalog's entries, in its order.

    A poorly described one borrows from the shipped catalog's request type of the same name.
    """
    shipped = {_plain_name(kind): kind for kind in catalogs.shipped().request_types}
    found = []
    for label, kind in catalog.labels.items():
        same = shipped.get(_plain_name(kind))
        sources = [kind] if same is None or len(kind.examples) >= ENOUGH_EXAMPLES else [kind, same]
        # `fromkeys` takes repeats away and keeps the order, for a text that stood twice would count twice.
        described = dict.fromkeys(f"{kind.name}. {s.description}" for s in sources if s.description.strip())
        descriptions = tuple(described) or (kind.name,)
        examples = dict.fromkeys(text for source in sources for text in source.examples if text.strip())
        keywords = dict.fromkeys(word for source in sources for word in source.keywords)
        words = "|".join(re.escape(word) for word in keywords if word.strip())
        hints = re.compile(rf"\b(?:{words})\b", re.IGNORECASE) if words else None
        found.append(Entry(label, kind, (*descriptions, *examples), len(descriptions), hints))
    return found


def _plain_name(kind: RequestType) -> tuple[str, str]:
    category, name = (" ".join(re.findall(r"\w+", text.casefold())) for text in (kind.category, kind.name))
    return category, name
