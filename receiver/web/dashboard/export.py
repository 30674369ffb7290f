"""A list of tickets as a file: the filters and the order of the page, more rows, and nothing is kept."""

from collections.abc import Iterator
from datetime import datetime

from flask import Response

from receiver.db import ticket_query
from receiver.db.database import Database
from receiver.db.ticket_query import TicketQuery
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


def tickets_file(wanted: TicketQuery, moment: datetime, form: str) -> Response:
    """The tickets as a file to download; `form` is "csv" or "xlsx"."""
    # A stream, row by row: a hundred thousand tickets need no more memory than one page of them.
    rows = _rows(context().db, wanted, moment)
    if form == "csv":
        body, content_type = spreadsheet.as_csv(rows), "text/csv; charset=utf-8"
    else:
        body, content_type = spreadsheet.as_xlsx(rows), _XLSX
    headers = {"Content-Disposition": f"attachment; filename=tickets.{form}"}
    return Response(body, content_type=content_type, headers=headers)


def _rows(db: Database, wanted: TicketQuery, moment: datetime) -> Iterator[Row]:
    """The head and up to LIMIT tickets; a last row says so where there are more."""
    yield _COLUMNS
    written, after = 0, None
    while written < LIMIT:
        # A connection for each page only, not for as long as a slow client takes.
        with db.read() as session:
            page = ticket_query.page(session, wanted, min(_ONCE, LIMIT - written), moment, after)
        for ticket, found in page.pairs:
            promise = (found.sla_value, found.sla_unit) if found else (None, None)
            confidence = round(found.confidence, 4) if found else None
            yield (
                *(ticket.external_id, ticket.source, ticket.short_description, ticket.requester_email),
                *(ticket.category, ticket.request_type, confidence, ticket.status),
                *(*promise, _utc_minute(ticket.received_at), _utc_minute(ticket.due_at), ticket.url),
            )
        written, after = written + len(page.pairs), page.after
        if after is None:
            return
    yield (f"Only the first {LIMIT:,} tickets are in this file; narrow the filters for the rest.",)


def _utc_minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
