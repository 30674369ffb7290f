"""What an operator reads of a raw body: no secret in it, however it is written, and the rest as it was."""

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.lib.secret_masking import is_secret, masked, masked_form

SECRET = "correct Horse-7 battery"
OTHERS = {"subject": "Forgot my PIN", "opinion": "shipping is late", "count": 3, "ok": True, "none": None}
WRITTEN: list[Any] = [
    {"password": SECRET}, {"passwords": [SECRET, {"old": SECRET}]}, {"pwd": SECRET}, {"userPin": SECRET},
    {"jwt": SECRET},
    {"Authorization": f"Bearer {SECRET}"}, {"auth": {"basic": SECRET}}, {"api-key": SECRET}, {"PRIVATE_KEY": SECRET},
    {"clientSecret": SECRET}, {"set_cookie": SECRET}, {"name": "Password", "value": SECRET},
    {"custom": [{"key": "api_token", "value": [SECRET]}]}, {"payload": json.dumps({"secret": SECRET})},
    {"payload": json.dumps({"payload": json.dumps({"note": f"password: {SECRET}"})})},
    {"note": f"my password = {SECRET}"}, {"note": f'settings: {{"pwd": "{SECRET}"}}'},
    {"note": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"},
    {"note": "https://ada:Horse-7@x.org"}, {"note": "curl -H 'Authorization: Basic Horse-7'"},
    {"note": "use bearer Horse-7"},
]  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_no_secret_is_left_in_json_and_the_rest_is(written: dict[str, Any]) -> None:
    for text in (json.dumps(OTHERS | written), json.dumps([OTHERS | written], indent=1, ensure_ascii=False)):
        shown = masked(text, [])
        assert "Horse-7" not in shown
        assert "battery" not in shown
        assert len(shown) == len(text)
        for name, value in OTHERS.items():
            assert json.dumps({name: value})[1:-1] in shown


@pytest.mark.parametrize("written", WRITTEN)
def test_no_secret_is_left_in_what_is_cut_off_or_a_form(written: dict[str, Any]) -> None:
    text = json.dumps(written)[:-1]
    assert "Horse-7" not in masked(text, [])
    assert len(masked(text, [])) == len(text)
    form = urlencode({"password": SECRET, "payload": json.dumps(written), "note": f"password: {SECRET}"})
    shown = masked_form(f"subject=My+PIN&{form}", [])
    assert "Horse-7" not in shown
    assert parse_qs(shown)["subject"] == ["My PIN"]


@pytest.mark.parametrize(
    "text",
    [
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl", "ghp_abcdefghij0123456789AB", "AKIAABCDEFGHIJKLMNOP",
        "pin: 4711", "pwd=hunter2", "Passphrase: hunter two", "passwords: [hunter, two]",
        '\\"token\\": \\"hunter two\\"',
        "token -> hunter", "secrets = {a: hunter}", "otp:1234", "Authorization: Digest hunter",
    ],
)  # fmt: skip
def test_secrets_in_plain_text_are_known_by_what_stands_before_them(text: str) -> None:
    shown = masked(f"a line\n{text}\nnext", [])
    assert not any(part in shown for part in ("hunter", "4711", "1234", "eyJ", "abcdefghij", "ABCDEFGHIJ"))
    assert shown.startswith("a line\n")
    assert shown.endswith("\nnext")


@pytest.mark.parametrize(
    "text", ["basic information about shipping", "the bearer of this", "I forgot my password", "an opinion: it is slow"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text, []) == text
    assert masked(json.dumps({"text": text}), []) == json.dumps({"text": text})


def test_a_sources_own_secrets_are_masked_the_longest_first() -> None:
    assert masked("x abcdefgh y abcd", ["abcd", "abcdefgh"]) == "x ******** y ****"


def test_names_are_read_by_their_words() -> None:
    assert all(map(is_secret, ("userPin", "PINs", "x-auth-token", "MFA", "Passwörter PASSWORT", "apiKeys", "pwd_2")))
    assert not any(map(is_secret, ("shipping", "opinion", "author", "compass", "key", "passenger", "spins")))


_names = st.text(max_size=6) | st.sampled_from(["pin", "name", "value"])
_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


@given(_documents, st.booleans())
def test_json_stays_json_of_the_same_form(document: Any, ascii_only: bool) -> None:
    text = json.dumps({"a": document}, ensure_ascii=ascii_only)
    shown = masked(text, [])
    assert [len(shown), shown.count("{"), shown.count(":")] >= [len(text) // 2, 1, 1]
    if "pin" not in text:
        assert json.loads(shown) is not None


MEGABYTES = [
    "password=", "token", "-----BEGIN PRIVATE KEY-----", '{"a":"', "[", "pin: ", "://", "basic ",
    '"', '\\"', "pwd=[", "eyJ",
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("piece", MEGABYTES)
def test_a_body_of_a_megabyte_takes_no_minute(piece: str) -> None:
    began = time.thread_time()
    masked(piece * (1_000_000 // len(piece)), ["abcd"])
    masked(json.dumps({"a": piece * (1_000_000 // len(piece))}), ["abcd"])
    assert time.thread_time() - began < 10
