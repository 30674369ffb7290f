"""Standard Webhooks 1.0.0: symmetric signatures (`v1`) and Ed25519 ones (`v1a`).

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from marshmallow import ValidationError

from receiver.intake.signatures.message import (
    MAX_ID_LENGTH,
    Message,
    SignatureError,
    check_age,
    header,
    seconds,
)
from receiver.lib.shared_secrets import Secret, from_base64, refuse_published, standard_key

WINDOW_SECONDS = 300
HEADERS = ("webhook-id", "webhook-timestamp")
_MOST_OFFERED = 16  # A sender has two secrets while it rotates them; each signature more costs a comparison.


def public_key(secret: str) -> Ed25519PublicKey:
    """The key in `whpk_<base64>`, with which a sender's `v1a` signatures are checked. Raises ValidationError."""
    key = from_base64(secret.removeprefix("whpk_")) or b""
    if len(key) != 32:
        raise ValidationError("Write whpk_ and then base64 of the 32 bytes of the sender's public Ed25519 key.")
    return Ed25519PublicKey.from_public_bytes(key)


def sign_standard(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers with which a Standard Webhooks sender signs `body`; `timestamp` in unix seconds.

    A secret that begins with `whsk_` holds an Ed25519 key, and signs as `v1a`.
    """
    signed = _signed_content(delivery_id, str(timestamp), body)
    if secret.startswith("whsk_"):
        seed = (from_base64(secret.removeprefix("whsk_")) or b"")[:32]  # Some keep the public half behind the seed.
        version, signature = "v1a", Ed25519PrivateKey.from_private_bytes(seed).sign(signed)
    else:
        version, signature = "v1", hmac.digest(standard_key(secret), signed, hashlib.sha256)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"{version}," + base64.b64encode(signature).decode(),
    }


def verify_standard(secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The delivery id of a genuine delivery; any of `secrets` may have signed it, so they can be rotated.

    `now` in unix seconds. Raises SignatureError.
    """
    delivery_id = header(headers, "webhook-id")
    timestamp = header(headers, "webhook-timestamp")
    offered = header(headers, "webhook-signature").split(" ")[:_MOST_OFFERED]
    if len(delivery_id) > MAX_ID_LENGTH:
        raise SignatureError(f"webhook-id is longer than {MAX_ID_LENGTH} characters")
    if len(timestamp) > 12:
        raise SignatureError("webhook-timestamp is not a whole number of unix seconds")
    check_age(seconds(timestamp, "s", "webhook-timestamp"), now, WINDOW_SECONDS, "webhook-timestamp")
    signed = _signed_content(delivery_id, timestamp, body)
    # Every pair is compared, so the time taken says nothing about which one came close.
    matches = [_is_signed_with(secret, signed, offered) for secret in secrets]
    if not any(matches):
        raise SignatureError("webhook-signature: no signature matches the body; check the secret")
    return delivery_id


def _is_signed_with(secret: str, signed: bytes, offered: list[str]) -> bool:
    if secret.startswith("whpk_"):
        key = public_key(secret)
        for signature in _decoded_signatures("v1a", offered):
            with suppress(InvalidSignature):
                key.verify(signature, signed)
                return True  # A public key is no secret, so the time taken may say which signature was good.
        return False
    expected = hmac.digest(standard_key(secret), signed, hashlib.sha256)
    matches = [hmac.compare_digest(expected, signature) for signature in _decoded_signatures("v1", offered)]
    return any(matches)


def _decoded_signatures(version: str, offered: list[str]) -> list[bytes]:
    """The decoded signatures of one version; those of others and broken ones are passed over."""
    parts = [part.partition(",") for part in offered]
    return [value for name, _, text in parts if name == version and (value := from_base64(text)) is not None]


def _signed_content(delivery_id: str, timestamp: str, body: bytes) -> bytes:
    return b"%b.%b.%b" % (delivery_id.encode("utf-8", "surrogateescape"), timestamp.encode(), body)


@dataclass(frozen=True)
class Standard:
    """Standard Webhooks as the way in which a source signs."""

    headers: ClassVar[tuple[str, ...]] = HEADERS
    needs_url: ClassVar[bool] = False
    window: ClassVar[float] = WINDOW_SECONDS
    signs_id: ClassVar[bool] = True

    def check(self, secret: str) -> None:
        """Raises ValidationError where `secret` is none for this way of signing."""
        refuse_published(secret)
        if secret.startswith("whpk_"):
            public_key(secret)
        else:
            standard_key(secret)

    def verify(self, secrets: tuple[Secret, ...], message: Message, now: float) -> str:
        """The delivery id. Raises SignatureError."""
        live = [secret.value for secret in secrets if secret.is_live(now)]
        return verify_standard(live, message.headers, message.body, now)

    def sign(self, secret: str, message: Message, now: float) -> dict[str, str]:
        """The headers of a sample; an id of its own is derived from the moment, in unix seconds."""
        return sign_standard(secret, f"msg_sample_{int(now * 1000)}", int(now), message.body)

    def describe(self) -> str:
        """In a sentence, for the set-up page."""
        return (
            "Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, which is `v1` with a "
            "`whsec_` secret, or `v1a` with the sender's `whpk_` key; refused when more than 5 minutes old."
        )
