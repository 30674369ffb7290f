"""Outgoing HTTP that reaches only public addresses, ends in time, and reads no answer without end.

The address is checked where the socket is opened, after the name was resolved, and that very address is connected to;
so neither a redirect, nor an odd spelling of an address, nor a name that resolves differently the second time can get
past the check.
"""

import functools
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

MAX_ANSWER = 10_000_000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052, section 2.1
# What Python, or an older one, takes for global. https://www.iana.org/assignments/iana-ipv4-special-registry
_SPECIAL = (
    ipaddress.ip_network("168.63.129.16/32"),  # Where Azure answers its virtual machines, certificates included.
    ipaddress.ip_network("192.0.0.0/24"),  # RFC 6890; Oracle's clouds keep metadata there.
    ipaddress.ip_network("192.88.99.0/24"),  # RFC 7526
    ipaddress.ip_network("3fff::/20"),  # RFC 9637
    ipaddress.ip_network("5f00::/16"),  # RFC 9602
    ipaddress.ip_network("64:ff9b:1::/48"),  # RFC 8215
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefusedError(requests.RequestException):
    """The `host` has no address that may be connected to; the text says what to do."""

    def __init__(self, message: str, host: str = "") -> None:
        super().__init__(message)
        self.host = host


class GuardError(AddressRefusedError):
    """The installed HTTP library bypasses the address check or the deadline; no request is sent."""

    def __init__(self, library: str) -> None:
        super().__init__(
            f"no request is sent: {library} as installed do not call what guards them; install the versions that "
            "requirements.txt names"
        )
        self.library = library


class _DeniedError(Exception):
    """Carries a refusal through urllib3, which would turn an OSError into an error of its own."""


@dataclass(frozen=True)
class Policy:
    """Which addresses may be connected to, beside public ones.

    `allow` holds host names, addresses and networks, as OUTGOING_ALLOW does. `own` is an address that the operator
    wrote into a setting: where its host is a literal loopback or private address (or `localhost`), exactly this host
    and port is allowed. A name that merely resolves to such an address is not, and neither is a link-local address.
    """

    allow: tuple[str, ...] = ()
    own: str | None = None

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of `host` that may be connected to. Raises AddressRefusedError, and OSError as a resolver."""
        answers = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        # All of them must pass: an answer of one good and one bad address is what an attacker's name server gives.
        if not found or not all(self._permits(host.strip("[]").lower(), port, address) for address in found):
            raise AddressRefusedError(
                f"the host {host} is at an address that is not public; if that is meant, name it in OUTGOING_ALLOW",
                host,
            )
        return found

    def _permits(self, host: str, port: int, text: str) -> bool:
        address = _embedded_ipv4(ipaddress.ip_address(text.partition("%")[0]))
        # Site-local addresses (fec0::/10) count as global in Python, though RFC 3879 only took away their name.
        local = address.is_link_local or (address.version == 6 and address.is_site_local)
        special = any(address in network for network in _SPECIAL if network.version == address.version)
        is_public = address.is_global and not (address.is_multicast or address.is_reserved or local or special)
        if is_public or host in {name.lower() for name in self.allow}:
            return True
        for item in self.allow:
            with suppress(ValueError):  # The item is a host name, which the line above has compared.
                network = ipaddress.ip_network(item, strict=False)
                if network.version == address.version and address in network:
                    return True
        # Clouds keep their metadata, credentials included, at link-local addresses.
        never_own = address.is_link_local or address.is_multicast or address.is_unspecified
        return (host, port) == self._own_place() and address.is_private and not never_own

    def _own_place(self) -> tuple[str, int] | None:
        """Host and port of `own`, where its host is a literal address in its one usual spelling, or `localhost`."""
        parts = urlsplit(self.own or "")
        host = parts.hostname or ""
        with suppress(ValueError):
            if host != "localhost":
                address = ipaddress.ip_address(host)
                # Other spellings, such as 127.1 or ::ffff:127.0.0.1, are how a check of addresses is evaded.
                if str(address) != host or _embedded_ipv4(address) != address:
                    return None
            return host, parts.port or (443 if parts.scheme == "https" else 80)
        return None


def _embedded_ipv4(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else the address itself.

    A gateway sends such a packet on to the IPv4 address, which may be private.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


class _Deadline:
    """Shuts down every connection opened within its block once its time is over.

    A timeout of requests bounds one read; a peer that sends a byte a second would never meet it.
    """

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        # Duplicates of what was connected, because TLS takes a socket over while it still shakes hands.
        self.sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()

    def _shut_down(self) -> None:
        for connected in self.sockets:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for connected in self.sockets:
            connected.close()


# Context variables, as urllib3 gives a connection no way to carry what belongs to one request.
_deadline: ContextVar[_Deadline] = ContextVar("deadline")
_policy: ContextVar[Policy] = ContextVar("policy")


def _connect(connection: HTTPConnection) -> socket.socket:
    """Open a connection to the addresses that the policy permits, in their order, within the deadline."""
    try:
        addresses = _policy.get().addresses(connection._dns_host, connection.port)
    except AddressRefusedError as error:
        raise _DeniedError(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise urllib3.exceptions.NewConnectionError(connection, type(error).__name__) from None
    deadline, reason = _deadline.get(), "nothing was tried"
    for address in addresses:
        left, place = max(deadline.left, 0.001), (address, connection.port)
        try:
            connected = create_connection(place, left, socket_options=connection.socket_options)
        except OSError as error:
            reason = type(error).__name__
        else:
            deadline.sockets.append(connected.dup())
            return connected
    raise urllib3.exceptions.NewConnectionError(connection, reason)


class _Http(HTTPConnection):
    _new_conn = _connect


class _Https(HTTPSConnection):
    _new_conn = _connect


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _PolicyAskedError(Exception):
    """The trial request has asked the policy for an address."""


class _TrialPolicy(Policy):
    def addresses(self, _host: str, _port: int) -> list[str]:
        raise _PolicyAskedError


@functools.cache
def check() -> None:
    """Raises GuardError where the installed library opens its connections without asking us for the address.

    `_new_conn` and `_dns_host` are private to urllib3: another version may rename them and never call ours.
    """
    for scheme in ("http", "https"):
        with requests.Session() as session, _set_within(_policy, _TrialPolicy()):
            session.trust_env = False
            session.mount(f"{scheme}://", _Adapter())
            try:
                session.get(f"{scheme}://127.0.0.1:1/", timeout=1, allow_redirects=False)
            except _PolicyAskedError:
                continue
            except Exception as error:
                raise GuardError("requests and urllib3") from error
            raise GuardError("requests and urllib3")


class Session(requests.Session):
    """Requests whose whole answer is read before they return; none follows a redirect or a proxy.

    One takes `seconds` at most from the first byte to the last (looking up the name excepted), and reads `max_answer`
    bytes at most. Raises requests.RequestException: AddressRefusedError, Timeout, or what requests itself has.
    """

    def __init__(self, rule: Policy, seconds: float, max_answer: int = MAX_ANSWER) -> None:
        super().__init__()
        self.rule, self._seconds, self._max_answer = rule, seconds, max_answer
        self.trust_env = False  # Else requests would add the credentials of ~/.netrc, and go where a proxy decides.
        self.headers["Connection"] = "close"
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        check()
        options |= {"stream": True, "allow_redirects": False, "timeout": self._seconds}
        with _set_within(_policy, self.rule), _Deadline(self._seconds) as deadline, _set_within(_deadline, deadline):
            try:
                response = super().request(method, url, *args, **options)
                with response:
                    body = response.raw.read(self._max_answer + 1, decode_content=True)
            except _DeniedError as error:
                raise AddressRefusedError(str(error)) from None
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                # Without the text of the error, which may repeat the address and what is secret in it.
                if deadline.left <= 0 or isinstance(error, requests.Timeout):
                    raise requests.Timeout("the answer took too long") from None
                kind = type(error) if isinstance(error, requests.RequestException) else requests.ConnectionError
                raise kind(type(error).__name__) from None
            finally:
                self.close()  # A connection that was kept would belong to no deadline, and may be half closed.
            if not deadline.sockets:  # Its connection was not opened by us, so neither address nor time was kept to.
                raise GuardError("requests and urllib3")
            if deadline.left <= 0:  # An answer without a length looks whole when it is cut off.
                raise requests.Timeout("the answer took too long")
        if len(body) > self._max_answer:
            raise requests.RequestException(f"the answer is larger than {self._max_answer} bytes")
        response._content = body
        return response


_Value = TypeVar("_Value")


@contextmanager
def _set_within(variable: ContextVar[_Value], value: _Value) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
