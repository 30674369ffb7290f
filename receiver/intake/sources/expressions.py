"""JMESPath (https://jmespath.org) as operators write it: compiled once, and never able to hang the receiver."""

import math
from typing import Any
from urllib.parse import urlsplit

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from marshmallow import ValidationError

_LONGEST = 500
# Every list or object that an expression builds may hold its input as often as it has members, so that a short chain of
# them would fill the memory; the product of their sizes bounds how much larger than the body a result can be. So does
# the number of to_string(), of which each escapes what the one before it wrote.
_MOST_COPIES = 64
_BUILDERS = ("multi_select_list", "multi_select_dict")
_TO_STRING_COPIES = 4


class _Functions(functions.Functions):
    """The standard functions, and ours."""

    @functions.signature({"types": ["string"]})
    def _func_origin(self, url: str) -> str | None:
        """Scheme and host of an address: `origin('https://a.example/rest/1')` is `https://a.example`."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


_OPTIONS = jmespath.Options(custom_functions=_Functions())


class Expression:
    """A compiled path into a parsed body."""

    def __init__(self, text: str) -> None:
        """Raises ValidationError, which says where `text` is wrong."""
        if len(text) > _LONGEST:
            raise ValidationError(f"Longer than {_LONGEST} characters.")
        try:
            self._compiled = jmespath.compile(text)
            copies = _most_copies(self._compiled.parsed)
        except (JMESPathError, RecursionError) as error:
            position = getattr(error, "lex_position", None)
            where = "" if position is None else f" at character {position + 1}"
            raise ValidationError(f"Not a JMESPath expression{where}; see https://jmespath.org.") from None
        if copies > _MOST_COPIES:
            raise ValidationError("Could build far more than it was given; take a shorter way to the field.")
        self.text = text

    def __call__(self, document: object) -> Any:
        """What it finds in `document`; None where there is nothing, or something that it was not written for."""
        try:
            return self._compiled.search(document, _OPTIONS)
        except (JMESPathError, TypeError, ValueError, OverflowError):
            return None


def _most_copies(node: Any) -> int:
    """How many times larger than the body its result may be, roughly and from above."""
    children = [child for child in node.get("children", ()) if isinstance(child, dict)]
    own = 1
    if node["type"] in _BUILDERS:
        own = max(len(children), 1)
    elif node["type"] == "function_expression":
        # What join() puts between texts may be as long as the body, and be put there once for each of them.
        if node["value"] == "join" and children and children[0]["type"] != "literal":
            raise ValidationError("join() takes a text written in quotes as its first argument.")
        own = _TO_STRING_COPIES if node["value"] == "to_string" else 1
    return own * math.prod(_most_copies(child) for child in children)
