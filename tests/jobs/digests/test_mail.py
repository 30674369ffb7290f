"""The digest's mail: what it says, that nothing can be smuggled into it, and how a failure to send is judged."""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.digests import mail
from jobs.digests.mail import Attachment, Content
from jobs.digests.workbook import Group, Summary
from receiver.db.models import Digest
from receiver.db.recipients import Outcome
from receiver.lib import settings
from receiver.lib.settings import Settings
from tests.factories import classification
from tests.jobs.digests.test_workbook import NOON, pair, ticket
from tests.peers import smtp
from tests.peers.http import free_port
from tests.peers.smtp import MailServer
from tests.properties import tries

HEADERS = {
    "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "List-Id", "MIME-Version", "Content-Type",
}  # fmt: skip
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Signed by itself, for 127.0.0.1, until 2100; nobody trusts it.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBXTCCAQKgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMDAwMTAxMDAwMDAwWhgPMjEwMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAWOYoTtxNugEQSQ
WusL7HBYyXsHBah/89SEbRt4aE32As+S9lg1PycKGRWwjRS1pj3OJ2VBBtHCDGSr
S0gmHx2jQzBBMA8GA1UdEQQIMAaHBH8AAAEwDwYDVR0TAQH/BAUwAwEB/zAdBgNV
HQ4EFgQUU8nSOtP41GBoYlX8waA+Zc75Y9gwCgYIKoZIzj0EAwIDSQAwRgIhANkQ
xtieH2xHJbFbRDS1/MQ7MSa1DT1N3afeJbBJHl+QAiEAjonPHBCK/gP7K0i2szGT
OTrFgmJLV3NotJ1NM+rQkP0=
-----END CERTIFICATE-----
"""
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgvYn7RDnKrs9mdWaB
hCx3l7JHESAu7VWxVWpR3rMp1AShRANCAAQFjmKE7cTboBEEkFrrC+xwWMl7BwWo
f/PUhG0beGhN9gLPkvZYNT8nChkVsI0UtaY9zidlQQbRwgxkq0tIJh8d
-----END PRIVATE KEY-----
"""


@dataclass
class Moody(MailServer):
    """Also chooses its answers to the greeting, the login and the goodbye."""

    async def handle_EHLO(self, server: SMTP, session: Any, envelope: Any, name: str, answers: list[str]) -> list[str]:
        session.host_name = name
        self._reply("EHLO", server, "250 OK")
        return answers

    async def handle_AUTH(self, server: SMTP, session: Any, envelope: Any, words: list[str]) -> str:
        return self._reply("AUTH", server, "235 OK")

    async def handle_QUIT(self, server: SMTP, session: Any, envelope: Any) -> str:
        return self._reply("QUIT", server, "221 Bye")


@pytest.fixture
def moody() -> Iterator[Moody]:
    with smtp.serve(Moody(), auth_require_tls=False) as server:
        yield server  # type: ignore[misc]


def summed() -> Summary:
    found = Summary()
    unsure = {"category": "Hardware", "review_reason": "low_confidence", "engine": "llm"}
    for row in (
        pair(),
        pair(),
        pair(),
        pair(unsure),
        pair(unsure, due_at=NOON),
        (ticket(status="failed", due_at=None), None),
    ):
        found.add(*row, NOON.replace(hour=15, minute=30))
    return found


def composed(
    config: Settings, folder: Path, summary: Summary | None = None, name: str = "report.xlsx", **fields: Any
) -> EmailMessage:
    values: dict[str, Any] = {
        "id": 7, "name": "digest", "created_at": NOON, "message_id": "<digest.1@example.com>",
    } | fields  # fmt: skip
    digest = Digest(recipients=list(config.recipient_email), **values)
    (folder / "w.xlsx").write_bytes(b"PK\x03\x04 workbook")
    return mail.compose(config, digest, Content(summary or summed()), Attachment(folder / "w.xlsx", name))


def received(message: EmailMessage) -> Any:
    return message_from_bytes(bytes(message), policy=policy.default)


def part(message: Any, kind: str) -> str:
    return str(message.get_body((kind,)).get_content())


@pytest.fixture
def by_smtp(config: Settings) -> Settings:
    """As MailServer needs it, but for the port."""
    recipients = ("ada@example.com", "bo@example.com")
    return replace(
        config, smtp_host="127.0.0.1", smtp_use_tls=False, from_email="desk@example.com", recipient_email=recipients
    )


def sent(config: Settings, folder: Path) -> dict[str, Outcome]:
    """What became of the mail for each recipient."""
    message = composed(config, folder)
    found: dict[str, Outcome] = {}
    for outcomes in mail.send(config, mail.on_the_line(message), "desk@example.com", config.recipient_email):
        assert not found.keys() & outcomes.keys()
        found |= outcomes
    return found


