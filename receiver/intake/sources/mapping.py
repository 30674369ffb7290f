"""From a request's body to tickets, by the paths of a source."""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from marshmallow import ValidationError
from marshmallow.validate import Length

from receiver.db.deliveries import Content
from receiver.intake.schemas import Address, Link, Name
from receiver.intake.sources import bodies, standard
from receiver.intake.sources.helpdesk_profile import FieldPath, Names
from receiver.intake.sources.payload_mapping import PayloadMapping
from receiver.intake.sources.text import readable
from receiver.intake.sources.times import moment

_LONGEST_SUBJECT = 200
_LONGEST_HEADER = 2_000  # Characters; more is neither a name nor an address.
_TIMES = ("created_at", "updated_at")
# What we can do without: a helpdesk's odd address costs the address, not the ticket.
_OPTIONAL = {"requester_email": Address(), "url": Link(), "priority": Name(validate=Length(max=100))}
_CONTENT_TYPES = {"text/html": "html", "text/plain": "text", "text/markdown": "markdown"}
_ZONED = re.compile(r"(?:Z|[+-]\d{2}:?\d{2}|[A-Z]{2,5})$")
_MOST_NAMED, _LONGEST_EVENT = 5, 60
_MOST_ITEMS = 10  # Times as many as tickets are taken; more are not even looked through for those that are tickets.
# Of the processor, for all HTML in a megabyte: five times what the mails of people need. The sender waits meanwhile.
_SECONDS_FOR_MB = 0.5


def read(shape: PayloadMapping, body: bytes, headers: Mapping[str, str], max_batch: int, max_bytes: int) -> Content:
    """What is in a genuine body; `headers` are those kept with its delivery. Never raises."""
    try:
        document = bodies.decode(
            body,
            headers.get("content-type", ""),
            headers.get("content-encoding", "").lower(),
            lenient=shape.lenient,
            max_bytes=max_bytes,
        )
        if shape.items is None:
            items = standard.unwrap(document)
        else:
            found = shape.items(document)
            if found is None:
                what = f"there is nothing at {shape.items.text} in the body; change items in SOURCES_FILE"
                return Content(error=what)
            items = found if isinstance(found, list) else [found]
            if not items:
                return Content(error="there are no tickets in the body")
    except ValueError as error:
        return Content(error=str(error))
    if len(items) > max_batch * _MOST_ITEMS:
        return Content(error=_too_many(len(items), max_batch))
    until = time.thread_time() + _SECONDS_FOR_MB * max(1.0, len(body) / 1_000_000)
    return _map_items(shape, document, items, headers, max_batch, until)


def _too_many(count: int, max_batch: int) -> str:
    return f"{count} tickets in one delivery; at most {max_batch} are taken, send several"


def _map_items(
    shape: PayloadMapping,
    document: object,
    items: list[object],
    headers: Mapping[str, str],
    max_batch: int,
    until: float,
) -> Content:
    names = [_joined_name(shape.event, document, item, headers) for item in items]
    # What is no object is no event either, and the schema shall say so.
    named = zip(items, names, strict=True)
    wanted = [item for item, name in named if shape.takes(name) or not isinstance(item, dict)]
    others = [item for item in wanted if not shape.is_own(_joined_name(shape.actor, document, item, headers))]
    # The delivery's own name where the body has one; of a batch, the names of its items.
    places = [shape.delivery.body(document)] if shape.delivery.body else []
    if shape.delivery.item and not places:
        places = [shape.delivery.item(item) for item in items]
    key = "+".join(map(str, places)) if places and all(map(_is_name, places)) else None
    if not wanted:
        told = ", ".join(sorted({ascii(name)[:_LONGEST_EVENT] for name in names})[:_MOST_NAMED])
        return Content(key=key, ignored=f"nothing to do: {told} is no event that makes or changes a ticket")
    if not others:
        return Content(key=key, ignored="nothing to do: own_actor did this, which is what we wrote ourselves")
    if len(others) > max_batch:
        return Content(key=key, error=_too_many(len(others), max_batch))
    mapped = []
    for item in others:
        # No field can be found in a bare number or text; the schema shall say that, and not what is missing in it.
        is_mappable = bool(shape.fields) and isinstance(item, dict | list)
        mapped.append(_mapped_ticket(shape, item, until) if is_mappable else item)
    found = standard.validate(mapped, thin=shape.thin)
    for fault in found.rejected:
        # A field that is not there is explained by where it was looked for.
        ticket, errors = mapped[fault["index"]], fault["errors"]
        for name in errors.keys() - (ticket.keys() if isinstance(ticket, dict) else errors.keys()):
            path = shape.fields.get(name)
            errors[name] = [
                f"There is nothing at {path.path.text}; mend the helpdesk's template, or this source's fields."
                if path
                else "It is missing; send it, or say under fields in SOURCES_FILE where it stands."
            ]
    return Content(found.tickets, found.rejected, key=key)


