"""Reads the arguments of a URL as texts and ids that every database accepts."""

from flask import request

# Characters; no name and no address is longer.
_LONGEST = 400
# Digits; a database's ids have 63 bits.
_LONGEST_ID = 18


def text(name: str) -> str:
    """The parameter of this name; empty where there is none."""
    # PostgreSQL refuses a text that holds a NUL.
    return request.args.get(name, "")[:_LONGEST].replace("\0", "").strip()


def texts(*names: str) -> dict[str, str]:
    """Those of these parameters that are not empty."""
    return {name: found for name in names if (found := text(name))}


def place(name: str) -> int | None:
    """The id after which a list goes on; None where it begins."""
    return parse_id(request.args.get(name, "")) or None


def parse_id(value: str) -> int | None:
    """The id that a URL or a form holds; None where it is none."""
    # int() also takes "+1", " 1" and "1_0".
    return int(value) if value.isdecimal() and len(value) <= _LONGEST_ID else None
