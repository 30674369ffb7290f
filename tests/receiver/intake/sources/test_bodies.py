"""Bodies of every kind: what they say, or where the fault is; and never text in the wrong place."""

import gzip
import json
import zlib
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from receiver.intake.sources.bodies import decode
from tests.properties import tries

FORM = "application/x-www-form-urlencoded"
LIMIT = 1_000_000
packed = partial(gzip.compress, mtime=0)  # Without the time, so that every process names the tests alike.
SECRET = "Xyzzy Plugh"


def read(body: bytes | str, kind: str = "application/json", encoding: str = "", *, lenient: bool = True) -> Any:
    raw = body.encode() if isinstance(body, str) else body
    return decode(raw, kind, encoding, lenient=lenient, max_bytes=LIMIT)


def fault(body: bytes | str, kind: str = "application/json", encoding: str = "", *, lenient: bool = True) -> str:
    with pytest.raises(ValueError) as caught:
        read(body, kind, encoding, lenient=lenient)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{"id": 1, "d": "%s"}', "two\nparagraphs\r\n\tand a tab"),
        ('{"id": 1, "d": "%s"}', 'it says "no route" since nine'),
        ('{"d": "%s", "id": 1}', 'my 17" monitor flickers'),
        ('{"d": "%s", "id": 1}', '"quoted as a whole"'),
        ('{"d": "%s",\n "id": 1}', 'she said "yes", he "no"'),
        ('{"d": "%s", "id": 1}', "C:\\Users\\temp and \\\\server\\Share"),
        ('{"d": "%s", "id": 1,}', 'a "line"\nbreak'),
        ('[{"d": "%s", "id": 1}]', 'a "line"\nbreak'),
        ('{"tickets": [{"d": "%s"}, {"d": "y"}]}', 'in {braces} and [brackets], "so", on\n'),
        ('{"a": {"b": {"d": "%s"}}}', "bell \x07 and escape \x1b"),
    ],
)
def test_a_text_that_a_template_did_not_escape_is_read_as_it_was_meant(template: str, text: str) -> None:
    body = template.replace("%s", text)
    assert text in json.dumps(read(body)).encode().decode("unicode_escape") or text in str(_texts(read(body)))
    assert text in _texts(read(body))
    assert "line 1 column" in fault(body, lenient=False)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    "body",
    [
        '{"a": "x" "b": "y"}',
        '{"a": "x", b": "y"}',
        '{"a": "x" b": "y"}',
        '{"a": x", "b": "y"}',
        '{"a: "x", "b": "y"}',
        '{"a": "x" 5, "b": "y"}',
        '{"d": "x"}, {"d": "y"}',
        '[{"d": "x"] , {"d": "y"}]',
        '[{"d": "x"} {"d": "y"}]',
        '{"d": "x"}\n{"d": "y"}',
        '["a "b", "c"]',
        '["a" "b"]',
        '{"d": "say "x", "k": "y" end", "id": 1}',
        '{"p": "C:\\Temp\\", "b": "x"}',
        '{"d": "see {"a": "b"}", "id": 1}',
        '{"d": "x\n", "d": "y"}',
        '{"d": "x\n", "n": NaN}',
        '{"d": "cut o',
        '{"d": "cut off "here',
        '{"d": "x\n", "n": [' + '"",' * 50_000 + '""]}',  # No template makes as many texts.
    ],
)
def test_nothing_is_mended_where_text_might_change_places(body: str) -> None:
    fault(body)


@pytest.mark.parametrize(
    ("body", "place", "hint"),
    [
        (f'{{"id": 1,\n "d": "{SECRET}\n"}}', f"line 2 column {8 + len(SECRET)}", "line break"),
        (f'{{"d": "{SECRET} "x" y"}}', f"line 1 column {10 + len(SECRET)}", "quotation mark"),
        ('{"d": "x",}', "line 1 column 11", "comma before a closing bracket"),
        ('{"d": "\\x"}', "line 1 column 8", "backslash"),
        (f'{{"d": "{SECRET}', "line 1 column 7", "cut off"),
        (f'{{"d": 1}}\n{{"d": "{SECRET}"}}', "line 2 column 1", "as a list"),
        ('{"d": }', "line 1 column 7", "empty placeholder"),
        ("", "line 1 column 1", "empty"),
        (f"<ticket>{SECRET}</ticket>", "line 1 column 1", "choose JSON"),
    ],
)
def test_a_fault_is_told_by_its_place_and_its_usual_cause(body: str, place: str, hint: str) -> None:
    assert place in fault(body, lenient=False)
    assert hint in fault(body, lenient=False)


def test_one_stray_letter_does_not_garble_the_others() -> None:
    assert read(b'{"d": "Stra\xdfe \xc3\xa9 \x80 \x81"}') == {"d": "Straße é € \x81"}
    assert read('{"d": "é"}'.encode("latin-1"), "application/json; charset=iso-8859-1") == {"d": "é"}
    assert "byte 7" in fault(b'{"d": "\xdf"}', lenient=False)


def test_utf8_is_utf8_whatever_the_header_says() -> None:
    assert read('\ufeff{"d": "Réinitialiser"}', "application/json; charset=latin1") == {"d": "Réinitialiser"}


