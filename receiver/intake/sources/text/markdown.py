"""Markdown, which people read as it is, without what only a browser shows."""

import re

_IMAGE = re.compile(r"!\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^()\s]{1,2000})\)")
_TAG = re.compile(
    r"</?(?:br|details|summary|p|div|span|sub|sup|kbd|img|b|i|em|strong)\b[^<>\n]{0,2000}>", re.IGNORECASE
)


def rendered(source: str) -> str:
    """The text in `source`, links as "text (url)"; what is emphasis, list or code stays as it was written."""
    # Not by a pattern, which would look for the end of a comment from the beginning of every one that never ends.
    if "-->" in source:
        first, *others = source.split("<!--")
        source = first + "".join(part.partition("-->")[2] for part in others)
    text = _IMAGE.sub(r"\1", _TAG.sub("", source))
    return _LINK.sub(lambda link: link[2] if link[1] == link[2] else f"{link[1]} ({link[2]})", text)
