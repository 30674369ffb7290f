"""Digests: what was sent when and to whom, what comes next, and what a person may have done with them."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from receiver.actions import digests as orders
from receiver.actions.errors import ConflictError, QueueAwayError
from receiver.db import audit, digests, recipients, work
from receiver.db.models import SEND_DIGEST, Digest
from receiver.digests import schedules
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.pages import ID
from receiver.web.dashboard import mail_preview, query_args
from receiver.web.state import context

blueprint = Blueprint("digests_pages", __name__, url_prefix="/digests")

_AT_ONCE = 50
# A mail has styles on its elements and its pictures inside it, as mail programs need. Nothing in its frame may run.
_FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"


@blueprint.get("")
def digests_page() -> ResponseReturnValue:
    """The digests there are, and what was sent."""
    before, status = query_args.place("before"), query_args.text("status") or None
    with context().db.read() as session:
        found = digests.page(session, _AT_ONCE + 1, before, status)
        planned = [
            (plan, digests.latest(session, plan.name)) for plan in schedules.current(context().settings).plans.values()
        ]
    shown, more = found[:_AT_ONCE], len(found) > _AT_ONCE
    return render_template(
        "digests.html", plans=planned, moment=now(), digests=shown, before=before, more=more, status_chosen=status
    )


blueprint.add_app_template_global(digests.problem)


@blueprint.app_template_global()
def period(digest: Digest) -> str:
    """What a digest covers, for a person to read: its time on its plan's clock, or why it was made out of turn."""
    if digest.copy_of:
        return f"copy of {digest.copy_of}"
    try:
        slot = datetime.fromisoformat(digest.period)
    except ValueError:  # Only a planned digest has a time as its period.
        return "by hand"
    plan = schedules.current(context().settings).plans.get(digest.name)
    local = slot.astimezone(ZoneInfo(plan.zone if plan else "UTC"))
    return f"{local:%Y-%m-%d %H:%M}"


@blueprint.get(f"/<{ID}:digest_id>")
def digest_page(digest_id: int) -> ResponseReturnValue:
    """One digest, with its mail as it looked."""
    with context().db.read() as session:
        digest = orders.get(session, digest_id)
        changed = audit.about(session, f"digest {digest_id}")
        states = recipients.of(session, digest_id)
        waits = work.of(session, SEND_DIGEST, digest_id)
    data_dir = context().settings.data_dir
    mail, workbook = digests.mail_path(data_dir, digest_id), digests.workbook_path(data_dir, digest_id)
    # Neither is there before the digest is built, and retention drops the workbook again.
    has = {"mail": mail.exists(), "workbook": workbook.exists()}
    text = mail_preview.text(mail) if has["mail"] else ""
    return render_template("digest.html", digest=digest, work=waits, changed=changed, states=states, has=has, text=text)


@blueprint.get(f"/<{ID}:digest_id>/mail")
def mail_of(digest_id: int) -> ResponseReturnValue:
    """The mail of a digest as a mail program shows it, for the frame of its page."""
    return _mail_frame(digests.mail_path(context().settings.data_dir, digest_id))


def _mail_frame(path: Path) -> Response:
    if not path.exists():
        abort(404, "There is no such mail; it is written when the digest is built.")
    return Response(mail_preview.html(path), headers={"Content-Security-Policy": _FRAME_POLICY})


@blueprint.post("")
@auth.require_role(auth.OPERATOR)
def send() -> ResponseReturnValue:
    """Send a digest now."""
    plan = orders.plan_named(context(), request.form.get("name"))
    try:
        digest = orders.send_now(context(), auth.caller(), plan)
    except ConflictError as error:
        flash(str(error))
        return redirect(url_for("digests_pages.digests_page"))
    flash(f"Digest {digest.id} is on its way.")
    return redirect(url_for("digests_pages.digest_page", digest_id=digest.id))


_ORDERS = {
    "resend": (orders.resend, "The copy is on its way."),
    "redrive": (orders.redrive, "It is on its way, under the same Message-ID."),
    "mark-sent": (orders.accept, "It counts as sent."),
}


@blueprint.post(f"/<{ID}:digest_id>/<action>")
@auth.require_role(auth.OPERATOR)
def order(digest_id: int, action: str) -> ResponseReturnValue:
    """Send a copy, try again, or decide that a held one did arrive."""
    do, told = _ORDERS.get(action) or abort(404)
    digest = do(context(), auth.caller(), digest_id)
    flash(told)
    return redirect(url_for("digests_pages.digest_page", digest_id=digest.id))


@blueprint.post("/preview")
@auth.require_role(auth.VIEWER)
def ask_for_preview() -> ResponseReturnValue:
    """Have a worker build what a digest would be if it were sent now."""
    plan = orders.plan_named(context(), request.form.get("name"))
    moment = now()
    try:
        orders.order_preview(context(), plan)
    except QueueAwayError as error:
        flash(str(error), "error")
        return redirect(url_for("digests_pages.digests_page"))
    return redirect(url_for("digests_pages.preview_page", name=plan.name, asked=f"{moment.timestamp():.3f}"))


@blueprint.get("/preview/<name>")
def preview_page(name: str) -> ResponseReturnValue:
    """What this digest would be; until a worker has built it, the page asks again by itself."""
    plan, mail = orders.plan_named(context(), name), _preview_path(name, ".eml")
    # `asked` tells a preview that was just ordered from one of before, which is still there meanwhile.
    built_at = datetime.fromtimestamp(mail.stat().st_mtime, UTC) if mail.exists() else None
    since = request.args.get("asked", 0.0, type=float)
    is_built = built_at is not None and built_at.timestamp() >= since
    text = mail_preview.text(mail) if is_built else ""
    return render_template("digest_preview.html", plan=plan, is_built=is_built, built_at=built_at, text=text)


def _preview_path(name: str, suffix: str) -> Path:
    # By the plan's own name, so that no text of a URL becomes part of a path.
    return digests.preview_path(context().settings.data_dir, orders.plan_named(context(), name).name, suffix)


@blueprint.get("/preview/<name>/mail")
def preview_mail(name: str) -> ResponseReturnValue:
    """The mail of a preview, for the frame of its page."""
    return _mail_frame(_preview_path(name, ".eml"))


@blueprint.get("/preview/<name>/workbook")
def preview_workbook(name: str) -> ResponseReturnValue:
    """The workbook of a preview."""
    path = _preview_path(name, ".xlsx")
    if not path.exists():
        abort(404, "There is no such workbook; preview the digest first.")
    auth.note_export(f"preview of {name}", "workbook")
    return send_file(path, as_attachment=True, download_name=path.name)
