"""Whether a ticket's text tries to command the model that reads it. A guess, which sends to review. Pure."""

import base64
import binascii
import codecs
import html
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from jobs.classification.clean_text import composed, hidden, sanitise

_WORDS = Path(__file__).with_name("prompts") / "steering.txt"
_LOOKALIKES = str.maketrans("аеорсухіјѕԁһкмтвнАЕОРСУХІЈЅКМТВНαειορυνκτ", "aeopcyxijsdhkmtbhAEOPCYXIJSKMTBHaeiopuvkt")
_LEET = str.maketrans("013457@$", "oieastas")
_SPACED = re.compile(r"\b\w(?:[ ._*-]\w){5,}\b")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(r"\b(?:0x)?(?:[0-9a-f]{2}[ ,:]?){12,}", re.I)
_ESCAPED = re.compile(r"(?:\\u[0-9a-f]{4}|\\x[0-9a-f]{2}){4,}", re.I)
_READABLE = 0.9
# A text is only read in another way where that brings one of these to light; most of the time it does not.
_CUES = re.compile(
    r"ignor|instruct|disregard|classif|categor|prompt|confidence|request.?type|system|answer|label", re.I
)
# Latin words with letters of another alphabet amid them, with something invisible behind every letter, or in the wide
# forms that only East Asian texts have a use for: they are written so for machines.
_DISGUISED = re.compile(
    "[A-Za-z][\u0430\u0435\u043e\u0440\u0441\u0445\u0456\u0458\u0455\u0501\u04bb]{1,3}[A-Za-z]"
    "|(?:[A-Za-z][\u200b-\u200d\u2060]){4}"
)
_WIDE = re.compile("[\uff21-\uff3a\uff41-\uff5a]{4}")
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCES = re.compile(r"[^.!?;\n]+[.!?;\n]*|.", re.DOTALL)
_SHORTEST_NAME = 8
_SCANNED = 8_000  # Somewhat more than the model is shown.
_BEFORE = 50  # Characters between the word that tells somebody what to do and the name of an entry.


def detect(text: str, names: Sequence[str] = ()) -> bool:
    """Whether `text`, as it arrived, tries to command the model. `names` are the catalog's entries and categories.

    It does where it hides one of them, or anything else, in letters: nobody has an honest reason to.
    """
    if _is_disguised(text):
        return True
    known = _plain_names(tuple(names))
    for form in _forms(text, known):
        named = _named(form, known)
        if _signs().search(form) or _is_told(form, named) or _named(composed(text), named) != named:
            return True
    return False


def _is_disguised(text: str) -> bool:
    is_wide = _WIDE.search(text) and not _EAST_ASIAN.search(text)
    return bool(is_wide or _DISGUISED.search(text))


def names_entry(text: str, name: str) -> bool:
    """Whether the text spells a catalog entry's name out, which requesters seldom do; case and spacing aside."""
    return len(name) >= _SHORTEST_NAME and " ".join(name.split()).casefold() in " ".join(text.split()).casefold()


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[dict[str, str], list[str]]:
    """The word lists and the expressions of the file."""
    lines = [line for line in _WORDS.read_text(encoding="utf-8").splitlines() if line and not line.startswith("# ")]
    lists = dict(line.split(" = ", 1) for line in lines if re.match(r"\w+ = ", line))
    return lists, [line for line in lines if not re.match(r"\w+ = ", line)]


@lru_cache(maxsize=1)
def _signs() -> re.Pattern[str]:
    lists, lines = _vocabulary()
    written = [re.sub(r"\{\{(\w+)}}", lambda name: lists[name[1]], line) for line in lines]
    # Most of them begin with a word; tried only where one does, and not at every letter, they cost half.
    words = "|".join(line.removeprefix(r"\b") for line in written if line.startswith(r"\b"))
    others = "|".join(line for line in written if not line.startswith(r"\b"))
    return re.compile(rf"\b(?=\w)(?:{words})|{others}", re.I | re.M)


def without_names(text: str, names: Sequence[str]) -> str:
    """The text without the sentences that spell out one of the `names`."""
    named = _named(text, _plain_names(tuple(names)))
    if not named:
        return text
    spans = [found.span() for found in _spelled(named).finditer(text)]
    return "".join(
        part[0]
        for part in _SENTENCES.finditer(text)
        if not any(start < part.end() and part.start() < end for start, end in spans)
    )


Names = dict[str, str]
"""Names as the catalog writes them, by what is looked for in a text of which case and spacing do not matter."""


@lru_cache(maxsize=4)
def _plain_names(names: tuple[str, ...]) -> Names:
    """The names that are no everyday word."""
    return {_plain(name): name for name in names if len(name) >= _SHORTEST_NAME and not name.isalpha()}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _named(text: str, names: Names) -> Names:
    """Those that stand in the text. One after the other: a pattern of a thousand long names takes a minute."""
    plain = _plain(text)
    return {wanted: name for wanted, name in names.items() if wanted in plain}


def _spelled(names: Names) -> re.Pattern[str]:
    """A pattern of the names, of which there should be few; what has several words may be broken anywhere."""
    longest_first = sorted(names.values(), key=len, reverse=True)
    return re.compile("|".join(re.escape(name).replace(r"\ ", r"\s+") for name in longest_first), re.I)


def _is_told(form: str, named: Names) -> bool:
    """Whether a word that tells somebody what to do stands close before the name of an entry."""
    if not named:
        return False
    tell = rf"\b(?:{_vocabulary()[0]['tell']})\b(?!\s*:)[^.!?\n]{{0,{_BEFORE}}}"  # Not a form's field with a colon.
    return bool(re.search(f"{tell}(?:{_spelled(named).pattern})", form, re.I))


def _forms(text: str, names: Names) -> Iterator[str]:
    """The text, and what it says to a reader who decodes what is encoded in it."""
    plain = sanitise(text, limit=_SCANNED)
    yield plain
    yield hidden(text)
    for other in (
        html.unescape(unquote(plain)),
        plain.translate(_LOOKALIKES),
        plain.translate(_LEET),
        _SPACED.sub(lambda found: re.sub(r"[\W_]", "", found[0]), plain),
        _ESCAPED.sub(lambda found: found[0].encode().decode("unicode_escape", "ignore"), plain),
        plain[::-1],
        codecs.encode(plain, "rot13"),
    ):
        if other != plain and (_CUES.search(other) or _named(other, names)):
            yield other
    yield from _decoded(plain)


def _decoded(text: str) -> Iterator[str]:
    for found in _BASE64.findall(text):
        with_padding = found.rstrip("=") + "=" * (-len(found.rstrip("=")) % 4)
        try:
            yield _readable(base64.b64decode(with_padding, altchars=b"-_" if {"-", "_"} & set(found) else None))
        except (binascii.Error, ValueError):
            continue
    for found in _HEX.findall(text):
        digits = re.sub(r"0x|[^0-9a-f]", "", found, flags=re.I)
        yield _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _readable(content: bytes) -> str:
    """What was decoded, where it is text."""
    text = content.decode("utf-8", "ignore")
    return text if text and sum(map(str.isprintable, text)) >= _READABLE * max(len(text), len(content) // 2) else ""
