"""What helpdesks that cannot sign send instead: a fixed credential in a header, or nothing from a known address."""

import base64
import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from typing import ClassVar

from marshmallow import ValidationError

from receiver.intake.signatures.message import Message, SignatureError, header
from receiver.lib.setting_kinds import Network
from receiver.lib.shared_secrets import Secret, refuse_published

_SHORTEST_CREDENTIAL = 12
# With one of these the peer is not who sent the message; some proxies write no other.
_OF_PROXIES = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


def basic(username: str, password: str) -> str:
    """The `Authorization` header of HTTP Basic (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass(frozen=True)
class Credential:
    """A value in a header that is the same in every message: Basic, bearer, or a header of one's own."""

    header: str = "Authorization"
    headers: ClassVar[tuple[str, ...]] = ()
    needs_url: ClassVar[bool] = False
    window: ClassVar[float | None] = None
    signs_id: ClassVar[bool] = False

    def check(self, secret: str) -> None:
        """Raises ValidationError where `secret` is none for this way of proving who one is."""
        credential = secret.rpartition(" ")[2]
        refuse_published(credential)
        if len(credential) < _SHORTEST_CREDENTIAL:
            raise ValidationError(f"Shorter than {_SHORTEST_CREDENTIAL} characters, which is too easy to guess.")

    def verify(self, secrets: tuple[Secret, ...], message: Message, now: float) -> None:
        """Raises SignatureError."""
        offered = header(message.headers, self.header).encode("utf-8", "surrogateescape")
        expected = [secret.value.encode() for secret in secrets if secret.is_live(now)]
        # All of them, so that the time taken does not say which one it was.
        matches = [hmac.compare_digest(ours, offered) for ours in expected]
        if not any(matches):
            raise SignatureError(f"{self.header} is not the credential of this source")

    def sign(self, secret: str, _message: Message, _now: float) -> dict[str, str]:
        """The header of a sample."""
        return {self.header: secret}

    def describe(self) -> str:
        """In a sentence, for the set-up page."""
        return f"Cannot sign; proves itself by a fixed `{self.header}` header, compared in constant time."


@dataclass(frozen=True)
class Unsigned:
    """No proof: only callers from one of `allowed` may push, or, where none are given, from this machine."""

    allowed: tuple[Network, ...] = ()
    headers: ClassVar[tuple[str, ...]] = ()
    needs_url: ClassVar[bool] = False
    window: ClassVar[float | None] = None
    signs_id: ClassVar[bool] = False

    def check(self, _secret: str) -> None:
        """Raises ValidationError: there is no secret."""
        raise ValidationError("An unsigned source has none.")

    def verify(self, _secrets: tuple[Secret, ...], message: Message, _now: float) -> None:
        """Raises SignatureError where the peer's address is not allowed; only a trusted proxy may name another."""
        if message.through_proxy:
            if not self.allowed:
                raise SignatureError("this came through a proxy, and this source is unsigned and has no allow_from")
        elif any(name in _OF_PROXIES or name.startswith("x-forwarded") for name in message.headers):
            raise SignatureError(
                "this came through a proxy, so who sent it is not known, and this source is unsigned; "
                "name the proxy in TRUSTED_PROXIES"
            )
        try:
            address = ip_address(message.peer.partition("%")[0])
        except ValueError:
            raise SignatureError("the caller's address is not known, and this source is unsigned") from None
        # A server that listens on IPv6 sees an IPv4 caller as ::ffff:192.0.2.1.
        address = getattr(address, "ipv4_mapped", None) or address
        if not (any(address in network for network in self.allowed) if self.allowed else address.is_loopback):
            raise SignatureError("this source is unsigned, and your address is not in its allow_from")

    def sign(self, _secret: str, _message: Message, _now: float) -> dict[str, str]:
        """Nothing."""
        return {}

    def describe(self) -> str:
        """In a sentence, for the set-up page."""
        return "UNSIGNED: anybody at the allowed addresses can push tickets."
