"""The service catalog: its shapes, its faults, and where it comes from."""

import gzip
import re
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import catalog
from receiver.catalog import MAX_BYTES, MAX_REQUEST_TYPES, Catalog, CatalogError
from tests.conftest import ROOT
from tests.peers.http import Answer, Peer, Request, serve

OTHER = {"name": "Other", "requests": [{"name": "Uncategorized"}]}
NETWORK = {"name": "Network", "requests": [{"name": "VPN", "sla": {"unit": "hours", "value": 4}}]}
PLAIN = "categories: [{name: Network, requests: [{name: VPN}]}, {name: Other, requests: [{name: Uncategorized}]}]"


def _parse(*categories: Any, **more: Any) -> Catalog:
    return catalog.parse(yaml.safe_dump({"categories": [*categories, OTHER]} | more, sort_keys=False))


def _kind(**fields: Any) -> catalog.RequestType:
    return _parse({"name": "Network", "requests": [{"name": "VPN"} | fields]}).request_types[0]


def _fault(text: str) -> str:
    with pytest.raises(CatalogError) as caught:
        catalog.parse(text)
    return str(caught.value)


# What it may look like


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"service_catalog": {"catalog": inner}},
        lambda inner: {"catalog": inner},
        lambda inner: {"service_catalog": inner},
        lambda inner: inner,
    ],
)
def test_categories_are_found_in_every_shape(wrap: Callable[[Any], Any]) -> None:
    found = catalog.parse(yaml.safe_dump(wrap({"categories": [NETWORK, OTHER]})))
    assert [(kind.category, kind.name) for kind in found.request_types] == [
        ("Network", "VPN"), ("Other", "Uncategorized"),
    ]  # fmt: skip


def test_an_entry_says_what_it_is() -> None:
    kind = _kind(description="Tunnels", examples=["no tunnel", None, 42], keywords=["vpn"], owner="Ada", sla=None)
    assert (kind.description, kind.examples, kind.keywords) == ("Tunnels", ("no tunnel", "42"), ("vpn",))
    assert (kind.sla.value, kind.sla.unit, kind.sla.is_default) == (24, "hours", True)


def test_unknown_fields_are_ignored_wherever_they_stand() -> None:
    found = catalog.parse(yaml.safe_dump({"version": 3, "service_catalog": {
        "owner": "IT", "catalog": {"since": 2020, "categories": [NETWORK | {"icon": "wifi"}, OTHER]},
    }}))  # fmt: skip
    assert len(found.request_types) == 2


def test_numbers_are_names_like_any_other() -> None:
    found = _parse({"name": 365, "requests": [{"name": 404}, {"name": 1.5}]})
    assert [(kind.category, kind.name) for kind in found.request_types[:2]] == [("365", "404"), ("365", "1.5")]
    assert found.find("365", "404") is not None


@pytest.mark.parametrize("place", ["top", "service_catalog"])
def test_the_rules_are_read_where_they_stand(place: str) -> None:
    extra = {"rules": ["A lost laptop is Security.", 7], "fallback": "VPN"}
    inner = {"catalog": {"categories": [NETWORK, OTHER]}}
    document = {"service_catalog": inner} | extra if place == "top" else {"service_catalog": inner | extra}
    found = catalog.parse(yaml.safe_dump(document))
    assert found.rules == ("A lost laptop is Security.", "7")
    assert found.fallback.name == "VPN"


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("minutes", 90, timedelta(minutes=90)),
        ("hour", 1, timedelta(hours=1)),
        ("Hours", "4", timedelta(hours=4)),
        (" DAYS ", 0.5, timedelta(hours=12)),
        ("day", 2, timedelta(days=2)),
        ("weeks", 1, timedelta(days=7)),
        ("hours", 10_000, timedelta(hours=10_000)),
    ],
)
def test_a_promise_is_a_span_of_time(unit: str, value: Any, expected: timedelta) -> None:
    sla = _kind(sla={"unit": unit, "value": value}).sla
    assert sla.duration == expected
    assert not sla.is_default


