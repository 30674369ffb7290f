"""The model's client hangs on what its library calls; where that changes, it sends nothing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import httpcore2
import httpx2
import openai
import pytest

from jobs.__main__ import main
from jobs.classification.engines import deadline_client
from jobs.classification.engines.base import EngineError, TicketText
from jobs.classification.engines.llm import LlmEngine
from jobs.classification.engines.llm.model import connect
from jobs.operations import supervisor as stack
from receiver.catalog import Catalog
from receiver.lib import settings
from receiver.lib.egress import GuardError
from receiver.lib.retry_policy import Cause
from tests.peers.http import Answer, Peer


def _rename_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    made = httpx2.HTTPTransport.__init__

    def other(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self._connections = self.__dict__.pop("_pool")

    monkeypatch.setattr(httpx2.HTTPTransport, "__init__", other)
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", _through("_connections"))
    monkeypatch.setattr(httpx2.HTTPTransport, "close", lambda self: self._connections.close())


def _through(name: str) -> Any:
    """The transport's own way of sending, with the pool under another name."""
    sends = httpx2.HTTPTransport.handle_request

    def handle(self: Any, request: httpx2.Request) -> httpx2.Response:
        self.__dict__["_pool"] = self.__dict__[name]
        try:
            return sends(self, request)
        finally:
            del self.__dict__["_pool"]

    return handle


def _ignore_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    create = httpcore2.ConnectionPool.create_connection

    def other(self: Any, origin: Any) -> Any:
        ours, self._network_backend = self._network_backend, httpcore2.SyncBackend()
        try:
            return create(self, origin)
        finally:
            self._network_backend = ours

    monkeypatch.setattr(httpcore2.ConnectionPool, "create_connection", other)


def _read_past_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes the socket out of our stream, so that no deadline holds."""
    connect = deadline_client._Network.connect_tcp

    def other(self: Any, *args: Any, **options: Any) -> Any:
        stream = connect(self, *args, **options)
        return httpcore2.SyncBackend().connect_tcp(*args, **options) if stream else stream

    monkeypatch.setattr(deadline_client._Network, "connect_tcp", other)


@pytest.mark.parametrize("change", [_rename_the_pool, _ignore_the_backend, _read_past_the_stream])
def test_where_the_library_has_changed_no_request_leaves(
    model: Peer, shipped: Catalog, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    change(monkeypatch)
    with pytest.raises(GuardError, match=r"requirements\.txt"):
        deadline_client.check()
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/v1"})
    with pytest.raises(EngineError, match="do not call what guards them") as caught:
        LlmEngine(config, shipped).propose(TicketText("VPN", ""))
    assert caught.value.cause is Cause.ADDRESS
    assert caught.value.permanent
    assert model.requests == []


@pytest.mark.parametrize("command", [["up"], ["worker"]])
def test_the_stack_does_not_start_then_and_says_why(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    environment.setattr(stack, "up", lambda _: pytest.fail("started"))
    environment.setattr(stack, "work", lambda _: pytest.fail("started"))
    _ignore_the_backend(environment)
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "requirements.txt" in capsys.readouterr().err


def test_the_installed_library_is_guarded() -> None:
    deadline_client.check()


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_the_sdk_sends_one_request_whatever_the_answer_is(model: Peer, status: int) -> None:
    model.respond = lambda _request: Answer(status, b"{}", {"retry-after-ms": "1"})
    http, sdk = connect(settings.load({"OPENAI_BASE_URL": f"{model.url}/v1"}), lambda _status: None)
    with closing(sdk), http.call(10), pytest.raises(openai.APIStatusError):
        sdk.post("/chat/completions", cast_to=httpx2.Response, content=b"{}")
    assert len(model.requests) == 1


@contextmanager
def _hangs_up() -> Iterator[tuple[int, list[int]]]:
    """The port of a peer that closes each connection at once, and how many there were."""
    connections: list[int] = []

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # It is closed at the end.
            while True:
                listener.accept()[0].close()
                connections.append(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_neither_the_sdk_nor_the_transport_connects_again(scheme: str) -> None:
    with _hangs_up() as (port, connections):
        http, sdk = connect(settings.load({"OPENAI_BASE_URL": f"{scheme}://127.0.0.1:{port}/v1"}), lambda _status: None)
        with closing(sdk), http.call(10), pytest.raises(openai.APIConnectionError):
            sdk.post("/chat/completions", cast_to=httpx2.Response, content=b"{}")
    assert len(connections) == 1
