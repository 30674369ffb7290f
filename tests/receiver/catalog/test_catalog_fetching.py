"""Where a catalog comes from: files, and servers that may do whatever they like."""

import gzip
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver import catalog
from receiver.catalog import MAX_BYTES, CatalogError
from receiver.catalog.fetching import fetch, public
from tests.peers.http import Answer, Peer, Request, serve

PLAIN = "categories: [{name: Network, requests: [{name: VPN}]}, {name: Other, requests: [{name: Uncategorized}]}]"


@pytest.mark.parametrize(
    "content", [PLAIN.encode(), PLAIN.encode("utf-8-sig"), PLAIN.replace("VPN", "Zürich").encode()]
)
def test_a_file_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ours.yaml").write_bytes(content)
    assert len(catalog.load(str(tmp_path / "ours.yaml"), timeout=1).request_types) == 2


@pytest.mark.parametrize("content", [None, "Zürich".encode("latin-1"), PLAIN.encode("utf-32")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ours.yaml"
    if content is not None:
        path.write_bytes(content)
    for location in (path, tmp_path):
        with pytest.raises(CatalogError, match=re.escape(str(location))):
            catalog.load(str(location), timeout=1)


def test_a_url_is_fetched_and_is_the_same_catalog_as_the_file() -> None:
    with serve(Peer(lambda _: Answer(body=PLAIN.encode()))) as peer:
        found = catalog.load(f"{peer.url}/catalog.yaml?team=it", timeout=5)
    assert found == catalog.parse(PLAIN)
    assert found.version == catalog.parse(PLAIN).version
    assert [(request.method, request.path) for request in peer.requests] == [("GET", "/catalog.yaml?team=it")]


def test_a_compressed_catalog_is_unpacked() -> None:
    packed = Answer(body=gzip.compress(PLAIN.encode()), headers={"Content-Encoding": "gzip"})
    with serve(Peer(lambda _: packed)) as peer:
        assert catalog.load(peer.url, timeout=5) == catalog.parse(PLAIN)


GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, PLAIN.encode()), Answer(500, PLAIN.encode()), Answer(200, b""), Answer(200, b"<html>Hello</html>"),
        Answer(200, "categories: Zürich".encode("latin-1")), Answer(200, PLAIN.encode() + b" " * MAX_BYTES),
        Answer(302, b"", {"Location": "/again"}), Answer(302, b"", {"Location": "file:///etc/passwd"}),
        Answer(200, b"no gzip at all", GZIP), Answer(200, gzip.compress(PLAIN.encode())[:20], GZIP),
        Answer(200, gzip.compress(b" " * 100_000_000, 1), GZIP), Answer(204, b""),
        Answer(200, PLAIN.encode(), {"Content-Length": "9999", "Connection": "close"}),
    ],
    ids=str.split("404 500 empty html latin large loop file garbage cut bomb nothing short"),
)  # fmt: skip
def test_an_answer_that_is_no_catalog_is_an_error_of_the_catalog(answer: Answer) -> None:
    def respond(_: Request) -> Answer:
        return answer

    with serve(Peer(respond)) as peer, pytest.raises(CatalogError) as caught:
        catalog.load(peer.url.replace("http://", "http://ada:hunter2@"), timeout=5)
    assert "hunter2" not in str(caught.value)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


@contextmanager
def _listening(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncateg", b"SSH-2.0\r\n"]
)
@pytest.mark.parametrize("hangs", [True, False])
def test_a_server_that_hangs_or_hangs_up_is_an_error_of_the_catalog(said: bytes, hangs: bool) -> None:
    class Rude(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(said)
            if hangs:
                self.request.recv(1)

    with _listening(Rude) as url, pytest.raises(CatalogError):
        catalog.load(url, timeout=0.2)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://", "http://[::1", "http://a b/"]
)
def test_an_address_where_nobody_is_is_an_error_of_the_catalog(url: str) -> None:
    with pytest.raises(CatalogError):
        catalog.load(url, timeout=1)


DRIPS = {
    "status": b"H",
    "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
    "endless": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PLAIN.encode() + b"\n#",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFF\r\n",
    "error": b"HTTP/1.1 503 Away\r\nContent-Length: 99999\r\n\r\n",
}


