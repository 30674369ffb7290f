"""What may come in, as marshmallow schemas; what the API asks and answers stands beside its routes."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load
from marshmallow.validate import Length

from receiver.db.tickets import IncomingTicket
from receiver.lib import text_limits

MAX_ADDRESS = 320  # RFC 5321, section 4.5.3.1: 64 + 1 + 255.
MAX_LINK = 2_000
MAX_NAME = 255
_LINK = re.compile(r"https?://[^\s<>\"'\\]+", re.IGNORECASE)
# What a template that was not filled in gives to every ticket: {{ticket.id}}, #{ticket.id}, ${RequestId}, $RequestId.
_PLACEHOLDER = re.compile(r"\{\{.*\}\}|[#$%]\{.*\}|\{%.*%\}|^\$[A-Za-z_.]+$", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")
_NO_TIME = {"invalid": "Not a time; send ISO 8601, such as 2026-01-31T10:00:00+01:00."}
_TIME: dict[str, Any] = {
    "format": "iso",
    "default_timezone": UTC,
    "load_default": None,
    "allow_none": True,
    "error_messages": _NO_TIME,
}


class PlainText(fields.String):
    """Text that every database and spreadsheet can hold; no NUL and no half of a surrogate pair."""

    def __init__(self, **options: Any) -> None:
        described = {"pattern": "^[^\\u0000]*$"} | options.pop("metadata", {})
        super().__init__(metadata=described, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in text:
            raise ValidationError("Contains a NUL character.")
        if not text.isascii() and _HALF.search(text):
            raise ValidationError("Contains half of a surrogate pair, which is not text.")
        return text


class Prose(PlainText):
    """What a person wrote; `within` leaves of it what a ticket keeps."""

    def __init__(self, within: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self._within = within

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return self._within(super()._deserialize(value, attr, data, **kwargs))


class Name(PlainText):
    """A short word that a source may also send as a whole number."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super()._deserialize(value, attr, data, **kwargs).strip()


class _Blankable(fields.Field[Any]):
    """A field in which an empty text means that nothing is known."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super().deserialize(None if value == "" else value, *args, **kwargs)


class Address(_Blankable, fields.Email):
    """An e-mail address."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        # First, because the pattern for addresses takes more than linear time.
        if isinstance(value, str) and len(value) > MAX_ADDRESS:
            raise ValidationError(f"Longer than {MAX_ADDRESS} characters.")
        return super()._deserialize(value, attr, data, **kwargs)


class Link(_Blankable, PlainText):
    """An http(s) address, safe to be made a link of; its host may be a name of the local network."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > MAX_LINK or not _LINK.fullmatch(text):
            raise ValidationError(f"Not an http or https address of at most {MAX_LINK} characters.")
        return text


class Moment(_Blankable, fields.AwareDateTime):
    """A time, in UTC where it names no zone; one without a counterpart in UTC, at the calendar's ends, is no time."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            return super()._deserialize(value, attr, data, **kwargs).astimezone(UTC)
        except OverflowError:
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from None


def _check_is_filled_in(name: str) -> None:
    # Every validator runs, and over a name that is too long the pattern would work for minutes.
    if len(name) <= MAX_NAME and _PLACEHOLDER.search(name):
        raise ValidationError("A placeholder that was not filled in; mend the helpdesk's template.")


class TicketIn(Schema):
    """A ticket in a delivery of the source `standard`; unknown fields stay in the raw delivery."""

    class Meta:
        """marshmallow's options."""

        unknown = EXCLUDE

    error_messages = dict.fromkeys(("type",), "Not an object with the fields of a ticket.")
    external_id = Name(data_key="id", required=True, validate=[Length(1, MAX_NAME), _check_is_filled_in])
    short_description = Prose(text_limits.subject, required=True, validate=Length(1))
    long_description = Prose(text_limits.body, load_default="", allow_none=True)
    requester_email = Address(load_default=None, allow_none=True)
    priority = Name(load_default=None, allow_none=True, validate=Length(max=100))
    url = Link(load_default=None, allow_none=True)
    source_created_at = Moment(data_key="created_at", **_TIME)
    source_updated_at = Moment(data_key="updated_at", **_TIME)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> IncomingTicket:
        """The ticket as the database takes it."""
        data["long_description"] = data["long_description"] or ""
        return IncomingTicket(**data)
