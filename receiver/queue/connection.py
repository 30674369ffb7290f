"""How Redis is reached: one server, or the master that Sentinels name; and why it is not, in words."""

import os
import re
import socket
import ssl
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

import redis
from redis.connection import SSLConnection, parse_url
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.sentinel import MasterNotFoundError, Sentinel

SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")
_SENTINEL_PORT = 26379
# All our keys begin with rq:, because some managed servers let a user write nothing else.
_PROBE = "rq:ticket-attribution:probe"


class UnsuitableError(Exception):
    """Our queues cannot be on such a server, and no waiting changes that; the text says why."""


def connect(url: str, timeout: float | None = None) -> "redis.Redis":
    """A Redis client; with a `timeout` in seconds it gives up that fast and never retries."""
    options: dict[str, Any] = {}
    if timeout is not None:
        options = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": None}
    if urlsplit(url).scheme.endswith("+sentinel"):
        return _through_sentinels(url, options)
    return redis.Redis.from_url(url, **options)


def check_url(url: str) -> None:
    """Raise ValueError, with words that do not hold the password, where `connect` could not read the URL."""
    if not url.startswith(SCHEMES):
        raise ValueError(f"Must begin with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}.")
    try:
        if urlsplit(url).scheme.endswith("+sentinel"):
            _sentinels(url)
        else:
            _ = urlsplit(url).port
            _check_tls(_options(url))
    except _UrlError as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError("Not a valid URL; percent-encode what is special in its password.") from None


def _options(url: str) -> dict[str, Any]:
    found: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    return found


class _UrlError(ValueError):
    """What is wrong with a URL; the text says it."""


def _check_tls(options: dict[str, Any]) -> None:
    if options.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
        raise _UrlError("Its ssl_cert_reqs is none, optional or required.")
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in options and not os.access(options[name], os.R_OK):
            raise _UrlError(f"Its {name} names a file that is not there, or that may not be read.")


def _sentinels(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
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
    # What stands in the URL beside the Sentinels means what it means in the URL of one server.
    single = urlunsplit((parts.scheme.removesuffix("+sentinel"), f"{login}@host", f"/{database or 0}", parts.query, ""))
    options = {name: value for name, value in _options(single).items() if name != "host"}
    _check_tls(options)
    own = {name: values[0] for name, values in parse_qs(parts.query).items() if name.startswith("sentinel_")}
    options = {name: value for name, value in options.items() if name not in own}
    is_tls = options.pop("connection_class", None) is SSLConnection
    to_sentinels: dict[str, Any] = {name.removeprefix("sentinel_"): value for name, value in own.items()}
    to_sentinels |= {name: value for name, value in options.items() if name.startswith("ssl_")}
    if is_tls:
        options |= {"ssl": True}
        to_sentinels |= {"ssl": True}
    return places, master, options, to_sentinels


def _through_sentinels(url: str, timeouts: dict[str, Any]) -> "redis.Redis":
    places, master, options, to_sentinels = _sentinels(url)
    # A Sentinel that is gone must not keep us from asking the next one.
    patience = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": None} | timeouts
    sentinel: Any = Sentinel(places, sentinel_kwargs=to_sentinels | patience, **options | timeouts)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(master)
    return client


def check_suitable(connection: "redis.Redis") -> None:
    """Raise UnsuitableError where the server is a node of a cluster, or a Sentinel. Raises redis.RedisError."""
    try:
        answer: Any = connection.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        return  # It is older than the question, or may not be asked it.
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=False)
    found = {_text(name): _text(value) for name, value in pairs}
    if found.get("mode") == "cluster":
        raise UnsuitableError(
            "REDIS_URL: this server runs in cluster mode, where our queues cannot be: what they change together would"
            " be on different nodes. Use one without it, such as a replicated one behind Sentinels."
        )
    if found.get("mode") == "sentinel":
        raise UnsuitableError(
            "REDIS_URL: this is a Sentinel and no server; write redis+sentinel://HOST:PORT/NAME_OF_THE_MASTER."
        )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def probe(connection: "redis.Redis") -> None:
    """Raise redis.RedisError or OSError where Redis is away, or answers and takes nothing."""
    connection.set(_PROBE, "1", ex=60)


