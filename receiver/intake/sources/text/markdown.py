"""Markdown, which people read as it is, without what only a browser shows."""

import re

_IMAGE = re.compile(r"!\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^()\s]{1,2000})\)")
_TAG = re.compile(
    r"</?(?:br|details|summary|p|div|span|sub|sup|kbd|img|b|i|em|strong)\b[^<>\n]{0,2000}>", re.IGNORECASE
)


def rendered(source: str) -> str:
    """The text in `source`, links as "text (url)"; what is emphasis, list or code stays as it was written."""
    text = _TAG.sub("", _without_comments(source))
    return _LINK.sub(_link, _IMAGE.sub(r"\1", text))


def _without_comments(source: str) -> str:
    """Not a pattern, which would look for the end of a comment from the beginning of every one that never ends."""
    first, *others = source.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in others) if "-->" in source else source


def _link(found: re.Match[str]) -> str:
    return found[2] if found[1] == found[2] else f"{found[1]} ({found[2]})"
