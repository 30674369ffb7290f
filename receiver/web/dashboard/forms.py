"""What forms about people may hold, as marshmallow schemas."""

from typing import Any

from flask import request
from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from receiver.db import people
from receiver.db.people import plain
from receiver.intake.schemas import Address, PlainText
from receiver.lib.roles import ROLES

_ROLE = OneOf(ROLES, error="One of viewer, reviewer, operator and admin.")


class _Line(PlainText):
    """A short text without space around it, in which every character can be seen."""

    def __init__(self, longest: int = 100) -> None:
        super().__init__(required=True, validate=Length(1, longest, error=f"Between 1 and {longest} characters."))

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        line = super()._deserialize(*args, **kwargs).strip()
        # A name with a right-to-left mark or a zero-width space could look like somebody else's.
        if people.visible(line) != line:
            raise ValidationError("Contains characters that cannot be seen, such as control characters; remove them.")
        return line


class _Email(Address):
    def __init__(self) -> None:
        super().__init__(required=True, validate=Length(max=254), error_messages={"null": "Write an e-mail address."})

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        # Before marshmallow's own check, which refuses an address with spaces around it.
        address = plain(str(value))
        if not address.isprintable():
            raise ValidationError("Contains characters that cannot be seen; remove them.")
        return super()._deserialize(address, *args, **kwargs)


class Form(Schema):
    """A form; other fields that a browser sends, such as the CSRF token, are ignored."""

    class Meta:
        """marshmallow's options."""

        unknown = EXCLUDE


class Name(Form):
    """What a person is called."""

    name = _Line()


class Password(Name):
    """What an invited person, or one with a new link, is asked for."""

    password = PlainText(required=True)


class NewAccount(Password):
    """The first admin's account."""

    email = _Email()


class Invitation(Name):
    """Whom an admin invites, and as what."""

    email = _Email()
    role = fields.String(required=True, validate=_ROLE)


class Role(Form):
    """What a person becomes."""

    role = fields.String(required=True, validate=_ROLE)


class Token(Role, Name):
    """A person's new API token."""

    read_only = fields.Boolean(load_default=False)
    days = fields.Integer(required=True, validate=Range(1, 366, error="Between 1 and 366 days."))


def read(schema: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """What the browser sent of a form, and what is wrong with it, by field."""
    try:
        values: dict[str, Any] = schema.load(request.form)
    except ValidationError as error:
        valid: Any = error.valid_data
        return dict(valid), {name: " ".join(map(str, texts)) for name, texts in error.normalized_messages().items()}
    return values, {}
