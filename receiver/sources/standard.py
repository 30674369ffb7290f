"""The source `standard`: our own shape of a ticket, in any of the usual wrappers."""

import json
from typing import Any

from marshmallow import ValidationError

from receiver.record.deliveries import Content
from receiver.schemas import TicketIn

_SCHEMA = TicketIn()
_WRAPPERS = ("tickets", "requests", "data")


def read(body: bytes, max_batch: int) -> Content:
    """The tickets in a JSON body: one, a list, or either under `tickets`, `requests` or `data`."""
    try:
        items = unwrap(parse_json(body))
    except ValueError as error:
        return Content(error=str(error))
    if len(items) > max_batch:
        return Content(error=f"{len(items)} tickets in one delivery; at most {max_batch} are taken, send several")
    return validate(items)


def parse_json(body: bytes) -> Any:
    """The value in `body`. Raises ValueError, which says where the fault is and repeats nothing of the text."""
    try:
        return json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_whole
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: byte {error.start} is invalid") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the body has an object with the same key twice, so what it means is not certain")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"the body contains {name}, which is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > 40:
        raise ValueError(f"the body contains a number of {len(digits)} digits")
    return int(digits)


def unwrap(value: Any) -> list[Any]:
    """The tickets in a parsed body, whatever wraps them. Raises ValueError where there are none."""
    if isinstance(value, dict) and "short_description" not in value:  # A ticket may have fields of these names too.
        value = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), list | dict)), value)
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("there are no tickets in the body")
    return items


def validate(items: list[Any]) -> Content:
    """The usable tickets among `items`, and what is wrong with the others."""
    try:
        return Content(_SCHEMA.load(items, many=True))
    except ValidationError as error:
        faults = error.normalized_messages()
    good = [item for index, item in enumerate(items) if index not in faults]
    rejected = [{"index": index, "id": _id(items[index]), "errors": faults[index]} for index in sorted(faults)]
    return Content(_SCHEMA.load(good, many=True), rejected)


def _id(item: Any) -> str | int | None:
    """The rejected ticket's own id, where it has one that can be repeated to the sender."""
    name = item.get("id") if isinstance(item, dict) else None
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    return name if isinstance(name, int) else name[:255].encode("utf-8", "replace").decode()
