"""Completing a thin ticket: asking its helpdesk's API for the fields that the delivery lacked."""

from contextlib import suppress
from typing import Any

from marshmallow import ValidationError

from jobs.helpdesks.api import Api, search
from receiver.db.models import Ticket
from receiver.db.tickets import TEXT_FIELDS
from receiver.intake.schemas import TicketIn
from receiver.intake.sources import Source
from receiver.intake.sources.api import names_in
from receiver.intake.sources.mapping import as_written
from receiver.lib.settings import Settings

_SCHEMA = TicketIn()
_EMPTY = (None, "")


def fetch(config: Settings, source: Source, ticket: Ticket) -> dict[str, Any]:
    """The fields of a ticket that its helpdesk's API knows and it lacks. Raises CallError."""
    helpdesk = Api(config, source)
    names = helpdesk.names(ticket.external_id)
    for step in helpdesk.helpdesk.get("complete", []):
        if all(names.get(name) for name in names_in(step["request"])):
            answer = helpdesk.call(step["request"], names)
            names |= {name: search(path, answer) for name, path in step["fields"].items()}
    found = {name: as_written(source.shape, name, names[name]) for name in TEXT_FIELDS if names.get(name) not in _EMPTY}
    # A completed ticket is asked for again where an event came without any text, so that only the API knows it.
    better = [*helpdesk.helpdesk.get("replaces", []), *(["long_description"] if ticket.arrived_sha256 else [])]
    lacking = {name: value for name, value in found.items() if name in better or not getattr(ticket, name)}
    return _usable(lacking)


def _usable(values: dict[str, Any]) -> dict[str, Any]:
    """What of the values a ticket may hold, in the record's form; the rest is as good as unknown."""
    found = {}
    for name, value in values.items():
        with suppress(ValidationError):
            found[name] = _SCHEMA.fields[name].deserialize(value)
    return found
