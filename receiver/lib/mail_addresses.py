"""Mail addresses as mail servers want them."""

from collections.abc import Iterable
from dataclasses import dataclass

import idna


@dataclass(frozen=True)
class Envelope:
    """To whom digests go, and the domain that their Message-IDs name."""

    recipients: tuple[str, ...]
    domain: str


def on_the_wire(address: str) -> str:
    """The address with its domain in ASCII (xn--...), as DNS and every mail server know it.

    What stands before the @ stays as it is written: only a server with SMTPUTF8 takes other letters there.
    """
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain)}" if local else address


def ascii_domain(domain: str) -> str:
    """The domain in ASCII. Raises UnicodeError where no rule makes one of it."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain.encode("idna").decode()  # The rules of 2003 know names, such as emoji, that today's do not.


def once(addresses: Iterable[str]) -> list[str]:
    """The addresses in their order; of those that differ only in case or in the spelling of the domain, the first."""
    # From behind, because a dict keeps the last value that it is given for a key.
    return list({on_the_wire(address).casefold(): address for address in reversed(list(addresses))}.values())[::-1]
