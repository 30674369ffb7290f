"""The YAML files that operators write: read strictly, and every mistake told with its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_LONGEST_NAME = 40


class DocumentError(ValueError):
    """A file is not what it should be; the text says where, and repeats nothing of it."""


class _TwiceError(yaml.MarkedYAMLError):
    """A mapping has the same name twice."""


class _Loader(yaml.SafeLoader):
    """Refuses what YAML lets pass in silence: the same name twice, of which the first would be gone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _TwiceError(problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def part(path: Path, name: str, kind: type) -> Any:
    """What is under `name` at the top of the YAML file at `path`, of this kind. Raises DocumentError."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe one
        found = document[name]
        if not isinstance(found, kind):
            raise TypeError  # noqa: TRY301 - the same answer as for a document of another shape
    except _TwiceError as error:
        raise DocumentError(f"{path} has the same name twice in one mapping ({_where(error)})") from None
    except (OSError, yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        what = "mapping" if kind is dict else "list"
        raise DocumentError(f"{path} is not YAML with a `{name}` {what} ({_where(error)})") from None
    return found


def _where(error: Exception) -> str:
    # Not the error's own text, which repeats lines of the file, and there may be secrets in it.
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else type(error).__name__


def mistakes(messages: Any, path: str = "") -> Iterator[str]:
    """Every mistake in a line of its own; names that nobody could have meant are not repeated."""
    if not isinstance(messages, dict):
        yield f"{path}: {' '.join(map(str, messages))}" if path else " ".join(map(str, messages))
        return
    for name, inner in messages.items():
        shown = str(name) if isinstance(name, int) or (str(name).isidentifier() and len(name) < _LONGEST_NAME) else "?"
        unnamed = name == "_schema" or (name == "value" and path)
        yield from mistakes(inner, path if unnamed else f"{path}.{shown}".lstrip("."))
