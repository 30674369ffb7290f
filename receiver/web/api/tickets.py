"""The tickets under /api: what they are attributed to, reviewing and redriving them."""

from typing import Any

from flask import abort
from marshmallow import RAISE, Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, OneOf

from receiver.actions import classification, review
from receiver.catalog import CatalogError
from receiver.db import classifications, review_reasons, reviews, ticket_query
from receiver.db.models import TICKET_STATES, Classification, Ticket
from receiver.db.review_reasons import ReviewReason
from receiver.intake.schemas import PlainText
from receiver.lib import sla
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.errors import Blueprint
from receiver.web.api.pages import ID, PageQuery, columns, page_of
from receiver.web.state import context

blueprint = Blueprint("tickets", __name__, url_prefix="/api", description="What arrived, and what it is attributed to")


class ClassificationOut(Schema):
    """A stored decision."""

    category = fields.String()
    request_type = fields.String()
    sla = fields.Method("sla_of", metadata={"$ref": "#/components/schemas/SlaOut"})
    confidence = fields.Float(metadata={"description": "From 0 to 1."})
    reasoning = fields.String(metadata={"description": "Why, in the engine's words."})
    alternatives = fields.List(fields.String(), metadata={"description": "What else it could be, the likeliest first."})
    review_reason = fields.Function(
        review_reasons.sentence,
        # marshmallow cannot tell what a function returns, so the type for OpenAPI stands here.
        metadata={"type": ["string", "null"], "description": "Why a person should look at it."},
    )
    review_code = fields.String(
        attribute="review_reason",
        allow_none=True,
        metadata={"description": "The same as a code.", "enum": [*ReviewReason, None]},
    )
    engine = fields.String()
    model = fields.String()
    fallback = fields.Boolean(metadata={"description": "Whether something stands in for what was meant to answer."})
    mended = fields.Boolean(
        attribute="fuzzy_matched", metadata={"description": "Whether the engine's answer only came close to the entry."}
    )
    catalog_version = fields.String()
    prompt_version = fields.String(allow_none=True)
    reviewer = fields.String(allow_none=True, metadata={"description": "Who confirmed or corrected it."})
    created_at = fields.AwareDateTime()

    def sla_of(self, row: Classification) -> dict[str, object]:
        """The SLA of a classification."""
        # The column is a float; people write "4 hours" in the catalog, and get 4 back and not 4.0.
        value = int(row.sla_value) if float(row.sla_value).is_integer() else row.sla_value
        return {"value": value, "unit": row.sla_unit, "is_default": row.sla_is_default}


class TicketOut(Schema):
    """A ticket with its current classification."""

    id = fields.Integer()
    source = fields.String()
    external_id = fields.String(metadata={"description": "What its source calls it."})
    short_description = fields.String()
    long_description = fields.String()
    requester_email = fields.String(allow_none=True)
    priority = fields.String(allow_none=True)
    url = fields.String(allow_none=True)
    status = fields.String(validate=OneOf(TICKET_STATES))
    received_at = fields.AwareDateTime()
    due_at = fields.AwareDateTime(allow_none=True, metadata={"description": "When its SLA ends."})
    sla_state = fields.String(validate=OneOf(sla.STATES), metadata={"description": "At risk from 75 % used."})
    attempts = fields.Integer(metadata={"description": "How often an engine was begun with it."})
    error = fields.String(allow_none=True, metadata={"description": "Why the last attempt came to nothing."})
    classification = fields.Nested(ClassificationOut, allow_none=True)


class TicketDetailOut(TicketOut):
    """A ticket with every classification it ever had, newest first."""

    history = fields.List(fields.Nested(ClassificationOut))


class TicketQueryIn(PageQuery):
    """Which tickets."""

    status = fields.String(validate=OneOf(TICKET_STATES))
    category = PlainText(metadata={"description": "The category's whole name."})
    request_type = PlainText(metadata={"description": "The request type's whole name."})
    source = PlainText()
    q = PlainText(validate=Length(1, 200), metadata={"description": "Words that the ticket contains, in any order."})