def test_a_form_is_a_mapping_of_its_fields() -> None:
    assert read("id=7&subject=VPN+%C3%A9&empty=", f"{FORM}; charset=utf-8") == {
        "id": "7",
        "subject": "VPN é",
        "empty": "",
    }
    assert read("subject=%E9", FORM) == {"subject": "é"}
    assert "%-escape" in fault("subject=%E9", FORM, lenient=False)


def test_a_form_that_holds_json_is_that_json() -> None:
    issue = {"action": "opened", "issue": {"number": 1}}
    assert read(urlencode({"payload": json.dumps(issue)}), FORM) == issue
    assert read(urlencode({"input_data": json.dumps(issue), "format": "json"}), FORM) == {
        "input_data": issue,
        "format": "json",
    }
    assert read(urlencode({"id": "1", "subject": "[urgent] VPN"}), FORM) == {"id": "1", "subject": "[urgent] VPN"}
    assert "line 1 column" in fault(urlencode({"payload": '{"a": '}), FORM)


@pytest.mark.parametrize("body", ["", "&", "id=1&id=2", "&".join(f"f{n}=1" for n in range(1_001))])
def test_a_form_that_says_nothing_certain_is_refused(body: str) -> None:
    assert "form" in fault(body, FORM) or "twice" in fault(body, FORM)


def test_multipart_is_refused_with_what_to_do() -> None:
    assert "application/json" in fault("--x\r\n", "multipart/form-data; boundary=x")


def test_gzip_is_unpacked_member_by_member() -> None:
    body = b'{"id": 1, "d": "' + b"x" * 10_000 + b'"}'
    for body_sent in (packed(body), packed(body[:99]) + packed(body[99:]) + b"\x00" * 9):
        assert read(body_sent, encoding="gzip") == read(body_sent, encoding=" X-GZIP") == json.loads(body)
    assert decode(packed(body), "", "gzip", lenient=False, max_bytes=len(body)) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (packed(b" " * (LIMIT + 1)), "unpacks to more"),
        (packed(b" " * (LIMIT // 2 + 1)) * 2, "unpacks to more"),
        (packed(packed(b" " * 50 * LIMIT)), "not JSON"),
        (packed(b"1")[:-4], "cut off"),
        (packed(b"1") * 101, "members"),
        (packed(b"") + b"junk", "not gzip"),
        (zlib.compress(b"1"), "not gzip"),
        (b"{}", "not gzip"),
        (b"", "cut off"),
    ],
)  # fmt: skip
def test_a_broken_or_bloated_gzip_body_is_refused(body: bytes, told: str) -> None:
    assert told in fault(body, encoding="gzip")


def test_other_encodings_and_bodies_beyond_the_limit_are_refused() -> None:
    assert "without one" in fault("{}", encoding="br")
    assert "larger than" in fault(b" " * (LIMIT + 1))


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**38), 10**38) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
_pieces = st.sampled_from(
    ['"', "\\", "{", "}", "[", "]", ",", ":", "\n", "a", '"a":', '", "b": "', '"}, {"', " ", "\x00"]
)


@given(_json, st.booleans())
@hypothesis_settings(deadline=None, max_examples=tries(100))
def test_what_is_json_is_never_mended(value: Any, ascii_only: bool) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only)) == value


@given(
    st.binary(max_size=200) | st.lists(_pieces, max_size=40).map(lambda pieces: "".join(pieces).encode()),
    st.sampled_from(["application/json", FORM, "text/plain", "multipart/x", ""]),
    st.sampled_from(["", "gzip", "br", "\x00"]),
    st.booleans(),
)
@hypothesis_settings(deadline=None, max_examples=tries(300))
def test_nothing_but_a_value_error_comes_of_any_body(body: bytes, kind: str, encoding: str, lenient: bool) -> None:
    try:
        decode(body, kind, encoding, lenient=lenient, max_bytes=10_000)
    except ValueError as error:
        assert "the " in str(error)


_quoted = st.lists(st.sampled_from(["a", "é", " ", "\n", "\t", '"', ".", ",", "{", "}", "[", "]"]), max_size=20).map(
    "".join
)


@given(_quoted, st.sampled_from(['{"id": 1, "d": "%s"}', '{"d": "%s", "id": 1}', '[{"d": "%s"}, {"d": "last"}]']))
@hypothesis_settings(deadline=None, max_examples=tries(300))
def test_a_text_put_in_raw_comes_out_whole_or_not_at_all(text: str, template: str) -> None:
    try:
        found = read(template.replace("%s", text))
    except ValueError:
        return
    first = found[0] if isinstance(found, list) else found
    assert first["d"] == text


@given(st.lists(st.from_regex(r'[\w .!?\n\t]{1,9}"?[\w.!?]{1,9}', fullmatch=True), max_size=8).map("".join))
@hypothesis_settings(deadline=None, max_examples=tries(100))
def test_line_breaks_and_quotes_around_words_are_always_mended(text: str) -> None:
    assert read(f'{{"id": 1, "d": "{text}", "e": "x"}}') == {"id": 1, "d": text, "e": "x"}
