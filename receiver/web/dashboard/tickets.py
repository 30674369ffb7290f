"""Tickets: the list, its filters in the URL, and what is done to several of them at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from receiver.actions import classification, review
from receiver.catalog import CatalogError, RequestType
from receiver.db import counters, overview, ticket_query, tickets
from receiver.db.models import TICKET_STATES
from receiver.db.search_index import RANKED, can_rank
from receiver.db.ticket_query import TicketQuery
from receiver.lib import sla
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.dashboard import export, query_args
from receiver.web.dashboard.formats import words
from receiver.web.state import context

blueprint = Blueprint("tickets_pages", __name__, url_prefix="/tickets")

PAGE = 50
MOST_SELECTED = 200
# parse_qsl raises where there are more fields; so many characters cannot hold that many.
_LONGEST_QUERY, _MOST_FIELDS = 4_000, 5_000
_TEXTS = ("q", "category", "request_type", "source", "requester_email")
TODAY = "today"
SINCE = {TODAY: "today", "1d": "last 24 hours", "7d": "last 7 days", "30d": "last 30 days"}
SORTED = {
    ticket_query.NEWEST: "newest first",
    ticket_query.OLDEST: "oldest first",
    ticket_query.DUE: "due soonest",
    ticket_query.BEST: "best match first",
}
PROMISES = {sla.AT_RISK: "at risk", sla.PAST_DUE: "past due"}
# Values of earlier versions, which links and bookmarks still have.
_FORMER = {"breached": sla.PAST_DUE}


@blueprint.get("")
def tickets_page() -> ResponseReturnValue:
    """One page of the tickets that the URL asks for."""
    moment = now()
    wanted, entries = wanted_of_url(moment), entries_by_category()
    with context().db.read() as session:
        found = ticket_query.page(session, wanted, PAGE, moment, query_args.place("after"))
        total = _known_total(session, wanted)
        # A search reads along its index, which is in the order of arrival, so it cannot go by due time.
        orders = [ticket_query.NEWEST, ticket_query.OLDEST]
        if wanted.q and can_rank(session, wanted.q):
            orders.insert(1, ticket_query.BEST)
        elif not wanted.q:
            orders.append(ticket_query.DUE)
    # What each filter may be set to, and the words for it.
    options = {
        "status": [(state, words(state)) for state in TICKET_STATES],
        "category": [(name, name) for name in entries],
        "source": [(name, name) for name in sorted(context().sources)],
        "since": list(SINCE.items()),
        "sla": list(PROMISES.items()),
        "order": [(name, SORTED[name]) for name in orders],
    }
    return render_template(
        "tickets.html",
        found=found,
        wanted=wanted,
        total=total,
        moment=moment,
        kinds=entries,
        options=options,
        threshold=context().settings.review_threshold,
        link=_list_address,
        looked_at=ticket_query.LOOKED_AT,
        ranked=RANKED,
        full=PAGE,
        export_limit=export.LIMIT,
    )


@blueprint.get("/export.csv", defaults={"form": "csv"})
@blueprint.get("/export.xlsx", defaults={"form": "xlsx"})
def export_tickets(form: str) -> Response:
    """The list as CSV or as a workbook."""
    moment = now()
    auth.note_export("tickets", "CSV" if form == "csv" else "workbook")
    return export.tickets_file(wanted_of_url(moment), moment, form)


def wanted_of_url(moment: datetime) -> TicketQuery:
    """The query that the URL asks for; values that mean nothing are left out."""
    since, first = _one_of(tuple(SINCE), "since"), None
    if since == TODAY:
        # Midnight on the digests' clock, so that the list has as many as the overview says.
        first = midnight(moment, context().settings.digest_timezone)
    elif since:
        first = moment - timedelta(days=int(since.removesuffix("d")))
    return TicketQuery(
        **query_args.texts(*_TEXTS),
        status=_one_of(TICKET_STATES, "status"),
        sla=_one_of(tuple(PROMISES), "sla"),
        order=_one_of(ticket_query.ORDERS, "order") or ticket_query.NEWEST,
        waits="waits" in request.args,
        since=first,
    )


def midnight(moment: datetime, zone: str) -> datetime:
    """When the day of `moment` began there."""
    return moment.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _one_of(known: Sequence[str], name: str) -> str:
    """The value of a filter, if it is one of those known; otherwise empty."""
    value = query_args.text(name)
    value = _FORMER.get(value, value)
    return value if value in known else ""


def _known_total(session: Session, wanted: TicketQuery) -> int | None:
    """How many tickets match, where counters know it; None where every match would have to be read."""
    if wanted.exact.keys() - {"status"} or wanted.q or wanted.sla or wanted.waits or wanted.order == ticket_query.DUE:
        return None
    if wanted.since:
        found = overview.received_since(session, tickets.first_since(session, wanted.since))
        return found[wanted.status] if wanted.status else sum(found.values())
    counts = counters.starting(session, "ticket.")
    return counts.get(wanted.status, 0) if wanted.status else sum(counts.get(state, 0) for state in TICKET_STATES)


def entries_by_category() -> dict[str, list[RequestType]]:
    """The catalog's entries by category; none where it cannot be had."""
    found: dict[str, list[RequestType]] = {}
    try:
        for kind in review.catalog(context()).request_types:
            found.setdefault(kind.category, []).append(kind)
    except CatalogError:
        return {}
    return found


