"""What a URL asks for: whatever stands there, it is a text that every database can look for, or an id, or nothing."""

from flask import request

_LONGEST = 400  # Characters; no name and no address is longer.
_LONGEST_ID = 18  # Digits; a database's ids have 63 bits.


def text(name: str) -> str:
    """The parameter of this name; empty where there is none."""
    return request.args.get(name, "")[:_LONGEST].replace("\0", "").strip()


def texts(*names: str) -> dict[str, str]:
    """Those of these parameters that are not empty."""
    return {name: found for name in names if (found := text(name))}


def place(name: str) -> int | None:
    """The id behind which a list goes on; None where the parameter is none, and the list begins."""
    return whole(request.args.get(name, "")) or None


def whole(value: str) -> int | None:
    """An id as a URL or a form has it; None where it is none."""
    return int(value) if value.isdecimal() and len(value) <= _LONGEST_ID else None
