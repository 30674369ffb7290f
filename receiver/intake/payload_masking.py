"""What an operator may see of a kept delivery: its text and headers without secrets, and where its fault is."""

from typing import Any

from receiver.db.models import UNSIGNED, Delivery
from receiver.intake.sources import Source, bodies
from receiver.lib import secret_masking

_AROUND = 60  # Characters on each side of a fault.
_SHORTEST_SECRET = 4  # Characters; to mask a shorter one would hide half of every text, and say what it is.


def shown(delivery: Delivery, source: Source | None, max_bytes: int) -> dict[str, Any]:
    """The headers and the body of a delivery whose bytes are kept; whatever is secret in them is asterisks.

    `fault` is the place where the body of a delivery with an error is not JSON, with the text around it, else None.
    """
    known = [secret.value for secret in source.secrets if len(secret.value) >= _SHORTEST_SECRET] if source else []
    headers, body = delivery.headers, delivery.body or b""
    content_type, encoding = headers.get("content-type", ""), headers.get("content-encoding", "")
    try:
        plain = bodies.unpacked(body, encoding, max_bytes)
    except ValueError:
        plain = body
    is_form = content_type.lower().startswith("application/x-www-form-urlencoded")
    mask = secret_masking.masked_form if is_form else secret_masking.masked
    text = mask(plain.decode("utf-8-sig", "replace"), known)
    fault = None
    if delivery.error:
        # Read again for the place of the fault, which the database has only in a sentence.
        try:
            lenient = source is not None and source.shape.lenient
            bodies.decode(body, content_type, encoding, lenient=lenient, max_bytes=max_bytes)
        except bodies.NotJSONError as error:
            fault = _surroundings(text, error.line, error.column)
        except ValueError:
            pass  # It cannot be read for another reason, which has no place in its text.
    shown_headers = {
        name: "*" * 8 if secret_masking.is_secret(name) else secret_masking.masked(str(value), known)
        for name, value in headers.items()
    }
    if delivery.verification == UNSIGNED:
        shown_headers[UNSIGNED] = f"from {delivery.peer}"
    return {"delivery": delivery.id, "headers": shown_headers, "body": text, "error": delivery.error, "fault": fault}


def _surroundings(text: str, line: int, column: int) -> dict[str, Any]:
    lines = text.split("\n", line)
    there = lines[line - 1] if line <= len(lines) else ""
    start = max(0, column - 1 - _AROUND)
    return {
        "line": line,
        "column": column,
        "before": there[start : column - 1],
        "after": there[column - 1 : column - 1 + _AROUND],
    }
