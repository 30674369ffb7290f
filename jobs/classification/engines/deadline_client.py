"""An HTTP client that reaches only what it may, whose calls end in time and whose answers stay small."""

import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import httpcore2
import httpx2

from receiver.lib import egress

MAX_ANSWER = 2**21  # A stream of 8,000 tokens, which some send unasked, has some 2 MB.
_GZIP = 31  # What zlib calls a gzip member; https://zlib.net/manual.html#Advanced


class DeadlineError(TimeoutError):
    """The call has used up its time."""


class AnswerError(ValueError):
    """The answer is not read; `kind` is too_large, compressed (wrongly) or unknown_compression."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Deadline(threading.local):
    ends = float("inf")

    def left(self) -> float:
        """Seconds until the present call's end. Raises DeadlineError when there are none."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise DeadlineError
        return left


class _Stream(httpcore2.NetworkStream):
    """A connection each of whose reads and writes ends with the call; the library's own timeouts start anew."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _sooner(timeout, self._deadline.left()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _sooner(timeout, self._deadline.left()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        timeout = _sooner(timeout, self._deadline.left())
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Rehearsal(httpcore2.NetworkStream):
    """No connection at all: it answers any request, and notes what was done with it."""

    def __init__(self) -> None:
        self.done: set[str] = set()

    def read(self, *_args: Any, **_options: Any) -> bytes:
        self.done.add("read")
        return b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

    def write(self, *_args: Any, **_options: Any) -> None:
        self.done.add("write")

    def close(self) -> None:
        pass

    def start_tls(self, *_args: Any, **_options: Any) -> httpcore2.NetworkStream:
        self.done.add("start_tls")
        return self

    def get_extra_info(self, _info: str) -> Any:
        return None


class _Network(httpcore2.SyncBackend):
    """Connects to the addresses that the policy gives for a host, and looks no name up again after that."""

    def __init__(self, deadline: _Deadline, policy: egress.Policy) -> None:
        self._deadline, self._policy = deadline, policy
        self.rehearsal: _Rehearsal | None = None

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any, **options: Any) -> Any:
        if self.rehearsal:
            return _Stream(self.rehearsal, self._deadline)
        try:
            addresses = self._policy.addresses(host, port)
        except egress.AddressRefusedError:
            raise
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(type(error).__name__) from None
        reason = httpcore2.ConnectError("nothing was tried")
        for address in addresses:
            left = _sooner(timeout, self._deadline.left())
            try:
                return _Stream(super().connect_tcp(address, port, left, *rest, **options), self._deadline)
            except httpcore2.ConnectError as error:
                reason = error
        raise reason


def _sooner(timeout: float | None, left: float) -> float:
    return left if timeout is None else min(timeout, left)


class DeadlineClient(httpx2.Client):
    """Ends what is sent within `call` when its time is over, and reads no answer above MAX_ANSWER.

    It connects where `policy` lets it, follows neither a redirect nor the environment's proxies, retries nothing, and
    raises egress.AddressRefusedError. All of that hangs on the library below calling `_Network` and `_Stream`; where a
    rehearsal shows that it does not, every request is refused with egress.GuardError. `on_status` is told the status
    of every answer, also of those that are asked for again, and None where there is no connection.
    """

    def __init__(self, policy: egress.Policy, on_status: Callable[[int | None], None], **options: Any) -> None:
        # The environment may still name certificates of one's own, by SSL_CERT_FILE.
        verify = httpx2.create_ssl_context()
        super().__init__(**options, verify=verify, trust_env=False, follow_redirects=False)
        self._deadline, self._on_status = _Deadline(), on_status
        network = _Network(self._deadline, policy)
        self.is_guarded = False
        if isinstance(self._transport, httpx2.HTTPTransport):  # Which has no argument for it.
            with suppress(AttributeError):  # The rehearsal finds out whether it took effect.
                self._transport._pool._network_backend = network
            self.is_guarded = self._rehearse(network)

    def _rehearse(self, network: _Network) -> bool:
        """Whether a request of each scheme goes through our network from its first byte to its last."""
        for scheme, needed in (("http", {"write", "read"}), ("https", {"write", "read", "start_tls"})):
            network.rehearsal = rehearsal = _Rehearsal()
            with suppress(Exception):  # Whatever goes wrong, not all was done.
                super().send(self.build_request("GET", f"{scheme}://127.0.0.1:1/", timeout=1))
            if rehearsal.done != needed:
                return False
        network.rehearsal = None
        return True

    @contextmanager
    def call(self, seconds: float) -> Iterator[None]:
        """Everything that this thread sends within the block ends after so many seconds, with DeadlineError."""
        self._deadline.ends = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._deadline.ends

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        self._deadline.left()
        if not self.is_guarded:
            raise egress.GuardError("httpx2 and httpcore2")
        try:
            response = super().send(request, **options | {"stream": True})
        except httpx2.TransportError:
            self._on_status(None)
            raise
        self._on_status(response.status_code)
        try:
            content = _plain(response.headers.get("content-encoding", ""), _limited(response.iter_raw(), MAX_ANSWER))
        finally:
            response.close()
        headers = [(k, v) for k, v in response.headers.items() if k not in ("content-encoding", "transfer-encoding")]
        return httpx2.Response(response.status_code, headers=headers, content=content, request=response.request)

    def left(self) -> float:
        """Seconds until the end of this thread's call. Raises DeadlineError when there are none."""
        return self._deadline.left()


def check() -> None:
    """Raises egress.GuardError where the installed library does not let requests be kept to their policy."""
    with closing(DeadlineClient(egress.Policy(), lambda _: None)) as client:
        if not client.is_guarded:
            raise egress.GuardError("httpx2 and httpcore2")


def _limited(chunks: Iterator[bytes], limit: int) -> bytes:
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) > limit:
            raise AnswerError("too_large")
    return bytes(read)


def _plain(encoding: str, content: bytes) -> bytes:
    """The answer as it was before compression; a bomb is not unpacked.

    Some proxies unpack an answer and leave the header, and some send deflate without having been asked to.
    """
    if encoding.lower() in ("", "identity") or content.startswith((b"{", b"[", b"data:")) or not content:
        return content
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise AnswerError("unknown_compression")
    try:
        unpacker = zlib.decompressobj(_GZIP if content.startswith(b"\x1f\x8b") else zlib.MAX_WBITS)
        plain = unpacker.decompress(content, MAX_ANSWER + 1)
    except zlib.error:
        raise AnswerError("compressed") from None
    return _limited(iter([plain]), MAX_ANSWER)
