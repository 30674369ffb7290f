"""Standard Webhooks: the published form, forgeries, and the reference library as a judge of both directions."""

import base64
import hmac
from datetime import UTC, datetime

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from receiver.intake.signatures import SignatureError, sign_standard, verify_standard
from receiver.lib import secret_files
from receiver.lib.shared_secrets import standard_key
from tests.properties import tries

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NEXT_SECRET = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
THIRD_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
ID, AT = "msg_01TESTVECTOR0000000000001", 1767225600
BODY = '{"id":4711,"subject":"Réinitialiser mot de passe","priority":"high"}'.encode()
SIGNATURE = "v1,Klxs6d26kk8wHjKiZZc3Zo2otvestj9ayq1lRpDe/Mk="
NEXT_SIGNATURE = "v1,Bi48acbZ7SBhT4roGPD8yAl4qw3Oyn7iKG4yom+5s/0="


def _headers(**changed: str) -> dict[str, str]:
    headers = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
    return headers | {f"webhook-{name}": value for name, value in changed.items()}


def _refused(
    headers: dict[str, str], body: bytes = BODY, live: tuple[str, ...] = (SECRET,), now: float = AT
) -> SignatureError:
    with pytest.raises(SignatureError) as caught:
        verify_standard(live, headers, body, now)
    assert SIGNATURE[3:] not in str(caught.value)
    return caught.value


@pytest.mark.shows("vector", of="standard")
def test_the_published_example_is_what_we_sign_and_what_we_accept() -> None:
    assert len(BODY) == 69
    assert sign_standard(SECRET, ID, AT, BODY) == _headers()
    assert verify_standard([SECRET], _headers(), BODY, AT) == ID


@pytest.mark.parametrize("live", [(SECRET,), (NEXT_SECRET,), (SECRET, NEXT_SECRET), (THIRD_SECRET, SECRET)])
def test_while_rotating_either_secret_is_enough(live: tuple[str, ...]) -> None:
    both = _headers(signature=f"{NEXT_SIGNATURE} {SIGNATURE}")
    assert verify_standard(live, both, BODY, AT) == ID


def test_a_secret_that_was_taken_out_signs_nothing_any_more() -> None:
    assert verify_standard([SECRET, NEXT_SECRET], _headers(), BODY, AT) == ID
    _refused(_headers(), live=(NEXT_SECRET,))
    _refused(_headers(signature=f"{NEXT_SIGNATURE} {SIGNATURE}"), live=(THIRD_SECRET,))
    _refused(_headers(), live=())


_secrets = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
_ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


@given(_secrets, _ids, st.text())
@settings(deadline=None, max_examples=tries(100))
@time_machine.travel(AT, tick=False)
def test_what_the_reference_signs_we_accept_and_the_other_way_round(secret: str, name: str, text: str) -> None:
    reference, body = Webhook(secret), text.encode("utf-8", "replace")
    theirs = reference.sign(name, datetime.fromtimestamp(AT, UTC), body.decode())
    assert verify_standard([secret], _headers(id=name, signature=theirs), body, AT) == name
    reference.verify(body, sign_standard(secret, name, AT, body), json_parse=False)


@pytest.mark.parametrize("late", [-301, -300, -1, 0, 299, 300, 301, 86_400])
def test_five_minutes_mean_to_us_what_they_mean_to_the_reference(late: int) -> None:
    with time_machine.travel(AT + late, tick=False):
        try:
            Webhook(SECRET).verify(BODY, _headers())
        except WebhookVerificationError:
            _refused(_headers(), now=AT + late)
        else:
            assert verify_standard([SECRET], _headers(), BODY, AT + late) == ID


@pytest.mark.parametrize(("late", "word"), [(301, "old"), (-301, "future")])
def test_a_wrong_clock_is_told_by_its_direction(late: int, word: str) -> None:
    assert word in str(_refused(_headers(), now=AT + late))


def test_no_bit_of_the_body_can_be_changed() -> None:
    for position in range(len(BODY)):
        for bit in range(8):
            flipped = BODY[:position] + bytes([BODY[position] ^ 1 << bit]) + BODY[position + 1 :]
            _refused(_headers(), flipped)
    for changed in (b"", BODY[:-1], BODY + b" ", b" " + BODY, BODY * 2):
        _refused(_headers(), changed)


def test_no_bit_of_the_signature_can_be_changed() -> None:
    right = base64.b64decode(SIGNATURE[3:])
    for position in range(len(right)):
        for bit in range(8):
            flipped = right[:position] + bytes([right[position] ^ 1 << bit]) + right[position + 1 :]
            _refused(_headers(signature="v1," + base64.b64encode(flipped).decode()))


