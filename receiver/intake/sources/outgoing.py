"""What SOURCES_FILE may say of the way back to a helpdesk: its API, what is written to it, what is reconciled."""

import re
from string import Formatter
from typing import Any

import marshmallow.fields as mf
from marshmallow import Schema, ValidationError, validates_schema
from marshmallow.validate import Length, Range, Regexp

from receiver.intake.sources.api import CARRIERS, names_in, needs, numbers_fields, takes
from receiver.intake.sources.expressions import Expression
from receiver.intake.sources.helpdesk_profile import Profile
from receiver.lib.shared_secrets import standard_key

# What the texts of a write_back may name between braces.
NAMES = ("category", "request_type", "sla", "confidence", "engine")

_ADDRESS = Regexp(
    r"https?://\[?[\w:]", re.ASCII, error="Not an address that begins with http:// or https:// and names a host."
)


def _check_template(text: str) -> None:
    try:
        named = [part[1:] for part in Formatter().parse(text) if part[1] is not None]
    except ValueError:
        named = [("", None, None)]
    # Names alone: what else Python's formatting knows reaches into objects, or fills the memory with blanks.
    if any(name not in NAMES or spec or conversion for name, spec, conversion in named):
        raise ValidationError(f"May name {', '.join(f'{{{name}}}' for name in NAMES)} between braces.")


def _check_field_names(fields: dict[str, str]) -> None:
    inner = sorted(name for name in fields if any(name.startswith(f"{other}.") for other in fields))
    if inner:
        raise ValidationError(f"{', '.join(inner)} cannot stand inside a field that is itself a text.")


_Text = mf.String(validate=Length(1))
_Template = mf.String(validate=[Length(1), _check_template])
_Path = mf.String(validate=Expression)
_FOR_THE_API = {"fields", "labels", "note", "values"}


class _WriteBack(Schema):
    @validates_schema
    def says_what(self, data: dict[str, Any], **_: Any) -> None:
        if not {"fields", "labels", "note", "webhook"} & set(data):
            raise ValidationError("Says nothing to write; name fields, labels, a note or a webhook.")
        if ("webhook" in data) != ("secret" in data):
            raise ValidationError("webhook and secret go together.")
        if "webhook" in data and (others := sorted(_FOR_THE_API & set(data))):
            told = ", ".join(others)
            raise ValidationError(f"A webhook is sent the whole classification: leave out {told}, or the webhook.")


_Fields = dict[str, mf.Field[Any]]
_API: _Fields = {
    "url": mf.String(required=True, validate=_ADDRESS),
    "user": _Text,
    "token": _Text,
    "headers": mf.Dict(keys=_Text, values=_Text),
    "parameters": mf.Dict(keys=_Text, values=_Text),
}
_WRITE_BACK: _Fields = {
    "fields": mf.Dict(keys=_Text, values=_Template, validate=_check_field_names),
    "labels": mf.List(_Template),
    "note": _Template,
    "values": mf.Dict(keys=_Text, values=mf.Raw()),
    "uncertain": mf.Boolean(),
    "per_minute": mf.Integer(validate=Range(1, 6000)),
    "webhook": mf.String(validate=_ADDRESS),
    "secret": mf.String(validate=standard_key),
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


def read(profile: Profile, entry: dict[str, Any]) -> dict[str, Any]:
    """The parts `api`, `write_back` and `reconcile` of a source, checked, also against what its helpdesk can take.

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
    needs_api = {"write_back"} if "webhook" not in found.get("write_back", {"webhook"}) else set()
    needs_api |= {"reconcile"} & set(found)
    if needs_api and "api" not in found:
        raise ValidationError(f"{' and '.join(sorted(needs_api))} need api with url and token.")
    if "api" in found:
        _check_credential(profile, found["api"])
    wanted = {name: found["write_back"].get(name) for name in CARRIERS} if "write_back" in found else {}
    if any(wanted.values()):
        _check_taken(profile, found["api"], wanted)
    return found


def _check_credential(profile: Profile, given: dict[str, Any]) -> None:
    """What the helpdesk's way of asking who calls must be filled with; a source's own `headers` may say it instead."""
    if profile.api is None or "headers" in given:
        return
    kind = "auth" if given.get("user") or "auth_without_user" not in profile.api else "auth_without_user"
    asked = {name for value in profile.api[kind].values() for name in names_in(value)}
    if missing := sorted(asked - set(given)):
        raise ValidationError(f"api: {' and '.join(missing)} missing; {profile.title} wants to know who calls.")


def _check_taken(profile: Profile, given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse what would be a dead letter for every ticket."""
    api = profile.api or {"write": []}
    can = takes(api)
    if cannot := [name for name in wanted if wanted[name] and name not in can]:
        told = f"takes only {' and '.join(sorted(can))}" if can else "takes none of these, only a webhook"
        raise ValidationError(f"write_back: {' and '.join(cannot)}: {profile.title} {told}.")
    if missing := sorted(set(needs(api, wanted)) - set(api.get("defaults", {})) - set(given.get("parameters", {}))):
        raise ValidationError(f"write_back: {profile.title} needs {' and '.join(missing)} in api: parameters.")
    if numbers_fields(api) and (named := [name for name in wanted["fields"] or {} if not name.isdecimal()]):
        raise ValidationError(f"write_back: fields: {profile.title} knows a field by its number, not as {named[0]}.")
