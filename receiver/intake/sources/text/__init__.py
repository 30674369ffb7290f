"""A ticket's text as a person reads it, from whatever form its helpdesk keeps it in."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from html import unescape

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
# What is left of a text that was escaped twice, as by a helpdesk that keeps HTML and escapes it again for its template.
_DOUBLY_ESCAPED = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)


def readable(value: object, form: str, until: float | None = None) -> str:
    """The text of a field, without what mail programs add: earlier messages and signatures.

    `form` is html, text, markdown or adf (Atlassian's document format, as a mapping or as JSON); `until` is for HTML,
    see there. Of control characters only line feeds and tabs are left; what goes beyond 200,000 characters is cut, and
    says so. Never raises, and is empty only where there was nothing to read.
    """
    if isinstance(value, list):
        parts = [readable(item, form, until) for item in value[:_MOST_PARTS] if not isinstance(item, list)]
        return text_limits.body("\n".join(part for part in parts if part))
    if isinstance(value, Mapping):
        return _trimmed_and_bounded(adf.rendered(value), "adf")
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int) and abs(value) >= 10**100:
        return ""  # Python refuses to write out very long ones.
    # Pictures inside the text go first, so that they do not use up the room of what people wrote.
    text = _INLINE_DATA.sub("", str(value))
    plain = _without_unseen(text[:MOST_INPUT])
    if form == "html":
        plain = html_text.rendered(plain, until)
    elif form == "markdown":
        plain = markdown.rendered(plain)
    elif form == "adf" and plain.startswith("{"):
        # A document that was sent as JSON inside a text.
        with suppress(ValueError, RecursionError):
            document = json.loads(plain)
            plain = adf.rendered(document) if isinstance(document, Mapping) else plain
    found = _trimmed_and_bounded(plain, form)
    return found if len(text) <= MOST_INPUT else text_limits.body(found + text_limits.CUT)


def _without_unseen(text: str) -> str:
    """`text` without what nobody sees."""
    return _UNSEEN.sub("", _LINE_END.sub("\n", text))


def _trimmed_and_bounded(text: str, form: str) -> str:
    bounded = text[:MOST_INPUT]  # The signs of quotes and lists have made it longer.
    clean = _without_unseen(unescape(bounded) if "&" in bounded and _DOUBLY_ESCAPED.search(bounded) else bounded)
    found = _without_loose_blanks(trimmed(_without_loose_blanks(clean), quotes_are_history=form == "html"))
    return text_limits.body(found if bounded == text else found + text_limits.CUT)


def _without_loose_blanks(text: str) -> str:
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()
