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
    changed = []
    for entry, kind in new.items():
        if entry not in old:
            continue
        was = old[entry]
        change = EntryChange(
            category=kind.category,
            name=kind.name,
            sla=(was.sla, kind.sla) if was.sla != kind.sla else None,
            description=_text_change(was.description, kind.description),
            examples=_list_change(was.examples, kind.examples),
            keywords=_list_change(was.keywords, kind.keywords),
        )
        if change.sla or change.description or change.examples or change.keywords:
            changed.append(change)
    return Changes(
        added=tuple(kind for entry, kind in new.items() if entry not in old),
        removed=tuple(kind for entry, kind in old.items() if entry not in new),
        changed=tuple(changed),
        rules=_list_change(before.rules, after.rules),
        fallback=_text_change(*(f"{kind.category} / {kind.name}" for kind in (before.fallback, after.fallback))),
    )


def _text_change(before: str, after: str) -> TextChange | None:
    return TextChange(before, after) if before != after else None


def _list_change(before: Iterable[str], after: Iterable[str]) -> ListChange:
    old, new = dict.fromkeys(before), dict.fromkeys(after)  # Not sets, which would lose the order of the catalog.
    return ListChange(tuple(text for text in new if text not in old), tuple(text for text in old if text not in new))
