"""Review: one ticket at a time, the oldest due first, and the next one already there."""

from datetime import datetime, timedelta

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from receiver.actions import review
from receiver.actions.errors import NotFoundError
from receiver.catalog import CatalogError
from receiver.db import review_queue, reviews, tickets
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.pages import ID
from receiver.web.dashboard import query_args, review_locks
from receiver.web.dashboard.ticket import chosen_entry, seen_classification, ticket_details
from receiver.web.dashboard.tickets import entries_by_category, midnight
from receiver.web.state import context, web_state

blueprint = Blueprint("review_pages", __name__, url_prefix="/review")

# Cards that are sent at once: the one that is looked at, and those that a quick reviewer needs next.
_AHEAD = 3
# More than that, because some may be before other reviewers.
_CANDIDATES = 50


@blueprint.get("")
def review_page() -> ResponseReturnValue:
    """The first tickets of the queue."""
    moment = now()
    with context().db.read() as session:
        cards = _take_cards(session)
        left = review_queue.left(session, _end_of_day(moment))
    return render_template(
        "review.html",
        cards=cards,
        left=left,
        moment=moment,
        reasons=list(review_queue.REASONS),
        categories=list(entries_by_category()),
        counted=review_queue.COUNTED,
    )


def _end_of_day(moment: datetime) -> datetime:
    """When the day of `moment` ends on the digests' clock."""
    zone = context().settings.digest_timezone
    # 36 hours after midnight is the next day in any case: a day has 23 to 25 hours.
    return midnight(midnight(moment, zone) + timedelta(hours=36), zone)


@blueprint.get("/next")
def next_cards() -> ResponseReturnValue:
    """The tickets behind the last one that a browser has."""
    with context().db.read() as session:
        cards = _take_cards(session)
    return render_template("review_cards.html", cards=cards, moment=now())


def _take_cards(session: Session) -> list[dict[str, object]]:
    """The next tickets that no other reviewer holds; from now on this one holds them."""
    ids = review_queue.waiting(
        session, _CANDIDATES, query_args.place("after"), query_args.text("reason"), query_args.text("category")
    )
    mine = review_locks.take(web_state().redis, ids, auth.caller(), _AHEAD)
    found = (tickets.with_classification(session, ticket_id) for ticket_id in mine)
    return [ticket_details(session, *pair) for pair in found if pair]


@blueprint.post(f"/<{ID}:ticket_id>")
@auth.require_role(auth.REVIEWER)
def decide(ticket_id: int) -> ResponseReturnValue:
    """Confirm or correct one ticket."""
    try:
        review.review(context(), auth.caller(), ticket_id, chosen_entry(), seen_classification())
    except (review.UnknownEntryError, review.NothingToConfirmError, CatalogError) as error:
        return _refuse(422, str(error))
    except reviews.ChangedMeanwhileError as error:
        return _refuse(409, f"{error} Here is the next one.")
    except NotFoundError:
        return _refuse(409, "This ticket was erased meanwhile. Here is the next one.")
    # An undo may follow, and another reviewer may then get the ticket.
    review_locks.leave(web_state().redis, ticket_id)
    return _answer_with_cards([])


@blueprint.post(f"/<{ID}:ticket_id>/undo")
@auth.require_role(auth.REVIEWER)
def undo(ticket_id: int) -> ResponseReturnValue:
    """Undo one's own review of a ticket, and show the ticket again."""
    try:
        review.undo(context(), auth.caller(), ticket_id)
    except reviews.NothingToUndoError as error:
        return _refuse(409, str(error))
    except NotFoundError:
        return _refuse(409, "This ticket was erased meanwhile.")
    with context().db.read() as session:
        pair = tickets.with_classification(session, ticket_id)
        return _answer_with_cards([ticket_details(session, *pair)] if pair else [])


def _answer_with_cards(cards: list[dict[str, object]]) -> ResponseReturnValue:
    """Cards, and what is left; a browser without scripts gets the page."""
    if "HX-Request" not in request.headers:
        return redirect(url_for("review_pages.review_page"))
    moment = now()
    with context().db.read() as session:
        left = review_queue.left(session, _end_of_day(moment))
    return render_template("review_cards.html", cards=cards, moment=moment, left=left, counted=review_queue.COUNTED)


def _refuse(code: int, words: str) -> ResponseReturnValue:
    # Only scripts see a status; a browser without them follows the redirect and reads the sentence there.
    if "HX-Request" in request.headers:
        abort(code, words)
    flash(words, "error")
    return redirect(url_for("review_pages.review_page"))
