"""GLPI's challenge: before it pushes, it asks for a proof that the receiver knows the secret.

Source: `validateCRAChallenge` in https://github.com/glpi-project/glpi/blob/main/src/Webhook.php
"""

import hashlib
import hmac
from collections.abc import Sequence

from receiver.lib.shared_secrets import Secret

_ASKED = b"validate_cra_challenge"


def token(secret: str) -> str:
    """What GLPI sends as `crc_token`: always the same for one secret."""
    return _digest(secret, _ASKED)


def answer(secrets: Sequence[Secret], crc_token: str, now: float) -> str | None:
    """The body that GLPI expects, or None for any token that it would not send; `now` in unix seconds.

    The challenge uses the key and the function of the signatures, so answering a token of somebody's choice would sign
    a forged delivery for them.
    """
    # Those that have ended are compared too, so that the time taken does not say how many are live.
    offered = crc_token.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(token(secret.value).encode(), offered) and secret.is_live(now) for secret in secrets]
    live = [secret for secret, matched in zip(secrets, matches, strict=True) if matched]
    return _digest(live[0].value, crc_token.encode()) if live else None


def _digest(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
