"""The digests under /api, and sending one now."""

from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Response, abort, current_app, send_file
from flask.views import MethodView
from marshmallow import Schema, fields

from receiver import auth, queue
from receiver.api.errors import Blueprint
from receiver.api.pages import ID, PageQuery, columns, page, page_of
from receiver.clock import now
from receiver.record import digests
from receiver.record.models import Digest

blueprint = Blueprint("digests", __name__, url_prefix="/api", description="What was mailed, and sending a digest now")

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FILE = {"type": "string", "format": "binary"}


class DigestOut(Schema):
    """A digest."""

    id = fields.Integer()
    name = fields.String()
    period = fields.String(metadata={"description": "What it covers; there is one digest of a period."})
    status = fields.String(
        metadata={"description": "`claimed`, `sending`, then `sent`, `failed`, or `held` where it may have gone out."}
    )
    created_at = fields.AwareDateTime()
    sent_at = fields.AwareDateTime(allow_none=True)
    tickets = fields.Integer(metadata={"description": "How many it tells of."})
    recipients = fields.List(fields.String())
    message_id = fields.String(metadata={"description": "The Message-ID of every attempt to send it."})
    attempts = fields.Integer()
    error = fields.String(allow_none=True, metadata={"description": "Why the last attempt failed."})


@blueprint.route("/digests")
class Digests(MethodView):
    """The digests, and sending one now."""

    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, page_of(DigestOut, "DigestPage"))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Digests, newest first."""
        with current_app.extensions["record"].read() as session:
            rows = digests.page(session, query["limit"] + 1, query.get("cursor"))
        return page([columns(row) for row in rows], query["limit"])

    @blueprint.response(202, DigestOut, description="It is on its way")
    @blueprint.refuses(409, "Nothing was settled since the last digest.")
    @auth.needs(auth.OPERATOR)
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


@blueprint.get(f"/digests/<{ID}:digest_id>")
@blueprint.response(200, DigestOut)
def get_digest(digest_id: int) -> Digest:
    """One digest."""
    with current_app.extensions["record"].read() as session:
        found: Digest | None = session.get(Digest, digest_id)
    return found or abort(404, "There is no digest with this id.")


@blueprint.get(f"/digests/<{ID}:digest_id>/workbook")
@blueprint.response(200, _FILE, content_type=_XLSX, description="An Excel workbook")
@blueprint.refuses(404, "There is no digest with this id, or its workbook is not built yet.")
def get_workbook(digest_id: int) -> Response:
    """The workbook of a digest, as it was sent."""
    path: Path = digests.workbook_path(current_app.extensions["settings"].data_dir, digest_id)
    if not path.exists():
        abort(404, "This digest has no workbook yet; it is built when the digest is sent.")
    return send_file(path, mimetype=_XLSX, as_attachment=True, download_name=path.name)
