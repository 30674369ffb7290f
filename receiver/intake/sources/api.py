"""What the API of a kind of helpdesk wants, as its profile says under `api`: to complete and to write back a ticket.

In a body, `$fields` are the fields that a source configures (a dot in a name goes one level down), `$pairs` the same as
a list of id and value, `$labels` the labels, `$adds` the same as Jira wants them, `$all_labels` with those the ticket
has (`existing`), `$label` one of them (`each`), `$note` the private note; other names are of `parameters`. What is
not configured is left out, and a request or an object of which nothing is left too. `*` merges into its surroundings.

Where nothing replaces labels, the request only adds. A profile's comment names where the vendor describes it. Not yet
confirmed there or against a live account: Zendesk's PUT .../tags, the notes of Freshworks, GLPI, FreeScout and
ServiceDesk Plus, the requester in GLPI's users, Jira's version 2 for write-back, HubSpot's `associations`, Linear's
issueAddLabel, every per_minute.
"""

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any

import marshmallow.fields as mf
from marshmallow import Schema, ValidationError
from marshmallow.validate import Length, OneOf, Range, Regexp

from receiver.intake.sources.expressions import Expression

# What SOURCES_FILE may configure, and the placeholders that carry it.
CARRIERS = {
    "fields": frozenset({"fields", "pairs"}),
    "labels": frozenset({"labels", "adds", "all_labels", "label"}),
    "note": frozenset({"note"}),
}
CARRIED = frozenset().union(*CARRIERS.values())
# Beside `parameters`, and what was found on the way: how the ticket is called.
_TICKET = "id"


def _check_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error:
        raise ValidationError("Not a regular expression.") from None


_Request = mf.String(required=True, validate=Regexp(r"(?:GET|PUT|PATCH|POST) /"))
_Headers = mf.Dict(keys=mf.String(), values=mf.String())
_Found = mf.Dict(keys=mf.String(), values=mf.String(validate=Expression), required=True)
_Path = mf.String(required=True, validate=Expression)


class _ExistingSchema(Schema):
    """Where the labels that a ticket has are read before they are replaced."""

    request = _Request
    at = _Path


class _FindSchema(Schema):
    """A request that finds a ticket by our name of it; `named` finds the names it has there, and ours must be one."""

    request = _Request
    named = _Path
    fields: Any = _Found


class _AskSchema(Schema):
    """A request whose answer has fields of a thin ticket, or what later paths need."""

    request = _Request
    fields: Any = _Found


class _TellSchema(Schema):
    """A request that tells the helpdesk of a classification."""

    request = _Request
    body = mf.Dict(keys=mf.String(), required=True)
    each = mf.String(validate=OneOf(["label"]))
    form = mf.String()
    fails_if = mf.String(validate=Expression)
    existing = mf.Nested(_ExistingSchema)


class ApiSchema(Schema):
    """`auth_without_user` is for sources whose `api` names no user, `per_minute` below the vendor's limit for all.

    `defaults` are of what a source's `parameters` may set; `name` is a regular expression whose groups are what paths
    need of our name of a ticket. What `replaces` names is known better by the API than by a delivery.
    """

    auth = mf.Dict(keys=mf.String(), values=mf.String(), required=True)
    auth_without_user = _Headers
    per_minute = mf.Integer(required=True, validate=Range(min=1))
    defaults = mf.Dict(keys=mf.String(), values=mf.String())
    name = mf.String(validate=_check_pattern)
    find = mf.Nested(_FindSchema)
    complete = mf.List(mf.Nested(_AskSchema), validate=Length(min=1))
    replaces = mf.List(mf.String())
    write = mf.List(mf.Nested(_TellSchema), required=True, validate=Length(min=1))


def carried(template: object) -> frozenset[str]:
    """The placeholders in a body that carry what is configured."""
    return frozenset(_placeholders(template)) & CARRIED


def takes(api: Mapping[str, Any]) -> frozenset[str]:
    """What a helpdesk can be told: of fields, labels and note."""
    can = frozenset().union(*(carried(step["body"]) for step in api["write"]))
    return frozenset(name for name, carriers in CARRIERS.items() if carriers & can)


def numbers_fields(api: Mapping[str, Any]) -> bool:
    """Whether the helpdesk knows its fields by number."""
    return any("pairs" in carried(step["body"]) for step in api["write"])


def needs(api: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The parameters without which what is `wanted` of fields, labels and note cannot be written."""
    told = frozenset().union(*(CARRIERS[name] for name in CARRIERS if wanted.get(name)))
    named: set[str] = set()
    for step in api["write"]:
        if carried(step["body"]) & told:
            named |= {*names_in(step["request"]), *_placeholders(step["body"])}
    found = {*api.get("find", {}).get("fields", {}), *re.compile(api.get("name", "")).groupindex}
    return sorted(named - CARRIED - found - {_TICKET})


def names_in(path: str) -> list[str]:
    """The names between braces in the path of a request."""
    return [name for _, name, _, _ in Formatter().parse(path) if name]


def _placeholders(template: object) -> Iterator[str]:
    if isinstance(template, dict):
        for part in template.values():
            yield from _placeholders(part)
    elif isinstance(template, str) and template.startswith("$"):
        yield template[1:]
