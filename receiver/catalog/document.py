"""YAML text to nodes that know their lines. Nothing in it is built or run, and no text takes long."""

from collections.abc import Iterator
from typing import Any

import yaml

from receiver.catalog.entries import CatalogError, Fault

MAX_BYTES = 2_000_000
MAX_DEPTH = 50
MAX_VALUES = 150_000
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


def compose(text: str) -> yaml.Node | None:
    """The root of the one document in `text`, or None where it is empty. Raises CatalogError."""
    try:
        _refuse_bombs(text)
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise CatalogError.of(Fault(mark.line + 1 if mark else 1, f"this is not valid YAML: {problem}")) from None
    except UnicodeEncodeError as error:
        raise _unreadable_error(text, error.start) from None
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore")
        raise _unreadable_error(text, len(before)) from None
    return root


def _unreadable_error(text: str, position: int) -> CatalogError:
    line = text.count("\n", 0, position) + 1
    return CatalogError.of(Fault(line, f"the character U+{ord(text[position]):04X} is not allowed; remove it"))


def _refuse_bombs(text: str) -> None:
    """Refuse what is deep, large, or large when its aliases are followed, and what asks for objects by a tag.

    It reads libyaml's events one by one, before anything is built of them. Raises CatalogError.
    """
    if len(text.encode()) > MAX_BYTES:
        raise CatalogError(f"the catalog is larger than {MAX_BYTES} bytes")
    size = 0
    sizes: dict[str | None, int] = {}
    unclosed: list[tuple[str | None, int]] = []
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
    for number, event in enumerate(events):
        line = event.start_mark.line + 1
        if (tag := getattr(event, "tag", None)) and tag not in _TAGS:
            raise CatalogError.of(Fault(line, f"the tag {tag[:60]!r} has no place in a catalog; remove it"))
        if isinstance(event, yaml.AliasEvent):
            # An alias is as large as what it stands for: ten lines of ten aliases each are a "billion laughs".
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
        if len(unclosed) > MAX_DEPTH:
            raise CatalogError.of(Fault(line, f"lists and mappings are nested more than {MAX_DEPTH} deep"))
        if size > MAX_BYTES:
            raise CatalogError.of(Fault(line, f"with its aliases followed, the catalog exceeds {MAX_BYTES} characters"))
        if number > MAX_VALUES:
            raise CatalogError.of(Fault(line, f"the catalog has more than {MAX_VALUES} values"))
