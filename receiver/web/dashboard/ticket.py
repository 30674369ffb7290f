"""Ticket: what a person wrote, what was made of it, when it is due, and everything that happened to it."""

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from receiver.actions import classification, review
from receiver.catalog import CatalogError
from receiver.db import audit, classifications, examples, outbox, reviews, tickets
from receiver.db.models import Classification, Ticket
from receiver.lib import text_limits
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.pages import ID
from receiver.web.dashboard import highlight
from receiver.web.dashboard.query_args import parse_id
from receiver.web.state import context

blueprint = Blueprint("ticket_pages", __name__, url_prefix="/tickets")

_REFUSALS = (
    review.UnknownEntryError,
    review.NothingToConfirmError,
    reviews.ChangedMeanwhileError,
    reviews.NothingToUndoError,
    CatalogError,
)


@blueprint.get(f"/<{ID}:ticket_id>")
def ticket_page(ticket_id: int) -> ResponseReturnValue:
    """One ticket with all that is known of it."""
    with context().db.read() as session:
        found = tickets.with_classification(session, ticket_id)
        if found is None:
            abort(404, "There is no ticket with this number; it may have been erased.")
        known = ticket_details(session, *found) | {
            "history": classifications.history(session, ticket_id),
            "calls": outbox.about(session, ticket_id),
            "audit": audit.about(session, f"ticket {ticket_id}"),
        }
    deliveries = "/deliveries" if "deliveries_pages" in current_app.blueprints else None
    # A link to its helpdesk. The intake checks it; the check here is for what somebody wrote into the database by hand,
    # because a "javascript:" link would run in the reader's session.
    url = found[0].url or ""
    link = url if url.startswith(("http://", "https://")) else None
    return render_template("ticket.html", moment=now(), me=auth.caller(), link=link, deliveries=deliveries, **known)


def ticket_details(session: Session, ticket: Ticket, current: Classification | None) -> dict[str, object]:
    """What every page that shows one ticket needs of it, as variables of its template."""
    # What an engine said of it last: the current classification, or the one before a person's.
    said = current
    if current is not None and current.reviewer is not None:
        history = classifications.history(session, current.ticket_id)
        said = next((row for row in history if row.reviewer is None), None)
    reason = said.reasoning if said else ""
    return {
        "ticket": ticket,
        "current": current,
        "said": said,
        "subject": highlight.pieces(text_limits.subject(ticket.short_description), reason),
        "text": highlight.pieces(text_limits.body(ticket.long_description), reason),
        "examples": examples.among(session, said.example_ids or []) if said else [],
        "others": _next_best(said, current),
        "threshold": context().settings.review_threshold,
    }


def _next_best(said: Classification | None, current: Classification | None) -> list[tuple[str, str]]:
    """Up to two other entries that it could be, as category and request type."""
    if said is None or current is None:
        return []
    try:
        labels = review.catalog(context()).labels
    except CatalogError:
        return []
    # A second opinion that disagrees is the likeliest alternative. What has left the catalog cannot be chosen.
    second = [said.second_opinion] if said.agreement is False and said.second_opinion else []
    found = [labels[label] for label in dict.fromkeys([*second, *said.alternatives]) if label in labels]
    mine = (current.category, current.request_type)
    return [(kind.category, kind.name) for kind in found if (kind.category, kind.name) != mine][:2]


@blueprint.post(f"/<{ID}:ticket_id>/review")
@auth.require_role(auth.REVIEWER)
def review_ticket(ticket_id: int) -> ResponseReturnValue:
    """Confirm or correct it."""
    try:
        found = review.review(context(), auth.caller(), ticket_id, chosen_entry(), seen_classification())
    except _REFUSALS as error:
        return _back_to_ticket(ticket_id, str(error), "error")
    return _back_to_ticket(
        ticket_id, f"Reviewed: {found.classification.category} / {found.classification.request_type}."
    )


def chosen_entry() -> tuple[str, str] | None:
    """The entry that a form names; None where it confirms the present one."""
    category, request_type = (request.form.get(name, "").strip()[:200] for name in ("category", "request_type"))
    return (category, request_type) if category or request_type else None


def seen_classification() -> int | None:
    """The id of the classification that the form was shown with, so that a later one is not overruled unseen."""
    return parse_id(request.form.get("seen", ""))


@blueprint.post(f"/<{ID}:ticket_id>/undo")
@auth.require_role(auth.REVIEWER)
def undo_review(ticket_id: int) -> ResponseReturnValue:
    """Undo one's own review of it."""
    try:
        review.undo(context(), auth.caller(), ticket_id)
    except reviews.NothingToUndoError as error:
        return _back_to_ticket(ticket_id, str(error), "error")
    return _back_to_ticket(ticket_id, "The review is undone; the ticket is as it was before.")


@blueprint.post(f"/<{ID}:ticket_id>/redrive")
@auth.require_role(auth.REVIEWER)
def redrive_ticket(ticket_id: int) -> ResponseReturnValue:
    """Have it classified again."""
    if classification.redrive(context(), auth.caller(), [ticket_id]):
        return _back_to_ticket(ticket_id, "The ticket will be classified again.")
    return _back_to_ticket(ticket_id, "A person has reviewed this ticket, and no engine overrules a person.", "error")


def _back_to_ticket(ticket_id: int, words: str, kind: str = "") -> ResponseReturnValue:
    flash(words, kind)
    return redirect(url_for("ticket_pages.ticket_page", ticket_id=ticket_id))
