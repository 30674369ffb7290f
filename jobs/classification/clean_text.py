"""What an engine may see of a ticket's text: nothing invisible, one form of each letter, a bounded length. Pure."""

import re
import unicodedata

from receiver.lib.text_limits import without_stacks

MAX_TEXT = 6_000
_CUT = "\n[... cut ...]\n"

# Zero-width, bidi, soft-hyphen and filler characters show nothing, and split or reorder the words around them.
# Tag characters spell ASCII that nobody sees; https://www.unicode.org/charts/PDF/UE0000.pdf
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Compatibility forms of letters, digits and signs; superscripts and the like change meaning and stay as they are.
_COMPATIBLE = re.compile("[\u2100-\u214f\u2460-\u24ff\u3000\ufb00-\ufb06\uff01-\uff5e\U0001d400-\U0001d7ff]+")
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")


def sanitise(text: str, limit: int = MAX_TEXT) -> str:
    """The text without what cannot be seen, cut in its middle with a mark where it is above `limit` characters."""
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", text.replace("\r\n", "\n")))
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return cut(composed(text), limit)


def composed(text: str) -> str:
    """The text in Unicode's form NFC, in a time that grows with its length alone."""
    return text if text.isascii() else unicodedata.normalize("NFC", without_stacks(text))


def cut(text: str, limit: int) -> str:
    """The beginning and the end of a text that is longer than `limit` characters, with a mark between them."""
    if len(text) <= limit:
        return text
    half = (limit - len(_CUT)) // 2
    return text[:half] + _CUT + text[-half:]


def hidden(text: str) -> str:
    """What is spelled in tag characters, which only a machine reads; empty for flags and ordinary text."""
    return " ".join("".join(chr(ord(tag) - 0xE0000) for tag in found) for found in _TAGS.findall(text))
