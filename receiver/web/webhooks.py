"""POST /webhooks/<source>: verify, parse, record, wake, acknowledge, and stop."""

import hmac
import time
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from receiver import queue
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

_PIECE = 65_536
_ENCODINGS = ("", "identity", "gzip")


@blueprint.post("/<source_name>", strict_slashes=False)
def receive(source_name: str) -> ResponseReturnValue:
    """Take one delivery in; what is answered with 200 is stored durably."""
    source, began = _source(source_name), time.perf_counter()
    arrival, content = _arrival(source)
    if samples.HEADER in request.headers:
        return _rehearse(source, arrival, content)
    delivery, first = _db(source, arrival, content)
    if first is None and delivery.accepted + delivery.updated:
        context().wake(queue.CLASSIFY)
        took = (time.perf_counter() - began) * 1000
        web_state().latencies.note(latencies.ACCEPT, took, delivery.accepted)
    return _acknowledge(source, delivery, first)


@blueprint.get("/<source_name>", strict_slashes=False)
def shake_hands(source_name: str) -> ResponseReturnValue:
    """Answer what a helpdesk asks before it pushes, and nothing else."""
    source = _source(source_name)
    if request.method == "HEAD" and source.profile.answers_head:
        return Response(status=200)
    if not source.profile.challenge or "crc_token" not in request.args:
        abort(405, valid_methods=["POST"])
    answer = glpi.answer(source.secrets, request.args["crc_token"], now().timestamp())
    if answer is None:
        abort(403, "This crc_token was not made with the secret of this source; check the secret.")
    return Response(answer, mimetype="text/plain")


def _source(name: str) -> Source:
    sources: dict[str, Source] = context().sources
    if name not in sources:
        abort(404, "There is no source of this name; SOURCES_FILE lists them.")
    return sources[name]


def _arrival(source: Source) -> tuple[Arrival, Content]:
    """The genuine message in this request and what is in it; everything else is refused, and nothing of it is kept."""
    if not (request.is_json or request.mimetype == "application/x-www-form-urlencoded"):
        abort(415, "Send JSON with Content-Type: application/json.")
    if (request.content_encoding or "").lower() not in _ENCODINGS:
        abort(415, "Send the body without a Content-Encoding, or as gzip.")
    received_at = now()
    try:
        return reading.read(source, _message(), received_at, context().settings)
    except SignatureError as error:
        count_refusal(refusals.SIGNATURE, source.name)
        abort(401, str(error))


def _message() -> Message:
    # The raw bytes are what was signed, so they are read before anything could parse them.
    body = _body_without_length() if request.content_length is None else request.get_data(parse_form_data=False)
    headers = {name.lower(): value for name, value in request.headers}
    public = (context().settings.public_url or "").rstrip("/")
    path = request.environ.get("RAW_URI") or request.full_path.removesuffix("?")
    return Message(
        headers,
        body,
        request.method,
        public + path.removeprefix(request.script_root),  # PUBLIC_URL ends with it.
        request.remote_addr or "",
        bool(request.environ.get(proxy.THROUGH_PROXY)),
    )


def _body_without_length() -> bytes:
    """The body, in pieces that are joined only when it has ended in time: refusing one that is too large is cheap."""
    pieces, left = [], request.max_content_length or 0
    while left and (piece := request.stream.read(min(_PIECE, left))):
        pieces.append(piece)
        left -= len(piece)
    # Werkzeug cuts it off at the limit, and says nothing.
    if not left and request.input_stream.read(1):
        abort(413)
    return b"".join(pieces)


def _db(source: Source, arrival: Arrival, content: Content) -> tuple[Delivery, Delivery | None]:
    """The delivery as it now stands in the record, and the one it repeats, if any."""
    # Where the delivery's name is not signed, whoever saw the body could send it again under another one.
    body_sha256 = None if source.signing.signs_id else arrival.body_sha256

    def write(session: Session) -> tuple[Delivery, Delivery | None]:
        first = deliveries.original(session, arrival.source, arrival.key, body_sha256)
        if first is not None:
            return deliveries.record_redelivery(session, arrival, first), first
        return deliveries.record(session, arrival, content), None

    group: Group = web_state().group
    return group.write(write, size=1 + len(content.tickets))


def _rehearse(source: Source, arrival: Arrival, content: Content) -> ResponseReturnValue:
    """What would become of one of our own samples. What claims to be one and is none is not recorded either."""
    expected = samples.proof(context().settings, source.name, arrival.body)
    if not hmac.compare_digest(request.headers[samples.HEADER].encode(), expected.encode()):
        abort(401, "This sample was made with another API_TOKEN; send it with the settings of this receiver.")
    trial = samples.dry_run(context().db, arrival, content)
    return jsonify(sample=True, outcome=trial.outcome, tickets=trial.tickets)


def _acknowledge(source: Source, delivery: Delivery, first: Delivery | None) -> ResponseReturnValue:
    outcome = first if first is not None and not delivery.conflict else delivery
    if outcome.status == QUARANTINED and source.name == "standard":
        errors: Any = outcome.error or outcome.rejected
        return jsonify(delivery=outcome.id, errors=errors), 422
    return jsonify(
        delivery=first.id if first else delivery.id,
        status=delivery.status,
        accepted=delivery.accepted,
        duplicates=delivery.duplicates,
        updated=delivery.updated,
        rejected=outcome.rejected,
    )
