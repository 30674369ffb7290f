"""Outgoing HTTP against listeners on loopback: what it reaches, when it ends, and how much it reads."""

import functools
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from receiver.lib import egress
from receiver.lib.egress import AddressRefusedError, GuardError, Policy, Session
from tests.conftest import ROOT
from tests.peers import http
from tests.peers.http import Answer, Peer

NAMES = {"helpdesk.test": ["127.0.0.1"], "half.test": ["93.184.216.34", "127.0.0.1"], "v6.test": ["::ffff:127.0.0.1"]}


@pytest.fixture
def peer() -> Iterator[Peer]:
    with http.serve(Peer(lambda _: Answer.of({"reached": True}))) as served:
        yield served


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server that knows NAMES, and notes what it is asked."""
    asked: list[str] = []
    system = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in NAMES:
            return system(host, port, *args, **options)
        asked.append(host)
        return [answer for address in NAMES[host] for answer in system(address, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def port_of(peer: Peer) -> int:
    return int(peer.url.rpartition(":")[2])


def get(url: str, rule: Policy | None = None, seconds: float = 10, **options: Any) -> requests.Response:
    with Session(rule or Policy(), seconds, **options) as session:
        return session.get(url)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "localhost", "helpdesk.test",
     "[::1]", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "v6.test", "half.test"],
)  # fmt: skip
def test_no_spelling_of_loopback_is_reached(peer: Peer, resolver: list[str], host: str) -> None:
    with pytest.raises(AddressRefusedError, match="OUTGOING_ALLOW"):
        get(f"http://{host}:{port_of(peer)}/")
    assert peer.requests == []


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "224.0.0.1", "240.0.0.1", "[fe80::1]",
     "[fd00::1]", "[ff02::1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[::]", "[fec0::1]", "198.18.0.1",
     "168.63.129.16", "192.0.0.192", "192.88.99.1", "[3fff::1]", "[5f00::1]", "[64:ff9b:1::7f00:1]"],
)  # fmt: skip
def test_no_address_that_is_not_public_is_tried(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        Policy().addresses(host, 80)


@pytest.mark.parametrize("host", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_a_public_address_may_be_reached(host: str) -> None:
    assert Policy().addresses(host, 443) == [host]


@pytest.mark.parametrize("allow", ["helpdesk.test", "HelpDesk.Test", "127.0.0.1", "127.0.0.0/8"])
def test_what_is_allowed_by_name_address_or_network_is_reached(peer: Peer, resolver: list[str], allow: str) -> None:
    answer = get(f"http://helpdesk.test:{port_of(peer)}/", Policy((allow,)))
    assert answer.json() == {"reached": True}
    assert peer.requests[0].headers["Host"] == f"helpdesk.test:{port_of(peer)}"


def test_a_literal_address_in_a_setting_is_allowed_with_its_port_alone(peer: Peer) -> None:
    assert get(f"{peer.url}/x", Policy(own=peer.url)).ok
    with http.serve(Peer(lambda _: Answer())) as other, pytest.raises(AddressRefusedError):
        get(other.url, Policy(own=peer.url))


@pytest.mark.parametrize("host", ["2130706433", "127.1", "helpdesk.test", "[::ffff:7f00:1]"])
def test_another_spelling_or_a_name_in_a_setting_is_not(peer: Peer, resolver: list[str], host: str) -> None:
    url = f"http://{host}:{port_of(peer)}/"
    with pytest.raises(AddressRefusedError):
        get(url, Policy(own=url))
    assert peer.requests == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0"])
def test_where_clouds_keep_credentials_a_setting_needs_the_allow_list(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        Policy(own=f"http://{host}/").addresses(host, 80)
    assert Policy((host.strip("[]"),)).addresses(host, 80) == [host.strip("[]")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(peer: Peer, status: int) -> None:
    peer.respond = lambda _: Answer(status, b"", {"Location": f"{peer.url}/elsewhere"})
    assert get(f"{peer.url}/here", Policy(own=peer.url)).status_code == status
    assert [request.path for request in peer.requests] == ["/here"]


def test_a_name_is_looked_up_once_for_check_and_connection(peer: Peer, resolver: list[str]) -> None:
    get(f"http://helpdesk.test:{port_of(peer)}/", Policy(("127.0.0.0/8",)))
    assert resolver == ["helpdesk.test"]


def test_neither_proxies_nor_netrc_of_the_environment_are_used(
    peer: Peer, environment: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password s3cret")
    environment.setenv("NETRC", str(tmp_path / "netrc"))
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert get(peer.url, Policy(own=peer.url)).ok
    assert "Authorization" not in peer.requests[0].headers


def test_tls_names_the_host_and_not_the_address(resolver: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard: list[bytes] = []
        thread = threading.Thread(target=lambda: heard.append(_first_bytes(listener)))
        thread.start()
        with pytest.raises(requests.RequestException):
            get(f"https://helpdesk.test:{listener.getsockname()[1]}/", Policy(("helpdesk.test",)), seconds=5)
        thread.join()
    assert b"helpdesk.test" in heard[0]


def _first_bytes(listener: socket.socket) -> bytes:
    connected, _ = listener.accept()
    with connected:
        return connected.recv(4096)


def drip(head: bytes) -> Callable[[socket.socket], None]:
    """One byte after another, without end."""

    def send(connected: socket.socket) -> None:
        connected.sendall(head)
        for _ in range(200):
            connected.sendall(b"x")
            time.sleep(0.05)

    return send


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_peer_that_drips_is_cut_off_in_time(head: bytes, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
        cut: list[bool] = []
        thread = threading.Thread(target=_drip_to_one, args=(listener, drip(head), cut))
        thread.start()
        with pytest.raises(requests.RequestException) as caught:
            get(url, Policy(own=url), seconds=0.3)
        thread.join()
    assert cut == [True]
    assert isinstance(caught.value, requests.Timeout) or scheme == "https"


def _drip_to_one(listener: socket.socket, send: Callable[[socket.socket], None], cut: list[bool]) -> None:
    connected, _ = listener.accept()
    with connected:
        try:
            send(connected)
        except OSError:
            cut.append(True)


@pytest.mark.parametrize("body", [b"x" * 5_000, gzip.compress(b"x" * 5_000_000)])
def test_an_answer_without_end_is_not_read(peer: Peer, body: bytes) -> None:
    kind = {"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
    peer.respond = lambda _: Answer(200, body, kind)
    with pytest.raises(requests.RequestException, match="larger than 1000 bytes"):
        get(peer.url, Policy(own=peer.url), max_answer=1000)


def test_a_failure_does_not_repeat_the_address(peer: Peer) -> None:
    closed = f"http://127.0.0.1:{http.free_port()}/?key=s3cret"
    with pytest.raises(requests.ConnectionError) as caught:
        get(closed, Policy(own=closed))
    assert "s3cret" not in repr(caught.value)


def test_an_answer_is_whole_when_it_returns(peer: Peer) -> None:
    peer.respond = lambda request: Answer.of({"echo": request.json})
    with Session(Policy(own=peer.url), 10) as session:
        assert session.post(peer.url, json={"a": 1}).json() == {"echo": {"a": 1}}
        for number in range(50):  # A peer may close its end of a connection at any time after an answer.
            assert session.put(peer.url, json={"a": number}).json() == {"echo": {"a": number}}
    assert [found for found in threading.enumerate() if isinstance(found, threading.Timer)] == []


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process, before anything was sent, and after the test again."""
    monkeypatch.setattr(egress, "check", functools.cache(egress.check.__wrapped__))


@pytest.mark.parametrize("change", ["pools", "hook"])
def test_where_the_library_has_changed_beneath_the_guard_nothing_is_sent(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    _forget(monkeypatch)
    if change == "pools":  # The adapter's own pools stay in place.
        monkeypatch.setattr(egress._Adapter, "init_poolmanager", HTTPAdapter.init_poolmanager)
    else:  # The library calls another method than the one we have.
        for kind in (egress._Http, egress._Https):
            monkeypatch.delattr(kind, "_new_conn")
    with pytest.raises(GuardError, match=r"requirements\.txt"):
        get(f"{peer.url}/", Policy(own=peer.url))
    assert peer.requests == []
    monkeypatch.undo()
    assert get(f"{peer.url}/", Policy(own=peer.url)).json() == {"reached": True}


def test_the_versions_that_the_guard_hangs_on_are_pinned_as_they_are_tried_here() -> None:
    pinned = dict(
        line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1].isalpha()
    )
    for name in ("requests", "urllib3", "httpx2", "httpcore2", "openai"):
        assert pinned[name] == version(name)
