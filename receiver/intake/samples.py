"""Samples: deliveries of our own making, which try a source and leave nothing behind.

A sample is verified, read, and recorded in a transaction that is rolled back. So no job, digest or helpdesk ever sees
it, and yet the whole way of a delivery has been tried, the database included.
"""

import hashlib
import hmac
import secrets as random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from string import Template
from typing import Any

from receiver.db import deliveries
from receiver.db.database import Database
from receiver.db.deliveries import Arrival, Content
from receiver.intake import reading
from receiver.intake.signatures import Message, SignatureError
from receiver.intake.signatures.static import Unsigned
from receiver.intake.sources import Source
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings

# Marks a delivery to the webhook as a sample; its value proves that it comes from whoever has our API token.
HEADER = "x-sample-proof"
_SHOWN = 20


class SampleError(Exception):
    """The sample cannot be made or sent; the text says why and what to do."""


@dataclass(frozen=True)
class DryRunResult:
    """What would become of a delivery, and the first of the tickets that were found in it.

    `refused` says why its proof does not count, and then there is nothing else.
    """

    refused: str | None = None
    outcome: Mapping[str, Any] | None = None
    tickets: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_ticket(self) -> bool:
        """Whether a delivery like this one would be a ticket."""
        return bool(self.outcome and any(self.outcome[name] for name in ("accepted", "updated", "duplicates")))


def attempt(db: Database, source: Source, config: Settings, own: bytes | None = None) -> DryRunResult:
    """Try a source with a sample, or with a body of one's `own`, without the network. Raises SampleError."""
    body, headers = compose(source, config, now().timestamp(), own)
    # As the web server hands them over: names of headers in lower case.
    known = {name.lower(): value for name, value in headers.items()}
    # As if it came from an address from which this source may push.
    allowed = source.signing.allowed if isinstance(source.signing, Unsigned) else ()
    peer = str(allowed[0].network_address) if allowed else "127.0.0.1"
    message = Message(known, body, "POST", _signed_url(config, source), peer)
    try:
        arrival, content = reading.read(source, message, now(), config)
    except SignatureError as error:
        return DryRunResult(refused=str(error))
    return dry_run(db, arrival, content)


def dry_run(db: Database, arrival: Arrival, content: Content) -> DryRunResult:
    """Record a delivery, whether or not it came before, look at what became of it, and take it all back."""
    with db.write() as session:
        # Under a key of its own, as one that came before would be a redelivery, and nothing would be tried.
        fresh = replace(arrival, key=f"sample-{random.token_hex(16)}")
        outcome = deliveries.outcome(deliveries.record(session, fresh, content))
        session.rollback()
    tickets = tuple(
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(ticket).items()}
        for ticket in content.tickets[:_SHOWN]
    )
    return DryRunResult(outcome=outcome, tickets=tickets)


def compose(source: Source, config: Settings, at: float, own: bytes | None = None) -> tuple[bytes, dict[str, str]]:
    """Body and headers as this helpdesk would send them at `at`, in unix seconds. Raises SampleError."""
    live = [secret.value for secret in source.secrets if secret.is_live(at)]
    if source.is_signed and not live:
        raise SampleError(f"every secret of {source.name} has ended; give it a new one in SOURCES_FILE")
    if live and live[0].startswith("whpk_"):
        raise SampleError(f"only the sender of {source.name} can sign for it: we have its public key")
    moment = datetime.fromtimestamp(int(at), UTC)
    filled = {
        "number": str(int(at)),
        "seconds": str(int(at)),
        "ms": str(int(at * 1000)),
        "iso": moment.isoformat().replace("+00:00", "Z"),
        "plain": f"{moment:%Y-%m-%d %H:%M:%S}",
    }
    body = Template(source.profile.sample.body).safe_substitute(filled).encode() if own is None else own
    headers = {name: Template(text).safe_substitute(filled) for name, text in source.profile.sample.headers.items()}
    message = Message(headers, body, "POST", _signed_url(config, source))
    signed = source.signing.sign(live[0] if live else "", message, at)
    return body, {"Content-Type": "application/json"} | headers | signed


def _signed_url(config: Settings, source: Source) -> str:
    return f"{(config.public_url or '').rstrip('/')}{source.path}"


def proof(config: Settings, name: str, body: bytes) -> str:
    """What `HEADER` says of a sample for the source `name`."""
    return hmac.new(
        secret_files.api_token(config).encode(), f"sample for {name}\n".encode() + body, hashlib.sha256
    ).hexdigest()
