"""POST /webhooks/<source>: verify, parse, store, wake, acknowledge, and stop."""

import hmac
import time

from flask import Blueprint, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from receiver import queue
from receiver.actions import sources
from receiver.db import deliveries, latencies, refusals
from receiver.db.deliveries import Arrival, Content
from receiver.db.group_commit import Group
from receiver.db.models import QUARANTINED, Delivery
from receiver.intake import reading, samples
from receiver.intake.signatures import Message, SignatureError, glpi
from receiver.intake.sources import Source
from receiver.lib.clock import now
from receiver.web import proxy
from receiver.web.state import context, count_refusal, web_state

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")

_PIECE_BYTES = 65_536
_ENCODINGS = ("", "identity", "gzip")


@blueprint.post("/<source_name>", strict_slashes=False)
def receive(source_name: str) -> ResponseReturnValue:
    """Take one delivery in; what is answered with 200 is stored durably."""
    source, began = sources.get(context(), source_name), time.perf_counter()
    arrival, content = _read_request(source)
    if samples.HEADER in request.headers:
        return _answer_sample(source, arrival, content)
    # Where the delivery's id is not signed, whoever saw the body could send it again under another id. So the body
    # itself must be new there.
    body_sha256 = None if source.signing.signs_id else arrival.body_sha256

    def store(session: Session) -> tuple[Delivery, Delivery | None]:
        first = deliveries.original(session, arrival.source, arrival.key, body_sha256)
        if first is not None:
            return deliveries.record_redelivery(session, arrival, first), first
        return deliveries.record(session, arrival, content), None

    # Deliveries that arrive together share one commit, which is what a disk is slow at.
    group: Group = web_state().group
    delivery, first = group.write(store, size=1 + len(content.tickets))
    if first is None and delivery.accepted + delivery.updated:
        context().wake(queue.CLASSIFY)
        took = (time.perf_counter() - began) * 1000
        web_state().latencies.note(latencies.ACCEPT, took, delivery.accepted)
    # A redelivery is answered as the first one was, unless it brought another body under the same id.
    outcome = first if first is not None and not delivery.conflict else delivery
    # 422 only to our own senders: a helpdesk would never send such a body again, or for ever.
    if outcome.status == QUARANTINED and source.name == "standard":
        return jsonify(delivery=outcome.id, errors=outcome.error or outcome.rejected), 422
    return jsonify(
        delivery=first.id if first else delivery.id,
        status=delivery.status,
        accepted=delivery.accepted,
        duplicates=delivery.duplicates,
        updated=delivery.updated,
        rejected=outcome.rejected,
    )


@blueprint.get("/<source_name>", strict_slashes=False)
def shake_hands(source_name: str) -> ResponseReturnValue:
    """Answer what a helpdesk asks before it pushes, and nothing else."""
    source = sources.get(context(), source_name)
    if request.method == "HEAD" and source.profile.answers_head:
        return Response(status=200)
    if not source.profile.challenge or "crc_token" not in request.args:
        abort(405, valid_methods=["POST"])
    answer = glpi.answer(source.secrets, request.args["crc_token"], now().timestamp())
    if answer is None:
        abort(403, "This crc_token was not made with the secret of this source; check the secret.")
    return Response(answer, mimetype="text/plain")


def _read_request(source: Source) -> tuple[Arrival, Content]:
    """The genuine message in this request and what is in it; everything else is refused, and nothing of it is kept."""
    # Checked before the body is read, so that what cannot be used costs nothing.
    if not (request.is_json or request.mimetype == "application/x-www-form-urlencoded"):
        abort(415, "Send JSON with Content-Type: application/json.")
    if (request.content_encoding or "").lower() not in _ENCODINGS:
        abort(415, "Send the body without a Content-Encoding, or as gzip.")
    received_at = now()
    # The raw bytes are what was signed, so they are read before anything could parse them.
    body = _read_chunked_body() if request.content_length is None else request.get_data(parse_form_data=False)
    public = (context().settings.public_url or "").rstrip("/")
    # Some helpdesks sign the address too: as it was sent, before Werkzeug decodes its escapes.
    path = request.environ.get("RAW_URI") or request.full_path.removesuffix("?")
    message = Message(
        {name.lower(): value for name, value in request.headers},
        body,
        request.method,
        public + path.removeprefix(request.script_root),  # PUBLIC_URL ends with it.
        request.remote_addr or "",
        bool(request.environ.get(proxy.THROUGH_PROXY)),
    )
    try:
        return reading.read(source, message, received_at, context().settings)
    except SignatureError as error:
        count_refusal(refusals.SIGNATURE, source.name)
        abort(401, str(error))


def _read_chunked_body() -> bytes:
    """A body without Content-Length; 413 where it is longer than MAX_BODY_MB."""
    # The pieces are joined only when the body has ended in time, so refusing one that is too large is cheap.
    pieces, left = [], request.max_content_length or 0
    while left and (piece := request.stream.read(min(_PIECE_BYTES, left))):
        pieces.append(piece)
        left -= len(piece)
    # Werkzeug cuts the stream off at the limit without an error, so look whether there was more.
    if not left and request.input_stream.read(1):
        abort(413)
    return b"".join(pieces)


def _answer_sample(source: Source, arrival: Arrival, content: Content) -> ResponseReturnValue:
    """Say what would become of one of our own samples, which is never stored."""
    # The header alone proves nothing: with it, somebody could send deliveries that are answered and not stored.
    expected = samples.proof(context().settings, source.name, arrival.body)
    if not hmac.compare_digest(request.headers[samples.HEADER].encode(), expected.encode()):
        abort(401, "This sample was made with another API_TOKEN; send it with the settings of this receiver.")
    trial = samples.dry_run(context().db, arrival, content)
    return jsonify(sample=True, outcome=trial.outcome, tickets=trial.tickets)