def test_whole_promises_are_whole_numbers() -> None:
    assert str(_kind(sla={"unit": "hours", "value": 4.0}).sla.value) == "4"
    assert str(_kind(sla={"unit": "hours", "value": 1.5}).sla.value) == "1.5"


@pytest.mark.parametrize(
    "sla",
    [
        {"unit": "fortnights", "value": 1}, {"unit": "hours", "value": 0}, {"unit": "hours", "value": -4},
        {"unit": "hours", "value": 10_001}, {"unit": "hours", "value": "soon"}, {"unit": "hours", "value": None},
        {"unit": "hours", "value": float("nan")}, {"unit": "hours", "value": float("inf")}, {"unit": "hours"},
        {"value": 4}, {"unit": None, "value": 4}, {"unit": ["hours"], "value": 4}, {"unit": "hours", "value": [4]},
        {"unit": "hours", "value": 10**400}, {}, [], 4, "4 hours",
    ],
)  # fmt: skip
def test_a_promise_that_nobody_could_keep_is_refused_by_name(sla: Any) -> None:
    assert "'VPN'" in _fault(yaml.safe_dump({"categories": [{"name": "N", "requests": [{"name": "VPN", "sla": sla}]}]}))


def test_aliases_spare_repetition() -> None:
    found = catalog.parse(
        "categories:\n"
        "- name: A\n  requests: [{name: x, sla: &day {unit: days, value: 1}}, {name: y, sla: *day}]\n"
        "- name: Other\n  requests: [{name: z, <<: {sla: *day}}]\n"
    )
    assert {kind.sla.duration for kind in found.request_types if kind.name in "xyz"} == {timedelta(days=1)}


# Labels and the fallback


def test_labels_are_unique_and_lead_to_their_entries() -> None:
    twice = [{"name": name, "requests": [{"name": "Access"}, {"name": f"{name} outage"}]} for name in ("Mail", "Files")]
    found = _parse(*twice)
    assert list(found.labels) == ["Mail: Access", "Mail outage", "Files: Access", "Files outage", "Uncategorized"]
    assert [found.labels[label] for label in found.labels] == list(found.request_types)


def test_only_the_exact_name_is_found() -> None:
    found = _parse(NETWORK)
    assert found.find("Network", "VPN") is found.request_types[0]
    for category, name in (("Network", "vpn"), ("network", "VPN"), ("Other", "VPN"), ("Network", "VPN "), ("", "")):
        assert found.find(category, name) is None


@pytest.mark.parametrize(
    ("categories", "more", "expected"),
    [
        ([NETWORK], {"fallback": "VPN"}, ("Network", "VPN")),
        ([NETWORK], {"fallback": None}, ("Other", "Uncategorized")),
        ([NETWORK], {"fallback": ""}, ("Other", "Uncategorized")),
        ([NETWORK, {"name": "Misc", "requests": [{"name": "General Inquiry"}]}], {}, ("Misc", "General Inquiry")),
        ([{"name": "Other", "requests": [{"name": "Other Hardware"}]}], {}, ("Other", "Uncategorized")),
    ],
)
def test_the_fallback_is_the_named_entry_or_the_one_that_sounds_like_it(
    categories: list[Any], more: dict[str, Any], expected: tuple[str, str]
) -> None:
    fallback = _parse(*categories, **more).fallback
    assert (fallback.category, fallback.name) == expected


@pytest.mark.parametrize("name", ["VPN", "Other Hardware", "General Access"])
def test_a_catalog_without_a_fallback_is_given_the_usual_one(name: str, shipped: Catalog) -> None:
    found = catalog.parse(yaml.safe_dump({"categories": [{"name": "Network", "requests": [{"name": name}]}]}))
    assert found.fallback == shipped.fallback
    assert found.request_types[-1] == shipped.fallback
    assert len(found.request_types) == 2


