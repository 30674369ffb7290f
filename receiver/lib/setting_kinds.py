"""The kinds of settings: how the text of each is read, and what is wrong with it, without repeating it."""

import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import marshmallow.fields as mf
from croniter import croniter
from marshmallow import ValidationError
from marshmallow.validate import Email, Regexp
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from receiver.lib import shared_secrets
from receiver.lib.mail_addresses import on_the_wire
from receiver.lib.roles import ROLES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def time_zone(name: str) -> None:
    """Check the name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValidationError("Not a known time zone; write one such as Europe/Berlin.") from None


_RANDOM = re.compile(r"(?:^|[\s,])[rh](?:$|[\s,(/])", re.IGNORECASE)


def cron(expression: str) -> None:
    """Check a cron expression; the times that it names have to exist."""
    # croniter also takes six fields, of which the last is seconds, and aliases such as @daily.
    if len(expression.split()) != 5 or not croniter.is_valid(expression):
        raise ValidationError("Not a cron expression of five fields, such as 0 8 * * 1-5.")
    try:
        croniter(expression).get_prev()
    except ValueError:
        raise ValidationError("Names a time that never comes, such as 30 February.") from None
    if _RANDOM.search(expression):
        raise ValidationError("R and H pick a time at random; name one.")


def folder(path: str) -> None:
    """Check that a path's home, where it begins with one, is known."""
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValidationError("Names the home of a user who is not known here.") from None


# The first names our driver; the last is what some hosting providers write, and SQLAlchemy no longer knows it.
_SCHEMES = ("postgresql+psycopg://", "postgresql://", "postgres://")


def database_url(url: str) -> str:
    """The URL with our driver. Raises ValueError."""
    if not url.startswith(("sqlite:///", *_SCHEMES)):
        raise ValueError(
            "Must begin with postgresql:// or sqlite:///; after that a path is relative, sqlite:////data/x.db is not."
        )
    for scheme in _SCHEMES:
        if url.startswith(scheme):
            url = _SCHEMES[0] + url.removeprefix(scheme)
            break
    try:
        known = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("Not a valid URL; percent-encode what is special in its password.") from None
    if url.startswith("sqlite") and known.database in (None, "", ":memory:"):
        raise ValueError("Names no file, so the database would be lost with the process.")
    # PgBouncer may run two statements of one client on two servers, of which only one has what was prepared.
    threshold = str(known.query.get("prepare_threshold", "none"))
    if not (threshold.lower() == "none" or threshold.isdecimal()):
        raise ValueError("prepare_threshold is a whole number, or none, as PgBouncer needs it.")
    return url


def host(host: str) -> str:
    """An address without its brackets, or a name. Raises ValueError."""
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise ValueError("Not an address or a name; PORT is a setting of its own.") from None
    elif not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", bare):
        raise ValueError("Not an address or a name, such as 127.0.0.1, ::1 or 0.0.0.0.")
    return bare


def redis_server(url: str) -> None:
    """Check the URL of a Redis server."""
    from receiver.lib.redis_url import check_url  # Where no REDIS_URL is set, nothing needs it here.

    try:
        check_url(url)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def certificates(path: str) -> None:
    """Check that a file holds certificates."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # An ssl.SSLError is one.
        why = "It has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValidationError(f"Not a file of certificates: {why}.") from None


host_name = Regexp(
    r"(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f.:IPv]+\])\Z",
    error="Not the name of a host, such as tickets.example.com, or [192.0.2.1].",
)


class Written(mf.String):
    """A text that `read` understands, or says why not, by a ValueError or a ValidationError."""

    def __init__(self, read: Callable[[str], Any], default: Any) -> None:
        super().__init__(load_default=default)
        self._read = read

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._read(super()._deserialize(value, *args, **kwargs))
        except ValueError as error:
            raise ValidationError(str(error)) from None


def items(text: str) -> tuple[str, ...]:
    """The items of a comma-separated text."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def places(text: str) -> tuple[str, ...]:
    """The hosts, addresses and networks in a comma-separated text."""
    found = items(text)
    for item in found:
        if not re.fullmatch(r"[\w.-]+", item, re.ASCII):
            try:
                ipaddress.ip_network(item, strict=False)
            except ValueError:
                raise ValidationError("Hosts, addresses and networks, such as llm.internal, 10.1.2.0/24.") from None
    return found


