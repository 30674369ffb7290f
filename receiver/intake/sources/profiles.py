"""The profiles: one YAML file beside this one for each kind of helpdesk, checked strictly."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import marshmallow.fields as mf
import yaml
from marshmallow import Schema, ValidationError, post_load
from marshmallow.validate import Length, OneOf, Range

from receiver.intake.signatures.hmacs import ALGORITHMS, ENCODINGS, PARTS, Hmac
from receiver.intake.signatures.standard import Standard
from receiver.intake.signatures.static import Credential
from receiver.intake.signatures.tokens import SignedToken
from receiver.intake.sources.api import ApiSchema
from receiver.intake.sources.expressions import Expression
from receiver.intake.sources.helpdesk_profile import FIELDS, FieldPath, Names, Profile, Sample, Signing

FOLDER = Path(__file__).parent
FORMATS = ("text", "html", "markdown", "adf")


class Path_(mf.String):  # noqa: N801
    """A JMESPath expression."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return Expression(super()._deserialize(value, *args, **kwargs))


class _Zone(mf.String):
    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return ZoneInfo(super()._deserialize(value, *args, **kwargs))
        except (KeyError, ValueError, OSError):
            raise ValidationError("Not a known time zone; write one such as Europe/Berlin.") from None


class _ObjectSchema(Schema):
    """A mapping that is loaded as an object of class `made`, with its fields as arguments."""

    made: ClassVar[type[FieldPath | Names | Sample]]

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> FieldPath | Names | Sample:
        """The object."""
        return self.made(**data)


class _FieldPathSchema(_ObjectSchema):
    made = FieldPath
    path = Path_(required=True)
    format = mf.String(validate=OneOf(FORMATS))
    format_from = Path_()
    zone = _Zone()


def _parse_field_path(value: object) -> FieldPath:
    """A field's path, bare or as a mapping with its format."""
    made: FieldPath = _FieldPathSchema().load(value if isinstance(value, dict) else {"path": value})
    return made


class NamesSchema(_ObjectSchema):
    """Where a name stands."""

    made = Names
    header = mf.String()
    body = Path_()
    item = Path_()


def _check_parts(template: str) -> None:
    if "{body}" not in template:
        raise ValidationError("Must contain {body}, or what is in it could be changed.")
    named = [piece.partition("}")[0] for piece in template.split("{")[1:]]
    if wrong := [name for name in named if name not in PARTS]:
        raise ValidationError(f"{{{wrong[0]}}} is not known; there are {', '.join(f'{{{part}}}' for part in PARTS)}.")


class HmacSchema(Schema):
    """A way of signing, in a profile or in SOURCES_FILE; `Hmac` explains the fields."""

    header = mf.String(required=True, validate=Length(1, 100))
    algorithm = mf.String(validate=OneOf(ALGORITHMS))
    encoding = mf.String(validate=OneOf(ENCODINGS))
    prefix = mf.String()
    signed = mf.String(validate=_check_parts)
    field = mf.String()
    timestamp_header = mf.String()
    timestamp_field = mf.String()
    timestamp_body = mf.String()
    timestamp_required = mf.Boolean()
    id_header = mf.String()
    unit = mf.String(validate=OneOf(["s", "ms", "iso"]))
    window = mf.Float(validate=Range(min=1), allow_none=True)
    key = mf.String(validate=OneOf(["text", "base64", "freescout"]))
    plain = mf.Boolean()

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Hmac:
        """The scheme; what it signs must be somewhere in the request."""
        made = Hmac(**data)
        if "{timestamp}" in made.signed and not (made.timestamp_header or made.timestamp_field):
            raise ValidationError("Say where the {timestamp} stands: timestamp_header or timestamp_field.", "signed")
        if "{id}" in made.signed and not made.id_header:
            raise ValidationError("Say where the {id} stands: id_header.", "signed")
        if "{secret}" in made.signed and not made.plain:
            raise ValidationError("{secret} is for plain: true only.", "signed")
        if made.window and not (made.timestamp_header or made.timestamp_field or made.timestamp_body):
            raise ValidationError("There is no timestamp to compare it with.", "window")
        return made


def _parse_signing(value: Any) -> Signing:
    """One by its name, or an HMAC's mapping."""
    if isinstance(value, str) and value in _BY_NAME:
        return _BY_NAME[value]
    made: Signing = HmacSchema().load(value)
    return made


_BY_NAME: dict[str, Signing] = {"standard": Standard(), "credential": Credential(), "token": SignedToken()}


class _SampleSchema(_ObjectSchema):
    made = Sample
    body = mf.String(required=True)
    headers = mf.Dict(keys=mf.String(), values=mf.String())


def fields_of() -> mf.Field[Any]:
    """A field of a mapping from a ticket's fields to where they stand."""
    return mf.Dict(keys=mf.String(validate=OneOf(FIELDS)), values=mf.Function(deserialize=_parse_field_path))


class _ProfileSchema(Schema):
    title = mf.String(required=True)
    setup = mf.String(required=True)
    sample = mf.Nested(_SampleSchema, required=True)
    signings = mf.Dict(keys=mf.String(), values=mf.Function(deserialize=_parse_signing))
    delivery = mf.Nested(NamesSchema)
    event = mf.Nested(NamesSchema)
    events = mf.List(mf.String())
    actor = mf.Nested(NamesSchema)
    items = Path_()
    fields: Any = fields_of()  # marshmallow has an attribute of this name; as a field it is one like the others.
    lenient = mf.Boolean()
    thin = mf.Boolean()
    challenge = mf.Boolean()
    answers_head = mf.Boolean()
    api = mf.Nested(ApiSchema)
    template = mf.String()
    notes = mf.String()
    facts = mf.List(mf.String())


def load(path: Path) -> Profile:
    """The profile in a file. Raises ValidationError."""
    # Tests load every profile, so what is wrong with one is found before it is shipped.
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    values: dict[str, Any] = _ProfileSchema().load(document)
    for name in ("events", "facts"):
        values[name] = tuple(values.get(name, ()))
    return Profile(name=path.stem, **values)


@cache
def shipped() -> Mapping[str, Profile]:
    """Every profile by name."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.yaml"))}
