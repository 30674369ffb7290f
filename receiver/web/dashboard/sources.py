"""Sources: who pushes, how each is connected and tried, and how its secret is changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markdown_it import MarkdownIt
from markupsafe import Markup

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
# Without raw HTML; and what it renders is what we ship, not what anybody sent.
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
        last = {name: deliveries.latest(session, name) for name in _sources()}
        bad = {name: deliveries.quarantined(session, name) for name in _sources()}
    rows = [_row(source, last[name], days.get(name, []), up, bad[name]) for name, source in _sources().items()]
    return render_template("sources.html", rows=rows, base=context().settings.url)


def _sources() -> Mapping[str, Source]:
    found: Mapping[str, Source] = context().sources
    return found


def _source(name: str) -> Source:
    return _sources().get(name) or abort(404, "There is no source of this name; SOURCES_FILE lists them.")


def _row(source: Source, last: Delivery | None, days: list[SourceDailyStats], up: Sequence[Raised], bad: int) -> _Row:
    settings = context().settings
    messages = [alarm.message for alarm in up if alarm.kind in _ALARMS and alarm.subject == source.name]
    return _Row(source, source.proof(now().timestamp()), settings.url + source.path, last, days, messages, bad)


@blueprint.get("/<name>")
def source_page(name: str) -> ResponseReturnValue:
    """One source: its address, its proof, how its helpdesk is set up, a button to try it, and its secrets."""
    return _shown(_source(name))


def _shown(source: Source, **more: object) -> str:
    with context().db.read() as session:
        days = source_daily_stats.latest(session, now(), _FORTNIGHT, source.name).get(source.name, [])
        up = alarms.current(session)
        row = _row(
            source, deliveries.latest(session, source.name), days, up, deliveries.quarantined(session, source.name)
        )
    return render_template(
        "source.html",
        row=row,
        source=source,
        steps=Markup(_MARKDOWN.render(pages.in_the_helpdesk(source.profile))),  # noqa: S704 - see _MARKDOWN
        way_back=_way_back(source),
        secrets=[secret.until for secret in source.secrets if secret.is_live(now().timestamp())],
        rotation=_rotation(source),
        keep_hours=_KEEP_HOURS,
        chart=_chart(days),
        **more,
    )


def _chart(days: Sequence[SourceDailyStats]) -> dict[str, object]:
    named = {"deliveries": "deliveries", "quarantined": "quarantined"}
    lines = [{"label": label, "values": [getattr(day, name) for day in days]} for name, label in named.items()]
    return {"x": [datetime.fromisoformat(day.day).replace(tzinfo=UTC).timestamp() for day in days], "series": lines}


def _way_back(source: Source) -> list[str]:
    """What is asked of the helpdesk, and told to it, a sentence each."""
    lines = ["asked for what a delivery lacks"] if source.completes else []
    if wanted := source.write_back:
        told = [name for name in (*api.CARRIERS, "webhook") if wanted.get(name)]
        lines.append(f"told of classifications: {', '.join(told)}")
    if source.reconcile:
        lines.append(f"asked every {source.reconcile['every_minutes']} minutes for what no webhook brought")
    return lines


def _rotation(source: Source) -> dict[str, str]:
    """Where the secret of a source stands, and what to write there; `kept` where we can change it ourselves."""
    settings = context().settings
    ends = f"{now() + timedelta(days=_WEEK):%Y-%m-%d}"
    if source.name == "standard":
        return {"place": "kept" if actions.keeps_secret(context(), source) else "environment"}
    if not source.is_signed:
        return {"place": "none"}
    return {"place": "file", "file": str(settings.sources_file), "lines": _lines(source, ends)}


def _lines(source: Source, ends: str) -> str:
    """What SOURCES_FILE says while the old secret and the new one both count."""
    both = f'["the new one", {{secret: "the present one", until: {ends}}}]'
    if not isinstance(source.signing, Credential):
        return f"secrets: {both}"
    if source.signing.header != "Authorization":
        return f"token: {{header: {source.signing.header}, value: {both}}}"
    if all(secret.value.startswith("Bearer ") for secret in source.secrets):
        return f"token: {{bearer: {both}}}"
    new, present = ("Basic <base64 of user:new password>", "Basic <base64 of user:present password>")
    return f'token: {{value: ["{new}", {{secret: "{present}", until: {ends}}}]}}'


@blueprint.post("/<name>/test")
@auth.require_role(auth.OPERATOR)
def test_source(name: str) -> ResponseReturnValue:
    """Try a source with a sample, or with a body of one's own; nothing of it is left."""
    source, own = _source(name), request.form.get("body", "").strip()
    try:
        trial = actions.try_sample(context(), source, own.encode() if own else None)
    except SampleError as error:
        trial = DryRunResult(refused=str(error))
    return _shown(source, trial=trial, own=own)


@blueprint.post("/<name>/secret")
@auth.require_role(auth.ADMIN)
def rotate_secret(name: str) -> ResponseReturnValue:
    """Make a new secret, and show it this once; those before it count for a while."""
    source, hours = _source(name), request.form.get("hours", 0, type=int)
    if hours not in _KEEP_HOURS and actions.keeps_secret(context(), source):
        abort(400, "Say for how long the present secret counts on.")
    fresh, until = actions.rotate_secret(context(), auth.caller(), source, timedelta(hours=hours))
    return _shown(source, fresh=fresh, until=until)


@blueprint.post("/<name>/end-old")
@auth.require_role(auth.ADMIN)
def end_old_secrets(name: str) -> ResponseReturnValue:
    """Let only the newest secret count."""
    actions.end_old_secrets(context(), auth.caller(), _source(name))
    flash("Only the newest secret counts now.")
    return redirect(url_for("sources_pages.source_page", name=name))
