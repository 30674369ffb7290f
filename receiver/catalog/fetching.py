"""The text of a catalog from its location: the shipped file, a path, or a URL, whose answer is not trusted."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from receiver.catalog.document import MAX_BYTES
from receiver.catalog.entries import Catalog, CatalogError
from receiver.catalog.parsing import SHIPPED, parse
from receiver.lib import egress, strict_yaml

_PASSING = (408, 425, 429, 500, 502, 503, 504)  # What a second request may not meet again.
_PAUSES = (0.3, 0.6)  # Seconds before the second and the third try.
_LONGEST_VALIDATOR = 1_000


@dataclass(frozen=True)
class Found:
    """What a location holds; `text` is None where it is what it was when it gave these validators (RFC 9110, 8.8)."""

    text: str | None
    etag: str | None = None
    modified: str | None = None


def is_url(location: str | None) -> bool:
    """Whether the location is asked over the network."""
    return (location or "").startswith(("http://", "https://"))


def public(location: str | None) -> str:
    """The location without what may be secret; a digest stands for that, so that no two are taken for one."""
    if not is_url(location):
        return location or "the shipped catalog"
    try:
        parts = urlsplit(location or "")
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        shown = "a URL that cannot be read"
    digest = hashlib.sha256((location or "").encode()).hexdigest()[:8]
    return shown if shown == location else f"{shown} (...{digest})"


def load(location: str | None, timeout: float, allow: tuple[str, ...] = ()) -> Catalog:
    """The catalog at an http(s) URL or a path; the shipped one when there is no `location`.

    `allow` is OUTGOING_ALLOW. All of it takes at most `timeout` seconds. Raises CatalogError.
    """
    return parse(fetch(location, timeout, allow).text or "")


def fetch(
    location: str | None,
    timeout: float,
    allow: tuple[str, ...] = (),
    etag: str | None = None,
    modified: str | None = None,
) -> Found:
    """What the location holds, unchecked; with the validators of an earlier answer it may say that nothing changed.

    `allow` is OUTGOING_ALLOW. All of it takes at most `timeout` seconds. Raises CatalogError.
    """
    if is_url(location):
        return _fetch_url(location or "", timeout, allow, etag, modified)
    path = Path(location) if location else SHIPPED
    try:
        with path.open("rb") as file:
            return Found(_decoded_body(file.read(MAX_BYTES + 1)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CatalogError(f"the catalog file {path} cannot be read: {reason}") from None


def _decoded_body(body: bytes) -> str:
    if len(body) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return strict_yaml.decoded(body)


def _fetch_url(url: str, seconds: float, allow: tuple[str, ...], etag: str | None, modified: str | None) -> Found:
    validators = {"If-None-Match": etag, "If-Modified-Since": modified}
    headers = {name: value for name, value in validators.items() if value}
    try:
        response = _get_with_retries(url, seconds, egress.Policy(allow, url), headers)
    except requests.Timeout:
        reason = f"no whole answer within {seconds:g} seconds"
        raise CatalogError(f"the catalog at {public(url)} cannot be fetched: {reason}") from None
    except (requests.RequestException, OSError, ValueError) as error:
        # Only what `egress` says itself is shown: another error's text may repeat the address and its secrets.
        reason = str(error) if isinstance(error, egress.AddressRefusedError) else type(error).__name__
        raise CatalogError(f"the catalog at {public(url)} cannot be fetched: {reason}") from None
    # Both are sent back with every later request, so one without end would make all of them fail.
    values = [response.headers.get(name) for name in ("ETag", "Last-Modified")]
    answered = [value if value and len(value) <= _LONGEST_VALIDATOR else None for value in values]
    # Only where a validator was sent: a server that says so unasked would leave us without a catalog.
    if response.status_code == 304 and headers:
        return Found(None, *answered)
    refused = None
    if response.is_redirect:
        refused = f"it redirects ({response.status_code}), which is not followed; write where it leads to instead"
    elif response.status_code != 200:
        refused = f"it answers {response.status_code}"
    if refused:
        raise CatalogError(f"the catalog at {public(url)} cannot be used: {refused}")
    try:
        return Found(_decoded_body(response.content), *answered)
    except ValueError as error:
        raise CatalogError(f"the catalog at {public(url)} cannot be used: {error}") from None


def _get_with_retries(url: str, seconds: float, rule: egress.Policy, headers: dict[str, str]) -> requests.Response:
    """The answer to the first try, or to one of two more where what went wrong can pass."""
    ends, pauses = time.monotonic() + seconds, list(_PAUSES)
    while True:
        try:
            with egress.Session(rule, max(ends - time.monotonic(), 0.001), MAX_BYTES) as session:
                response = session.get(url, headers=headers)
            if response.status_code not in _PASSING or not pauses:
                return response
        except requests.ConnectionError:
            if not pauses:
                raise
        time.sleep(max(min(pauses.pop(0), ends - time.monotonic()), 0))
