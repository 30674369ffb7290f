"""Whether bytes hold an e-mail address, in whatever way a sender may have written it."""

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache

_GZIP = 31  # What zlib calls a gzip member; https://zlib.net/manual.html#Advanced
_PIECE, _OVERLAP = 2**20, 2**13
_MOST_UNPACKED = 2**29
_BACKSLASHES = rb"(?:\\|%5[cC])*"  # More of them where JSON stands inside JSON, or inside a form.


def holds(data: bytes, address: str) -> bool:
    """Whether `data` holds the address in any case, also inside gzip, and not as a part of a longer address.

    Each of its characters may be plain, or escaped as forms (%40), JSON (backslash, u0040) or HTML (&#64;) do.
    Bytes in base64 or another compression are not looked into.
    """
    pattern = _pattern(address)
    return any(
        _is_whole(piece, found.start(), found.end())
        for pieces in ((data,), _unpacked(data))
        for piece in pieces
        for found in pattern.finditer(piece)
    )


def anywhere(data: bytes, address: str) -> bool:
    """As `holds`, where a part of a longer address counts too: in a database's file nothing parts two columns."""
    pattern = _pattern(address)
    return bool(pattern.search(data)) or any(pattern.search(piece) for piece in _unpacked(data))


def whole(text: str, address: str) -> bool:
    """Whether a text names the address in any case, and not as a part of a longer one."""
    return any(_at(text, address))


def masked(text: str, address: str, mark: str) -> str:
    """The text with `mark` in the place of the address, wherever `whole` finds it."""
    parts, end = [], 0
    for found in _at(text, address):
        parts += [text[end : found.start()], mark]
        end = found.end()
    return "".join([*parts, text[end:]])


def _at(text: str, address: str) -> Iterator[re.Match[str]]:
    for found in re.finditer(re.escape(address), text, re.IGNORECASE):
        before = text[max(0, found.start() - 8) : found.start()].encode("utf-8", "replace")
        after = text[found.end() : found.end() + 30].encode("utf-8", "replace")
        if _is_whole(before + b"@" + after, len(before), len(before) + 1):
            yield found


# What a longer address would go on with, to the left and to the right of this one. The end of an escape is no letter of
# it: better to take too much for the address than to leave it anywhere. A plus is a space in forms.
_LONGER_LEFT = re.compile(rb"[A-Za-z0-9][._-]*\Z")
_ESCAPE_LEFT = re.compile(rb"(?:\\[bfnrtv]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|=[0-9A-F]{2})\Z")
_LONGER_RIGHT = re.compile(rb"[A-Za-z0-9-]|\.[a-z]{2,24}(?![A-Za-z0-9])")


def _is_whole(data: bytes, start: int, end: int) -> bool:
    before = data[max(0, start - 8) : start]
    if _LONGER_LEFT.search(before) and not _ESCAPE_LEFT.search(before):
        return False
    return not _LONGER_RIGHT.match(data[end : end + 30])


@lru_cache(maxsize=8)
def _pattern(address: str) -> re.Pattern[bytes]:
    # Without IGNORECASE, and each way beginning with a literal: then the search skips what cannot be a beginning.
    return re.compile(b"".join(_any_way(character) for character in address))


def _any_way(character: str) -> bytes:
    cases = sorted({character.lower(), character.upper()})
    return b"(?:%s)" % b"|".join(way for case in cases for way in _ways(case))


def _ways(text: str) -> Iterator[bytes]:
    units = text.encode("utf-16-be")
    yield re.escape(text.encode())
    yield b"".join(b"%" + _hex(f"{byte:02x}") for byte in text.encode())
    escaped = [b"u" + _hex(units[i : i + 2].hex()) for i in range(0, len(units), 2)]
    for backslash in (rb"\\", rb"%5[cC]"):
        yield backslash + _BACKSLASHES + (rb"(?:\\|%5[cC])" + _BACKSLASHES).join(escaped)
    if len(text) == 1:
        yield b"&#0*%d;" % ord(text)
        yield b"&#[xX]0*" + _hex(f"{ord(text):x}") + b";"


def _hex(digits: str) -> bytes:
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits).encode()


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What a gzip body holds, also one that is cut off, in pieces that overlap; a bomb's first half gigabyte."""
    rest, before, left = data, b"", _MOST_UNPACKED
    while rest.startswith(b"\x1f\x8b") and left > 0:
        member = zlib.decompressobj(wbits=_GZIP)
        while rest and not member.eof and left > 0:
            try:
                piece = member.decompress(rest, _PIECE)
            except zlib.error:
                return
            rest, left = member.unconsumed_tail, left - len(piece)
            yield before + piece
            before = (before + piece)[-_OVERLAP:]
        rest = member.unused_data.lstrip(b"\x00")