def test_a_fallback_that_is_no_entry_is_refused() -> None:
    assert "'Nothing'" in _fault(f"fallback: Nothing\n{PLAIN}")


# Versions


def test_equal_texts_have_equal_versions_and_others_have_others() -> None:
    texts = [PLAIN, f"{PLAIN}\n", f"# ours\n{PLAIN}", PLAIN.replace("VPN", "WAN"), f"rules: [one]\n{PLAIN}"]
    assert len({catalog.parse(text).version for text in texts}) == len(texts)
    assert catalog.parse(PLAIN).version == catalog.parse(str(PLAIN)).version != ""


# What is refused


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "42", "a text", "{}", "categories:", "categories: {}", "categories: []", "categories: x",
        "catalog: []", "service_catalog: []", "service_catalog: {catalog: {}}", "catalog: {categories: 1}",
        "<!DOCTYPE html><html><body>Sign in</body></html>", '{"error": "not found"}',
    ],
)  # fmt: skip
def test_what_has_no_categories_is_refused(text: str) -> None:
    assert "the catalog" in _fault(text)


@pytest.mark.parametrize(
    "category",
    [
        None, 1, "Network", [], {}, {"requests": [{"name": "x"}]}, {"name": "", "requests": [{"name": "x"}]},
        {"name": " ", "requests": [{"name": "x"}]}, {"name": "N" * 201, "requests": [{"name": "x"}]}, {"name": "N"},
        {"name": "N", "requests": []}, {"name": "N", "requests": {"name": "x"}}, {"name": "N", "requests": "x"},
        {"name": "N", "requests": [None]}, {"name": "N", "requests": ["x"]}, {"name": "N", "requests": [{}]},
        {"name": "N", "requests": [{"name": None}]}, {"name": "N", "requests": [{"name": "x" * 201}]},
        {"name": "N", "requests": [{"name": "x"}] * 2}, {"name": "N", "requests": [{"name": 4}, {"name": "4"}]},
        {"name": "N", "requests": [{"name": "x"}, {"name": " x "}]},
    ],
)  # fmt: skip
def test_an_entry_without_a_name_of_its_own_is_refused(category: Any) -> None:
    _fault(yaml.safe_dump({"categories": [category, OTHER]}))


def test_the_same_category_may_stand_twice_but_not_the_same_entry() -> None:
    assert len(_parse(NETWORK, {"name": "Network", "requests": [{"name": "WAN"}]}).request_types) == 3
    assert "twice" in _fault(yaml.safe_dump({"categories": [NETWORK, NETWORK]}))


DOCUMENTS = [
    "categories: [", "a: b: c", "\t- x", "categories: *nowhere", "- a\nb: c", '"open', "%YAML 9.9\n---\nx", "a: \x00",
    "--- 1\n--- 2", "{[a]: b}", "!!python/object/apply:os.system ['touch owned']", "!unknown {a: b}", "&a {<<: *a}",
]  # fmt: skip
LINES = [
    "!!int 'one'", "!!int ''", "!!float one", "!!bool perhaps", "!!timestamp soon", "!!timestamp {=: [a]}",
    "!!binary ü", "!!python/object/apply:os.system ['touch owned']", "!!python/name:os.system", "!unknown {a: b}",
    "&a [*a, *a]", "2026-13-45", "2026-01-01T25:00:00Z", "9" * 5_000, "{<<: 1}", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", [*DOCUMENTS, *(f"{PLAIN}\nx: {line}" for line in LINES)])
def test_bad_yaml_is_refused_and_nothing_in_it_is_run(text: str, tmp_path: Path) -> None:
    assert "the catalog" in _fault(f"{text}\n")
    assert list(tmp_path.iterdir()) == []


LEVELS = range(1, 8)
LAUGHS = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in LEVELS)
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in LEVELS)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "categories: [{name: N, requests: [{name: x, description: *a7}]}]",
        LAUGHS + "categories: [{name: N, requests: [{name: *a7}]}]",
        LAUGHS + "categories: [{name: N, requests: [{name: x, keywords: *a7}]}]",
        LAUGHS + "rules: *a7\n" + PLAIN,
        MERGES + PLAIN,
        "x: &x "
        + "y" * 10_000
        + f"\ncategories: [{{name: N, requests: [{{name: x, description: [{'*x, ' * 1_000}]}}]}}]",
        "x: &x [" + "y, " * 5_000 + "]\nz: [" + "*x, " * 1_000 + f"]\n{PLAIN}",
        f"{PLAIN}\nx: &x [&y [&z [*x, *y, *z], *x], *y]",
    ],
    ids=str.split("description name keywords rules merges long wide circular"),
)
def test_a_small_text_that_would_unfold_into_a_huge_one_is_refused(text: str) -> None:
    assert "aliases" in _fault(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{PLAIN}\nx: {'[' * 5_000}{']' * 5_000}",
        f"{PLAIN}\nx: {'{a: ' * 1_000}1{'}' * 1_000}",
        f"categories: [{{name: N, requests: [{{name: x, description: {'[' * 900}{']' * 900}}}]}}]",
        "\n".join(f"{' ' * depth}a:" for depth in range(1_000)),
    ],
)
def test_a_text_that_is_nested_without_sense_is_refused(text: str) -> None:
    assert "nested" in _fault(text)


