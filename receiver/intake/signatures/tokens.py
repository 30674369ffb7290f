"""A signed token in the place of a signature: what Jira sends to webhooks of OAuth and Connect apps.

It proves who calls and until when, and says nothing about the body (RFC 7519).
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import jwt
from marshmallow import ValidationError

from receiver.intake.signatures.message import Message, SignatureError, header
from receiver.lib.shared_secrets import Secret, refuse_published

_SHORTEST_SECRET = 32  # RFC 7518, section 3.2: a key as long as the hash.
_LIFETIME_SECONDS = 180
# The end is compared by `verify`, with the time that it is given; nothing we take names an audience.
_OPTIONS: "jwt.types.Options" = {"require": ["exp"], "verify_exp": False, "verify_aud": False, "verify_iat": False}


@dataclass(frozen=True)
class SignedToken:
    """`Authorization: Bearer` or `JWT` and a token signed with HS256, which has not expired."""

    headers: ClassVar[tuple[str, ...]] = ()
    needs_url: ClassVar[bool] = False
    window: ClassVar[float | None] = None
    signs_id: ClassVar[bool] = False

    def check(self, secret: str) -> None:
        """Raises ValidationError where `secret` is none for this way of signing."""
        refuse_published(secret)
        if len(secret) < _SHORTEST_SECRET:
            raise ValidationError(f"Shorter than {_SHORTEST_SECRET} characters; take the app's client secret.")

    def verify(self, secrets: tuple[Secret, ...], message: Message, now: float) -> None:
        """Raises SignatureError."""
        offered = header(message.headers, "Authorization")
        scheme, _, token = offered.partition(" ")
        if scheme.lower() not in ("bearer", "jwt"):
            raise SignatureError("Authorization is not Bearer and a token")
        ends = []  # In unix seconds, of the token as each secret that has signed it says.
        for secret in secrets:
            if not secret.is_live(now):
                continue
            with suppress(jwt.PyJWTError, ValueError):
                # Only this algorithm: a token must not choose how it is checked.
                expires = jwt.decode(token, secret.value, algorithms=["HS256"], options=_OPTIONS)["exp"]
                if isinstance(expires, int | float) and not isinstance(expires, bool):
                    ends.append(float(expires))
        if not ends:
            raise SignatureError("Authorization: no secret of this source has signed the token")
        if max(ends) <= now:
            raise SignatureError("Authorization: the token has expired")

    def sign(self, secret: str, _message: Message, now: float) -> dict[str, str]:
        """The header of a sample; `now` in unix seconds."""
        claims = {"iss": "sample", "iat": int(now), "exp": int(now) + _LIFETIME_SECONDS}
        return {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}

    def describe(self) -> str:
        """In a sentence, for the set-up page."""
        return "`Authorization: Bearer <JWT>` signed with HS256, until it expires; the body is not signed."
