"""The JSON API under /api."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import redis
from flask import Response, abort, current_app, send_file
from flask.views import MethodView
from flask_smorest import Blueprint

from receiver import queue
from receiver.clock import now
from receiver.record import classifications, deliveries, digests, overview, tickets
from receiver.record.models import Classification, Delivery, Digest, Ticket
from receiver.schemas import (
    DeliveryOut,
    DeliveryQuery,
    DigestOut,
    PageQuery,
    TicketDetailOut,
    TicketOut,
    TicketQuery,
    page_of,
)

blueprint = Blueprint("api", __name__, url_prefix="/api", description="Tickets, deliveries and digests")

_ID = "int(max=9223372036854775807)"  # A database's largest id.
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.get("/stats")
@blueprint.response(200)
def stats() -> dict[str, Any]:
    """Counts by status, the queues, the engine and what it cost."""
    settings = current_app.extensions["settings"]
    with current_app.extensions["record"].read() as session:
        found = overview.counts(session, now())
    found["queue"] = found.pop("due") | redis_state()
    found["engine"] = {
        "name": "llm" if settings.uses_llm else "local",
        "model": settings.llm_model if settings.uses_llm else None,
    }
    return found


def redis_state() -> dict[str, Any]:
    """Whether Redis answers, and how many jobs wait in each queue."""
    try:
        return {"redis": "up", "jobs": queue.depths(current_app.extensions["redis"])}
    except (redis.RedisError, OSError) as error:
        return {"redis": f"away: {type(error).__name__}", "jobs": {}}


@blueprint.get("/tickets")
@blueprint.arguments(TicketQuery, location="query")
@blueprint.response(200, page_of(TicketOut, "TicketPage"))
def list_tickets(query: dict[str, Any]) -> dict[str, Any]:
    """Tickets, newest first."""
    limit, cursor = query.pop("limit"), query.pop("cursor")
    with current_app.extensions["record"].read() as session:
        rows = tickets.page(session, query, limit + 1, cursor)
    return _page([_ticket(ticket, classification) for ticket, classification in rows], limit)


@blueprint.get(f"/tickets/<{_ID}:ticket_id>")
@blueprint.response(200, TicketDetailOut)
def get_ticket(ticket_id: int) -> dict[str, Any]:
    """One ticket with its history."""
    with current_app.extensions["record"].read() as session:
        found = tickets.with_classification(session, ticket_id)
        if found is None:
            abort(404, "There is no ticket with this id.")
        return _ticket(*found) | {"history": classifications.history(session, ticket_id)}


@blueprint.get("/deliveries")
@blueprint.arguments(DeliveryQuery, location="query")
@blueprint.response(200, page_of(DeliveryOut, "DeliveryPage"))
def list_deliveries(query: dict[str, Any]) -> dict[str, Any]:
    """Deliveries, newest first."""
    with current_app.extensions["record"].read() as session:
        rows = deliveries.page(session, query.get("status"), query["limit"] + 1, query["cursor"])
    return _page([_columns(row) for row in rows], query["limit"])


@blueprint.get(f"/deliveries/<{_ID}:delivery_id>")
@blueprint.response(200, DeliveryOut)
def get_delivery(delivery_id: int) -> Delivery:
    """One delivery."""
    with current_app.extensions["record"].read() as session:
        found: Delivery | None = session.get(Delivery, delivery_id)
    return found or abort(404, "There is no delivery with this id.")


@blueprint.route("/digests")
class Digests(MethodView):
    """The digests, and sending one now."""

    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, page_of(DigestOut, "DigestPage"))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Digests, newest first."""
        with current_app.extensions["record"].read() as session:
            rows = digests.page(session, query["limit"] + 1, query["cursor"])
        return _page([_columns(row) for row in rows], query["limit"])

    @blueprint.response(202, DigestOut)
    @blueprint.alt_response(409, description="Nothing was settled since the last digest")
    def post(self) -> Digest:
        """Claim everything settled since the last digest and have it sent now."""
        return claim_digest_now(now()) or abort(409, "Nothing was settled since the last digest.")


def claim_digest_now(moment: datetime) -> Digest | None:
    """The digest of everything settled since the last one, on its way; None where there is nothing to send."""
    settings = current_app.extensions["settings"]
    with current_app.extensions["record"].write() as session:
        period = f"now-{moment.isoformat()}"
        digest: Digest | None = digests.claim(session, period, settings.envelope, moment)
    if digest is not None:
        current_app.extensions["waker"].wake(queue.DIGEST)
    return digest


@blueprint.get(f"/digests/<{_ID}:digest_id>")
@blueprint.response(200, DigestOut)
def get_digest(digest_id: int) -> Digest:
    """One digest."""
    with current_app.extensions["record"].read() as session:
        found: Digest | None = session.get(Digest, digest_id)
    return found or abort(404, "There is no digest with this id.")


@blueprint.get(f"/digests/<{_ID}:digest_id>/workbook")
@blueprint.response(200, content_type=_XLSX)
def get_workbook(digest_id: int) -> Response:
    """The workbook of a digest, as it was sent."""
    path: Path = digests.workbook_path(current_app.extensions["settings"].data_dir, digest_id)
    if not path.exists():
        abort(404, "This digest has no workbook yet; it is built when the digest is sent.")
    return send_file(path, mimetype=_XLSX, as_attachment=True, download_name=path.name)


def _page(items: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    """The first `limit` of `items`; that there was one more says that another page follows."""
    more = len(items) > limit
    return {"items": items[:limit], "next": items[limit - 1]["id"] if more else None}


def _columns(row: Any) -> dict[str, Any]:
    """The columns of `row` that were read."""
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}


def _ticket(ticket: Ticket, classification: Classification | None) -> dict[str, Any]:
    return _columns(ticket) | {"classification": classification}
