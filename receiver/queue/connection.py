"""How Redis is reached: one server, or the master that Sentinels name; and why it is not, in words."""

import re
import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import redis
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

from receiver.lib import redis_url

# All our keys begin with rq:, because some managed servers let a user write nothing else.
_PROBE = "rq:ticket-attribution:probe"


class UnsuitableError(Exception):
    """Our queues cannot be on such a server, and no waiting changes that; the text says why."""


def connect(url: str, timeout: float | None = None) -> "redis.Redis":
    """A Redis client; with a `timeout` in seconds it gives up that fast and never retries."""
    options: dict[str, Any] = {}
    if timeout is not None:
        options = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": None}
    if not urlsplit(url).scheme.endswith("+sentinel"):
        return redis.Redis.from_url(url, **options)
    places, master, to_master, to_sentinels = redis_url.sentinels(url)
    # A Sentinel that is gone must not keep us from asking the next one.
    patience = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": None} | options
    sentinel: Any = Sentinel(places, sentinel_kwargs=to_sentinels | patience, **to_master | options)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(master)
    return client


def check_suitable(connection: "redis.Redis") -> None:
    """Raise UnsuitableError where the server is a node of a cluster, or a Sentinel. Raises redis.RedisError."""
    try:
        answer: Any = connection.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        return  # It is older than the question, or may not be asked it.
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=False)
    found = {_decoded_text(name): _decoded_text(value) for name, value in pairs}
    # RQ changes several keys in one transaction, and a cluster refuses that unless one node holds all of them.
    if found.get("mode") == "cluster":
        raise UnsuitableError(
            "REDIS_URL: this server runs in cluster mode, where our queues cannot be: what they change together would"
            " be on different nodes. Use one without it, such as a replicated one behind Sentinels."
        )
    if found.get("mode") == "sentinel":
        raise UnsuitableError(
            "REDIS_URL: this is a Sentinel and no server; write redis+sentinel://HOST:PORT/NAME_OF_THE_MASTER."
        )


def _decoded_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def probe(connection: "redis.Redis") -> None:
    """Raise redis.RedisError or OSError where Redis is away, or answers and takes nothing."""
    connection.set(_PROBE, "1", ex=60)  # A replica, and a server whose memory is full, answer a ping all the same.


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
    # redis-py raises errors of its own from the system's, which say more.
    cause: BaseException | None = error
    while cause is not None:
        for kinds, words in _REASONS:
            if isinstance(cause, kinds):
                return words(cause) if callable(words) else words
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    for pattern, known in _WORDS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return known
    return f"it cannot be used ({type(error).__name__})"


def _explain_tls(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".") or "it is not valid"
        return f"its certificate is not trusted: {why}; name your own CA with ?ssl_ca_certs=FILE"
    return "TLS fails; perhaps the server speaks none, then write redis:// instead of rediss://"


def _explain_denied(error: BaseException) -> str:
    command = re.search(r"the '([\w|]{1,40})' command", str(error))
    what = f"run {command[1]}" if command else "use our keys; they begin with rq:"
    return f"its user may not {what}"


def _explain_timeout(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if "handshake" in str(cause):  # A server without TLS waits for the end of a line that never comes.
            return "its TLS does not answer; perhaps the server speaks none, then write redis:// instead of rediss://"
        cause = cause.__cause__ or cause.__context__
    return "it does not answer in time"


_Kinds = type[BaseException] | tuple[type[BaseException], ...]
# The first that fits counts, and many of these are kinds of ConnectionError or ResponseError.
_REASONS: tuple[tuple[_Kinds, str | Callable[[BaseException], str]], ...] = (
    ((AuthenticationError, AuthenticationWrongNumberOfArgsError), "it refuses the user or the password of REDIS_URL"),
    (NoPermissionError, _explain_denied),
    (BusyLoadingError, "it is loading its data"),
    (ReadOnlyError, "it is a replica that takes nothing; name the master"),
    (OutOfMemoryError, "its memory is full"),
    (MovedError, "it runs in cluster mode, where our queues cannot be"),
    (ClusterDownError, "its cluster or its master is down"),
    (MaxConnectionsError, "it has too many clients"),
    (MasterNotFoundError, "no Sentinel names a master"),
    (ssl.SSLError, _explain_tls),
    (socket.gaierror, "the name of its host is not known"),
    (ConnectionRefusedError, "nobody listens at its address"),
    (FileNotFoundError, "its socket, or a file that REDIS_URL names, is not there"),
    (PermissionError, "its socket, or a file that REDIS_URL names, may not be opened by this user"),
    ((redis.TimeoutError, TimeoutError), _explain_timeout),
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
