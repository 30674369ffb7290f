"""HTML to text. libxml2 parses and reports tags as they come; no tree is built, so no nesting exhausts anything."""

import re
import time
from html import unescape

from lxml import etree  # type: ignore[import-untyped]

from receiver.intake.sources.text.writer import TooDeepError, Writer

_PIECE = 16_384  # Characters that are parsed before the clock is looked at.
_LONGEST_READING = 0.5  # Seconds of this thread's processor time; a tenth is much for what people send.
PLAIN = "\n[read without its formatting, which is nested too deeply]"

# What stands between angle brackets in plain text, an e-mail address above all, is no tag.
_TAG = re.compile(r"</?[a-zA-Z][\w-]*(?::[\w-]+)?(?=[\s/>])[^<>]*>|<!--")
_ENCODED_TAG = re.compile(
    r"&(?:amp;)?(?:lt|#0{0,5}60|#x0{0,5}3c);/?(?:p|br|div|span|ul|ol|li|a|b|i|strong|em|table|img)\b", re.IGNORECASE
)
_ENCODINGS = 2  # How many times a document may have been made a text of another.


def rendered(source: str, until: float | None = None) -> str:
    """The text in `source`: lines for blocks, "- " for list items, "a | b" for table rows, "text (url)" for links.

    What a mail program quotes has "> " before each line. Entities may be encoded twice, as GLPI sends them. Where the
    tags are nested too deeply, or take too long to read, the text alone is taken, and its last line says so. `until`
    is when that is, of this thread's processor time, where several texts share it; else a text has half a second.
    """
    for _ in range(_ENCODINGS):
        if not _TAG.search(source) and _ENCODED_TAG.search(source):
            source = unescape(source)
    if not _TAG.search(source):
        return unescape(source)  # A text that only says it is HTML; its line breaks are meant.
    text = _text_by_tags(source, time.thread_time() + _LONGEST_READING if until is None else until)
    if text is None:
        return _without_tags(source) + PLAIN
    return text if text.strip() else _without_tags(source)


def _text_by_tags(source: str, until: float) -> str | None:
    """The text as its tags say; None where reading them would hold up everything else."""
    writer = Writer()
    parser = etree.HTMLParser(target=writer, recover=True, huge_tree=True)
    try:
        for start in range(0, len(source), _PIECE):
            if time.thread_time() > until:  # Before the first piece too: of many short texts each is but one.
                return None
            parser.feed(source[start : start + _PIECE])
        parser.close()
    except TooDeepError:
        return None
    except (etree.LxmlError, ValueError, AssertionError):
        return ""  # What cannot be parsed at all is read without its tags.
    return writer.text()


def _without_tags(source: str) -> str:
    """The crude way, for what the parser finds nothing in: a comment that never ends, or hidden text alone."""
    bare = re.sub(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", " ", source, flags=re.IGNORECASE | re.DOTALL)
    bare = re.sub(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^<>]*>", "\n", bare, flags=re.IGNORECASE)
    return unescape(re.sub(r"</?[a-zA-Z!][^<>]*>|<!--|-->", " ", bare))
