"""What a catalog is: categories, their request types and what each promises (SLA)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

from receiver.lib.sla import Sla


@dataclass(frozen=True)
class Fault:
    """One mistake in a catalog's text, and the line where it begins; the first is 1."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class CatalogError(ValueError):
    """The catalog cannot be fetched or used; the text says why, and `faults` each mistake in its text."""

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    @classmethod
    def of(cls, *faults: Fault) -> "CatalogError":
        """What is wrong with a catalog's text, a line for each mistake where there are several."""
        if len(faults) == 1:
            return cls(f"the catalog is wrong in {faults[0]}", faults)
        return cls("\n".join(["the catalog is wrong in several lines:", *(f"  {fault}" for fault in faults)]), faults)

    @property
    def brief(self) -> str:
        """The same in one line."""
        more = f" (and {len(self.faults) - 1} more mistakes)" if len(self.faults) > 1 else ""
        return f"the catalog is wrong in {self.faults[0]}{more}" if self.faults else str(self)


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
    """What tickets are attributed to; `version` is a digest of `text`, so equal content has equal versions.

    `lends_fallback` says that the text names nothing for what fits nowhere, so the shipped entry was added.
    """

    text: str
    request_types: tuple[RequestType, ...]
    fallback: RequestType
    rules: tuple[str, ...] = ()
    version: str = field(default="", compare=False)
    lends_fallback: bool = False

    @cached_property
    def labels(self) -> dict[str, RequestType]:
        """Every request type under a name that is unique in this catalog: its own, or "category: name"."""
        return dict(zip(labels(self.request_types), self.request_types, strict=True))

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        """The label of every request type, by its category and name."""
        return {(kind.category, kind.name): label for label, kind in self.labels.items()}

    def find(self, category: str, name: str) -> RequestType | None:
        """The request type with exactly this category and name."""
        for kind in self.request_types:
            if (kind.category, kind.name) == (category, name):
                return kind
        return None

    def near(self, category: str, name: str) -> str:
        """A sentence that names the request types most like this one, which is not in the catalog."""
        names = {f"{kind.category} / {kind.name}".casefold(): kind for kind in self.request_types}
        # One of the same name in another category is the likeliest to be meant.
        same = [text for text, kind in names.items() if kind.name.casefold() == name.casefold()]
        found = same or get_close_matches(f"{category} / {name}".casefold(), names, n=3)
        listed = "; ".join(f"{names[text].category} / {names[text].name}" for text in found)
        return f"Near it: {listed}." if listed else "GET /api/catalog lists its entries."


def labels(kinds: Sequence[RequestType]) -> list[str]:
    """For each its name, or "category: name" where several categories have one of that name."""
    counts = Counter(kind.name for kind in kinds)
    return [kind.name if counts[kind.name] == 1 else f"{kind.category}: {kind.name}" for kind in kinds]