def eviction(connection: "redis.Redis") -> str | None:
    """What to say where Redis may throw away what waits in it; None where it may not, or we may not ask.

    Raises redis.RedisError where Redis is away.
    """
    try:
        memory: Any = connection.info("memory")
    except ResponseError:
        return None  # A courtesy that some users of managed servers are not allowed.
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or not memory.get("maxmemory"):
        return None
    return f"evicts what waits in it ({policy}); set its maxmemory-policy to noeviction"


def forgets(connection: "redis.Redis") -> str | None:
    """What to say where Redis keeps nothing on its disk; None where it does, or we may not ask.

    Raises redis.RedisError where Redis is away.
    """
    try:
        persistence: Any = connection.info("persistence")
        saves: Any = connection.config_get("save")
    except ResponseError:
        return None
    if persistence.get("aof_enabled") or saves.get("save"):
        return None
    return "keeps nothing on its disk: what waits in it is lost when it restarts, and the sweep hands it over again"


def reason(error: Exception) -> str:
    """Why Redis cannot be used, in words for a log or a page: no address, no name of a user, no password."""
    cause: BaseException | None = error
    while cause is not None:
        for kinds, words in _REASONS:
            if isinstance(cause, kinds):
                return str(words(cause) if callable(words) else words)
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    for pattern, words in _WORDS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return words
    return f"it cannot be used ({type(error).__name__})"


def _tls(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".") or "it is not valid"
        return f"its certificate is not trusted: {why}; name your own CA with ?ssl_ca_certs=FILE"
    return "TLS fails; perhaps the server speaks none, then write redis:// instead of rediss://"


def _denied(error: BaseException) -> str:
    command = re.search(r"the '([\w|]{1,40})' command", str(error))
    what = f"run {command[1]}" if command else "use our keys; they begin with rq:"
    return f"its user may not {what}"


def _slow(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if "handshake" in str(cause):  # A server without TLS waits for the end of a line that never comes.
            return "its TLS does not answer; perhaps the server speaks none, then write redis:// instead of rediss://"
        cause = cause.__cause__ or cause.__context__
    return "it does not answer in time"


_REASONS: tuple[tuple[Any, Any], ...] = (
    ((AuthenticationError, AuthenticationWrongNumberOfArgsError), "it refuses the user or the password of REDIS_URL"),
    (NoPermissionError, _denied),
    (BusyLoadingError, "it is loading its data"),
    (ReadOnlyError, "it is a replica that takes nothing; name the master"),
    (OutOfMemoryError, "its memory is full"),
    (MovedError, "it runs in cluster mode, where our queues cannot be"),
    (ClusterDownError, "its cluster or its master is down"),
    (MaxConnectionsError, "it has too many clients"),
    (MasterNotFoundError, "no Sentinel names a master"),
    (ssl.SSLError, _tls),
    (socket.gaierror, "the name of its host is not known"),
    (ConnectionRefusedError, "nobody listens at its address"),
    (FileNotFoundError, "its socket, or a file that REDIS_URL names, is not there"),
    (PermissionError, "its socket, or a file that REDIS_URL names, may not be opened by this user"),
    ((redis.TimeoutError, TimeoutError), _slow),
)
_WORDS = {
    r"\bMISCONF\b": "it cannot save to its disk, and takes nothing meanwhile",
    r"\bNOAUTH\b|\bWRONGPASS\b": "it refuses the user or the password of REDIS_URL",
    r"\bNOREPLICAS\b": "it has too few replicas to take anything",
    r"max number of clients": "it has too many clients",
    r"closed by (server|peer)|reset by peer": (
        "it closed the connection; perhaps it wants TLS, then write rediss:// instead of redis://"
    ),
}
