"""Secrets that we share with those who push: what one is, and which are refused."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from marshmallow import ValidationError


@dataclass(frozen=True, repr=False)  # A repr would show the secret in a log or a traceback.
class Secret:
    """What a source shares with us; `until` is when it stops counting, so that an old one ends by itself."""

    value: str
    until: datetime | None = None

    def is_live(self, now: float) -> bool:
        """Whether it counts at `now`, in unix seconds."""
        return self.until is None or now < self.until.timestamp()


# Printed in the vendors' own documentation or in ours, so that anybody can sign with them.
_PUBLISHED = (
    "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",  # Zendesk, for webhooks that are not saved yet.
    "It's a Secret to Everybody",  # GitHub and Atlassian.
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # Standard Webhooks.
    "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",  # Svix, who began Standard Webhooks.
    "dXNlcjpwYXNzd29yZA==",  # user:password, as our pages write it.
)


def refuse_published(value: str) -> None:
    """Raises ValidationError for a secret that was published as an example."""
    if value.removeprefix("whsec_") in _PUBLISHED:
        raise ValidationError("Printed in the documentation, so anybody could sign; have a new one made.")


def standard_key(secret: str) -> bytes:
    """The signing key in a secret written `whsec_<base64>`; the prefix may be missing.

    Raises ValidationError, without repeating the secret, when it is not base64 of at least 16 bytes.
    """
    key = from_base64(secret.removeprefix("whsec_")) or b""
    if len(key) < 16:
        raise ValidationError("Write whsec_ and then base64 of 24 to 64 random bytes; leave it empty to have one made.")
    return key


def from_base64(text: str) -> bytes | None:
    """The bytes of a text in base64; None where it is not one."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
