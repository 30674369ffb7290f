"""Deliveries: what arrived, what became of it, and reading it again after a mapping or a template was mended."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from receiver.actions.deliveries import dismiss, get, replay_each
from receiver.db import audit, deliveries, tickets
from receiver.db.models import DELIVERY_STATES, QUARANTINED, RECONCILE, UNSIGNED, Delivery
from receiver.intake import payload_masking
from receiver.intake.sources import Source
from receiver.web import auth
from receiver.web.dashboard import query_args
from receiver.web.state import context

blueprint = Blueprint("deliveries_pages", __name__, url_prefix="/deliveries")

_ROWS, _RELATED, _AT_ONCE = 50, 50, 25
# Characters of a body: more would make a browser slow. The API has the whole.
_MOST_SHOWN = 100_000
_MAX_ID = 2**63 - 1


@blueprint.get("")
def deliveries_page() -> ResponseReturnValue:
    """Deliveries, newest first, by the filters in the URL."""
    chosen = query_args.texts("source", "status")
    conflict = "conflict" in request.args
    if chosen.get("status", QUARANTINED) not in DELIVERY_STATES:
        abort(400, f"There are the states {', '.join(DELIVERY_STATES)}.")
    before = query_args.place("before")
    with context().db.read() as session:
        rows = deliveries.page(session, _ROWS + 1, before, conflict=conflict, **chosen)
    older = None
    if len(rows) > _ROWS:
        filters: dict[str, Any] = request.args.to_dict() | {"before": str(rows[_ROWS - 1].id)}
        older = url_for("deliveries_pages.deliveries_page", **filters)
    return render_template(
        "deliveries.html",
        rows=rows[:_ROWS],
        older=older,
        is_first=before is None,
        filtered=bool(chosen) or conflict,
        # With the chosen one, which may be gone from SOURCES_FILE while its deliveries are still here.
        sources=sorted({*context().sources, *filter(None, [chosen.get("source")])}),
        states=DELIVERY_STATES,
    )


def _valid_id(number: int) -> int:
    """The id, or 404 where it is larger than a column of the database can hold."""
    return number if 0 < number <= _MAX_ID else abort(404)


def _selected_ids() -> list[int]:
    return [_valid_id(number) for number in request.form.getlist("delivery", type=int)][:_ROWS]


@blueprint.get("/<int:delivery_id>")
def delivery_page(delivery_id: int) -> ResponseReturnValue:
    """One delivery: what it said, how it proved itself, what is wrong with it, and what came of it."""
    with context().db.read() as session:
        delivery = get(session, _valid_id(delivery_id))
        # One more than is shown, so that the page can say that there are others.
        made = tickets.of_delivery(session, delivery.id, _RELATED + 1)
        again = deliveries.redeliveries(session, delivery.id, _RELATED + 1)
        replays = [entry for entry in audit.about(session, f"delivery {delivery.id}") if entry.action == "replay"]
    source = context().sources.get(delivery.source)
    limit = context().settings.max_body_mb * 2**20
    # A body may hold more about people than its tickets do, so viewers and reviewers do not see it.
    may_read = delivery.body is not None and auth.has_role(auth.OPERATOR)
    return render_template(
        "delivery.html",
        delivery=delivery,
        source=source,
        proof=_proof(delivery, source),
        shown=payload_masking.shown(delivery, source, limit) if may_read else None,
        most_shown=_MOST_SHOWN,
        retention=context().settings.raw_retention_days,
        made=made,
        again=again,
        replays=replays,
        related=_RELATED,
    )


def _proof(delivery: Delivery, source: Source | None) -> tuple[str, str]:
    """How it was proved who sent a delivery: the state of a badge, and a sentence."""
    # There is no case for a wrong signature: such a request is refused, and nothing of it is kept.
    if delivery.verification == UNSIGNED:
        return "warn", f"unsigned: nothing but the address was checked (from {delivery.peer})"
    if delivery.origin == RECONCILE:
        return "good", "asked for by us, by reconcile"
    if source is None:
        return "good", "verified when it arrived; the source is gone from SOURCES_FILE"
    return "good", "verified when it arrived"


@blueprint.post("/replay")
@auth.require_role(auth.OPERATOR)
def replay_selection() -> ResponseReturnValue:
    """Read one delivery or a selection again, and show what each brought before and brings now."""
    ids = _selected_ids() or abort(400, "Choose a delivery first.")
    done = list(replay_each(context(), auth.caller(), ids))
    return render_template("replayed.html", done=done, more=None)


@blueprint.post("/dismiss")
@auth.require_role(auth.OPERATOR)
def dismiss_selection() -> ResponseReturnValue:
    """Mark one delivery or a selection as needing nobody, because there is no ticket in it."""
    ids = _selected_ids()
    done = dismiss(context(), auth.caller(), ids)
    many = f"{len(done)} deliver{'y is' if len(done) == 1 else 'ies are'} dismissed"
    flash(f"{many}." if len(done) == len(ids) else f"{many}; nothing was open in the others.")
    return redirect(url_for("deliveries_pages.deliveries_page", status=request.form.get("status") or None))


@blueprint.post("/replay-since")
@auth.require_role(auth.OPERATOR)
def replay_since() -> ResponseReturnValue:
    """Read a source's deliveries since a time again; the page itself asks for the rest."""
    form = request.form
    try:
        since = datetime.fromisoformat(form.get("since", ""))
    except ValueError:
        abort(400, "Say since when, as a time such as 2026-01-31T10:00 (UTC).")
    if form.get("source", "") not in context().sources:
        abort(400, "Choose a source; SOURCES_FILE lists them.")
    if form.get("status", "") not in ("", *DELIVERY_STATES):
        abort(400, f"There are the states {', '.join(DELIVERY_STATES)}.")
    # The browser's field for a time has no zone; the page says that it means UTC.
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    status, after = form.get("status") or None, form.get("after", type=int)
    with context().db.read() as session:
        found = deliveries.kept_since(session, form["source"], since, status, _AT_ONCE + 1, after)
    # Few in one request, so that it ends before a proxy gives up on it.
    done = list(replay_each(context(), auth.caller(), found[:_AT_ONCE]))
    more = {**form.to_dict(), "after": found[_AT_ONCE - 1]} if len(found) > _AT_ONCE else None
    template = "replayed_rows.html" if "HX-Request" in request.headers else "replayed.html"
    return render_template(template, done=done, more=more)
