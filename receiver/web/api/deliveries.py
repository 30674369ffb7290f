"""The deliveries under /api: what arrived, what it said, and reading it again."""

from datetime import UTC
from typing import Any

from flask import abort
from marshmallow import RAISE, Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf, Range

from receiver.actions.deliveries import Replay, get, replay, replay_each
from receiver.db import deliveries
from receiver.db.models import DELIVERY_STATES, ORIGINS, VERIFICATIONS, Delivery
from receiver.intake import payload_masking
from receiver.intake.schemas import Moment, PlainText
from receiver.web import auth
from receiver.web.api.errors import Blueprint
from receiver.web.api.pages import ID, MAX_ID, MAX_PAGE, PageQuery, columns, page, page_of
from receiver.web.state import context

blueprint = Blueprint("deliveries", __name__, url_prefix="/api", description="What arrived, and reading it again")


class Whole(fields.Integer):
    """A whole number as JSON has it: 5 and 5.0, but neither "5" nor 5.5."""

    def _validated(self, value: Any) -> int:
        # marshmallow takes "5" and cuts 5.5 to 5; its `strict` also refuses 5.0, which to JSON is the same as 5.
        if not isinstance(value, int | float) or value != value // 1:
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class OutcomeOut(Schema):
    """What a delivery brought."""

    status = fields.String(validate=OneOf(DELIVERY_STATES))
    accepted = fields.Integer(metadata={"description": "Tickets that were new."})
    updated = fields.Integer(metadata={"description": "Tickets that were known with another text."})
    duplicates = fields.Integer(metadata={"description": "Tickets that were known as they are."})
    rejected = fields.List(fields.Dict(), metadata={"description": "Tickets in quarantine: index, id and errors."})
    error = fields.String(allow_none=True, metadata={"description": "Why nothing in it could be used."})


class DeliveryOut(OutcomeOut):
    """A delivery without its body."""

    id = fields.Integer()
    source = fields.String()
    key = fields.String(metadata={"description": "What its source calls it; one of the same key is a duplicate."})
    received_at = fields.AwareDateTime()
    original_id = fields.Integer(allow_none=True, metadata={"description": "The delivery that it repeats."})
    conflict = fields.Boolean(metadata={"description": "Whether it repeats the key of a delivery with another body."})
    origin = fields.String(validate=OneOf(ORIGINS), metadata={"description": "What brought it."})
    verification = fields.String(
        allow_none=True, metadata={"enum": [*VERIFICATIONS, None], "description": "Whether its sender proved itself."}
    )


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    status = fields.String(validate=OneOf(DELIVERY_STATES))


class RawOut(Schema):
    """A delivery as it arrived, secrets masked."""

    delivery = fields.Integer()
    headers = fields.Dict(keys=fields.String(), values=fields.String())
    body = fields.String()
    error = fields.String(allow_none=True)
    fault = fields.Dict(allow_none=True, metadata={"description": "The place that the error names, and what is there."})


class ReplaySelection(Schema):
    """Which deliveries are read again: those of `ids`, or those of a `source` `since` a time."""

    class Meta:
        """marshmallow's options."""

        unknown = RAISE

    ids = fields.List(Whole(validate=Range(1, MAX_ID)), validate=Length(1, MAX_PAGE))
    source = PlainText(validate=Length(1))
    since = Moment(format="iso", default_timezone=UTC)
    status = fields.String(validate=OneOf(DELIVERY_STATES))
    limit = Whole(load_default=50, validate=Range(1, MAX_PAGE))
    cursor = Whole(load_default=None, allow_none=True, validate=Range(1, MAX_ID))

    @validates_schema
    def one_kind(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a mixture of both kinds, and half of one."""
        if "ids" in data and ("source" in data or "since" in data):
            raise ValidationError("Send either ids, or source and since.")
        if "ids" not in data and not (data.get("source") and data.get("since")):
            raise ValidationError("Send ids, or source and since.")


# The same rule as `one_kind` above, for OpenAPI.
_EITHER_KIND = [
    {"required": ["ids"], "not": {"anyOf": [{"required": ["source"]}, {"required": ["since"]}]}},
    {"required": ["source", "since"], "not": {"required": ["ids"]}},
]


class ReplayOut(Schema):
    """What a delivery brought before it was read again, and what it brings now."""

    delivery = fields.Integer()
    before = fields.Nested(OutcomeOut, allow_none=True)
    after = fields.Nested(OutcomeOut, allow_none=True)
    error = fields.String(allow_none=True, metadata={"description": "Why it was not read again."})


@blueprint.get("/deliveries")
@blueprint.arguments(DeliveryQuery, location="query")
@blueprint.response(200, page_of(DeliveryOut, "DeliveryPage"))
def list_deliveries(query: dict[str, Any]) -> dict[str, object]:
    """Deliveries, newest first."""
    with context().db.read() as session:
        rows = deliveries.page(session, query["limit"] + 1, query.get("cursor"), status=query.get("status"))
    return page([columns(row) for row in rows], query["limit"])


@blueprint.get(f"/deliveries/<{ID}:delivery_id>")
@blueprint.response(200, DeliveryOut)
def get_delivery(delivery_id: int) -> Delivery:
    """One delivery."""
    with context().db.read() as session:
        return get(session, delivery_id)


@blueprint.get(f"/deliveries/<{ID}:delivery_id>/raw")
@blueprint.response(200, RawOut)
@blueprint.refuses(410, "Its raw bytes are no longer kept.")
@auth.require_role(auth.OPERATOR)
def get_raw(delivery_id: int) -> dict[str, object]:
    """The body and the headers as they arrived, without secrets, and the place of the fault."""
    with context().db.read() as session:
        delivery = get(session, delivery_id)
    if delivery.body is None:
        original = f" It repeats delivery {delivery.original_id}." if delivery.original_id else ""
        abort(410, f"The raw bytes of this delivery are not kept.{original}")
    settings, sources = context().settings, context().sources
    return payload_masking.shown(delivery, sources.get(delivery.source), settings.max_body_mb * 2**20)


@blueprint.post(f"/deliveries/<{ID}:delivery_id>/replay")
@blueprint.response(200, ReplayOut)
@blueprint.refuses(409, "It repeats another delivery, or its source is gone.")
@blueprint.refuses(410, "Its raw bytes are no longer kept.")
@auth.require_role(auth.OPERATOR)
def replay_delivery(delivery_id: int) -> Replay:
    """Read one delivery again with today's mapping of its source."""
    return replay(context(), auth.caller(), delivery_id)


@blueprint.post("/deliveries/replay")
@blueprint.takes(ReplaySelection, needed=True, anyOf=_EITHER_KIND)
@blueprint.response(200, page_of(ReplayOut, "ReplayedPage"))
@auth.require_role(auth.OPERATOR)
def replay_selection(selection: dict[str, Any]) -> dict[str, object]:
    """Read a selection again: those of `ids`, or a source's since a time, oldest first.

    Where `next` is not null there are more; send the same selection with it as `cursor`.
    """
    if "ids" in selection:
        ids, following = selection["ids"], None
    else:
        source, since, limit = selection["source"], selection["since"], selection["limit"]
        status, cursor = selection.get("status"), selection["cursor"]
        with context().db.read() as session:
            # One more than the page holds: that it is there says that another page follows.
            found = deliveries.kept_since(session, source, since, status, limit + 1, cursor)
        ids, following = found[:limit], found[limit - 1] if len(found) > limit else None
    return {"items": list(replay_each(context(), auth.caller(), ids)), "next": following}
