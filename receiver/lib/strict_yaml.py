"""The YAML files that operators write: read strictly, and every mistake told with its place."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_LONGEST_NAME = 40


class DocumentError(ValueError):
    """A file is not what it should be; the text says where, and repeats nothing of it."""


class _TwiceError(yaml.MarkedYAMLError):
    """A mapping has the same name twice; the mark says where."""


class _Loader(yaml.SafeLoader):
    """Refuses a mapping with the same name twice, of which YAML silently drops the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _TwiceError(problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def decoded(data: bytes, comment: bytes | None = None) -> str:
    """The text of a file: UTF-8, or UTF-16 as PowerShell and Notepad write it. Raises DocumentError, with the line.

    In lines that begin with `comment` anything may stand: it becomes a mark, and nobody reads it.
    """
    encoding = "utf-8"
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise DocumentError("line 1: it is in UTF-32; save the file as UTF-8")
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            data, encoding = data.removeprefix(mark), name
    if encoding == "utf-8" and b"\0" in data[:2]:  # UTF-16 without its mark; our files begin with a letter or a sign.
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    if encoding != "utf-8":
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            raise DocumentError(f"byte {error.start} is not in {encoding.upper()}; save the file as UTF-8") from None
    lines = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as error:
            if comment is None or not line.lstrip().startswith(comment):
                where = f"line {number}: byte {error.start + 1} ({line[error.start]:#04x})"
                raise DocumentError(f"{where} is not in UTF-8; save the file as UTF-8") from None
            lines.append(line.decode(errors="replace"))
    return "".join(lines)


def part(path: Path, name: str, kind: type) -> Any:
    """What is under `name` at the top of the YAML file at `path`, of this kind. Raises DocumentError."""
    try:
        document = yaml.load(decoded(path.read_bytes()), Loader=_Loader)  # noqa: S506 - a safe one
        found = document[name]
        if not isinstance(found, kind):
            raise TypeError  # noqa: TRY301 - the same answer as for a document of another shape
    except DocumentError as error:
        raise DocumentError(f"{path}, {error}") from None
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from None
    except _TwiceError as error:
        raise DocumentError(f"{path} has the same name twice in one mapping ({_place_of(error)})") from None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        what = "mapping" if kind is dict else "list"
        raise DocumentError(f"{path} is not YAML with a `{name}` {what} ({_place_of(error)})") from None
    return found


def _place_of(error: Exception) -> str:
    # Not the error's own text, which repeats lines of the file, and there may be secrets in it.
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else type(error).__name__


def mistakes(messages: Any, path: str = "") -> Iterator[str]:
    """Every mistake in a line of its own.

    A name that no field could have is shown as `?`: where the indentation is wrong, it may be a secret.
    """
    if not isinstance(messages, dict):
        yield f"{path}: {' '.join(map(str, messages))}" if path else " ".join(map(str, messages))
        return
    for name, inner in messages.items():
        shown = str(name) if isinstance(name, int) or (str(name).isidentifier() and len(name) < _LONGEST_NAME) else "?"
        unnamed = name == "_schema" or (name == "value" and path)
        yield from mistakes(inner, path if unnamed else f"{path}.{shown}".lstrip("."))
