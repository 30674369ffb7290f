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
from receiver.web.dashboard.query_args import whole
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
        known = shown(session, *found) | _past(session, ticket_id)
    return render_template("ticket.html", moment=now(), me=auth.caller(), link=_link(found[0]), **known)


def _link(ticket: Ticket) -> str | None:
    """The ticket at its helpdesk. What came in was checked; what is written into the record by hand is checked here."""
    return ticket.url if ticket.url and ticket.url.startswith(("http://", "https://")) else None


def shown(session: Session, ticket: Ticket, current: Classification | None) -> dict[str, object]:
    """What every page that shows one ticket needs of it."""
    said = engines_own(session, current)
    reason = said.reasoning if said else ""
    return {
        "ticket": ticket,
        "current": current,
        "said": said,
        "subject": highlight.pieces(text_limits.subject(ticket.short_description), reason),
        "text": highlight.pieces(text_limits.body(ticket.long_description), reason),
        "examples": examples.among(session, said.example_ids or []) if said else [],
        "others": _others(said, current),
        "threshold": context().settings.review_threshold,
    }


def engines_own(session: Session, current: Classification | None) -> Classification | None:
    """What an engine said of the ticket: the current classification, or the last one before a person's."""
    if current is None or current.reviewer is None:
        return current
    history = classifications.history(session, current.ticket_id)
    return next((row for row in history if row.reviewer is None), None)


def _others(said: Classification | None, current: Classification | None) -> list[tuple[str, str]]:
    """The next-best entries, as category and request type; those of them that the catalog has."""
    if said is None or current is None:
        return []
    try:
        labels = review.catalog(context()).labels
    except CatalogError:
        return []
    second = [said.second_opinion] if said.agreement is False and said.second_opinion else []
    found = [labels[label] for label in dict.fromkeys([*second, *said.alternatives]) if label in labels]
    mine = (current.category, current.request_type)
    return [(kind.category, kind.name) for kind in found if (kind.category, kind.name) != mine][:2]


def _past(session: Session, ticket_id: int) -> dict[str, object]:
    return {
        "history": classifications.history(session, ticket_id),
        "calls": outbox.about(session, ticket_id),
        "audit": audit.about(session, f"ticket {ticket_id}"),
        "deliveries": "/deliveries" if "deliveries_pages" in current_app.blueprints else None,
    }


@blueprint.post(f"/<{ID}:ticket_id>/review")
@auth.require_role(auth.REVIEWER)
def review_ticket(ticket_id: int) -> ResponseReturnValue:
    """Confirm or correct it."""
    try:
        found = review.review(context(), auth.caller(), ticket_id, choice(), seen())
    except _REFUSALS as error:
        return _back(ticket_id, str(error), "error")
    return _back(ticket_id, f"Reviewed: {found.classification.category} / {found.classification.request_type}.")


def choice() -> tuple[str, str] | None:
    """The entry that a form names; none confirms."""
    category, request_type = (request.form.get(name, "").strip()[:200] for name in ("category", "request_type"))
    return (category, request_type) if category or request_type else None


def seen() -> int | None:
    """The classification that the form was shown with."""
    return whole(request.form.get("seen", ""))


@blueprint.post(f"/<{ID}:ticket_id>/undo")
@auth.require_role(auth.REVIEWER)
def undo_review(ticket_id: int) -> ResponseReturnValue:
    """Undo one's own review of it."""
    try:
        review.undo(context(), auth.caller(), ticket_id)
    except reviews.NothingToUndoError as error:
        return _back(ticket_id, str(error), "error")
    return _back(ticket_id, "The review is undone; the ticket is as it was before.")


@blueprint.post(f"/<{ID}:ticket_id>/redrive")
@auth.require_role(auth.REVIEWER)
def redrive_ticket(ticket_id: int) -> ResponseReturnValue:
    """Have it classified again."""
    if classification.redrive(context(), auth.caller(), [ticket_id]):
        return _back(ticket_id, "The ticket will be classified again.")
    return _back(ticket_id, "A person has reviewed this ticket, and no engine overrules a person.", "error")


def _back(ticket_id: int, words: str, kind: str = "") -> ResponseReturnValue:
    flash(words, kind)
    return redirect(url_for("ticket_pages.ticket_page", ticket_id=ticket_id))
