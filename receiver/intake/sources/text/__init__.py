"""A ticket's text as a person reads it, from whatever form its helpdesk keeps it in."""

import json
import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from receiver.intake.sources.text import adf, html_text, markdown
from receiver.intake.sources.text.history import trimmed
from receiver.lib import text_limits

MOST_INPUT = 400_000
_MOST_PARTS = 100  # Of a text that is a list.
_INLINE_DATA = re.compile(r"data:[a-z]+/[\w.+-]*;base64,[A-Za-z0-9+/=%]*+", re.IGNORECASE)
# Everything that neither a database nor a reader wants: controls but tab and line feed, halves of surrogate pairs,
# and signs without a width, which hide words from whoever looks for them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_EMPTY_LINES = re.compile(r"\n{3,}")


def readable(value: Any, form: str, until: float | None = None) -> str:
    """The text of a field, without what mail programs add: earlier messages and signatures.

    `form` is html, text, markdown or adf (Atlassian's document format, as a mapping or as JSON); `until` is for HTML,
    see there. Of control characters
    only line feeds and tabs are left; what goes beyond 200,000 characters is cut, and says so. Never raises, and is
    empty only where there was nothing to read.
    """
    if isinstance(value, list):
        parts = [readable(item, form, until) for item in value[:_MOST_PARTS] if not isinstance(item, list)]
        return text_limits.body("\n".join(part for part in parts if part))
    if isinstance(value, Mapping):
        return _finished(adf.rendered(value), "adf")
    if value is None or isinstance(value, bool):
        return ""
    text = _INLINE_DATA.sub("", _number(value) if isinstance(value, int) else str(value))
    found = _finished(_rendered(_clean(text[:MOST_INPUT]), form, until), form)
    return found if len(text) <= MOST_INPUT else text_limits.body(found + text_limits.CUT)


def _rendered(text: str, form: str, until: float | None) -> str:
    if form == "adf":
        document = _document(text)
        return text if document is None else adf.rendered(document)
    if form == "html":
        return html_text.rendered(text, until)
    return markdown.rendered(text) if form == "markdown" else text


def _number(value: int) -> str:
    return str(value) if abs(value) < 10**100 else ""  # Python refuses to write out very long ones.


def _document(text: str) -> Mapping[str, Any] | None:
    """An ADF document that was sent as JSON inside a text."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _clean(text: str) -> str:
    """`text` without what nobody sees."""
    return _UNSEEN.sub("", _LINE_END.sub("\n", text))


def _finished(text: str, form: str) -> str:
    bounded = text[:MOST_INPUT]  # The signs of quotes and lists have made it longer.
    clean = _clean(unescape(bounded) if "&" in bounded and _DOUBLY.search(bounded) else bounded)
    found = _tidy(trimmed(_tidy(clean), quotes_are_history=form == "html"))
    return text_limits.body(found if bounded == text else found + text_limits.CUT)


_DOUBLY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)


def _tidy(text: str) -> str:
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()
