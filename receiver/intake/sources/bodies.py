"""What a body says: compression, character set, JSON or a form, whatever the helpdesk wraps its tickets in.

Every fault is a ValueError whose text names the place and what to do, and repeats nothing of the body.
"""

import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NoReturn
from urllib.parse import parse_qsl

from receiver.intake.sources.json_repair import mended

_MEMBERS = 100  # More gzip members than any sender makes; each costs a copy of what is left.
_FORM_FIELDS = 1_000
_PIECE = 65_536
_DIGITS = 40
_FORM = "application/x-www-form-urlencoded"
# Form fields whose value is JSON: GitHub's, ServiceDesk Plus's, and our own wrappers.
_JSON_FIELDS = {"payload", "input_data", "json", "data", "tickets", "requests"}
_STRAY_BYTE = re.compile("[\udc80-\udcff]+")

_JSON_FILTER = "use the template's JSON filter (`| json`, `| to_json` or the like) for every text"
_HINTS = {
    "Invalid control character": f"a line break or another control character inside a text; {_JSON_FILTER}",
    "Expecting ',' delimiter": f"often a quotation mark inside a text; {_JSON_FILTER}",
    "Expecting ':' delimiter": f"often a quotation mark inside a text; {_JSON_FILTER}",
    "Expecting property name": "a comma before a closing bracket, or a name without double quotation marks",
    "Illegal trailing comma": "there is a comma before a closing bracket; remove it",
    "Invalid \\": f"a backslash inside a text; {_JSON_FILTER}",
    "Unterminated string": "a text has no closing quotation mark; the body may have been cut off",
    "Extra data": "there is more after the end; send one document, several tickets as a list",
    "Expecting value": "a value is missing, often an empty placeholder; put quotation marks around placeholders",
}


class NotJSONError(ValueError):
    """The text is not JSON from this `line` and `column` on; the first are 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line, self.column = line, column


def decode(body: bytes, content_type: str, content_encoding: str, *, lenient: bool, max_bytes: int) -> object:
    """The value in a body: JSON, or a form as a mapping of its fields.

    `content_type` and `content_encoding` are the headers' values, empty where there are none; `max_bytes` bounds the
    body as sent and as unpacked. `lenient` takes single bytes that are not UTF-8 for Windows-1252, and gives a broken
    JSON text one more try after `mending`. A form of one field that holds JSON is that JSON. Raises ValueError.
    """
    plain = unpacked(body, content_encoding, max_bytes)
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise ValueError("the body is multipart; have the helpdesk send JSON (application/json)")
    return _parse_form(plain, lenient) if kind == _FORM else parse_json(plain, lenient=lenient)


def parse_json(body: bytes, *, lenient: bool = False) -> object:
    """The value in a JSON body; see `decode` for what is taken besides. Raises ValueError."""
    decoded = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return _parse_text(_valid_text(decoded, body, lenient), lenient)


def unpacked(body: bytes, content_encoding: str, max_bytes: int) -> bytes:
    """The body without its compression. Raises ValueError, also where more than `max_bytes` are in it."""
    encoding = content_encoding.strip().lower()
    if len(body) > max_bytes:
        raise ValueError(f"the body is larger than {max_bytes:,} bytes")
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise ValueError("the body has a Content-Encoding that is not gzip; send it without one")
    # It is unpacked twice: what is too large is found out without being kept.
    left = max_bytes
    for piece in _unpacked_pieces(body):
        left -= len(piece)
        if left < 0:
            raise ValueError(f"the body unpacks to more than {max_bytes:,} bytes")
    return b"".join(_unpacked_pieces(body))


def _unpacked_pieces(body: bytes) -> Iterator[bytes]:
    source = io.BytesIO(body)
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        rest = b""
        while not member.eof:
            rest = rest or source.read(_PIECE)  # Piece by piece, for what is left over is copied each time.
            try:
                piece = member.decompress(rest, _PIECE)
            except zlib.error:
                raise ValueError("the body is not gzip, though its Content-Encoding says so") from None
            if not rest and not piece and not member.eof:
                raise ValueError("the gzip body is cut off before its end")
            yield piece
            rest = member.unconsumed_tail
        source.seek(-len(member.unused_data), io.SEEK_CUR)
        # Zeros are allowed between members and after the last one, as tape drives pad what they write.
        while piece := source.read(_PIECE):
            if left := piece.lstrip(b"\x00"):
                source.seek(-len(left), io.SEEK_CUR)
                break
        else:
            return
    raise ValueError(f"the gzip body has more than {_MEMBERS} members")


def _valid_text(decoded: str, body: bytes, lenient: bool) -> str:
    """`decoded`, in which bytes that are not UTF-8 are surrogates, as true text."""
    if not _STRAY_BYTE.search(decoded):
        return decoded
    if lenient:
        return _STRAY_BYTE.sub(_windows_letters, decoded)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: byte {error.start} is invalid") from None
    raise ValueError("the body is not UTF-8: a %-escape in it is invalid")


def _windows_letters(stray: re.Match[str]) -> str:
    """Byte by byte, so that one stray letter does not garble a body that is UTF-8 otherwise."""
    raw = stray[0].encode("utf-8", "surrogateescape")
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:  # Five bytes are no letter there.
        return raw.decode("latin-1")


def _parse_form(body: bytes, lenient: bool) -> object:
    raw = body.decode("utf-8", "surrogateescape")
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="surrogateescape", max_num_fields=_FORM_FIELDS)
    except ValueError:
        raise ValueError(f"the form has more than {_FORM_FIELDS:,} fields") from None
    texts = [(_valid_text(name, body, lenient), _valid_text(value, body, lenient)) for name, value in pairs]
    fields = _unique_keys(texts)
    if not fields:
        raise ValueError("the form in the body has no fields")
    for name, text in texts:
        if text.lstrip()[:1] in ("{", "[") and (name in _JSON_FIELDS or len(fields) == 1):
            fields[name] = _parse_text(text, lenient)
            if len(fields) == 1:
                return fields[name]
    return fields


def _parse_text(text: str, lenient: bool) -> object:
    """The value in a JSON text. Raises NotJSONError, which says what is the usual cause of such a fault."""
    try:
        return _load_strictly(text)
    except json.JSONDecodeError as error:
        second = mended(text) if lenient else None
        if second is not None:
            with suppress(json.JSONDecodeError):  # The first fault is the one in what was sent.
                return _load_strictly(second)
        hint = next((hint for start, hint in _HINTS.items() if error.msg.startswith(start)), None)
        if not text.strip():
            hint = "it is empty"
        elif text.lstrip()[:1] == "<":
            hint = "it looks like XML or HTML; choose JSON in the helpdesk"
        elif error.pos >= len(text.rstrip()):
            hint = "it ends there, so it may have been cut off on its way"
        where = f"the body is not JSON: {error.msg.removesuffix(' at')} at line {error.lineno} column {error.colno}"
        raise NotJSONError(f"{where} ({hint})" if hint else where, error.lineno, error.colno) from None


def _load_strictly(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_bounded_int)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def _unique_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    # Parsers differ in which of two they take, so whoever checked the body before us may have seen another ticket.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the body has an object with the same key twice, so what it means is not certain")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the body contains {name}, which is not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > _DIGITS:  # To read a number takes the square of its digits.
        raise ValueError(f"the body contains a number of {len(digits)} digits")
    return int(digits)
