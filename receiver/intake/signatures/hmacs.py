"""A hash with a shared secret over the body and what else a helpdesk adds: schemes as data, not a class for each."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from marshmallow import ValidationError

from receiver.intake.signatures.message import (
    Message,
    SignatureError,
    check_age,
    header,
    seconds,
)
from receiver.lib.shared_secrets import Secret, refuse_published

ALGORITHMS = ("sha1", "sha256", "sha512")
ENCODINGS = ("hex", "base64")
PARTS = ("body", "timestamp", "id", "method", "url", "secret")
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_SHORTEST_SECRET = 8


@dataclass(frozen=True)
class Hmac:
    """How a helpdesk signs.

    `signed` is the template of what is hashed, of `{body}`, `{timestamp}`, `{id}`, `{method}` and `{url}`. The
    signature stands in `header` behind `prefix`, or, where `field` is set, in a list such as `t=1767225600,v1=...`.
    The timestamp stands in `timestamp_header`, the list's `timestamp_field`, or the body's `timestamp_body`; `unit` is
    s, ms or iso, `window` how many seconds old it may be (none: not checked). `key` is `text`, `base64`, or
    `freescout`, whose key is derived from its APP_KEY. With `plain` the hash is no HMAC but holds `{secret}` itself.
    """

    header: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    signed: str = "{body}"
    field: str | None = None
    timestamp_header: str | None = None
    timestamp_field: str | None = None
    timestamp_body: str | None = None
    timestamp_required: bool = True
    id_header: str | None = None
    unit: str = "s"
    window: float | None = None
    key: str = "text"
    plain: bool = False

    @cached_property
    def _template_pieces(self) -> tuple[str, ...]:
        """Literal text and names of parts in turns, split once."""
        return tuple(_PLACEHOLDER.split(self.signed))

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers worth keeping with a delivery; never the signature."""
        return tuple(name.lower() for name in (self.timestamp_header, self.id_header) if name)

    @property
    def needs_url(self) -> bool:
        """Whether the public address is signed too."""
        return "{url}" in self.signed

    @property
    def signs_id(self) -> bool:
        """Whether the delivery id is signed, so that nobody can resend the body under another one."""
        return "{id}" in self.signed

    def check(self, secret: str) -> None:
        """Raises ValidationError where `secret` is none for this way of signing."""
        refuse_published(secret)
        if len(secret) < _SHORTEST_SECRET:
            raise ValidationError(f"Shorter than {_SHORTEST_SECRET} characters, which is too easy to guess.")
        if self.key == "base64":
            _from_base64(secret)

    def verify(self, secrets: tuple[Secret, ...], message: Message, now: float) -> str | None:
        """The delivery id, where it is signed. Raises SignatureError."""
        offered, timestamp = self._offered_signatures(message)
        delivery_id = header(message.headers, self.id_header) if self.id_header and self.signs_id else None
        live = [secret for secret in secrets if secret.is_live(now)]
        # Every pair is compared, so the time taken says nothing about which one came close.
        expected = [self._digest(secret.value, message, timestamp, delivery_id) for secret in live]
        matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in offered]
        if not any(matches):
            raise SignatureError(f"{self.header} does not match the body; check the secret")
        # After the signature: before it, anybody's body would be parsed for its timestamp.
        if self.window is not None:
            self._check_window(self.window, message, timestamp, now)
        return delivery_id

    def _offered_signatures(self, message: Message) -> tuple[list[bytes], str]:
        """The decoded signatures, and the timestamp's text as it was signed."""
        text = header(message.headers, self.header)
        if self.field:
            # A sender has two secrets while it rotates them; each pair more costs a comparison with every secret.
            pairs = [pair.strip().partition("=") for pair in text.split(",")[:16]]
            texts = [value for name, _, value in pairs if name == self.field]
            timestamp = next((value for name, _, value in pairs if name == self.timestamp_field), "")
        else:
            if not text.startswith(self.prefix):
                raise SignatureError(f"{self.header} does not begin with {self.prefix}")
            texts = [text.removeprefix(self.prefix)]
            timestamp = message.headers.get(self.timestamp_header.lower(), "") if self.timestamp_header else ""
        if not timestamp and "{timestamp}" in self.signed:
            raise SignatureError(f"{self._timestamp_name} is missing")
        signatures = []
        for encoded in texts:
            with suppress(binascii.Error, ValueError):  # One that is not readable matches nothing.
                raw = encoded.encode("ascii")
                is_hex = self.encoding == "hex"
                signatures.append(binascii.unhexlify(raw) if is_hex else base64.b64decode(raw, validate=True))
        return signatures, timestamp

    @property
    def _timestamp_name(self) -> str:
        if self.timestamp_field:
            return f"{self.header}: {self.timestamp_field}="
        return f"{self.timestamp_header} header" if self.timestamp_header else f"{self.timestamp_body} in the body"

    def _digest(self, secret: str, message: Message, timestamp: str, delivery_id: str | None) -> bytes:
        parts = {"timestamp": timestamp, "id": delivery_id or "", "method": message.method, "url": message.url}
        parts["secret"] = secret
        pieces = [
            _wire_bytes(text) if place % 2 == 0 else (message.body if text == "body" else _wire_bytes(parts[text]))
            for place, text in enumerate(self._template_pieces)
        ]
        signed = b"".join(pieces)
        if self.plain:
            return hashlib.new(self.algorithm, signed).digest()
        key = _wire_bytes(secret)
        if self.key == "base64":
            key = _from_base64(secret)
        elif self.key == "freescout":
            # Not chosen by anybody: the module derives it from the installation's key, and MD5 is its own choice.
            key = hashlib.md5(_wire_bytes(secret + "webhook_key"), usedforsecurity=False).hexdigest().encode()
        return hmac.digest(key, signed, self.algorithm)

    def _check_window(self, window: float, message: Message, timestamp: str, now: float) -> None:
        if self.timestamp_body:
            try:
                document: object = json.loads(message.body)
            except (ValueError, RecursionError):
                return  # The body is genuine and broken, which is for the quarantine to tell.
            value = document.get(self.timestamp_body) if isinstance(document, dict) else None
            timestamp = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if timestamp:
            sent = seconds(timestamp, self.unit, self._timestamp_name)
            check_age(sent, now, window, self._timestamp_name)
        elif self.timestamp_required:
            raise SignatureError(f"{self._timestamp_name} is missing")

    def sign(self, secret: str, message: Message, now: float) -> dict[str, str]:
        """The headers of a sample whose body already holds what the body must say; `now` in unix seconds."""
        moment = datetime.fromtimestamp(int(now), UTC)
        iso = moment.isoformat().replace("+00:00", "Z")
        timestamp = {"s": str(int(now)), "ms": str(int(now * 1000)), "iso": iso}[self.unit]
        delivery_id = f"sample-{int(now * 1000)}"
        digest = self._digest(secret, message, timestamp, delivery_id)
        text = digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
        if self.field:
            return {self.header: f"{self.timestamp_field}={timestamp},{self.field}={text}"}
        named = {self.timestamp_header: timestamp, self.id_header: delivery_id if self.signs_id else ""}
        return {self.header: self.prefix + text} | {name: value for name, value in named.items() if name and value}

    def describe(self) -> str:
        """In a sentence, for the set-up page."""
        kind = self.algorithm.upper() if self.plain else f"HMAC-{self.algorithm.upper()}"
        window = f"; refused when more than {self.window:,.0f} seconds old" if self.window else ""
        return f"`{self.header}: {self.prefix}<{self.encoding}>`, {kind} of `{self.signed}`{window}."


def _wire_bytes(text: str) -> bytes:
    # A server hands headers over as latin-1; what was signed are the bytes.
    return text.encode("utf-8", "surrogateescape")


def _from_base64(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValidationError("Not base64, which this way of signing needs.") from None
    if len(key) < _SHORTEST_SECRET:
        raise ValidationError("Not base64 of enough bytes.")
    return key
