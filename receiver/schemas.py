"""What may come in and what goes out, as marshmallow schemas."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load
from marshmallow.validate import Length, OneOf, Range

from receiver.record.models import DELIVERY_STATES, TICKET_STATES
from receiver.record.tickets import IncomingTicket

MAX_ADDRESS = 320  # RFC 5321, section 4.5.3.1: 64 + 1 + 255.
MAX_LINK = 2_000
_LINK = re.compile(r"https?://[^\s<>\"'\\]+", re.IGNORECASE)
_TIME: dict[str, Any] = {"format": "iso", "default_timezone": UTC, "load_default": None, "allow_none": True}


class PlainText(fields.String):
    """Text that every database and spreadsheet can hold; no NUL and no half of a surrogate pair."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if "\x00" in text:
            raise ValidationError("Contains a NUL character.")
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValidationError("Contains half of a surrogate pair, which is not text.")
        return text


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
        if isinstance(value, str) and len(value) > MAX_ADDRESS:  # Before a pattern works on it for a second.
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


class TicketIn(Schema):
    """A ticket in a delivery of the source `standard`; unknown fields stay in the raw delivery."""

    class Meta:
        """marshmallow's options."""

        unknown = EXCLUDE

    external_id = Name(data_key="id", required=True, validate=Length(1, 255))
    short_description = PlainText(required=True, validate=Length(1))
    long_description = PlainText(load_default="", allow_none=True)
    requester_email = Address(load_default=None, allow_none=True)
    priority = Name(load_default=None, allow_none=True, validate=Length(max=100))
    url = Link(load_default=None, allow_none=True)
    source_created_at = Moment(data_key="created_at", **_TIME)
    source_updated_at = Moment(data_key="updated_at", **_TIME)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> IncomingTicket:
        """The record's own form of it."""
        data["long_description"] = data["long_description"] or ""
        return IncomingTicket(**data)


class ClassificationOut(Schema):
    """A stored decision."""

    category = fields.String()
    request_type = fields.String()
    sla = fields.Method("sla_of")
    confidence = fields.Float()
    reasoning = fields.String()
    alternatives = fields.List(fields.String())
    review_reason = fields.String(allow_none=True)
    engine = fields.String()
    model = fields.String()
    fallback = fields.Boolean()
    mended = fields.Boolean()
    catalog_version = fields.String()
    prompt_version = fields.String(allow_none=True)
    created_at = fields.AwareDateTime()

    def sla_of(self, row: Any) -> dict[str, Any]:
        """The SLA as a person writes it: 4, not 4.0."""
        value = int(row.sla_value) if float(row.sla_value).is_integer() else row.sla_value
        return {"value": value, "unit": row.sla_unit, "is_default": row.sla_is_default}


class TicketOut(Schema):
    """A ticket with its current classification."""

    id = fields.Integer()
    source = fields.String()
    external_id = fields.String()
    short_description = fields.String()
    long_description = fields.String()
    requester_email = fields.String(allow_none=True)
    priority = fields.String(allow_none=True)
    url = fields.String(allow_none=True)
    status = fields.String()
    received_at = fields.AwareDateTime()
    due_at = fields.AwareDateTime(allow_none=True)
    attempts = fields.Integer()
    error = fields.String(allow_none=True)
    classification = fields.Nested(ClassificationOut, allow_none=True)


class TicketDetailOut(TicketOut):
    """A ticket with every classification it ever had, newest first."""

    history = fields.List(fields.Nested(ClassificationOut))


class DigestOut(Schema):
    """A digest."""

    id = fields.Integer()
    name = fields.String()
    period = fields.String()
    status = fields.String()
    created_at = fields.AwareDateTime()
    sent_at = fields.AwareDateTime(allow_none=True)
    tickets = fields.Integer()
    recipients = fields.List(fields.String())
    message_id = fields.String()
    attempts = fields.Integer()
    error = fields.String(allow_none=True)


class DeliveryOut(Schema):
    """A delivery without its body."""

    id = fields.Integer()
    source = fields.String()
    key = fields.String()
    status = fields.String()
    received_at = fields.AwareDateTime()
    accepted = fields.Integer()
    updated = fields.Integer()
    duplicates = fields.Integer()
    rejected = fields.List(fields.Dict())
    error = fields.String(allow_none=True)
    original_id = fields.Integer(allow_none=True)
    conflict = fields.Boolean()


class PageQuery(Schema):
    """Which page of a list."""

    limit = fields.Integer(load_default=50, validate=Range(1, 200))
    cursor = fields.Integer(load_default=None, validate=Range(1, 2**53))


class TicketQuery(PageQuery):
    """Which tickets."""

    status = fields.String(validate=OneOf(TICKET_STATES))
    category = PlainText()
    request_type = PlainText()
    source = PlainText()
    q = PlainText(validate=Length(1, 200))


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    status = fields.String(validate=OneOf(DELIVERY_STATES))


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """The schema of a page of such items, and the cursor of the next page."""
    items = fields.List(fields.Nested(item))
    return Schema.from_dict({"items": items, "next": fields.Integer(allow_none=True)}, name=name)