def states(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {address.partition("@")[0]: outcome.state for address, outcome in outcomes.items()}


def refusal(config: Settings, folder: Path) -> Outcome:
    """What stopped everybody's mail."""
    [outcome] = set(sent(config, folder).values())
    assert outcome.state != "sent"
    return outcome


def verdict(outcome: Outcome) -> str:
    return {"held": "unknown", "due": "transient", "failed": "permanent", "refused": "permanent"}[outcome.state]


def test_the_head_says_who_to_whom_and_what(by_smtp: Settings, tmp_path: Path) -> None:
    config = replace(by_smtp, sender_name="Größe & Co. Service Desk", from_name="Zürich Desk")
    message = received(composed(config, tmp_path))
    assert "Größe & Co. Service Desk" in message["Subject"]
    assert message["From"].addresses[0].display_name == "Zürich Desk"
    assert message["From"].addresses[0].addr_spec == "desk@example.com"
    assert [to.addr_spec for to in message["To"].addresses] == ["ada@example.com", "bo@example.com"]
    assert message["Date"].datetime == NOON
    assert set(message.keys()) == HEADERS


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_both_parts_say_all_that_the_digest_promises(by_smtp: Settings, tmp_path: Path, kind: str) -> None:
    config = replace(by_smtp, codebase_link="https://code.example.com/repo")
    text = part(received(composed(config, tmp_path)), kind)
    words = " ".join(re.sub("<[^>]*>", " ", text).split())
    for fact in ("6 tickets", "At risk: 4", "Past due: 1", "Not classified: 1", "https://code.example.com/repo"):
        assert fact in words
    assert "Needs review: 3" in words or "3 need review" in words
    assert "llm (use-multilingual-v3)" in words
    assert "local (use-multilingual-v3)" in words
    assert "Hardware" in words


def test_the_numbers_of_each_category_stand_beside_its_name(by_smtp: Settings, tmp_path: Path) -> None:
    message = received(composed(by_smtp, tmp_path))
    lines = [line.split() for line in part(message, "plain").splitlines()]
    assert ["3", "Network", "&", "Connectivity"] in lines
    assert ["2", "Hardware", "(2", "to", "review)"] in lines
    assert ">Hardware</td>" in part(message, "html")


def test_the_workbook_is_attached_byte_for_byte(by_smtp: Settings, tmp_path: Path) -> None:
    [attached] = received(composed(by_smtp, tmp_path, name="Über sicht.xlsx")).iter_attachments()
    assert attached.get_content_type() == XLSX
    assert attached.get_filename() == "Über sicht.xlsx"
    assert attached.get_content() == b"PK\x03\x04 workbook"


def test_every_attempt_has_the_same_message_id_and_date(by_smtp: Settings, tmp_path: Path) -> None:
    first, second = (
        composed(by_smtp, tmp_path),
        composed(by_smtp, tmp_path, Summary({("Hardware", "Laptop"): Group(count=99)})),
    )
    assert first["Message-ID"] == second["Message-ID"] == "<digest.1@example.com>"
    assert first["Date"] == second["Date"]


@pytest.mark.parametrize("text", ["x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com\n\n<b>", "x\rBcc: eve@e.com"])
def test_no_line_break_adds_a_header_or_a_recipient(by_smtp: Settings, tmp_path: Path, text: str) -> None:
    summary = Summary()
    summary.add(ticket(), classification(1, category=text, engine=text, model=text), NOON)
    config = replace(by_smtp, sender_name=text, from_name=text, report_filename=text)
    message = received(composed(config, tmp_path, summary, name=text))
    assert set(message.keys()) == HEADERS
    [attached] = message.iter_attachments()
    assert "Bcc" not in attached
    assert "\n" not in attached.get_filename()


@hypothesis_settings(deadline=None, max_examples=tries(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=120))
@example("=?utf-8?q?a=0d=0aBcc:_eve@example.com?=")
@example('"\\" <eve@example.com>, eve@example.com')
@example("<eve@example.com>, To: eve@example.com; " + "x" * 70 + ":")
@example("\x85Bcc: eve@example.com\u2028\x0b\x0c\x1c\x00")
def test_no_name_whatever_adds_a_header_or_a_recipient(by_smtp: Settings, tmp_path: Path, text: str) -> None:
    config = replace(by_smtp, sender_name=text, from_name=text)
    message = received(composed(config, tmp_path, name=text + ".xlsx"))
    assert set(message.keys()) == HEADERS
    assert [to.addr_spec for to in message["To"].addresses] == ["ada@example.com", "bo@example.com"]
    assert [address.addr_spec for address in message["From"].addresses] == ["desk@example.com"]
    assert len(list(message.iter_attachments())) == 1


@hypothesis_settings(deadline=None, max_examples=tries(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=1200), language=st.sampled_from(settings.LANGUAGES), people=st.integers(0, 150))
@example("x" * 1100, "de", 150)
@example("ä" * 1100, "fr", 1)
@example("a\rb\nc\r\n.\r\nd\x85e\u2028f", "pt", 0)
@example("漢字 " * 300, "es", 3)
@example("=?utf-8?q?=C3=A4?=", "en", 3)
def test_every_mail_is_ascii_in_lines_that_every_server_takes(
    by_smtp: Settings, tmp_path: Path, text: str, language: str, people: int
) -> None:
    summary = Summary()
    summary.add(ticket(), classification(1, category=text, engine=text, model=text), NOON)
    config = replace(
        by_smtp,
        sender_name=text,
        from_name=text,
        from_email="desk@exämple.com",
        reply_to=("bö@example.com", "antworten@exämple.com"),
        recipient_email=tuple(f"jörg.{number}@exämple{number}.com" for number in range(people)),
        digest_language=language,
        codebase_link=f"https://example.com/{'y' * 1200}",
    )
    content = mail.on_the_line(composed(config, tmp_path, summary, name=f"{text}.xlsx"))
    assert content.isascii()
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    parsed: Any = message_from_bytes(content, policy=policy.default)
    kinds = {part["Content-Transfer-Encoding"] for part in parsed.walk() if not part.is_multipart()}
    assert kinds <= {"quoted-printable", "base64"}
    assert mail.sender(content) == "desk@xn--exmple-cua.com"
    assert parsed.defects == []


def test_nothing_becomes_markup_in_the_html_part(by_smtp: Settings, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>"
    summary = Summary()
    summary.add(ticket(), classification(1, category=evil, engine=evil, model=evil), NOON)
    config = replace(by_smtp, sender_name=evil, codebase_link='https://e.com/"><script>alert(2)</script>')
    html = part(received(composed(config, tmp_path, summary)), "html")
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<img src=x" not in html


def test_without_recipients_the_mail_is_kept_and_opens(config: Settings, tmp_path: Path) -> None:
    message = composed(config, tmp_path)
    path = tmp_path / "outbox" / "digest-7.eml"
    mail.keep(message, path)
    kept: Any = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert kept["Message-ID"] == "<digest.1@example.com>"
    assert list(kept["To"].addresses) == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_smtp_username_that_is_no_address_is_not_the_sender(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("SMTP_USERNAME", "apikey")
    environment.setenv("SMTP_PASSWORD", "right")
    sender = composed(settings.load(), tmp_path)["From"].addresses[0]
    assert sender.username
    assert sender.domain


def test_every_recipient_gets_the_one_mail(by_smtp: Settings, tmp_path: Path, mail_server: MailServer) -> None:
    assert states(sent(replace(by_smtp, smtp_port=mail_server.port), tmp_path)) == {"ada": "sent", "bo": "sent"}
    assert mail_server.recipients == [["ada@example.com", "bo@example.com"]]
    [message] = mail_server.messages
    [attached] = message.iter_attachments()
    assert attached.get_content() == b"PK\x03\x04 workbook"


def test_one_refused_recipient_does_not_cost_the_other_the_mail(
    by_smtp: Settings, tmp_path: Path, mail_server: MailServer
) -> None:
    mail_server.refused["bo@example.com"] = "550 no such user"
    outcomes = sent(replace(by_smtp, smtp_port=mail_server.port), tmp_path)
    assert states(outcomes) == {"ada": "sent", "bo": "refused"}
    assert "550 no such user" in (outcomes["bo@example.com"].error or "")
    assert mail_server.recipients == [["ada@example.com"]]


@pytest.mark.parametrize(
    ("verb", "answer", "expected"),
    [
        ("MAIL", "451 try later", "transient"),
        ("MAIL", "421 closing", "transient"),
        ("MAIL", "550 not you", "permanent"),
        ("RCPT", "450 greylisted", "transient"),
        ("RCPT", "421 closing", "transient"),
        ("RCPT", "550 no such user", "permanent"),
        ("DATA", "452 disk full", "transient"),
        ("DATA", "554 spam", "permanent"),
        ("EHLO", "drop", "transient"),
        ("AUTH", "drop", "transient"),
        ("MAIL", "drop", "transient"),
        ("RCPT", "drop", "transient"),
        ("DATA", "drop", "unknown"),
        ("AUTH", "535 wrong password", "permanent"),
        ("AUTH", "454 too many logins", "transient"),
    ],
)
def test_a_failure_is_judged_by_what_the_server_said_and_when(
    by_smtp: Settings, tmp_path: Path, moody: Moody, verb: str, answer: str, expected: str
) -> None:
    moody.replies[verb] = answer
    config = replace(by_smtp, smtp_port=moody.port, smtp_username="desk", smtp_password="s3cret-word")
    error = refusal(config, tmp_path)
    assert verdict(error) == expected
    assert "s3cret-word" not in str(error.error)


def test_recipients_refused_for_different_reasons_are_judged_each_for_itself(
    by_smtp: Settings, tmp_path: Path, mail_server: MailServer
) -> None:
    mail_server.refused = {"ada@example.com": "550 no such user", "bo@example.com": "450 greylisted"}
    outcomes = sent(replace(by_smtp, smtp_port=mail_server.port), tmp_path)
    assert states(outcomes) == {"ada": "refused", "bo": "due"}


@pytest.mark.parametrize("answer", ["drop", "421 too slow", "550 rude"])
def test_a_mail_that_was_taken_is_sent_whatever_the_goodbye_is(
    by_smtp: Settings, tmp_path: Path, moody: Moody, answer: str
) -> None:
    moody.replies["QUIT"] = answer
    assert states(sent(replace(by_smtp, smtp_port=moody.port), tmp_path)) == {"ada": "sent", "bo": "sent"}
    assert len(moody.messages) == 1


@pytest.mark.parametrize("use_tls", [True, False])
def test_a_server_that_is_away_is_tried_again(by_smtp: Settings, tmp_path: Path, use_tls: bool) -> None:
    config = replace(by_smtp, smtp_port=free_port(), smtp_use_tls=use_tls)
    assert verdict(refusal(config, tmp_path)) == "transient"


def test_the_right_password_logs_in(by_smtp: Settings, tmp_path: Path) -> None:
    server = MailServer()
    with smtp.serve(server, authenticator=server.authenticate, auth_require_tls=False):
        config = replace(by_smtp, smtp_port=server.port, smtp_username="desk", smtp_password="right")
        sent(config, tmp_path)
    assert server.logins == [(b"desk", b"right")]
    assert len(server.messages) == 1


def test_a_password_that_smtp_cannot_carry_is_refused_in_words(by_smtp: Settings, tmp_path: Path, moody: Moody) -> None:
    config = replace(by_smtp, smtp_port=moody.port, smtp_username="desk", smtp_password="schlüssel")
    error = refusal(config, tmp_path)
    assert verdict(error) == "permanent"
    assert "SMTP_PASSWORD" in str(error.error)
    assert "schlüssel" not in str(error.error)


@pytest.fixture(params=["STARTTLS", "TLS from the start"])
def tls_server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    (tmp_path / "key.pem").write_text(KEY)
    (tmp_path / "certificate.pem").write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server = MailServer()
    if request.param == "STARTTLS":
        with smtp.serve(server, tls_context=context, require_starttls=True):
            yield server
    else:
        with smtp.serve(server, ssl_context=context):
            monkeypatch.setattr(
                "jobs.digests.mail.connection.IMPLICIT_TLS_PORT", server.port
            )  # Nobody but root may listen at 465.
            yield server


def test_a_certificate_that_nobody_vouches_for_is_refused(
    by_smtp: Settings, tmp_path: Path, tls_server: MailServer
) -> None:
    config = replace(by_smtp, smtp_port=tls_server.port, smtp_use_tls=True)
    assert refusal(config, tmp_path).error_code == "certificate"
    assert tls_server.messages == []


def test_with_a_trusted_certificate_the_mail_goes_out_encrypted(
    by_smtp: Settings, tmp_path: Path, tls_server: MailServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    sent(replace(by_smtp, smtp_port=tls_server.port, smtp_use_tls=True), tmp_path)
    assert len(tls_server.messages) == 1


def test_a_certificate_of_another_host_is_refused(
    by_smtp: Settings, tmp_path: Path, tls_server: MailServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    config = replace(by_smtp, smtp_host="127.1", smtp_port=tls_server.port, smtp_use_tls=True)
    assert refusal(config, tmp_path).error_code == "certificate"
    assert tls_server.messages == []


def test_a_server_without_tls_gets_neither_password_nor_mail(by_smtp: Settings, tmp_path: Path) -> None:
    server = MailServer()
    with smtp.serve(server, authenticator=server.authenticate, auth_require_tls=False):
        config = replace(by_smtp, smtp_port=server.port, smtp_use_tls=True, smtp_username="desk", smtp_password="right")
        refusal(config, tmp_path)
    assert server.logins == []
    assert server.messages == []
