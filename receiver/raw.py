"""What an operator may see of a kept delivery: its text and headers without secrets, and where its fault is."""

import re
from collections.abc import Mapping
from typing import Any

from receiver.record.models import Delivery
from receiver.sources import Source, bodies

_AROUND = 60  # Characters on each side of a fault.
_POSITION = re.compile(r"\bline (\d{1,9}) column (\d{1,9})\b")
_WORDS = r"(?:password|passwd|secret|token|api_?key|authorization|cookie)"
_SECRET_NAME = re.compile(rf"[\w-]*{_WORDS}[\w-]*", re.IGNORECASE)
# What stands before the word is none of its concern, and what follows has an end: else a body without blanks, such as a
# picture in base64, would be read once for each of its letters.
_SECRET_FIELD = re.compile(rf'({_WORDS}[\w-]{{0,50}}+["\']?\s*+[:=]\s*+["\']?)([^"\'&,\s{{}}\[\]]++)', re.IGNORECASE)
_CREDENTIAL = re.compile(r"\b(Bearer|Basic)( +)([A-Za-z0-9+/=._~-]{8,})")
_SHORTEST_SECRET = 4


def shown(delivery: Delivery, source: Source | None, max_bytes: int) -> dict[str, Any]:
    """The headers and the body of a delivery whose bytes are kept; whatever is secret in them is asterisks.

    `fault` is the place that the delivery's error names, with the text around it; None where it names none.
    """
    known = [secret.value for secret in source.secrets if len(secret.value) >= _SHORTEST_SECRET] if source else []
    text = _masked(_text(delivery, max_bytes), known)
    return {
        "delivery": delivery.id,
        "headers": _headers(delivery.headers, known),
        "body": text,
        "error": delivery.error,
        "fault": _fault(delivery.error, text),
    }


def _text(delivery: Delivery, max_bytes: int) -> str:
    try:
        plain = bodies.unpacked(delivery.body or b"", delivery.headers.get("content-encoding", ""), max_bytes)
    except ValueError:
        plain = delivery.body or b""
    return plain.decode("utf-8-sig", "replace")


def _headers(headers: Mapping[str, str], secrets: list[str]) -> dict[str, str]:
    return {
        name: "*" * 8 if _SECRET_NAME.fullmatch(name) else _masked(str(value), secrets)
        for name, value in headers.items()
    }


def _masked(text: str, secrets: list[str]) -> str:
    """As long as before, so that a fault stays where it is."""
    for secret in secrets:
        text = text.replace(secret, "*" * len(secret))
    text = _SECRET_FIELD.sub(lambda found: found[1] + "*" * len(found[2]), text)
    return _CREDENTIAL.sub(lambda found: found[1] + found[2] + "*" * len(found[3]), text)


def _fault(error: str | None, text: str) -> dict[str, Any] | None:
    found = _POSITION.search(error or "")
    if found is None:
        return None
    line, column = int(found[1]), int(found[2])
    lines = text.split("\n", line)
    there = lines[line - 1] if line <= len(lines) else ""
    start = max(0, column - 1 - _AROUND)
    return {
        "line": line,
        "column": column,
        "before": there[start : column - 1],
        "after": there[column - 1 : column - 1 + _AROUND],
    }
