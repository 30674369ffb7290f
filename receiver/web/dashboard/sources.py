"""Sources: who pushes, how each is connected and tried, and how its secret is changed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markdown_it import MarkdownIt
from markupsafe import Markup
from sqlalchemy.orm import Session

from receiver.actions import sources as actions
from receiver.db import alarms, deliveries, source_daily_stats
from receiver.db.alarms import Raised
from receiver.db.models import Delivery, SourceDailyStats
from receiver.intake.samples import DryRunResult, SampleError
from receiver.intake.signatures.static import Credential
from receiver.intake.sources import Source, api, pages
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.state import context

blueprint = Blueprint("sources_pages", __name__, url_prefix="/sources")

_WEEK, _FORTNIGHT = 7, 14
_ALARMS = ("source", "outgoing", "reconcile")
_KEEP_HOURS = {1: "1 hour", 24: "1 day", 168: "1 week"}
# It passes no raw HTML, and it renders only our own texts.
_MARKDOWN = MarkdownIt("js-default")


class _Row(NamedTuple):
    """A source as the list has it."""

    source: Source
    proof: str
    url: str
    last: Delivery | None
    days: list[SourceDailyStats]
    alarms: list[str]
    quarantined: int


@blueprint.get("")
def sources_page() -> ResponseReturnValue:
    """Every source, what it sent in the last week, and its alarms."""
    with context().db.read() as session:
        days = source_daily_stats.latest(session, now(), _WEEK)
        up = alarms.current(session)
        known = context().sources.items()
        rows = [_read_row(session, source, days.get(name, []), up) for name, source in known]
    return render_template("sources.html", rows=rows, base=context().settings.url)


def _read_row(session: Session, source: Source, days: list[SourceDailyStats], up: Sequence[Raised]) -> _Row:
    return _Row(
        source,
        proof=source.proof(now().timestamp()),
        url=context().settings.url + source.path,
        last=deliveries.latest(session, source.name),
        days=days,
        alarms=[alarm.message for alarm in up if alarm.kind in _ALARMS and alarm.subject == source.name],
        quarantined=deliveries.quarantined(session, source.name),
    )


@blueprint.get("/<name>")
def source_page(name: str) -> ResponseReturnValue:
    """One source: its address, its proof, how its helpdesk is set up, a button to try it, and its secrets."""
    return _render_source(actions.get(context(), name))


def _render_source(source: Source, **more: object) -> str:
    """The page of one source; `more` is what a test or a new secret adds to it."""
    with context().db.read() as session:
        days = source_daily_stats.latest(session, now(), _FORTNIGHT, source.name).get(source.name, [])
        row = _read_row(session, source, days, alarms.current(session))
    lines = [{"label": name, "values": [getattr(day, name) for day in days]} for name in ("deliveries", "quarantined")]
    chart = {"x": [datetime.fromisoformat(day.day).replace(tzinfo=UTC).timestamp() for day in days], "series": lines}
    # What we ask the helpdesk for, and what we tell it.
    way_back = ["asked for what a delivery lacks"] if source.completes else []
    if wanted := source.write_back:
        told = [name for name in (*api.CARRIERS, "webhook") if wanted.get(name)]
        way_back.append(f"told of classifications: {', '.join(told)}")
    if source.reconcile:
        way_back.append(f"asked every {source.reconcile['every_minutes']} minutes for what no webhook brought")
    return render_template(
        "source.html",
        row=row,
        source=source,
        steps=Markup(_MARKDOWN.render(pages.in_the_helpdesk(source.profile))),  # noqa: S704 - see _MARKDOWN
        way_back=way_back,
        secrets=[secret.until for secret in source.secrets if secret.is_live(now().timestamp())],
        rotation=_how_to_rotate(source),
        keep_hours=_KEEP_HOURS,
        chart=chart,
        **more,
    )


def _how_to_rotate(source: Source) -> dict[str, str]:
    """Where the secret of a source stands, and what to write there; `kept` where we can change it ourselves."""
    if source.name == "standard":
        return {"place": "kept" if actions.keeps_secret(context(), source) else "environment"}
    if not source.is_signed:
        return {"place": "none"}
    # What SOURCES_FILE says while the present secret and the new one both count, for a week.
    ends = f"{now() + timedelta(days=_WEEK):%Y-%m-%d}"
    both = f'["the new one", {{secret: "the present one", until: {ends}}}]'
    if not isinstance(source.signing, Credential):
        lines = f"secrets: {both}"
    elif source.signing.header != "Authorization":
        lines = f"token: {{header: {source.signing.header}, value: {both}}}"
    elif all(secret.value.startswith("Bearer ") for secret in source.secrets):
        lines = f"token: {{bearer: {both}}}"
    else:
        new, present = ("Basic <base64 of user:new password>", "Basic <base64 of user:present password>")
        lines = f'token: {{value: ["{new}", {{secret: "{present}", until: {ends}}}]}}'
    return {"place": "file", "file": str(context().settings.sources_file), "lines": lines}


@blueprint.post("/<name>/test")
@auth.require_role(auth.OPERATOR)
def test_source(name: str) -> ResponseReturnValue:
    """Try a source with a sample, or with a body of one's own; nothing of it is stored."""
    source, own = actions.get(context(), name), request.form.get("body", "").strip()
    try:
        trial = actions.try_sample(context(), source, own.encode() if own else None)
    except SampleError as error:
        trial = DryRunResult(refused=str(error))
    return _render_source(source, trial=trial, own=own)


@blueprint.post("/<name>/secret")
@auth.require_role(auth.ADMIN)
def rotate_secret(name: str) -> ResponseReturnValue:
    """Make a new secret, and show it this once; those before it count for a while."""
    source, hours = actions.get(context(), name), request.form.get("hours", 0, type=int)
    if hours not in _KEEP_HOURS and actions.keeps_secret(context(), source):
        abort(400, "Say for how long the present secret counts on.")
    fresh, until = actions.rotate_secret(context(), auth.caller(), source, timedelta(hours=hours))
    return _render_source(source, fresh=fresh, until=until)


@blueprint.post("/<name>/end-old")
@auth.require_role(auth.ADMIN)
def end_old_secrets(name: str) -> ResponseReturnValue:
    """Let only the newest secret count."""
    actions.end_old_secrets(context(), auth.caller(), actions.get(context(), name))
    flash("Only the newest secret counts now.")
    return redirect(url_for("sources_pages.source_page", name=name))
