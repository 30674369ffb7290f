"""The digests under /api, and sending one now."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Response, abort, send_file
from flask.views import MethodView
from marshmallow import RAISE, Schema, fields
from marshmallow.validate import Length

from receiver.actions import digests as orders
from receiver.db import digest_members, digests, recipients
from receiver.db.models import Digest, DigestRecipient
from receiver.intake.schemas import PlainText
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.errors import Blueprint
from receiver.web.api.pages import ID, PageQuery, columns, page, page_of
from receiver.web.state import context

blueprint = Blueprint("digests", __name__, url_prefix="/api", description="What was mailed, and sending a digest now")

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MAIL = "message/rfc822"
_FILE = {"type": "string", "format": "binary"}


class RecipientOut(Schema):
    """What became of a digest for one of its recipients."""

    address = fields.String()
    state = fields.String(
        metadata={
            "description": "`due` at `run_at`, `sent`, `refused` by the mail server, `failed`, `held` where it may have"
            " arrived, `kept` in the outbox, or `cancelled`."
        }
    )
    error_code = fields.String(allow_none=True, metadata={"description": "The kind of fault, in a word."})
    error = fields.String(allow_none=True, metadata={"description": "What the mail server said."})
    attempts = fields.Integer()
    run_at = fields.AwareDateTime(metadata={"description": "When the next attempt is, while it is due."})
    sent_at = fields.AwareDateTime(allow_none=True)


class DigestOut(Schema):
    """A digest."""

    id = fields.Integer()
    name = fields.String()
    period = fields.String(metadata={"description": "What it covers; there is one digest of a period."})
    status = fields.String(
        metadata={
            "description": "`claimed`, `sending`, then `sent`, `partly_sent`, `failed`, `held` where it may have gone"
            " out, or `cancelled`. It is `claimed` again while a recipient waits for another attempt."
        }
    )
    created_at = fields.AwareDateTime()
    sent_at = fields.AwareDateTime(allow_none=True)
    tickets = fields.Integer(metadata={"description": "How many it tells of."})
    recipients = fields.List(fields.String())
    recipient_states = fields.List(fields.Nested(RecipientOut))
    message_id = fields.String(metadata={"description": "The Message-ID of every attempt to send it."})
    attempts = fields.Integer(metadata={"description": "How often it was begun to be built and sent, in all."})
    error = fields.String(allow_none=True, metadata={"description": "Why the last attempt failed."})
    copy_of = fields.Integer(allow_none=True, metadata={"description": "The digest whose content was sent again."})


class DigestIn(Schema):
    """Which digest."""

    class Meta:
        """marshmallow's options."""

        unknown = RAISE

    name = PlainText(validate=Length(1, 40), metadata={"description": "One of DIGESTS_FILE; else the first there is."})


class CountOut(Schema):
    """A category in a digest that is not sent yet."""

    category = fields.String(allow_none=True)
    tickets = fields.Integer()
    needs_review = fields.Integer()


class PreviewOut(Schema):
    """What a digest sent now would tell, and when it is sent by itself."""

    name = fields.String()
    next_at = fields.AwareDateTime()
    recipients = fields.List(fields.String())
    tickets = fields.Integer()
    needs_review = fields.Integer()
    categories = fields.List(fields.Nested(CountOut))


@blueprint.route("/digests")
class Digests(MethodView):
    """The digests, and sending one now."""

    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, page_of(DigestOut, "DigestPage"))
    def get(self, query: dict[str, Any]) -> dict[str, object]:
        """Digests, newest first."""
        with context().db.read() as session:
            rows = digests.page(session, query["limit"] + 1, query.get("cursor"))
            states = recipients.of_each(session, [row.id for row in rows])
        listed = [_describe_digest(row, states.get(row.id, [])) for row in rows]
        return page(listed, query["limit"])

    @auth.require_role(auth.OPERATOR)
    @blueprint.takes(DigestIn)
    @blueprint.response(202, DigestOut, description="It is on its way")
    @blueprint.refuses(404, "There is no digest of this name.")
    @blueprint.refuses(409, "Nothing was settled since the last digest.")
    def post(self, body: dict[str, Any]) -> dict[str, object]:
        """Claim everything settled since the last digest of this name and have it sent now."""
        plan = orders.plan_named(context(), body.get("name"))
        return _load_digest(orders.send_now(context(), auth.caller(), plan).id)


def _load_digest(digest_id: int) -> dict[str, object]:
    """One digest with what became of it for each recipient, read anew after a change."""
    with context().db.read() as session:
        return _describe_digest(orders.get(session, digest_id), recipients.of(session, digest_id))


