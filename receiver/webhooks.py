"""POST /webhooks/<source>: verify, parse, record, wake, acknowledge, and stop."""

import hashlib
from typing import Any

from flask import Blueprint, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from receiver import queue
from receiver.clock import now
from receiver.record import deliveries
from receiver.record.deliveries import Arrival, Content
from receiver.record.models import QUARANTINED, Delivery
from receiver.signatures import SignatureError
from receiver.sources import Source

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")

_PIECE = 65_536
_KEPT_HEADERS = ("content-type", "user-agent")


@blueprint.post("/<source_name>", strict_slashes=False)
def receive(source_name: str) -> ResponseReturnValue:
    """Take one delivery in; what is answered with 200 is stored durably."""
    source = _source(source_name)
    arrival = _arrival(source)
    content = source.profile.read(arrival.body, current_app.extensions["settings"].max_batch)
    delivery, first = _record(arrival, content)
    if first is None and delivery.accepted + delivery.updated:
        current_app.extensions["waker"].wake(queue.CLASSIFY)
    return _acknowledge(source, delivery, first)


def _source(name: str) -> Source:
    sources: dict[str, Source] = current_app.extensions["sources"]
    if name not in sources:
        abort(404, "There is no source of this name; SOURCES_FILE lists them.")
    return sources[name]


def _arrival(source: Source) -> Arrival:
    """The genuine message in this request; everything else is refused and nothing of it is kept."""
    if not (request.is_json or request.mimetype == "application/x-www-form-urlencoded"):
        abort(415, "Send JSON with Content-Type: application/json.")
    if request.content_encoding:
        abort(415, "Send the body without a Content-Encoding.")
    # The raw bytes are what was signed, so they are read before anything could parse them.
    body = _body_without_length() if request.content_length is None else request.get_data(parse_form_data=False)
    headers = {name.lower(): value for name, value in request.headers}
    received_at = now()
    try:
        key = source.profile.verify(source.secrets, headers, body, received_at.timestamp())
    except SignatureError as error:
        abort(401, str(error))
    kept = {name: headers[name] for name in (*_KEPT_HEADERS, *source.profile.headers) if name in headers}
    return Arrival(source.name, key, kept, body, hashlib.sha256(body).hexdigest(), received_at)


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


def _record(arrival: Arrival, content: Content) -> tuple[Delivery, Delivery | None]:
    """The delivery as it now stands in the record, and the one it repeats, if any."""
    with current_app.extensions["record"].write() as session:
        first = deliveries.original(session, arrival.source, arrival.key)
        if first is not None:
            return deliveries.record_redelivery(session, arrival, first), first
        return deliveries.record(session, arrival, content), None


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
