"""HTML to text. libxml2 parses and reports tags as they come; no tree is built, so no nesting exhausts anything."""

import re
from html import unescape

from lxml import etree  # type: ignore[import-untyped]

from receiver.sources.text.writer import Writer

# What stands between angle brackets in plain text, an e-mail address above all, is no tag.
_TAG = re.compile(r"</?[a-zA-Z][\w-]*(?::[\w-]+)?(?=[\s/>])[^<>]*>|<!--")
_ENCODED_TAG = re.compile(
    r"&(?:amp;)?(?:lt|#0{0,5}60|#x0{0,5}3c);/?(?:p|br|div|span|ul|ol|li|a|b|i|strong|em|table|img)\b", re.IGNORECASE
)
_ENCODINGS = 2  # How many times a document may have been made a text of another.


def rendered(source: str) -> str:
    """The text in `source`: lines for blocks, "- " for list items, "a | b" for table rows, "text (url)" for links.

    What a mail program quotes has "> " before each line. Entities may be encoded twice, as GLPI sends them.
    """
    for _ in range(_ENCODINGS):
        if not _TAG.search(source) and _ENCODED_TAG.search(source):
            source = unescape(source)
    if not _TAG.search(source):
        return unescape(source)  # A text that only says it is HTML; its line breaks are meant.
    text = _parsed(source)
    return text if text.strip() else _without_tags(source)


def _parsed(source: str) -> str:
    writer = Writer()
    parser = etree.HTMLParser(target=writer, recover=True, huge_tree=True)
    try:
        parser.feed(source)
        parser.close()
    except (etree.LxmlError, ValueError, AssertionError):
        return ""  # What cannot be parsed at all is read without its tags.
    return writer.text()


def _without_tags(source: str) -> str:
    """The crude way, for what the parser finds nothing in: a comment that never ends, or hidden text alone."""
    bare = re.sub(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", " ", source, flags=re.IGNORECASE | re.DOTALL)
    return unescape(re.sub(r"</?[a-zA-Z!][^<>]*>|<!--|-->", " ", bare))
