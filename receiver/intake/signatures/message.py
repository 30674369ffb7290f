"""What is verified, and the questions every way of verifying asks about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

MAX_ID_LENGTH = 255
# A helpdesk whose clock is ahead of ours is forgiven as much as one that is late by Standard Webhooks' rule.
FUTURE_SECONDS = 300


class SignatureError(ValueError):
    """The delivery is refused; the text names the check that failed and never the expected value."""


@dataclass(frozen=True)
class Message:
    """A request as it was sent: names of headers in lower case, the body's raw bytes, the public address it went to."""

    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    url: str = ""
    peer: str = ""
    through_proxy: bool = False  # A proxy that we trust has named the peer.


def header(headers: Mapping[str, str], name: str) -> str:
    """The header `name`, which must be there. Raises SignatureError."""
    value = headers.get(name.lower(), "")
    if not value:
        raise SignatureError(f"{name} header is missing")
    return value


def seconds(text: str, unit: str, name: str) -> float:
    """The unix seconds in a timestamp of `unit` s, ms or iso. Raises SignatureError, which calls it `name`."""
    if unit == "iso":
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return moment.timestamp()
        except (ValueError, OverflowError):
            pass
        raise SignatureError(f"{name} is not a time such as 2026-01-01T00:00:00Z")
    # Not int() alone, which also takes signs, underscores, blanks and the digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise SignatureError(f"{name} is not a whole number of unix {'seconds' if unit == 's' else 'milliseconds'}")
    return int(text) / (1 if unit == "s" else 1000)


def check_age(sent: float, now: float, window: float, name: str) -> None:
    """Refuse what was sent more than `window` seconds ago, or too far in the future. Raises SignatureError."""
    age = now - sent
    if age > window:
        raise SignatureError(f"{name} is more than {_in_words(window)} old")
    if age < -FUTURE_SECONDS:
        raise SignatureError(f"{name} is more than {_in_words(FUTURE_SECONDS)} in the future; check the clocks")


def _in_words(length: float) -> str:
    size, unit = next(
        (kind for kind in ((3600, "hour"), (60, "minute")) if length >= kind[0] and length % kind[0] == 0),
        (1, "second"),
    )
    return f"{length / size:.0f} {unit}" + ("s" if length != size else "")
