"""The service catalog: its shapes, its faults, and where it comes from."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import catalog
from receiver.catalog import MAX_BYTES, MAX_REQUEST_TYPES, Catalog, CatalogError
from tests.conftest import ROOT
from tests.properties import tries

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
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert sla.promise(noon, None).due_at == noon + expected
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
    assert {(kind.sla.value, kind.sla.unit) for kind in found.request_types if kind.name in "xyz"} == {(1, "days")}


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
        ([{"name": "Any other", "requests": [{"name": "Hardware"}]}], {}, ("Other", "Uncategorized")),
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
    assert (found.fallback.category, found.fallback.name) == (shipped.fallback.category, shipped.fallback.name)
    assert found.request_types[-1] is found.fallback
    assert len(found.request_types) == 2


def test_a_lent_fallback_says_no_more_than_the_others(shipped: Catalog) -> None:
    kinds = [{"name": f"k{n}", "examples": list("abcdefg")[:n], "keywords": ["x"]} for n in range(5)]
    for requests, examples, keywords in (([{"name": "VPN"}], 0, 0), (kinds, 2, 1)):
        fallback = catalog.parse(yaml.safe_dump({"categories": [{"name": "N", "requests": requests}]})).fallback
        assert (fallback.examples, fallback.keywords) == (
            shipped.fallback.examples[:examples],
            shipped.fallback.keywords[:keywords],
        )


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


def test_nothing_stands_twice() -> None:
    again = {"name": "Network", "requests": [{"name": "WAN"}]}
    assert "'Network' stands twice" in _fault(yaml.safe_dump({"categories": [NETWORK, again]}))
    twins = {"name": "N", "requests": [{"name": "VPN"}, {"name": "VPN"}]}
    assert "'VPN' stands twice" in _fault(yaml.safe_dump({"categories": [twins]}))


def test_a_label_that_could_mean_two_entries_is_refused() -> None:
    kinds = {"Mail": ["Access"], "Files": ["Access"], "Other": ["Mail: Access"]}
    assert "'Mail: Access' could mean two" in _fault(
        yaml.safe_dump({"categories": [{"name": c, "requests": [{"name": n} for n in ns]} for c, ns in kinds.items()]})
    )


DOCUMENTS = [
    "categories: [", "a: b: c", "\t- x", "categories: *nowhere", "- a\nb: c", '"open', "%YAML 9.9\n---\nx", "a: \x00",
    "--- 1\n--- 2", "{[a]: b}", "!!python/object/apply:os.system ['touch owned']", "!unknown {a: b}", "&a {<<: *a}",
]  # fmt: skip
LINES = [
    "!!int 'one'", "!!int ''", "!!float one", "!!bool perhaps", "!!timestamp soon", "!!timestamp {=: [a]}",
    "!!binary ü", "!!python/object/apply:os.system ['touch owned']", "!!python/name:os.system", "!unknown {a: b}",
    "&a [*a, *a]", "\x00", "a\ud800b", '"\\q"', "{a: 1, a: ]", "'", "!!set {a}",
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


# What is wrong is said with its line


FAULTY = """\
service_catalog:
  rules: Be nice.
  fallback: [Nowhere]
  catalog:
    categories:
      - name: Network
        requests:
          - name: VPN
            sla: {unit: fortnights, value: 1}
            description: [a, list]
          - name: Wi-Fi
            examples: No signal
            keywords: {wifi: 1}
            name: WLAN
          - name: VPN
      - name: Lines
        requests: [{name: "Two\\nlines"}]
      - name: Empty
        requests: []