def _list_address(form: str = "", **changes: object) -> str:
    """The same list with other filters, from its first page on; `form` is that of a file, such as "csv"."""
    page = url_for("tickets_pages.export_tickets", form=form) if form else url_for("tickets_pages.tickets_page")
    here = request.args.to_dict() | {"after": ""} | changes
    return f"{page}?" + urlencode({name: value for name, value in here.items() if value})


@blueprint.post("/confirm")
@auth.require_role(auth.REVIEWER)
def confirm_selected() -> ResponseReturnValue:
    """Confirm what the selected tickets are attributed to."""
    selected = _selected_ids()
    try:
        done = review.confirm(context(), auth.caller(), selected)
    except CatalogError as error:
        return _back_to_list(f"There is nothing to confirm: {error}", "error")
    left = len(selected) - done
    rest = f" {_tickets_text(left)} had no answer that could be confirmed." if left else ""
    return _back_to_list(f"Confirmed {_tickets_text(done)}.{rest}")


@blueprint.post("/redrive")
@auth.require_role(auth.REVIEWER)
def redrive_selected() -> ResponseReturnValue:
    """Have the selected tickets classified again."""
    selected = _selected_ids()
    done = len(classification.redrive(context(), auth.caller(), selected))
    left = len(selected) - done
    stays, them = ("stays", "it") if left == 1 else ("stay", "them")
    rest = f" {_tickets_text(left)} {stays} as a person reviewed {them}." if left else ""
    return _back_to_list(f"{_tickets_text(done)} will be classified again.{rest}")


def _selected_ids() -> list[int]:
    found = [query_args.parse_id(value) for value in request.form.getlist("ticket")[:MOST_SELECTED]]
    return [ticket_id for ticket_id in found if ticket_id]


def _tickets_text(count: int) -> str:
    return "1 ticket" if count == 1 else f"{count} tickets"


def _back_to_list(words: str, kind: str = "") -> ResponseReturnValue:
    flash(words, kind)
    here = request.form.get("list", "")[:_LONGEST_QUERY]
    # Parsed and written again: a form may hold line breaks, which must not get into the Location header.
    query = urlencode(parse_qsl(here[1:], max_num_fields=_MOST_FIELDS)) if here.startswith("?") else ""
    return redirect(url_for("tickets_pages.tickets_page") + (f"?{query}" if query else ""))
