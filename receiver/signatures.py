"""Is this delivery from who it says? Standard Webhooks 1.0.0, symmetric signatures (`v1`).

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from marshmallow import ValidationError

WINDOW_SECONDS = 300
MAX_ID_LENGTH = 255


class SignatureError(ValueError):
    """The delivery is refused; the text names the check that failed and never the expected value."""


def standard_key(secret: str) -> bytes:
    """The signing key in a secret written `whsec_<base64>`; the prefix may be missing.

    Raises ValidationError, without repeating the secret, when it is not base64 of at least 16 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        raise ValidationError("Write whsec_ and then base64 of 24 to 64 random bytes; leave it empty to have one made.")
    return key


def sign_standard(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers with which a Standard Webhooks sender signs `body`; `timestamp` in unix seconds."""
    signature = _standard_signature(standard_key(secret), delivery_id, str(timestamp), body)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def verify_standard(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The delivery id of a genuine delivery; any of `secrets` may have signed it, so they can be rotated.

    `now` in unix seconds. Raises SignatureError.
    """
    delivery_id = _header(headers, "webhook-id")
    timestamp = _header(headers, "webhook-timestamp")
    offered = _offered(_header(headers, "webhook-signature"))
    if len(delivery_id) > MAX_ID_LENGTH:
        raise SignatureError(f"webhook-id is longer than {MAX_ID_LENGTH} characters")
    _check_age(timestamp, now)
    expected = [_standard_signature(standard_key(secret), delivery_id, timestamp, body) for secret in secrets]
    # Every pair is compared, so the time taken says nothing about which one came close.
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in offered]
    if not any(matches):
        raise SignatureError("webhook-signature: no v1 signature matches the body; check the secret")
    return delivery_id


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise SignatureError(f"{name} header is missing")
    return value


def _offered(header: str) -> list[bytes]:
    """The decoded `v1` signatures of a space-separated list; other versions and broken ones are passed over."""
    signatures = []
    for part in header.split(" ")[:16]:
        version, _, encoded = part.partition(",")
        if version == "v1":
            try:
                signatures.append(base64.b64decode(encoded.encode("ascii"), validate=True))
            except (binascii.Error, ValueError):
                continue
    return signatures


def _check_age(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise SignatureError("webhook-timestamp is not a whole number of unix seconds")
    age = now - int(timestamp)
    if age > WINDOW_SECONDS:
        raise SignatureError("webhook-timestamp is more than 5 minutes old")
    if age < -WINDOW_SECONDS:
        raise SignatureError("webhook-timestamp is more than 5 minutes in the future; check the clocks")


def _standard_signature(key: bytes, delivery_id: str, timestamp: str, body: bytes) -> bytes:
    signed = b"%b.%b.%b" % (delivery_id.encode("utf-8", "surrogateescape"), timestamp.encode(), body)
    return hmac.digest(key, signed, hashlib.sha256)
