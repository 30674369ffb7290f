"""Which phrases of a ticket its classification's reason names. Pure; the template escapes every piece."""

import re
from collections.abc import Iterator
from itertools import groupby

_WORD = re.compile(r"[^\W_]+(?:[-'’.@][^\W_]+)*")
# Words; a reason is a sentence.
_LONGEST_REASON = 120
# Characters of a text: engines read no more than its beginning, and comparing costs time on every page.
_LOOKED_AT = 20_000
_DULL_WORDS = (
    "about after again all also and another any are asks because been before being but can cannot could did does"
    " doing for from had has have her him his how into is issue it its just like more most need needs new not"
    " nothing now of on only or other our out over problem reports request requester says she should since so some such"
    " than that the their them then there they this ticket to told too under user users very was wants were what"
    " when where which who will with without would you your names catalog's"
)
_DULL = frozenset(_DULL_WORDS.split())

Piece = tuple[str, bool]


def pieces(text: str, reason: str) -> list[Piece]:
    """The text in pieces, each with whether the reason names it."""
    # A byte for each character: matches may touch or overlap, and this joins them.
    marked = bytearray(len(text))
    for start, end in _matching_spans(text, reason):
        marked[start:end] = b"\1" * (end - start)
    found, at = [], 0
    for is_marked, run in groupby(marked):
        length = sum(1 for _ in run)
        found.append((text[at : at + length], bool(is_marked)))
        at += length
    return found


def _matching_spans(text: str, reason: str) -> Iterator[tuple[int, int]]:
    """Where runs of the reason's words stand in the text; the longest run at each place."""
    said = [word[0].casefold() for word in _WORD.finditer(reason)][:_LONGEST_REASON]
    places: dict[str, list[int]] = {}
    for place, word in enumerate(said):
        places.setdefault(word, []).append(place)
    found = [(match.start(), match.end(), match[0].casefold()) for match in _WORD.finditer(text, 0, _LOOKED_AT)]
    at = 0
    while at < len(found):
        run = max((_matching_words(found, at, said, place) for place in places.get(found[at][2], ())), default=0)
        words = found[at : at + run]
        # "of the printer" is a match for "printer" alone: articles and the like at the ends are not marked.
        while words and _is_dull(words[-1][2]):
            words.pop()
        while words and _is_dull(words[0][2]):
            words.pop(0)
        if words:
            yield words[0][0], words[-1][1]
        at += max(run, 1)


def _matching_words(found: list[tuple[int, int, str]], at: int, said: list[str], place: int) -> int:
    """How many words from here on are the same in the text and in the reason."""
    length = 0
    while at + length < len(found) and place + length < len(said) and found[at + length][2] == said[place + length]:
        length += 1
    return length


def _is_dull(word: str) -> bool:
    # Short words say nothing, unless they hold a digit as in "F4".
    return word in _DULL or (len(word) < 3 and not any(map(str.isdigit, word)))
