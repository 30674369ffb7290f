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
    """Whether `data` holds the address in any case, also inside gzip.

    Each of its characters may be plain, or escaped as forms (%40), JSON (backslash, u0040) or HTML (&#64;) do.
    Bytes in base64 or another compression are not looked into.
    """
    pattern = _pattern(address)
    return bool(pattern.search(data)) or any(pattern.search(piece) for piece in _unpacked(data))


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