class ReviewIn(Schema):
    """What a ticket is; empty where the person confirms what it is attributed to."""

    class Meta:
        """marshmallow's options."""

        unknown = RAISE

    category = PlainText(validate=Length(1, 200))
    request_type = PlainText(validate=Length(1, 200))

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse one without the other."""
        if len(data) == 1:
            raise ValidationError("category and request_type go together; send both to correct, none to confirm.")


class ReviewOut(TicketOut):
    """A reviewed ticket."""

    learned = fields.Boolean(metadata={"description": "Whether it became an example for the engines."})


@blueprint.get("/tickets")
@blueprint.arguments(TicketQueryIn, location="query")
@blueprint.response(200, page_of(TicketOut, "TicketPage"))
def list_tickets(query: dict[str, Any]) -> dict[str, object]:
    """Tickets, newest first. A page may hold fewer than `limit` and still have a `next` one."""
    limit, cursor = query.pop("limit"), query.pop("cursor", None)
    with context().db.read() as session:
        found = ticket_query.page(session, ticket_query.TicketQuery(**query), limit, now(), cursor, whole=True)
    return {"items": [_describe_ticket(*pair) for pair in found.pairs], "next": found.after}


@blueprint.get(f"/tickets/<{ID}:ticket_id>")
@blueprint.response(200, TicketDetailOut)
def get_ticket(ticket_id: int) -> dict[str, object]:
    """One ticket with its history."""
    with context().db.read() as session:
        found = review.get(session, ticket_id)
        return _describe_ticket(*found) | {"history": classifications.history(session, ticket_id)}


@blueprint.post(f"/tickets/<{ID}:ticket_id>/review")
@blueprint.takes(ReviewIn, dependentRequired={"category": ["request_type"], "request_type": ["category"]})
@blueprint.response(200, ReviewOut)
@blueprint.refuses(409, "There is nothing to confirm or to choose from.")
@blueprint.refuses(422, "The fields are wrong, or the catalog in force has no such entry.")
@auth.require_role(auth.REVIEWER)
def review_ticket(body: dict[str, str], ticket_id: int) -> dict[str, object]:
    """Confirm what a ticket is attributed to ({}), or correct it; from then on no engine changes it."""
    choice = (body["category"], body["request_type"]) if body else None
    try:
        found = review.review(context(), auth.caller(), ticket_id, choice)
    except CatalogError as error:
        abort(409, f"There is nothing to choose from: {error}")
    return _describe_ticket(found.ticket, found.classification) | {"learned": found.learned}


@blueprint.post(f"/tickets/<{ID}:ticket_id>/undo")
@blueprint.response(200, TicketOut)
@blueprint.refuses(409, "The caller has not reviewed the ticket, or what came of it can no longer be taken back.")
@auth.require_role(auth.REVIEWER)
def undo_review(ticket_id: int) -> dict[str, object]:
    """Undo one's own review of a ticket: it is again what it was before, and so is what was learned from it."""
    try:
        review.undo(context(), auth.caller(), ticket_id)
    except reviews.NothingToUndoError as error:
        abort(409, str(error))
    return _load_ticket(ticket_id)


@blueprint.post(f"/tickets/<{ID}:ticket_id>/redrive")
@blueprint.response(200, TicketOut)
@blueprint.refuses(409, "A person has reviewed the ticket.")
@auth.require_role(auth.REVIEWER)
def redrive_ticket(ticket_id: int) -> dict[str, object]:
    """Have a ticket classified again, whatever became of it, unless a person has reviewed it."""
    done = classification.redrive(context(), auth.caller(), [ticket_id])
    found = _load_ticket(ticket_id)
    if not done:
        abort(409, "A person has reviewed this ticket, and no engine overrules a person; review it again instead.")
    return found


def _load_ticket(ticket_id: int) -> dict[str, object]:
    with context().db.read() as session:
        return _describe_ticket(*review.get(session, ticket_id))


def _describe_ticket(ticket: Ticket, classification: Classification | None) -> dict[str, object]:
    """A ticket as `TicketOut` has it."""
    state = sla.state(ticket.due_at, ticket.at_risk_at, now())
    return columns(ticket) | {"classification": classification, "sla_state": state}
