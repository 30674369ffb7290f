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
_LONGEST_QUERY, _MOST_FIELDS = 4_000, 5_000  # There cannot be more fields than that in so many characters.
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
_FORMER = {"breached": sla.PAST_DUE}  # In links and bookmarks of before.


@blueprint.get("")
def tickets_page() -> ResponseReturnValue:
    """One page of the tickets that the URL asks for."""
    moment = now()
    wanted, entries = wanted_of_url(moment), kinds()
    with context().db.read() as session:
        found = ticket_query.page(session, wanted, PAGE, moment, query_args.place("after"))
        total, orders = _total(session, wanted), _orders(session, wanted)
    return render_template(
        "tickets.html",
        found=found,
        wanted=wanted,
        total=total,
        moment=moment,
        kinds=entries,
        options=_options(entries) | {"order": [(name, SORTED[name]) for name in orders]},
        threshold=context().settings.review_threshold,
        link=_list_address,
        looked_at=ticket_query.LOOKED_AT,
        ranked=RANKED,
        full=PAGE,
        export_limit=export.LIMIT,
    )


def _options(entries: dict[str, list[RequestType]]) -> dict[str, list[tuple[str, str]]]:
    """What each filter may be set to, and in which words."""
    return {
        "status": [(state, words(state)) for state in TICKET_STATES],
        "category": [(name, name) for name in entries],
        "source": [(name, name) for name in sorted(context().sources)],
        "since": list(SINCE.items()),
        "sla": list(PROMISES.items()),
    }


def _orders(session: Session, wanted: TicketQuery) -> list[str]:
    """The orders that this list can have."""
    if not wanted.q:
        return [ticket_query.NEWEST, ticket_query.OLDEST, ticket_query.DUE]
    return [ticket_query.NEWEST, *([ticket_query.BEST] if can_rank(session, wanted.q) else []), ticket_query.OLDEST]


@blueprint.get("/export.csv", defaults={"form": "csv"})
@blueprint.get("/export.xlsx", defaults={"form": "xlsx"})
def export_tickets(form: str) -> Response:
    """The list as CSV or as a workbook."""
    moment = now()
    auth.note_export("tickets", "CSV" if form == "csv" else "workbook")
    return export.tickets_file(wanted_of_url(moment), moment, form)


def wanted_of_url(moment: datetime) -> TicketQuery:
    """What the URL asks for; what it cannot mean is left out."""
    since = _one_of(tuple(SINCE), "since")
    return TicketQuery(
        **query_args.texts(*_TEXTS),
        status=_one_of(TICKET_STATES, "status"),
        sla=_one_of(tuple(PROMISES), "sla"),
        order=_one_of(ticket_query.ORDERS, "order") or ticket_query.NEWEST,
        waits="waits" in request.args,
        since=_first_moment(since, moment) if since else None,
    )


def _first_moment(since: str, moment: datetime) -> datetime:
    """From when on the list is: today begins at midnight on the digests' clock, as on the overview."""
    if since == TODAY:
        return midnight(moment, context().settings.digest_timezone)
    return moment - timedelta(days=int(since.removesuffix("d")))


def midnight(moment: datetime, zone: str) -> datetime:
    """When the day of `moment` began there."""
    return moment.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _one_of(known: Sequence[str], name: str) -> str:
    value = query_args.text(name)
    value = _FORMER.get(value, value)
    return value if value in known else ""


def _total(session: Session, wanted: TicketQuery) -> int | None:
    """How many there are, where that is known without reading them all."""
    if wanted.exact.keys() - {"status"} or wanted.q or wanted.sla or wanted.waits or wanted.order == ticket_query.DUE:
        return None
    if wanted.since:
        found = overview.received_since(session, tickets.first_since(session, wanted.since))
        return found[wanted.status] if wanted.status else sum(found.values())
    counts = counters.starting(session, "ticket.")
    return counts.get(wanted.status, 0) if wanted.status else sum(counts.get(state, 0) for state in TICKET_STATES)


def kinds() -> dict[str, list[RequestType]]:
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
    selected = _selected()
    try:
        done = review.confirm(context(), auth.caller(), selected)
    except CatalogError as error:
        return _back(f"There is nothing to confirm: {error}", "error")
    rest = f" {_many(len(selected) - done)} had no answer that could be confirmed." if done < len(selected) else ""
    return _back(f"Confirmed {_many(done)}.{rest}")


@blueprint.post("/redrive")
@auth.require_role(auth.REVIEWER)
def redrive_selected() -> ResponseReturnValue:
    """Have the selected tickets classified again."""
    selected = _selected()
    done = len(classification.redrive(context(), auth.caller(), selected))
    left = len(selected) - done
    rest = f" {_many(left)} {'stays' if left == 1 else 'stay'} as a person reviewed {'it' if left == 1 else 'them'}."
    return _back(f"{_many(done)} will be classified again.{rest if left else ''}")


def _selected() -> list[int]:
    found = [query_args.whole(value) for value in request.form.getlist("ticket")[:MOST_SELECTED]]
    return [ticket_id for ticket_id in found if ticket_id]


def _many(count: int) -> str:
    return "1 ticket" if count == 1 else f"{count} tickets"


def _back(words: str, kind: str = "") -> ResponseReturnValue:
    flash(words, kind)
    here = request.form.get("list", "")[:_LONGEST_QUERY]
    # Written anew: what stands in a form may hold line breaks, which no header may.
    query = urlencode(parse_qsl(here[1:], max_num_fields=_MOST_FIELDS)) if here.startswith("?") else ""
    return redirect(url_for("tickets_pages.tickets_page") + (f"?{query}" if query else ""))