def _joined_name(names: Names, document: object, item: object, headers: Mapping[str, str]) -> str | None:
    """What is found in all the places of `names`, such as an event and its action; None where nothing says so."""
    parts = [headers.get(names.header.lower())] if names.header else []
    parts += [names.body(document)] if names.body else []
    parts += [names.item(item)] if names.item else []
    return ".".join(map(str, filter(_is_name, parts))) or None


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _mapped_ticket(shape: PayloadMapping, item: object, until: float) -> dict[str, Any]:
    """An item in our own shape; what cannot be understood is left as it is, for the schema to name."""
    ticket = {name: _field_value(name, path, item, until) for name, path in shape.fields.items()}
    for name, field in _OPTIONAL.items():
        try:
            ticket[name] = field.deserialize(ticket[name]) if ticket.get(name) is not None else None
        except ValidationError:
            ticket[name] = None  # Unknown, never a guess.
    if not ticket.get("short_description"):
        # The description's own first line stands in for a subject that was left empty.
        text = ticket.get("long_description")
        lines = [line.strip() for line in text.splitlines() if line.strip()] if isinstance(text, str) else []
        ticket["short_description"] = lines[0][:_LONGEST_SUBJECT] if lines else "" if shape.thin else None
    return {name: value for name, value in ticket.items() if value is not None}


def _field_value(name: str, path: FieldPath, item: object, until: float) -> object:
    value = path.path(item)
    if value is None or value == "":
        return None
    if name in _TIMES:
        # Which version is the newest must be certain; when a ticket was opened may stay unknown.
        return _iso_time(value, path, value if name == "updated_at" else None)
    if name == "requester_email":
        # A header's text, such as `Ada <ada@example.com>`. The parser reads comments within comments.
        with suppress(RecursionError):
            if isinstance(value, str) and len(value) <= _LONGEST_HEADER:
                return parseaddr(value)[1] or None
        return None
    if path.format or path.format_from:
        return _readable_text(value, path, item, until)
    return value


def _iso_time(value: object, path: FieldPath, otherwise: object) -> object:
    """The time that `value` names, in ISO 8601; `otherwise` where it names none."""
    try:
        if path.zone and isinstance(value, str) and not _ZONED.search(value.strip()) and not value.strip().isdecimal():
            return datetime.fromisoformat(value.strip()).replace(tzinfo=path.zone).isoformat()
        found = moment(value)
    except (ValueError, OverflowError, OSError):
        return otherwise
    return found.isoformat() if found else None


def as_written(shape: PayloadMapping, name: str, value: object) -> object:
    """A field's value that came from elsewhere, such as the helpdesk's API, as it would have been read from a body."""
    path = shape.fields.get(name)
    return _readable_text(value, path, None) if path and path.format else value


def _readable_text(value: object, path: FieldPath, item: object, until: float | None = None) -> object:
    named = path.format_from(item) if path.format_from else None
    kind = _CONTENT_TYPES.get(named.partition(";")[0].strip().lower() if isinstance(named, str) else "", path.format)
    # Jira's API has both: version 2 gives plain text where version 3 gives a document.
    if kind == "adf" and isinstance(value, str):
        kind = "text"
    if not isinstance(value, str) and kind != "adf":
        return value
    return readable(value, kind or "text", until)