def test_no_depth_ends_the_process() -> None:
    script = (
        "from receiver import catalog\ntry: catalog.parse('[' * 200_000)\nexcept catalog.CatalogError: print('refused')"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "refused\n")


def test_size_and_number_are_limited() -> None:
    assert str(MAX_BYTES) in _fault(f"{PLAIN}\n#{'x' * MAX_BYTES}")
    names = [{"name": f"type {number}"} for number in range(MAX_REQUEST_TYPES)]
    with pytest.raises(CatalogError, match=str(MAX_REQUEST_TYPES)):
        _parse({"name": "N", "requests": names})
    assert len(_parse({"name": "N", "requests": names[1:]}).request_types) == MAX_REQUEST_TYPES


_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.binary(max_size=3)
)
_trees = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["categories", "catalog", "requests", "name", "sla", "rules", "fallback"]), inner
        )
    ),
    max_leaves=15,
)


@given(_trees.map(yaml.safe_dump) | st.text() | st.builds("{}\n{}".format, st.just(PLAIN), st.text(max_size=30)))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_catalog_or_is_refused(text: str) -> None:
    try:
        found = catalog.parse(text)
    except CatalogError:
        return
    assert found.fallback in found.request_types
    assert len(found.labels) == len(found.request_types)


# Where it comes from


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


# The one that comes with the project


def test_the_shipped_catalog_promises_and_explains_everything(shipped: Catalog) -> None:
    assert len(shipped.labels) == len(shipped.request_types) >= 20
    for kind in shipped.request_types:
        assert not kind.sla.is_default, kind.name
        assert len(kind.description) > 40, kind.name
        assert len(kind.examples) >= 10, kind.name
        assert len(kind.keywords) >= 10, kind.name


def test_the_shipped_catalog_has_a_fallback_and_rules(shipped: Catalog) -> None:
    assert shipped.fallback.category == "Other/Uncategorized"
    assert shipped.fallback in shipped.request_types
    assert len(shipped.rules) >= 5


def test_no_example_or_keyword_of_the_shipped_catalog_points_two_ways(shipped: Catalog) -> None:
    for field in ("examples", "keywords"):
        words = Counter(word.casefold() for kind in shipped.request_types for word in getattr(kind, field))
        assert [word for word, count in words.items() if count > 1] == []


def test_the_shipped_catalog_is_plain_text_of_one_line_each(shipped: Catalog) -> None:
    for kind in shipped.request_types:
        for text in (kind.category, kind.name, kind.description, *kind.examples, *kind.keywords):
            assert text == text.strip() != ""
            assert text.isprintable(), text
