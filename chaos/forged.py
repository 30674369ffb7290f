"""Forged and genuine deliveries for the signature check, made from a seed."""

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from receiver.intake import signatures
from receiver.intake.signatures import SignatureError

NOW = 1_800_000_000


@dataclass(frozen=True)
class Message:
    """What reaches the signature check."""

    headers: dict[str, str]
    body: bytes

    def with_header(self, name: str, value: str | None) -> "Message":
        """The same message with another header, or without it."""
        others = {key: kept for key, kept in self.headers.items() if key != name}
        return replace(self, headers=others if value is None else others | {name: value})


def new_secret(rng: random.Random) -> str:
    """A secret of 24 to 64 bytes, with or without its prefix."""
    prefix = rng.choice(["whsec_", "whsec_", ""])
    return prefix + base64.b64encode(rng.randbytes(rng.randint(24, 64))).decode()


def genuine(rng: random.Random, secret: str, moment: int = NOW) -> Message:
    """A delivery signed with `secret` within the window, sometimes beside the signatures of others."""
    body = rng.choice([b"{}", b'{"id": 1}', rng.randbytes(rng.randint(1, 200)), "é ☃".encode()])
    key = "msg_" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789.-_", k=rng.randint(1, 60)))
    headers = signatures.sign_standard(secret, key, moment + rng.randint(-300, 300), body)
    good = headers["webhook-signature"]
    others = [_signature(rng), "v1a," + base64.b64encode(rng.randbytes(64)).decode(), "v1,", "nonsense"]
    listed = rng.sample(others, rng.randint(0, 3))
    listed.insert(rng.randint(0, len(listed)), good)
    return Message(headers | {"webhook-signature": " ".join(listed)}, body)


def forgeries(rng: random.Random, secret: str, moment: int = NOW, beyond: int = 1) -> Iterator[Message]:
    """One of each kind of forgery, made from a genuine message; endless.

    Some are signed rightly, but `beyond` seconds too old or too new.
    """
    while True:
        key, body = f"msg_{rng.getrandbits(40):x}", rng.randbytes(rng.randint(1, 40))
        good = Message(signatures.sign_standard(secret, key, moment, body), body)
        yield from flipped(rng, good)
        for forge in (*_FORGERIES, _at(300 + beyond), _at(-300 - beyond)):
            yield forge(rng, secret, good)


def flipped(rng: random.Random, good: Message) -> Iterator[Message]:
    """`good` with one byte changed: each byte of the body, the id, the timestamp and the signature."""
    for place in range(len(good.body)):
        changed = bytes([good.body[place] ^ rng.randint(1, 255)])
        yield replace(good, body=good.body[:place] + changed + good.body[place + 1 :])
    for name, letters in _LETTERS.items():
        value = good.headers[name]
        for place in range(len(value)):
            letter = rng.choice([letter for letter in letters if letter != value[place]])
            changed_value = value[:place] + letter + value[place + 1 :]
            if not _means_the_same(value, changed_value):
                yield good.with_header(name, changed_value)


_LETTERS = {
    "webhook-id": "abcdefghijklmnopqrstuvwxyz0123456789_.",
    "webhook-timestamp": "0123456789",
    "webhook-signature": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=",
}


def _means_the_same(before: str, after: str) -> bool:
    """Whether two signatures decode to the same bytes: base64 leaves its last bits unused."""
    try:
        return before[:3] == after[:3] and base64.b64decode(before[3:]) == base64.b64decode(after[3:], validate=True)
    except ValueError:
        return False


def _signature(rng: random.Random) -> str:
    return "v1," + base64.b64encode(rng.randbytes(32)).decode()


def _without(name: str) -> "Callable[[random.Random, str, Message], Message]":
    return lambda _rng, _secret, good: good.with_header(name, None)


def _with(name: str, make: Callable[[random.Random, str], str]) -> "Callable[[random.Random, str, Message], Message]":
    return lambda rng, _secret, good: good.with_header(name, make(rng, good.headers[name]))


def _at(offset: int) -> "Callable[[random.Random, str, Message], Message]":
    """Signed rightly, but too old or too new."""

    def forge(_rng: random.Random, secret: str, good: Message) -> Message:
        moment = int(good.headers["webhook-timestamp"]) + offset
        return Message(signatures.sign_standard(secret, good.headers["webhook-id"], moment, good.body), good.body)

    return forge


def _by_another_secret(rng: random.Random, _secret: str, good: Message) -> Message:
    moment = int(good.headers["webhook-timestamp"])
    return Message(signatures.sign_standard(new_secret(rng), good.headers["webhook-id"], moment, good.body), good.body)


_FORGERIES: list[Callable[[random.Random, str, Message], Message]] = [
    *(_without(name) for name in _LETTERS),
    *(_with(name, lambda _rng, _value: "") for name in _LETTERS),
    # A header that came twice reaches the application joined by a comma.
    *(_with(name, lambda _rng, value: f"{value},{value}") for name in _LETTERS),
    _with("webhook-signature", lambda rng, _value: _signature(rng)),
    _with("webhook-signature", lambda rng, _value: " ".join(_signature(rng) for _ in range(100))),
    _with("webhook-signature", lambda _rng, value: value.replace("v1,", "v1a,")),
    _with("webhook-signature", lambda _rng, value: value.replace("v1,", "v2,")),
    _with("webhook-signature", lambda _rng, value: value.replace("v1,", "V1,")),
    _with("webhook-signature", lambda _rng, value: value.replace("v1,", "sha256=")),
    _with("webhook-signature", lambda _rng, value: value.removeprefix("v1,")),
    _with("webhook-signature", lambda _rng, value: value[:-4]),
    _with("webhook-signature", lambda _rng, _value: "v1,"),
    _with("webhook-timestamp", lambda _rng, value: f"{value}.0"),
    _with("webhook-timestamp", lambda _rng, value: f"0{value}"),
    _with("webhook-timestamp", lambda _rng, value: f"-{value}"),
    _with("webhook-timestamp", lambda _rng, value: f" {value}"),
    _with("webhook-id", lambda _rng, value: f"{value}."),
    _with("webhook-id", lambda _rng, value: value * 100),
    _at(-(10**6)),
    _by_another_secret,
    # The dots between id, time and body must not be movable.
    lambda _rng, _secret, good: replace(
        good.with_header("webhook-id", f"{good.headers['webhook-id']}.{good.headers['webhook-timestamp']}"), body=b""
    ),
]


def is_accepted(secrets: tuple[str, ...], message: Message, moment: float = NOW) -> bool:
    """Whether the signature check lets it through; anything but SignatureError is a fault of ours."""
    try:
        signatures.verify_standard(secrets, message.headers, message.body, moment)
    except SignatureError:
        return False
    return True
