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


def fetch(config: Settings, source: Source, ticket: Ticket) -> dict[str, Any]:
    """The fields of a ticket that its helpdesk's API knows and it lacks, in the record's form. Raises CallError."""
    helpdesk = Api(config, source)
    names = helpdesk.names(ticket.external_id)
    for step in helpdesk.helpdesk.get("complete", []):
        # One answer names what the next request asks for, such as the requester's id; without that it is left out.
        if all(names.get(name) for name in names_in(step["request"])):
            answer = helpdesk.call(step["request"], names)
            names |= {name: search(path, answer) for name, path in step["fields"].items()}

    # What the delivery said is not overwritten, except by fields that it says only in part. A completed ticket is asked
    # for again where an event came without any text, so that only the API knows it.
    better = {*helpdesk.helpdesk.get("replaces", []), *(["long_description"] if ticket.arrived_sha256 else [])}
    found: dict[str, Any] = {}
    for name in TEXT_FIELDS:
        if names.get(name) in (None, "") or (getattr(ticket, name) and name not in better):
            continue
        with suppress(ValidationError):  # What no ticket may hold is as good as unknown.
            found[name] = _SCHEMA.fields[name].deserialize(as_written(source.shape, name, names[name]))
    return found
