"""What a model need not see is masked; what describes the problem stays."""

import pytest

from jobs.classification.engines.base import TicketText
from jobs.classification.engines.llm import LlmEngine
from jobs.classification.redact import redact
from receiver.catalog import Catalog
from receiver.lib import settings
from tests.peers.http import Peer

PLANTED = {
    "email": ["ada.lovelace@example.com", "o'brien+it@mail.example.co.uk", "admin@fileserver"],
    "phone": ["+49 30 901820", "+44 20 7946 0958", "0171 2345678", "(555) 123-4567", "0049301234567"],
    "ip": ["10.20.30.40", "192.168.0.1", "2001:db8::8a2e:370:7334", "fe80::1%eth0", "::ffff:10.0.0.1"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "4111111111111111"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "FR14 2004 1010 0505 0001 3M02 606"],
    "secret": [
        "sk-planted0123456789abcdef", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefghijkl", "glpat-abcdefghij0123456789", "hf_abcdefghijklmnopqrstuvwx",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk", "AIzaSyA-abcdefghijklmnopqrstuvwxyz0123",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
}  # fmt: skip
CASES = [(kind, value) for kind, values in PLANTED.items() for value in values]


@pytest.mark.parametrize(("kind", "value"), CASES, ids=[value for _, value in CASES])
@pytest.mark.parametrize("around", ["{}", "see {}, please", "({})", "Call me: {} thanks", "a\n{}\n12 pieces"])
def test_each_kind_is_masked_wherever_it_stands(kind: str, value: str, around: str) -> None:
    masked = redact(around.format(value))
    assert value not in masked
    assert f"[{kind}]" in masked


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("DB_PASSWORD=abc!def in the file", "in the file", "abc!def"),
        ('{"password": "two words"}', "password", "two words"),
        ("Passwort -> geheim, danke", "danke", "geheim"),
        ("my PIN is 4711 again", "again", "4711"),
        ("verification code 482913 is refused", "is refused", "482913"),
        ("login anna / Summer2024! does not work", "does not work", "Summer2024!"),
        ("https://a.example/c?access_token=abc123XYZ now", "https://a.example/c", "abc123XYZ"),
        ("curl -u admin:S3cret! https://host.example", "https://host.example", "S3cret!"),
        ("call me back on 601-234-567 today", "today", "601-234-567"),
        ("Tel.: 8 (912) 345-67-89, office", "office", "345-67-89"),
        ("06.12.34.56.78 after lunch", "after lunch", "56.78"),
        ("password: Hunter2 since Monday", "since Monday", "Hunter2"),
        ("my password is Tr0ub4dor&3, help", "my password is", "Tr0ub4dor"),
        ("Kennwort: geheim99", "Kennwort", "geheim99"),
        ("api_key=abcd1234", "api_key", "abcd1234"),
        ("Authorization: Bearer abcdefghijklmnop1234", "Bearer", "abcdefghijklmnop1234"),
        ("https://ada:secret@host.example/path", "host.example/path", "ada:secret"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIB\n-----END PRIVATE KEY----- thanks", "thanks", "MIIEvQIB"),
        ("card 4111 1111 1111 1111 12/27 was charged", "12/27 was charged", "4111"),
        ("IBAN DE89 3704 0044 0532 0130 00 please pay", "please pay", "DE89"),
    ],
)
def test_only_the_secret_itself_goes(text: str, kept: str, gone: str) -> None:
    masked = redact(text)
    assert kept in masked
    assert gone not in masked


@pytest.mark.parametrize(
    "text",
    [
        "The password is expired and the reset link never arrives",
        "I forgot my password. Token not accepted.",
        "Error 0x80070005 in build 22631.4037",
        "Meeting at 10:30 on 05.11.2026 in room 4711",
        "2026-11-22 08:15:00 backup failed",
        "Ticket 1234567890123456 is a duplicate",
        "Laptop Latitude 7440, 32 GB, 14 inch, asset 451237",
        "@channel the printer on floor 3 is out of paper",
        "time 12:34:56, std::vector overflow, a::b",
        "password: expired since yesterday, the token: wrong",
        "case 00123456, personnel number 00451237, GTIN 00012345600012",
        "IMEI 356938035643809, firmware 1.2.3.4, subnet 255.255.255.0",
        "correlation id 8d7c6b5a-1234-4321-abcd-1234567890ab",
        "branch feature/ABC-1234-fix-login-with-sso, basic authentication",
    ],
)
def test_what_describes_the_problem_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.full
def test_no_planted_value_reaches_the_model_when_it_shall_not(model: Peer, shipped: Catalog) -> None:
    engine = LlmEngine(settings.load({"OPENAI_BASE_URL": f"{model.url}/v1", "REDACT": "true"}), shipped)
    for _, value in CASES:
        engine.propose(TicketText(f"Help {value}", "x" * 5_990 + f" {value} " + "y" * 5_000))
    sent = b"".join(request.body for request in model.requests).decode()
    assert len(model.requests) == len(CASES)
    assert [value for _, value in CASES if value in sent] == []