def _describe_digest(digest: Digest, states: Sequence[DigestRecipient]) -> dict[str, object]:
    """A digest as `DigestOut` has it."""
    # A fault is kept as a code, and its sentence is made here.
    return columns(digest) | {"error": digests.problem(digest), "recipient_states": states}


@blueprint.post("/digests/preview")
@auth.require_role(auth.VIEWER)
@blueprint.takes(DigestIn)
@blueprint.response(200, PreviewOut)
@blueprint.refuses(404, "There is no digest of this name.")
def preview_digest(body: dict[str, Any]) -> dict[str, object]:
    """What a digest sent now would tell; nothing is claimed or sent."""
    plan, moment = orders.plan_named(context(), body.get("name")), now()
    with context().db.read() as session:
        rows = digest_members.pending_counts(session, plan.name, plan.chosen, moment)
    return {
        "name": plan.name,
        "next_at": plan.next_slot(moment),
        "recipients": plan.recipients,
        "tickets": sum(count for _, count, _ in rows),
        "needs_review": sum(unsure for _, _, unsure in rows),
        "categories": [{"category": name, "tickets": n, "needs_review": unsure} for name, n, unsure in rows],
    }


@blueprint.get(f"/digests/<{ID}:digest_id>")
@blueprint.response(200, DigestOut)
def get_digest(digest_id: int) -> dict[str, object]:
    """One digest."""
    return _load_digest(digest_id)


@blueprint.get(f"/digests/<{ID}:digest_id>/workbook")
@blueprint.response(200, _FILE, content_type=_XLSX, description="An Excel workbook")
@blueprint.refuses(404, "There is no digest with this id, or its workbook is not built yet.")
def get_workbook(digest_id: int) -> Response:
    """The workbook of a digest, as it was sent."""
    path: Path = digests.workbook_path(context().settings.data_dir, digest_id)
    missing = "There is no workbook: it is built when the digest is sent, and kept for WORKBOOK_RETENTION_DAYS."
    return _send_kept_file(path, _XLSX, missing, f"digest {digest_id}", "workbook")


@blueprint.get(f"/digests/<{ID}:digest_id>/mail")
@blueprint.response(200, _FILE, content_type=_MAIL, description="A mail as RFC 5322 has it, without the workbook")
@blueprint.refuses(404, "There is no digest with this id, or its mail is not written yet.")
def get_mail(digest_id: int) -> Response:
    """The mail of a digest as it was written, without the workbook."""
    path: Path = digests.mail_path(context().settings.data_dir, digest_id)
    missing = "This digest has no mail yet; it is written when the digest is sent."
    return _send_kept_file(path, _MAIL, missing, f"digest {digest_id}", "mail")


def _send_kept_file(path: Path, mimetype: str, missing: str, subject: str, form: str) -> Response:
    """A file of a digest, to download; 404 with the text `missing` where it is not there."""
    if not path.exists():
        abort(404, missing)
    # Before the file: what cannot be written down in the audit is not given out.
    auth.note_export(subject, form)
    return send_file(path, mimetype=mimetype, as_attachment=True, download_name=path.name)


@blueprint.post(f"/digests/<{ID}:digest_id>/resend")
@auth.require_role(auth.OPERATOR)
@blueprint.response(202, DigestOut, description="The copy is on its way")
@blueprint.refuses(409, "It is on its way itself.")
def resend_digest(digest_id: int) -> dict[str, object]:
    """Send a copy of a digest, marked as one, to the same people."""
    return _load_digest(orders.resend(context(), auth.caller(), digest_id).id)


@blueprint.post(f"/digests/<{ID}:digest_id>/redrive")
@auth.require_role(auth.OPERATOR)
@blueprint.response(202, DigestOut, description="It is on its way")
@blueprint.refuses(409, "It has neither failed for anybody, nor is it held or cancelled.")
def redrive(digest_id: int) -> dict[str, object]:
    """Have a digest sent after all to whom it did not reach, under its own Message-ID."""
    return _load_digest(orders.redrive(context(), auth.caller(), digest_id).id)


@blueprint.post(f"/digests/<{ID}:digest_id>/mark-sent")
@auth.require_role(auth.OPERATOR)
@blueprint.response(200, DigestOut)
@blueprint.refuses(409, "It is not held.")
def mark_sent(digest_id: int) -> dict[str, object]:
    """Say that a held digest did arrive."""
    return _load_digest(orders.accept(context(), auth.caller(), digest_id).id)
