"""What SOURCES_FILE may say of the way back to a helpdesk: its API, what is written to it, what is reconciled."""

from string import Formatter
from typing import Any

import marshmallow.fields as mf
from marshmallow import Schema, ValidationError, validates_schema
from marshmallow.validate import Length, Range

from receiver import signatures
from receiver.sources.expressions import Expression

# What the texts of a write_back may name between braces.
NAMES = ("category", "request_type", "sla", "confidence", "engine")
# The profiles whose deliveries lack what their API knows; the requester's address, above all.
THIN = frozenset({"zendesk", "jira", "glpi", "intercom", "hubspot"})


def _url(text: str) -> None:
    if not text.startswith(("https://", "http://")):
        raise ValidationError("Not an address that begins with http:// or https://.")


def _secret(text: str) -> None:
    signatures.standard_key(text)


def _expression(text: str) -> None:
    Expression(text)


def _template(text: str) -> None:
    try:
        named = [part[1:] for part in Formatter().parse(text) if part[1] is not None]
    except ValueError:
        named = [("", None, None)]
    # Names alone: what else Python's formatting knows reaches into objects, or fills the memory with blanks.
    if any(name not in NAMES or spec or conversion for name, spec, conversion in named):
        raise ValidationError(f"May name {', '.join(f'{{{name}}}' for name in NAMES)} between braces.")


def _places(fields: dict[str, str]) -> None:
    inner = sorted(name for name in fields if any(name.startswith(f"{other}.") for other in fields))
    if inner:
        raise ValidationError(f"{', '.join(inner)} cannot stand inside a field that is itself a text.")


_Text = mf.String(validate=Length(1))
_Template = mf.String(validate=[Length(1), _template])
_Path = mf.String(validate=_expression)


class _WriteBack(Schema):
    @validates_schema
    def says_what(self, data: dict[str, Any], **_: Any) -> None:
        if not {"fields", "labels", "note", "webhook"} & set(data):
            raise ValidationError("Says nothing to write; name fields, labels, a note or a webhook.")
        if ("webhook" in data) != ("secret" in data):
            raise ValidationError("webhook and secret go together.")


_Fields = dict[str, mf.Field[Any]]
_API: _Fields = {
    "url": mf.String(required=True, validate=_url),
    "user": _Text,
    "token": _Text,
    "headers": mf.Dict(keys=_Text, values=_Text),
    "parameters": mf.Dict(keys=_Text, values=_Text),
}
_WRITE_BACK: _Fields = {
    "fields": mf.Dict(keys=_Text, values=_Template, validate=_places),
    "labels": mf.List(_Template),
    "note": _Template,
    "values": mf.Dict(keys=_Text, values=mf.Raw()),
    "uncertain": mf.Boolean(),
    "per_minute": mf.Integer(validate=Range(1, 6000)),
    "webhook": mf.String(validate=_url),
    "secret": mf.String(validate=_secret),
}
_RECONCILE: _Fields = {
    "every_minutes": mf.Integer(required=True, validate=Range(1, 100_000)),
    "path": mf.String(required=True, validate=Length(1)),
    "items": _Path,
    "next": _Path,
    "next_parameter": _Text,
    "since": _Text,
    "fields": mf.Dict(keys=_Text, values=_Path),
}
_SCHEMAS: dict[str, Schema] = {
    "api": Schema.from_dict(_API)(),
    "write_back": _WriteBack.from_dict(_WRITE_BACK)(),
    "reconcile": Schema.from_dict(_RECONCILE)(),
}


def read(entry: dict[str, Any]) -> dict[str, Any]:
    """The parts `api`, `write_back` and `reconcile` of a source, checked.

    Raises ValidationError, which names what is wrong and repeats no value, because there are tokens among them.
    """
    found, wrong = {}, {}
    for part, schema in _SCHEMAS.items():
        if part in entry:
            try:
                found[part] = schema.load(entry[part])
            except ValidationError as error:
                wrong[part] = error.normalized_messages()
    if wrong:
        raise ValidationError(wrong)
    _check_together(found)
    return found


def _check_together(found: dict[str, Any]) -> None:
    needs_api = {"write_back"} if "webhook" not in found.get("write_back", {"webhook"}) else set()
    needs_api |= {"reconcile"} & set(found)
    if needs_api and "api" not in found:
        raise ValidationError(f"{' and '.join(sorted(needs_api))} need api with url and token.")
