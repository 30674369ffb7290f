"""The overview: counts, the latest tickets and digests."""

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from receiver.api.stats import redis_state
from receiver.clock import now
from receiver.record import digests, overview, tickets

blueprint = Blueprint("overview_pages", __name__)

_LATEST = 20


@blueprint.get("/")
def overview_page() -> ResponseReturnValue:
    """Counts, the latest tickets and digests."""
    moment = now()
    with current_app.extensions["record"].read() as session:
        counts = overview.counts(session, moment)
        latest = tickets.page(session, {}, _LATEST)
        sent = digests.page(session, _LATEST)
    return render_template("overview.html", counts=counts, tickets=latest, digests=sent, redis=redis_state())