@pytest.mark.parametrize("said", DRIPS.values(), ids=DRIPS)
def test_a_drip_ends_when_the_time_is_over(said: bytes) -> None:
    over = threading.Event()

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(said)
            while not over.wait(0.02):
                self.request.sendall(b"x")

    started = time.monotonic()
    with _listening(Dripping) as url, pytest.raises(CatalogError, match=r"within 0\.5 seconds"):
        catalog.load(url, timeout=0.5)
    over.set()
    assert time.monotonic() - started < 15


def test_what_can_pass_is_tried_again_and_what_cannot_is_not() -> None:
    answers = [Answer(503, b""), Answer(429, b"", {"Retry-After": "3600"}), Answer(200, PLAIN.encode())]
    with serve(Peer(lambda _: answers[min(len(peer.requests), 3) - 1])) as peer:
        assert catalog.load(peer.url, timeout=20) == catalog.parse(PLAIN)
    assert len(peer.requests) == 3
    with serve(Peer(lambda _: Answer(404, b""))) as peer, pytest.raises(CatalogError, match="answers 404"):
        catalog.load(peer.url, timeout=20)
    assert len(peer.requests) == 1


def test_only_what_may_be_reached_is_asked() -> None:
    with serve(Peer(lambda _: Answer(body=PLAIN.encode()))) as peer:
        spelled = peer.url.replace("127.0.0.1", "127.1")
        with pytest.raises(CatalogError, match="OUTGOING_ALLOW"):
            catalog.load(spelled, timeout=5)
        assert peer.requests == []
        assert catalog.load(spelled, timeout=5, allow=("127.0.0.0/8",)) == catalog.parse(PLAIN)


def test_a_redirect_is_told_and_not_followed() -> None:
    moved = Answer(302, b"", {"Location": "http://127.0.0.1:1/metadata"})
    with serve(Peer(lambda _: moved)) as peer, pytest.raises(CatalogError, match=r"redirects \(302\)"):
        catalog.load(peer.url, timeout=5)
    assert len(peer.requests) == 1


def test_an_unchanged_catalog_is_not_sent_again() -> None:
    def respond(request: Request) -> Answer:
        known = request.headers.get("If-None-Match") == '"one"'
        headers = {"ETag": '"one"', "Last-Modified": "Mon, 02 Mar 2026 09:00:00 GMT"}
        return Answer(304, b"", headers) if known else Answer(200, PLAIN.encode(), headers)

    with serve(Peer(respond)) as peer:
        first = fetch(peer.url, 5)
        again = fetch(peer.url, 5, (), first.etag, first.modified)
    assert (first.text, again.text) == (PLAIN, None)
    assert peer.requests[1].headers["If-Modified-Since"] == "Mon, 02 Mar 2026 09:00:00 GMT"


def test_unchanged_is_no_answer_to_who_has_not_asked_for_changes() -> None:
    with serve(Peer(lambda _: Answer(304, b""))) as peer, pytest.raises(CatalogError, match="304"):
        fetch(peer.url, 5)


def test_a_location_is_shown_without_what_may_be_secret_and_is_still_its_own() -> None:
    shown = [public(f"https://ada:{word}@example.com/c.yaml?key={word}") for word in ("hunter2", "hunter3")]
    assert all(text.startswith("https://example.com/c.yaml (...") for text in shown)
    assert len(set(shown)) == 2
    assert "hunter" not in "".join(shown)
    assert public("https://example.com/c.yaml") == "https://example.com/c.yaml"
    assert public("/etc/catalog.yaml") == "/etc/catalog.yaml"
    assert public(None) == "the shipped catalog"
    assert public("http://[::1") != public("http://[::2")


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(CatalogError, match=str(MAX_BYTES)):
        catalog.load("/dev/zero", timeout=1)


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_bytes(f"{PLAIN}\n# Zürich".encode("latin-1"))
    with pytest.raises(CatalogError, match=r"line 2: byte .* is not in UTF-8"):
        catalog.load(str(tmp_path / "ours.yaml"), timeout=1)
