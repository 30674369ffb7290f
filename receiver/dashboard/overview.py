"""The overview: counts, the latest tickets and digests."""

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from receiver import auth
from receiver.api.digests import claim_digest_now
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


@blueprint.post("/digests")
@auth.needs(auth.OPERATOR)
def send_digest() -> ResponseReturnValue:
    """Send a digest now."""
    digest = claim_digest_now(now())
    flash(f"Digest {digest.id} is on its way." if digest else "Nothing was settled since the last digest.")
    return redirect(url_for("overview_pages.overview_page"))
