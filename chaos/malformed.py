"""Malformed bodies from seeds and mutations; none of them may become a ticket or an error of ours."""

import json
import random
from collections.abc import Callable

GOOD = {
    "id": "F-1",
    "short_description": "VPN does not connect",
    "long_description": "Since this morning.",
    "requester_email": "ada@example.com",
    "priority": "high",
    "url": "https://desk.example.com/1",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-02T00:00:00Z",
}
_FIELDS = list(GOOD)
_WRONG = [True, False, 1.5, [], ["x"], {}, {"a": 1}, "\x00", "a\ud800", "x" * 5_000]
_NUMBERS = ["NaN", "Infinity", "-Infinity", "9" * 41, "9" * 5_000, "01", "+1", "1.", "0x1", "1e", "--1"]
_STRINGS = ['"\\u12"', '"\\x41"', "'x'", '"\x01"', '"unclosed']
_PIECES = [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\x00", b"\xff", b"\xed\xa0\x80", b"null", b"NaN", b"1"]


def body(rng: random.Random) -> bytes:
    """One malformed body; the same seed makes the same one."""
    return rng.choice(_MAKERS)(rng)


def _written(rng: random.Random, ticket: object) -> bytes:
    wrapped = rng.choice([ticket, [ticket], {"tickets": [ticket]}, {"data": ticket}, {"requests": [ticket] * 2}])
    return json.dumps(wrapped, ensure_ascii=rng.random() < 0.9).encode("utf-8", "surrogatepass")


def _wrong_type(rng: random.Random) -> bytes:
    return _written(rng, GOOD | {"id": rng.choice([*_WRONG, "", " ", None])})


def _missing(rng: random.Random) -> bytes:
    kept = rng.sample(_FIELDS, rng.randint(0, len(_FIELDS)))
    ticket = {name: value for name, value in GOOD.items() if name in kept}
    ticket.pop(rng.choice(["id", "short_description"]), None)
    return _written(rng, ticket)


def _odd_value(rng: random.Random) -> bytes:
    return _in_place(rng, rng.choice(_NUMBERS + _STRINGS))


def _deep(rng: random.Random) -> bytes:
    depth = rng.choice([1_000, 5_000, 100_000])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    return _in_place(rng, opening * depth + "1" + closing * (depth if rng.random() < 0.7 else 0))


def _in_place(rng: random.Random, written: str) -> bytes:
    """A ticket with `written` as a value that cannot be left out of account: as the whole, or as one more field."""
    place = rng.choice(['{%s, "more": VALUE}', "VALUE", '{"more": VALUE, %s}', '[{%s, "more": [VALUE]}]'])
    return place.replace("%s", json.dumps(GOOD)[1:-1]).replace("VALUE", written).encode()


def _twice(rng: random.Random) -> bytes:
    name = rng.choice(_FIELDS)
    return f'{{{json.dumps(GOOD)[1:-1]}, "{name}": {json.dumps(GOOD[name])}}}'.encode()


def _cut(rng: random.Random) -> bytes:
    whole = _written(rng, GOOD)
    return whole[: rng.randrange(len(whole))]


def _stitched(rng: random.Random) -> bytes:
    """A good body with a byte that cannot stand there put in, so that it is JSON no more."""
    whole = bytearray(_written(rng, GOOD))
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(whole))
        whole[place : place + rng.randint(0, 3)] = rng.choice(_PIECES)
    return bytes(whole) + rng.choice([b"\x00", b"}", b"]", b"{", b",", b"\xff"])


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(0, 2_000))


def _other_format(rng: random.Random) -> bytes:
    whole = json.dumps(GOOD)
    forms = [whole.encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-7")]
    return rng.choice(
        [*forms[:3], b"<t>x</t>", b"id=1&short_description=x", b"id: 1\n", b"", b" ", b"\x1f\x8b\x08\x00"]
    )


def _no_ticket(rng: random.Random) -> bytes:
    nothing: list[object] = [None, True, 0, -1.5, "x", [], {}, [[]], [None], {"tickets": []}, {"data": None}]
    return json.dumps(rng.choice(nothing)).encode()


_MAKERS: list[Callable[[random.Random], bytes]] = [
    _wrong_type, _missing, _odd_value, _deep, _twice, _cut, _stitched, _noise, _other_format, _no_ticket,
]  # fmt: skip
