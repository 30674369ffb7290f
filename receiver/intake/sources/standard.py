"""The source `standard`: our own shape of a ticket, in any of the usual wrappers."""

from typing import Any

from marshmallow import ValidationError, missing

from receiver.db.deliveries import Content
from receiver.db.tickets import IncomingTicket
from receiver.intake.schemas import Prose, TicketIn
from receiver.lib import text_limits


class _ThinTicketIn(TicketIn):
    """A ticket of which the source says little; a job fetches the rest from the helpdesk."""

    short_description = Prose(text_limits.subject, load_default="")


_SCHEMA, _THIN_SCHEMA = TicketIn(), _ThinTicketIn()
_WRAPPERS = ("tickets", "requests", "data")


def unwrap(value: object) -> list[object]:
    """The tickets in a parsed body, whatever wraps them. Raises ValueError where there are none."""
    if isinstance(value, dict) and "short_description" not in value:  # A ticket may have fields of these names too.
        value = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), list | dict)), value)
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("there are no tickets in the body")
    return items


def validate(items: list[Any], thin: bool = False) -> Content:
    """The usable tickets among `items`, and what is wrong with the others; a `thin` one may have no subject."""
    schema = _THIN_SCHEMA if thin else _SCHEMA
    usable: list[IncomingTicket] = []
    rejected: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            usable.append(_load_by_fields(schema, item) or schema.load(item))
        except ValidationError as error:
            # Its own id, where it has one that can be repeated to the sender.
            name = item.get("id") if isinstance(item, dict) else None
            if isinstance(name, bool) or not isinstance(name, str | int):
                name = None
            elif isinstance(name, str):
                name = name[:255].encode("utf-8", "replace").decode()
            rejected.append({"index": index, "id": name, "errors": error.normalized_messages()})
    return Content(usable, rejected)


def _load_by_fields(schema: TicketIn, item: object) -> IncomingTicket | None:
    """What the schema's own fields make of an item; None where one of them objects, or the item is no object.

    The schema itself collects every fault of an item, which takes twice as long; hardly an item has one.
    """
    if not isinstance(item, dict):
        return None
    try:
        made: IncomingTicket = schema.make(
            {
                attribute: known.deserialize(item.get(known.data_key or attribute, missing), known.data_key, item)
                for attribute, known in schema.load_fields.items()
            }
        )
    except ValidationError:
        return None
    return made