@pytest.mark.parametrize("name", ["id", "timestamp"])
def test_no_letter_of_the_signed_headers_can_be_changed(name: str) -> None:
    right = _headers()[f"webhook-{name}"]
    for position in range(len(right)):
        for other in "0189az._":
            changed = right[:position] + other + right[position + 1 :]
            if changed != right:
                _refused(_headers(**{name: changed}))
        _refused(_headers(**{name: right[:position] + right[position + 1 :]}))


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_a_missing_or_empty_header_is_named(name: str) -> None:
    without = _headers()
    del without[f"webhook-{name}"]
    assert f"webhook-{name}" in str(_refused(without))
    assert f"webhook-{name}" in str(_refused(_headers(**{name: ""})))


@pytest.mark.parametrize("join", [",", ", ", " ", "; "])
@pytest.mark.parametrize("name", ["id", "timestamp"])
def test_a_header_that_came_twice_is_refused(name: str, join: str) -> None:
    right = _headers()[f"webhook-{name}"]
    _refused(_headers(**{name: f"{right}{join}{right}"}))


@pytest.mark.parametrize(
    "header",
    [
        "v1", "v1,", "v1,=", "v1,====", " ", ",", SIGNATURE[3:], f"V1{SIGNATURE[2:]}", f"v2{SIGNATURE[2:]}",
        f"v1a{SIGNATURE[2:]}", f"v1 {SIGNATURE[3:]}", f"v1;{SIGNATURE[3:]}", f"v1,v1,{SIGNATURE[3:]}",
        f"{SIGNATURE},{SIGNATURE}", SIGNATURE[:-1], f"{SIGNATURE}A", f"{SIGNATURE[:20]}\n{SIGNATURE[20:]}",
        SIGNATURE.replace("/", "_"), "v1,Ã©Ã¼", "v1,\xff\x00", "v1,\ud800", "v1," + "A" * 100_000, "v1, " * 5_000,
        "v1,2a5c6ce9ddba924f301e32a2659737668da8b6f7acb63f5acaad654690defcc9",
    ],
)  # fmt: skip
def test_a_malformed_signature_is_a_refusal_and_nothing_worse(header: str) -> None:
    _refused(_headers(signature=header))


@pytest.mark.parametrize("others", ["v1a,AAAA", "v1,%%%", "v2", "v1,Ã©", " ", "v1,AAAA v1,BBBB"])
def test_a_right_signature_counts_among_wrong_ones(others: str) -> None:
    for header in (f"{others} {SIGNATURE}", f"{SIGNATURE} {others}"):
        assert verify_standard([SECRET], _headers(signature=header), BODY, AT) == ID


@pytest.mark.parametrize(
    "written",
    [
        f" {AT}",
        f"+{AT}",
        f"{AT}.0",
        f"{AT}e0",
        f"{AT}000",
        f"{AT:_}",
        "１７６７２２５６００",
        "-1",
        "0x69",
        "now",
        "NaN",
    ],
)
def test_a_time_that_is_not_whole_seconds_is_refused_even_when_signed(written: str) -> None:
    signed = b"%b.%b.%b" % (ID.encode(), written.encode(), BODY)
    digest = hmac.digest(standard_key(SECRET), signed, "sha256")
    signature = base64.b64encode(digest).decode()
    assert "webhook-timestamp" in str(_refused(_headers(timestamp=written, signature=f"v1,{signature}")))


def test_an_id_of_any_length_up_to_the_limit_is_taken() -> None:
    for length in (1, 255):
        headers = sign_standard(SECRET, "x" * length, AT, BODY)
        assert verify_standard([SECRET], headers, BODY, AT) == "x" * length
    assert "webhook-id" in str(_refused(sign_standard(SECRET, "x" * 256, AT, BODY)))


def test_the_prefix_of_a_secret_may_be_missing() -> None:
    assert verify_standard([SECRET.removeprefix("whsec_")], _headers(), BODY, AT) == ID


def test_a_secret_that_is_too_weak_or_malformed_is_refused_unspoken() -> None:
    told = set()
    for secret in ("", "whsec_", "hunter2hunter2hunter2", "whsec_aHVudGVyMg==", "whsec_é", "whsec_" + "!" * 44):
        with pytest.raises(ValidationError) as caught:
            standard_key(secret)
        told.add(str(caught.value))
    assert len(told) == 1


def test_new_secrets_are_good_and_never_the_same() -> None:
    made = {secret_files.new_webhook_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(standard_key(secret)) for secret in made} == {32}


_header = st.text(st.characters(max_codepoint=255))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_headers(), _header)), st.binary())
@settings(deadline=None, max_examples=tries(300))
def test_no_header_whatever_gets_in_or_breaks_anything(headers: dict[str, str], body: bytes) -> None:
    _refused(_headers(signature="v1,AAAA") | headers, body)
