"""What is recorded of a message: the same for the webhook and for a sample."""

import hashlib
from datetime import datetime

from receiver.db.deliveries import Arrival, Content
from receiver.db.models import UNSIGNED, VERIFIED
from receiver.intake.signatures import Message
from receiver.intake.signatures.message import MAX_ID_LENGTH
from receiver.intake.sources import Source
from receiver.lib.settings import Settings


def read(source: Source, message: Message, received_at: datetime, config: Settings) -> tuple[Arrival, Content]:
    """The message, where it is genuine, and what is in it. Raises SignatureError."""
    key = source.verify(message, received_at.timestamp())
    kept = source.kept(message.headers)
    content = source.read(message.body, kept, config.max_batch, config.max_body_mb * 2**20)
    digest = hashlib.sha256(message.body).hexdigest()
    # What is signed goes before what is not; a body of the same bytes is the same delivery where nothing names it.
    key = key or _as_key(kept.get((source.shape.delivery.header or "").lower())) or _as_key(content.key) or digest
    verification, peer = (VERIFIED, None) if source.is_signed else (UNSIGNED, message.peer)
    arrival = Arrival(source.name, key, kept, message.body, digest, received_at, verification=verification, peer=peer)
    return arrival, content


def _as_key(name: str | None) -> str | None:
    """A delivery's name as a key; the names of a whole batch may be too long for one, or no text for a database."""
    if name is None or (len(name) <= MAX_ID_LENGTH and name.isprintable()):
        return name or None
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
