"""Behind a proxy: the client's address, and the address under which people and helpdesks know this service.

PUBLIC_URL says what our address is, so no header needs to. Only a proxy knows the client's address, and only a proxy
that TRUSTED_PROXIES names is believed: anybody can send an X-Forwarded-For.
"""

import logging
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from receiver.lib.setting_kinds import Network

log = logging.getLogger(__name__)

OPENED_AT = "ticket_attribution.opened_at"
"""In the WSGI environment: the scheme and host that the request itself named, such as http://machine:8000."""
THROUGH_PROXY = "ticket_attribution.through_proxy"
"""In the WSGI environment: True where a trusted proxy has said who called."""

# A client may send an X-Forwarded-For of any length.
_MOST_HOPS = 20

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class BehindProxy:
    """WSGI middleware that puts the caller's address, and the public scheme, host and path, into the environment."""

    def __init__(self, wsgi: Wsgi, public_url: str | None, trusted: tuple[Network, ...]) -> None:
        public = urlsplit(public_url or "")
        self._wsgi, self._trusted = wsgi, trusted
        self._scheme, self._host, self._prefix = public.scheme, public.netloc, public.path.rstrip("/")
        self._has_warned = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, as WSGI has it (PEP 3333)."""
        environ[OPENED_AT] = f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', '')}"
        peer = environ.get("REMOTE_ADDR", "")
        address = _parse_address(peer)
        if address is not None and any(address in network for network in self._trusted):
            environ["REMOTE_ADDR"] = self._client_address(environ.get("HTTP_X_FORWARDED_FOR", "")) or peer
            environ[THROUGH_PROXY] = environ["REMOTE_ADDR"] != peer
        elif "HTTP_X_FORWARDED_FOR" in environ and not self._has_warned:
            self._has_warned = True
            log.warning(
                "Requests come through a proxy at %s, so who sent them is not known: all count as one address. "
                "If that proxy is yours, name it in TRUSTED_PROXIES",
                address or "an unknown address",
            )
        # Links and signatures name PUBLIC_URL, whatever Host header the request came with.
        if self._host:
            environ["wsgi.url_scheme"], environ["HTTP_HOST"] = self._scheme, self._host
        if self._prefix:
            # A request from this machine, such as a health check, may leave the path out.
            environ["SCRIPT_NAME"] = self._prefix
            path = environ.get("PATH_INFO", "")
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                environ["PATH_INFO"] = path.removeprefix(self._prefix) or "/"
        return self._wsgi(environ, start_response)

    def _client_address(self, forwarded: str) -> str | None:
        """The last address in X-Forwarded-For that is no trusted proxy; each proxy adds whom it heard, at the end."""
        hops = [_parse_address(hop) for hop in forwarded.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]]
        for hop in reversed(hops):
            # The client may have made up what stands before something unreadable.
            if hop is None:
                return None
            if not any(hop in network for network in self._trusted):
                return str(hop)
        return str(hops[0]) if hops and hops[0] else None


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address as proxies write it: with a port, in brackets, with a zone, or IPv4 inside IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