def networks(text: str) -> tuple[Network, ...]:
    """The addresses and networks in a comma-separated text. Raises ValueError."""
    try:
        return tuple(ipaddress.ip_network(item, strict=False) for item in items(text))
    except ValueError:
        raise ValueError("Addresses and networks, such as 127.0.0.1, 10.0.0.0/8, fd00::/8.") from None


def webhook_secrets(text: str) -> tuple[str, ...]:
    """The secrets of Standard Webhooks in a comma-separated text."""
    found = items(text)
    for secret in found:
        shared_secrets.refuse_published(secret)
        shared_secrets.standard_key(secret)
    return found


def mail_address(address: str) -> str:
    """The address, if a mail can go there. Raises ValidationError."""
    Email()(address)
    try:
        wire = on_the_wire(address)
    except UnicodeError:
        raise ValidationError("What stands after the @ is no name of a mail domain.") from None
    try:
        is_written = address.isprintable() and (not wire.isascii() or Address(addr_spec=wire).addr_spec)
    except (ValueError, TypeError, IndexError, MessageError):  # Python's own words for what it cannot read.
        is_written = False
    if not is_written:
        raise ValidationError("Not an address that the head of a mail can carry.")
    return address


def own_mail_address(address: str) -> str:
    """An address of ours, which stands in the head of every mail: ASCII, for servers without SMTPUTF8."""
    if not on_the_wire(mail_address(address)).isascii():
        raise ValidationError("What stands before the @ can only have ASCII letters, digits and marks.")
    return address


def mail_addresses(text: str) -> tuple[str, ...]:
    """The addresses of mailboxes in a comma-separated text."""
    return tuple(map(mail_address, items(text)))


def own_mail_addresses(text: str) -> tuple[str, ...]:
    """Addresses of ours in a comma-separated text."""
    return tuple(map(own_mail_address, items(text)))


def ascii_only(text: str) -> None:
    """Check what a mail server takes in ASCII alone."""
    if not text.isascii():
        raise ValidationError("A mail server takes only ASCII characters here.")


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost: of a prompt, of a prompt the provider had kept, of an answer."""

    prompt: float
    cached: float
    completion: float


def prices(text: str) -> dict[str, Price]:
    """The prices by model in MODEL=PROMPT/CACHED/ANSWER, comma-separated."""
    found = {}
    for item in items(text):
        model, _, written = item.rpartition("=")
        try:
            prompt, cached, completion = (float(price) for price in written.split("/"))
        except ValueError:
            prompt = cached = completion = -1
        are_prices = all(0 <= price <= 1_000_000 for price in (prompt, cached, completion))
        if not model.strip() or "=" in model or not are_prices:
            raise ValidationError("Write MODEL=PROMPT/CACHED/ANSWER, each a price per million tokens, comma-separated.")
        found[model.strip()] = Price(prompt, cached, completion)
    return found


def web_address(url: str) -> None:
    """Check that a URL names a host, and a port that can be one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValidationError("Not a valid address: its port or its brackets are wrong.") from None
    if not parts.hostname:
        raise ValidationError("Not a valid address: it names no host.")


def model_address(url: str) -> None:
    """OPENAI_BASE_URL: what Azure shows for a deployment is of no use without its version."""
    path, _, query = url.partition("?")
    if "/openai/deployments/" in path and "api-version=" not in query:
        raise ValidationError("A deployment at Azure needs its version: add ?api-version=2024-10-21 at the end.")


def key(text: str) -> str:
    """A key as it was copied: without the quotes that a container's env file keeps, or the word Bearer before it."""
    bare = text.strip("\"'\u200b\ufeff ").removeprefix("Bearer ").strip()  # Pages put signs without a width around it.
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        raise ValidationError("Not a key: it has a blank, a line break or a letter that no key has; copy it again.")
    return bare


def group_roles(text: str) -> dict[str, str]:
    """The roles by group in GROUP=ROLE, comma-separated."""
    found = {}
    for item in items(text):
        group, _, role = item.rpartition("=")
        if not group.strip() or role.strip() not in ROLES:
            raise ValidationError(f"Write GROUP=ROLE, comma-separated, each role one of {', '.join(ROLES)}.")
        found[group.strip()] = role.strip()
    return found


def one_tenant(url: str) -> None:
    """Check that a sign-in provider's address is of one tenant of Entra ID."""
    if re.match(r"https://login\.microsoftonline\.com/(common|organizations|consumers)(/|\Z)", url, re.IGNORECASE):
        raise ValidationError("Lets people of every tenant in; write your tenant's id in the place of common.")
