"""A list of tickets as a file: the filters and the order of the page, more rows, and nothing is kept."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from flask import Response

from receiver.db import ticket_query
from receiver.db.database import Database
from receiver.db.ticket_query import TicketQuery
from receiver.db.tickets import Pair
from receiver.lib import spreadsheet
from receiver.lib.spreadsheet import Row
from receiver.web.state import context

LIMIT = 100_000
_ONCE = 500
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_COLUMNS = (
    "Ticket", "Source", "Subject", "Requester", "Category", "Request type", "Confidence", "Status", "SLA value",
    "SLA unit", "Received (UTC)", "Due (UTC)", "Link",
)  # fmt: skip


def csv_of(wanted: TicketQuery, moment: datetime) -> Response:
    """As CSV."""
    return _file(spreadsheet.as_csv, wanted, moment, "tickets.csv", "text/csv; charset=utf-8")


def xlsx_of(wanted: TicketQuery, moment: datetime) -> Response:
    """As a workbook."""
    return _file(spreadsheet.as_xlsx, wanted, moment, "tickets.xlsx", _XLSX)


def _file(
    write: Callable[[Iterable[Row]], Iterator[bytes]], wanted: TicketQuery, moment: datetime, name: str, kind: str
) -> Response:
    rows = _rows(context().db, wanted, moment)
    return Response(write(rows), content_type=kind, headers={"Content-Disposition": f"attachment; filename={name}"})


def _rows(db: Database, wanted: TicketQuery, moment: datetime) -> Iterator[Row]:
    """The head and up to LIMIT tickets; a last row says so where there are more."""
    yield _COLUMNS
    written, after = 0, None
    while written < LIMIT:
        with db.read() as session:
            page = ticket_query.page(session, wanted, min(_ONCE, LIMIT - written), moment, after)
        yield from map(_row, page.pairs)
        written, after = written + len(page.pairs), page.after
        if after is None:
            return
    yield (f"Only the first {LIMIT:,} tickets are in this file; narrow the filters for the rest.",)


def _row(pair: Pair) -> Row:
    ticket, found = pair
    promise = (found.sla_value, found.sla_unit) if found else (None, None)
    return (
        *(ticket.external_id, ticket.source, ticket.short_description, ticket.requester_email),
        *(ticket.category, ticket.request_type, round(found.confidence, 4) if found else None, ticket.status),
        *(*promise, _written(ticket.received_at), _written(ticket.due_at), ticket.url),
    )


def _written(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