"""


def _lines(text: str) -> dict[int, str]:
    with pytest.raises(CatalogError) as caught:
        catalog.parse(text)
    return {fault.line: fault.message for fault in caught.value.faults}


def test_several_mistakes_are_told_at_once_each_with_its_line() -> None:
    faults = _lines(FAULTY)
    assert {line: message.split("; ")[0] for line, message in faults.items()} == {
        2: "rules must be a list, not a text",
        3: "fallback must be a text, not a list",
        9: "the SLA of 'VPN' must have a value above 0 and up to 10000, and a unit: minutes, hours, days, weeks",
        10: "the description of 'VPN' must be a text, not a list",
        12: "the examples of 'Wi-Fi' must be a list, not a text",
        13: "the keywords of 'Wi-Fi' must be a list, not a mapping",
        14: "the key 'name' stands twice in a request type of 'Network'",
        15: "the request type 'VPN' stands twice in 'Network'",
        17: "the name 'Two\\nlines' holds U+000A",
        19: "the category 'Empty' has no list of requests",
    }
    assert list(faults) == sorted(faults)


def test_no_more_than_ten_mistakes_are_told() -> None:
    assert len(_lines("categories:\n" + "- [a]\n" * 900)) == 10
    assert len(_lines("categories:\n- name: N\n  requests:\n" + "  - 1\n" * 900)) == 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x: \"\\q\"", "not valid YAML"), ("x: \x00", "U+0000"), ("x: a\ud800", "U+D800"), ("x: *y", "undefined alias"),
        ("x: !!python/name:os.system", "tag"), ("x: &x [*x]", "aliases"), (f"x: {'[' * 60}{']' * 60}", "nested"),
        ("categories: []", "twice"), ("rules: {a: b}", "a list, not a mapping"), ("rules: [[a]]", "a text, not a list"),
        ("rules: ['a\\u0000b']".replace("'", '"'), "U+0000"), ("fallback: None of them", "not one of"),
        (f"rules: ['{'x' * 1_001}']", "at most 1000"), (f"rules: [{'x, ' * 201}]", "at most 200"),
        ("? [a]\n: b", "a key must be a text"), ("<<: 1", "must be a mapping"),
        ("<<: [{a: b}, c]", "must be a mapping"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_the_line_where_it_is(line: str, said: str) -> None:
    faults = _lines(f"# ours\n{PLAIN}\n\n{line}")
    assert [said in message for message in faults.values()] == [True], faults
    assert set(faults) == {4}


def test_too_many_entries_are_refused_at_once() -> None:
    many = "categories:\n" + "".join(f"- {{name: c{n}, requests: [{{name: r{n}}}]}}\n" for n in range(10_000))
    assert list(_lines(many)) == [2]
    nested = "categories:\n" + f"- {{name: c, requests: [{', '.join(f'{{name: r{n}}}' for n in range(10_000))}]}}\n"
    assert list(_lines(nested)) == [2]


def test_merges_of_merges_end() -> None:
    chain = "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 800))
    assert "too many merges" in _fault(f"a0: &a0 {{name: N}}\n{chain}categories: [*a799]")


def test_names_are_read_as_they_are_written() -> None:
    names = ["No", "on", "1.50", "0x1F", "2026-01-01", "1_000", "007", "Ja / nein", "„Sonstiges“", "12:30"]
    found = catalog.parse("categories:\n- name: Yes\n  requests:\n" + "".join(f"  - name: {name}\n" for name in names))
    assert [kind.name for kind in found.request_types[:-1]] == names
    assert {kind.category for kind in found.request_types[:-1]} == {"Yes"}


def test_what_nobody_reads_may_be_anything() -> None:
    for value in ("2026-13-45", "9" * 5_000, "[{a: [b]}]", "{=: 1}", "2026-01-01T25:00:00Z", "&x {y: &z 1, w: *z}"):
        assert catalog.parse(f"{PLAIN}\nowner: {value}") == catalog.parse(f"{PLAIN}\nowner: {value}")


@pytest.mark.parametrize("text", ["Beide", "A: Beide", "C"])
def test_a_fallback_may_be_named_by_its_label(text: str) -> None:
    both = "[{name: A, requests: [{name: Beide}]}, {name: B, requests: [{name: Beide}, {name: C}]}]"
    if text == "Beide":
        assert "'A: Beide' or 'B: Beide'" in _fault(f"fallback: {text}\ncategories: {both}")
    else:
        fallback = catalog.parse(f"fallback: {text!r}\ncategories: {both}").fallback
        assert text in (fallback.name, f"{fallback.category}: {fallback.name}")


KEYS = re.findall(
    r"\S+",
    "service_catalog catalog categories requests name sla unit value description examples keywords rules fallback <<",
)
PIECES = re.findall(
    r"[^|]+", "categories: |requests:|name: |sla: |- |[|]|{|}|, |: |\n|  |&a |*a|<<: |!!str |'|\"|x|4|#|?|---|%"
)

_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.binary(max_size=3)
)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=15,
)
_shards = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
_behind = st.builds("{}\n{}".format, st.just(PLAIN), st.text(max_size=30) | _shards)


@given(_trees.map(yaml.safe_dump) | st.text() | _shards | _behind)
@settings(deadline=None, max_examples=tries(400))
def test_any_text_is_a_catalog_or_is_refused(text: str) -> None:
    try:
        found = catalog.parse(text)
    except CatalogError:
        return
    assert found.fallback in found.request_types
    assert len(found.labels) == len(found.request_types)


# What it leaves unsaid


FULL = {
    "description": "d", "examples": [f"e{n}" for n in range(5)], "keywords": ["k"], "sla": {"value": 1, "unit": "days"},
}  # fmt: skip


def _warnings(*kinds: dict[str, Any], **more: Any) -> list[str]:
    rest = {"name": "Other", "requests": [{"name": "Misc"} | FULL | {"examples": list("abcde"), "keywords": ["m"]}]}
    return catalog.quality(
        catalog.parse(yaml.safe_dump({"categories": [{"name": "N", "requests": [*kinds]}, rest]} | more))
    )


def test_a_catalog_that_says_everything_has_no_warnings() -> None:
    assert _warnings({"name": "VPN"} | FULL) == []


def test_a_bare_catalog_is_told_what_it_costs() -> None:
    summary, *rest = _warnings({"name": "VPN"}, {"name": "LAN"} | FULL)
    assert "1 of 3 request types" in summary
    assert "34 of 100" in summary
    assert rest == ["VPN: no description, no examples, no keywords", "VPN: no SLA, so 24 hours are assumed"]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ([{"name": "VPN"} | FULL | {"examples": ["a1", "a2"]}], "VPN: only 2 of 5 examples"),
        ([{"name": "VPN"} | FULL, {"name": "LAN"} | FULL | {"examples": list("vwxyz")}], "share one of their keywords"),
        ([{"name": "VPN"} | FULL, {"name": "LAN"} | FULL | {"keywords": ["l"]}], "share one of their examples"),
        ([{"name": "VPN"} | FULL, {"name": "vpn"} | FULL], "'vpn' differs from another"),
    ],
)
def test_what_is_thin_or_points_two_ways_is_told(kinds: list[dict[str, Any]], said: str) -> None:
    assert any(said in warning for warning in _warnings(*kinds))


def test_a_lent_fallback_is_told() -> None:
    found = catalog.parse(yaml.safe_dump({"categories": [{"name": "N", "requests": [{"name": "VPN"} | FULL]}]}))
    assert found.lends_fallback
    assert len(catalog.quality(found)) == 1
    assert "nowhere" in catalog.quality(found)[0]


def test_the_catalog_in_the_documents_is_a_catalog() -> None:
    page = (ROOT / "docs" / "how-to" / "catalog.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(service_catalog:.*?)```", page, re.DOTALL)
    found = catalog.parse(example)
    assert found.fallback.name == "Anything else"
    assert found.request_types[0].keywords[0] == "vpn"


# The one that comes with the project


def test_the_shipped_catalog_promises_and_explains_everything(shipped: Catalog) -> None:
    assert len(shipped.labels) == len(shipped.request_types) >= 20
    for kind in shipped.request_types:
        assert not kind.sla.is_default, kind.name
        assert len(kind.description) > 40, kind.name
        assert len(kind.examples) >= 20, kind.name
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
