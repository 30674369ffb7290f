"""The URL of Redis: one server, or the master that Sentinels name. What it says, and what is wrong with it."""

import os
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from redis.connection import SSLConnection, parse_url

SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")
_SENTINEL_PORT = 26379


def check_url(url: str) -> None:
    """Raise ValueError, with words that do not hold the password, where a client could not read the URL."""
    if not url.startswith(SCHEMES):
        raise ValueError(f"Must begin with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}.")
    try:
        if urlsplit(url).scheme.endswith("+sentinel"):
            sentinels(url)
        else:
            _ = urlsplit(url).port
            _check_tls(_parsed_options(url))
    except _UrlError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError("Not a valid URL; percent-encode what is special in its password.") from None


def _parsed_options(url: str) -> dict[str, Any]:
    found: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    return found


class _UrlError(ValueError):
    """What is wrong with a URL, in words of ours; those of a library may repeat the password."""


def _check_tls(options: dict[str, Any]) -> None:
    if options.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
        raise _UrlError("Its ssl_cert_reqs is none, optional or required.")
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in options and not os.access(options[name], os.R_OK):
            raise _UrlError(f"Its {name} names a file that is not there, or that may not be read.")


def sentinels(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """The Sentinels of a URL, the name of their master, and the options of the connections to it and to them.

    rediss+sentinel://user:password@one:26379,two:26379/mymaster/0?ssl_ca_certs=...&sentinel_password=...
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    found = [urlsplit(f"//{place}") for place in hosts.split(",")]
    places = [(unquote(place.hostname or ""), place.port or _SENTINEL_PORT) for place in found]
    master, _, database = unquote(parts.path).strip("/").partition("/")
    if not all(host for host, _ in places):
        raise _UrlError("Name the Sentinels, such as redis+sentinel://one:26379,two:26379/mymaster.")
    if not master:
        raise _UrlError("Name the master that the Sentinels watch, such as redis+sentinel://one:26379/mymaster.")
    if database and not database.isdecimal():
        raise _UrlError("Behind the name of the master comes the number of the database, such as /mymaster/0.")
    # redis-py has no URL for Sentinels. All that stands beside them means what it means in the URL of one server.
    single = urlunsplit((parts.scheme.removesuffix("+sentinel"), f"{login}@host", f"/{database or 0}", parts.query, ""))
    options = {name: value for name, value in _parsed_options(single).items() if name != "host"}
    _check_tls(options)
    # Sentinels have a login of their own; the certificates are those of the master unless the URL names others.
    own = {name: values[0] for name, values in parse_qs(parts.query).items() if name.startswith("sentinel_")}
    options = {name: value for name, value in options.items() if name not in own}
    is_tls = options.pop("connection_class", None) is SSLConnection
    to_sentinels: dict[str, Any] = {name.removeprefix("sentinel_"): value for name, value in own.items()}
    to_sentinels |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    if is_tls:
        options |= {"ssl": True}
        to_sentinels |= {"ssl": True}
    return places, master, options, to_sentinels
