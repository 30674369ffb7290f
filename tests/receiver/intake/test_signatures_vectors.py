"""The helpdesks' signatures: published and computed vectors pass, their near misses and every flipped byte fail."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from receiver.intake.signatures import Message, SignatureError, sign_standard, verify_standard
from receiver.intake.signatures.hmacs import Hmac
from receiver.intake.signatures.standard import Standard
from receiver.intake.signatures.static import Credential, Unsigned, basic
from receiver.intake.signatures.tokens import SignedToken
from receiver.intake.sources import profiles
from receiver.lib.shared_secrets import Secret
from tests.properties import tries

AT = 1767225600.0
BODY = '{"id":4711,"subject":"Réinitialiser mot de passe","priority":"high"}'.encode()
SECRET = "s3cr3t-for-tests-0001"
HUBSPOT_BODY = (
    b'[{"eventId":1001,"subscriptionType":"ticket.creation","objectId":4711,'
    b'"occurredAt":1767225600000,"attemptNumber":0}]'
)
HUBSPOT_URL = "https://hooks.example.com/in/hubspot?t=a1"
LINEAR_BODY = (
    '{"action":"create","type":"Issue","data":{"id":"4711","title":"Réinitialiser mot de passe"},'
    '"webhookTimestamp":1767225600000}'
).encode()
FREESCOUT_KEY = "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

Case = tuple[str, str, dict[str, str], bytes, str, str]
VECTORS: list[Case] = [
    (
        "zendesk", "webhook",
        {"x-zendesk-webhook-signature": "7QAUecq9ulHbd4x3m9oQKlKzgUCCAUbZi0GRvp/QNTE=",
         "x-zendesk-webhook-signature-timestamp": "2026-01-01T00:00:00Z"}, BODY, SECRET, "",
    ),
    ("jira", "webhook", {"x-hub-signature": "sha256=246f36007adf4367fd5932d2b11078d75af5e90987b2989b2d3b744cd779c78a"},
     BODY, SECRET, ""),
    ("jira", "webhook", {"x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"},
     b"Hello World!", "It's a Secret to Everybody", ""),
    ("github", "webhook",
     {"x-hub-signature-256": "sha256=246f36007adf4367fd5932d2b11078d75af5e90987b2989b2d3b744cd779c78a"},
     BODY, SECRET, ""),
    ("github", "webhook",
     {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
     b"Hello, World!", "It's a Secret to Everybody", ""),
    ("zammad", "webhook", {"x-hub-signature": "sha1=33fafd6f5f786ec582516387b40e714ba24e8b8c"}, BODY, SECRET, ""),
    ("intercom", "app", {"x-hub-signature": "sha1=33fafd6f5f786ec582516387b40e714ba24e8b8c"}, BODY, SECRET, ""),
    ("glpi", "webhook",
     {"x-glpi-signature": "26b02158da9d5654edaf910489f249ec065210ab0ac58700dbaab2a8120469cf",
      "x-glpi-timestamp": "1767225600"}, BODY, SECRET, ""),
    ("freescout", "webhook", {"x-freescout-signature": "czIZQY0KExbX4W0WfYJT5Zl502A="}, BODY, FREESCOUT_KEY, ""),
    ("hubspot", "v3",
     {"x-hubspot-signature-v3": "Jv4mzPAbkXLgbnB64kGW75HUyAjIeVfrLyGtMoI2Ojg=",
      "x-hubspot-request-timestamp": "1767225600000"}, HUBSPOT_BODY, SECRET, HUBSPOT_URL),
    ("hubspot", "v2", {"x-hubspot-signature": "5ca92071f5ec8c5ab32083b74d86a77cf9aefffc45f1ab83b30dc6594821a8ac"},
     HUBSPOT_BODY, SECRET, HUBSPOT_URL),
    ("hubspot", "v1", {"x-hubspot-signature": "c38fec62a4ac16db3f9c7ea7e2db67997d51470985f09b1543e605c7f0d7abde"},
     HUBSPOT_BODY, SECRET, HUBSPOT_URL),
    ("linear", "webhook", {"linear-signature": "62f79ee10952f773da7bc2f995a6d9e57b0bb3c2ce823b32c16f6866ffbb2fd3"},
     LINEAR_BODY, SECRET, ""),
    ("hmac", "plain", {"x-signature": "246f36007adf4367fd5932d2b11078d75af5e90987b2989b2d3b744cd779c78a"},
     BODY, SECRET, ""),
]  # fmt: skip
IDS = [f"{case[0]}-{case[1]}" for case in VECTORS]


def _message(case: Case) -> Message:
    return Message(case[2], case[3], "POST", case[5])


def _is_taken(case: Case, message: Message, secret: str | None = None, now: float = AT) -> bool:
    signing = profiles.shipped()[case[0]].signings[case[1]]
    try:
        signing.verify((Secret(secret or case[4]),), message, now)
    except SignatureError as error:
        assert not any(value in str(error) for value in case[2].values())
        return False
    return True


@pytest.mark.shows("vector")
@pytest.mark.parametrize("case", VECTORS, ids=IDS)
def test_a_vector_passes_and_nothing_near_it_does(case: Case) -> None:
    good = _message(case)
    assert _is_taken(case, good)
    assert not _is_taken(case, good, secret="another-secret-0002")
    assert not _is_taken(case, replace(good, headers={}))
    for place in range(len(good.body)):
        body = bytearray(good.body)
        body[place] ^= 1
        assert not _is_taken(case, replace(good, body=bytes(body)))
    for name, value in good.headers.items():
        for place in range(len(value)):
            other = "B" if value[place] == "A" else "A"
            # Hexadecimal digits mean the same in capitals, and the last letters of base64 have bits to spare.
            if other != value[place].upper() and place < len(value.rstrip("=")) - 1:
                changed = value[:place] + other + value[place + 1 :]
                assert not _is_taken(case, replace(good, headers={**good.headers, name: changed}))


@pytest.mark.parametrize(
    "signature",
    [
        "aCqQonqByRb1Bv6xeACsdacaGaY3PrkxpYJ/n72bB+o=",
        "+i6S4qLJAGS89EYLYQR9uCZ8Ir07vbWbK4R3B9bDb1M=",
        "ed001479cabdba51db778c779bda102a52b38140820146d98b4191be9fd03531",
    ],
    ids=["body-first", "dot", "hex"],
)
def test_what_others_take_for_zendesks_signature_is_refused(signature: str) -> None:
    headers = VECTORS[0][2] | {"x-zendesk-webhook-signature": signature}
    assert not _is_taken(VECTORS[0], replace(_message(VECTORS[0]), headers=headers))


def _case(name: str) -> Case:
    return next(case for case in VECTORS if case[0] == name)


@pytest.mark.parametrize(
    ("name", "window"), [("zendesk", 300), ("glpi", 86_400), ("hubspot", 300), ("linear", 60), ("jira", 86_400)]
)
def test_each_helpdesk_has_a_window_of_its_own(name: str, window: int) -> None:
    case = _case(name)
    if name == "jira":
        signing = profiles.shipped()["jira"].signings["webhook"]
        body = b'{"timestamp": 1767225600000}'
        case = (name, "webhook", _lower(signing.sign(SECRET, Message({}, body), AT)), body, SECRET, "")
    for late, taken in ((window, True), (window + 1, False), (-300, True), (-301, False)):
        assert _is_taken(case, _message(case), now=AT + late) is taken


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("name", ["zammad", "intercom", "freescout", "github"])
def test_where_nothing_says_when_there_is_no_window(name: str) -> None:
    assert _is_taken(_case(name), _message(_case(name)), now=AT + 10**8)


def test_linear_must_say_in_the_body_when_it_sent() -> None:
    signing = profiles.shipped()["linear"].signings["webhook"]
    for body, taken in ((b'{"webhookTimestamp":1767225600000}', True), (b'{"action":"create"}', False), (b"{", True)):
        headers = _lower(signing.sign(SECRET, Message({}, body), AT)) | {"linear-timestamp": "1767225600000"}
        assert _is_taken(("linear", "webhook", headers, body, SECRET, ""), Message(headers, body)) is taken


BASE64 = Hmac("X-Sign", encoding="base64")
PAIRS = Hmac("X-Sign", signed="{timestamp}.{body}", field="v1", timestamp_field="t", window=300)


@pytest.mark.parametrize(
    ("signing", "value"),
    [
        (BASE64, "JG82AHrfQ2f9WTLSsRB411r16QmHspibLTt0TNd5x4o="),
        (PAIRS, "t=1767225600,v1=ac68b8cc8c780a9f36c7b89013eec8134741659ca9a2d498303d9ee339f8cdde"),
        (PAIRS, "t=1767225600, v1=00, v0=1, v1=ac68b8cc8c780a9f36c7b89013eec8134741659ca9a2d498303d9ee339f8cdde"),
    ],
)
def test_the_generic_forms_pass_their_vectors(signing: Hmac, value: str) -> None:
    signing.verify((Secret(SECRET),), Message({"x-sign": value}, BODY), AT)
    for wrong in (value[:-2], value.replace("t=1767225600", "t=1767225601"), "t=1767225600", "", "v1=", ","):
        if wrong != value:
            with pytest.raises(SignatureError):
                signing.verify((Secret(SECRET),), Message({"x-sign": wrong}, BODY), AT)


_texts = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=60)


@given(st.dictionaries(st.sampled_from([name for case in VECTORS for name in case[2]]), _texts), st.binary(max_size=60))
@settings(deadline=None, max_examples=tries(150))
def test_whatever_comes_is_refused_and_nothing_worse(headers: dict[str, str], body: bytes) -> None:
    for case in VECTORS:
        assert not _is_taken(case, Message(headers, body, "POST", case[5]))


@pytest.mark.parametrize("case", [case for case in VECTORS if case[1] not in ("v1", "v2")], ids=lambda case: case[0])
def test_what_we_sign_we_verify(case: Case) -> None:
    signing = profiles.shipped()[case[0]].signings[case[1]]
    made = _lower(signing.sign(case[4], _message(case), AT))
    assert made == case[2]


def test_an_id_that_is_signed_names_the_delivery() -> None:
    signing = Hmac("X-Sign", signed="{id}.{timestamp}.{body}", id_header="X-Id", timestamp_header="X-Time", window=300)
    headers = _lower(signing.sign(SECRET, Message({}, BODY), AT))
    assert signing.verify((Secret(SECRET),), Message(headers, BODY), AT) == headers["x-id"]
    with pytest.raises(SignatureError):
        signing.verify((Secret(SECRET),), Message(headers | {"x-id": "other"}, BODY), AT)


def test_an_ed25519_signature_is_verified_with_the_public_key_alone() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    seed, key = (base64.b64encode(half).decode() for half in (bytes(range(32)), public))
    for secret in (f"whsk_{seed}", f"whsk_{base64.b64encode(bytes(range(32)) + public).decode()}"):
        headers = sign_standard(secret, "msg_1", int(AT), BODY)
        assert headers["webhook-signature"].startswith("v1a,")
        assert verify_standard([f"whpk_{key}"], headers, BODY, AT) == "msg_1"
        for wrong in (BODY + b" ", BODY[1:]):
            with pytest.raises(SignatureError):
                verify_standard([f"whpk_{key}"], headers, wrong, AT)
        as_v1 = headers | {"webhook-signature": headers["webhook-signature"].replace("v1a,", "v1,")}
        with pytest.raises(SignatureError):
            verify_standard([f"whpk_{key}"], as_v1, BODY, AT)
    # Nobody may use the public key as if it were a shared secret.
    with pytest.raises(SignatureError):
        verify_standard([f"whpk_{key}"], sign_standard(f"whsec_{key}", "msg_1", int(AT), BODY), BODY, AT)


def test_a_basic_credential_is_compared_as_a_whole() -> None:
    live = (Secret(basic("tickets", SECRET)),)
    assert live[0].value == "Basic dGlja2V0czpzM2NyM3QtZm9yLXRlc3RzLTAwMDE="
    Credential().verify(live, Message({"authorization": live[0].value}, BODY), AT)
    for value in ("", "Basic", live[0].value + " ", live[0].value[6:], live[0].value.lower(), "é"):
        with pytest.raises(SignatureError):
            Credential().verify(live, Message({"authorization": value}, BODY), AT)


def test_a_secret_ends_at_its_moment() -> None:
    ends = datetime.fromtimestamp(AT, UTC)
    signing, secrets = Credential("X-Key"), (Secret("old-old-old-old", ends), Secret("new-new-new-new"))
    old = Message({"x-key": "old-old-old-old"}, BODY)
    signing.verify(secrets, old, AT - 1)
    with pytest.raises(SignatureError):
        signing.verify(secrets, old, AT)
    signing.verify(secrets, Message({"x-key": "new-new-new-new"}, BODY), AT)


@pytest.mark.parametrize(
    ("allowed", "peer", "headers", "taken"),
    [
        ([], "127.0.0.1", {}, True),
        ([], "::1", {}, True),
        ([], "10.0.0.1", {}, False),
        (["10.0.0.0/8"], "10.9.9.9", {}, True),
        (["10.0.0.0/8"], "::ffff:10.9.9.9", {}, True),
        (["10.0.0.0/8"], "127.0.0.1", {}, False),
        (["10.0.0.0/8"], "11.0.0.1", {}, False),
        (["fd00::/8"], "fd00::1", {}, True),
        ([], "127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, False),
        ([], "127.0.0.1", {"x-real-ip": "127.0.0.1"}, False),
        ([], "127.0.0.1", {"via": "1.1 proxy"}, False),
        ([], "", {}, False),
    ],
)
def test_an_unsigned_message_is_heard_from_its_addresses_only(
    allowed: list[str], peer: str, headers: dict[str, str], taken: bool
) -> None:
    signing = Unsigned(tuple(ip_network(text) for text in allowed))
    try:
        signing.verify((), Message(headers, BODY, peer=peer), AT)
    except SignatureError:
        assert not taken
    else:
        assert taken


def test_through_a_trusted_proxy_only_who_is_named_is_heard() -> None:
    named, forwarded = Unsigned((ip_network("203.0.113.0/24"),)), {"x-forwarded-for": "203.0.113.9"}
    named.verify((), Message(forwarded, BODY, peer="203.0.113.9", through_proxy=True), AT)
    with pytest.raises(SignatureError, match="not in its allow_from"):
        named.verify((), Message(forwarded, BODY, peer="198.51.100.1", through_proxy=True), AT)
    with pytest.raises(SignatureError, match="has no allow_from"):
        Unsigned().verify((), Message(forwarded, BODY, peer="127.0.0.1", through_proxy=True), AT)


def _refused(check: Callable[[str], None], secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check(secret)
    assert not secret or secret not in str(caught.value)


def test_secrets_that_anybody_knows_or_guesses_are_refused_unspoken() -> None:
    for secret in ("", "short", "It's a Secret to Everybody", "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="):
        _refused(Hmac("X").check, secret)
    for secret in ("", "Bearer", "Bearer x", "Basic dTpw"):
        _refused(Credential().check, secret)
    for secret in ("", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whpk_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        _refused(Standard().check, secret)
    _refused(Hmac("X", key="base64").check, "not-base64-at-all!")


def test_a_token_counts_until_it_expires_and_with_one_algorithm_only() -> None:
    secret, other = "client-secret-of-at-least-32-letters", "another-secret-of-at-least-32-letters"
    signing = SignedToken()
    headers = _lower(signing.sign(secret, Message({}, BODY), AT))
    signing.verify((Secret(other), Secret(secret)), Message(headers, BODY), AT + 179)
    encoded = headers["authorization"].removeprefix("Bearer ")
    head, claims, signature = encoded.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    endless = jwt.encode({"iss": "x"}, secret, algorithm="HS256")
    long = jwt.encode({"exp": int(AT) + 60}, secret * 2, algorithm="HS512")
    wrong = [
        "",
        "Bearer",
        "Bearer x",
        "Basic " + encoded,
        f"Bearer {none}.{claims}.",
        f"Bearer {none}.{claims}.{signature}",
    ]
    wrong += [
        f"Bearer {head}.{claims}.",
        f"Bearer {endless}",
        f"Bearer {long}",
        f"Bearer {encoded[:-3]}",
        "Bearer \xe9",
    ]
    for value in wrong:
        with pytest.raises(SignatureError):
            signing.verify((Secret(secret), Secret(secret * 2)), Message({"authorization": value}, BODY), AT)
    for live, now in (((Secret(other),), AT), ((Secret(secret),), AT + 180), ((), AT)):
        with pytest.raises(SignatureError):
            signing.verify(live, Message(headers, BODY), now)
    _refused(signing.check, "short-secret")
