"""What is different between two catalogs: entries added and removed, and of those that stayed what was said anew."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from receiver.catalog.entries import Catalog, RequestType
from receiver.lib.sla import Sla


@dataclass(frozen=True)
class TextChange:
    """A text that is another one now."""

    before: str
    after: str


@dataclass(frozen=True)
class ListChange:
    """What came to a list of texts, and what left it."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True)
class EntryChange:
    """What changed of an entry that both catalogs have; None and empty where nothing did."""

    category: str
    name: str
    sla: tuple[Sla, Sla] | None
    description: TextChange | None
    examples: ListChange
    keywords: ListChange


@dataclass(frozen=True)
class Changes:
    """Everything that is different from one catalog to the other."""

    added: tuple[RequestType, ...] = ()
    removed: tuple[RequestType, ...] = ()
    changed: tuple[EntryChange, ...] = ()
    rules: ListChange = field(default_factory=ListChange)
    fallback: TextChange | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.rules or self.fallback)


def compare(before: Catalog, after: Catalog) -> Changes:
    """The changes that lead from one catalog to the other. An entry with another name is another entry."""
    old = {(kind.category, kind.name): kind for kind in before.request_types}
    new = {(kind.category, kind.name): kind for kind in after.request_types}
    both = [(old[entry], kind) for entry, kind in new.items() if entry in old]
    return Changes(
        added=tuple(kind for entry, kind in new.items() if entry not in old),
        removed=tuple(kind for entry, kind in old.items() if entry not in new),
        changed=tuple(change for change in (_entry(*pair) for pair in both) if change),
        rules=_texts(before.rules, after.rules),
        fallback=_text(_label(before.fallback), _label(after.fallback)),
    )


def _entry(before: RequestType, after: RequestType) -> EntryChange | None:
    change = EntryChange(
        category=after.category,
        name=after.name,
        sla=(before.sla, after.sla) if before.sla != after.sla else None,
        description=_text(before.description, after.description),
        examples=_texts(before.examples, after.examples),
        keywords=_texts(before.keywords, after.keywords),
    )
    differs = change.sla or change.description or change.examples or change.keywords
    return change if differs else None


def _text(before: str, after: str) -> TextChange | None:
    return TextChange(before, after) if before != after else None


def _texts(before: Iterable[str], after: Iterable[str]) -> ListChange:
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    return ListChange(tuple(text for text in new if text not in old), tuple(text for text in old if text not in new))


def _label(kind: RequestType) -> str:
    return f"{kind.category} / {kind.name}"
