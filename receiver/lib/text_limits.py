"""What a person wrote, within bounds: how long a ticket's texts may be, and how many marks a letter may carry. Pure."""

import re
import unicodedata
from functools import lru_cache

MOST_SUBJECT, MOST_TEXT = 500, 200_000  # Characters that are kept of a ticket; the delivery has all of them.
CUT = "\n[cut off: the text is longer]"
_CUT_SUBJECT = "…"
MOST_MARKS = 30  # As in Unicode's "stream-safe text format" (UAX #15, section 13), which no language comes near.
_BEYOND_TABLE = re.compile("[\U00010000-\U0010ffff]")
_FIRST_MARK, _BEHIND_LAST_MARK = 0x300, 0x1F000


def subject(text: str) -> str:
    """The text, cut where it is too long for a subject, which its last sign shows."""
    return _cut_to(without_stacks(text), MOST_SUBJECT, _CUT_SUBJECT)


def body(text: str) -> str:
    """The text, cut where it is too long for a ticket, which its last line says."""
    return _cut_to(without_stacks(text), MOST_TEXT, CUT)


def _cut_to(text: str, most: int, mark: str) -> str:
    return text if len(text) <= most else text[: most - len(mark)].removesuffix(mark).rstrip() + mark


def without_stacks(text: str) -> str:
    """The text with 30 combining marks on a letter at most.

    To sort the marks of a letter, as Unicode's normal forms ask, takes the square of their number.
    """
    if text.isascii():
        return text
    # Python looks a sign of the first 65,536 up in a table, and compares it with all others of a set one by one.
    last = _BEHIND_LAST_MARK if _BEYOND_TABLE.search(text) else 0x10000
    return _stack_pattern(last).sub(r"\1", text)


@lru_cache(maxsize=2)
def _stack_pattern(last: int) -> re.Pattern[str]:
    """What finds too many marks, of those whose code is below `last`."""
    marks = "".join(chr(code) for code in range(_FIRST_MARK, last) if unicodedata.combining(chr(code)))
    # The first mark stands alone, for a search for a set of signs is fast and one for a repetition of it is not.
    return re.compile(f"([{marks}][{marks}]{{{MOST_MARKS - 1}}})[{marks}]+")
