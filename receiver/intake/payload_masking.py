"""What an operator may see of a kept delivery: its text and headers without secrets, and where its fault is."""

import re
from collections.abc import Mapping
from typing import Any

from receiver.db.models import UNSIGNED, Delivery
from receiver.intake.sources import Source, bodies
from receiver.lib import secret_masking

_AROUND = 60  # Characters on each side of a fault.
_POSITION = re.compile(r"\bline (\d{1,9}) column (\d{1,9})\b")
_SHORTEST_SECRET = 4


def shown(delivery: Delivery, source: Source | None, max_bytes: int) -> dict[str, Any]:
    """The headers and the body of a delivery whose bytes are kept; whatever is secret in them is asterisks.

    `fault` is the place that the delivery's error names, with the text around it; None where it names none.
    """
    known = [secret.value for secret in source.secrets if len(secret.value) >= _SHORTEST_SECRET] if source else []
    is_form = delivery.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
    mask = secret_masking.masked_form if is_form else secret_masking.masked
    text = mask(_text(delivery, max_bytes), known)
    proof = {UNSIGNED: f"from {delivery.peer}"} if delivery.verification == UNSIGNED else {}
    return {
        "delivery": delivery.id,
        "headers": _headers(delivery.headers, known) | proof,
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
        name: "*" * 8 if secret_masking.is_secret(name) else secret_masking.masked(str(value), secrets)
        for name, value in headers.items()
    }


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
