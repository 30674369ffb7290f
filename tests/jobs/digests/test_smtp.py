"""What a mail server may say, word for word, and what becomes of the mail for each recipient then."""

import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.digests import mail
from jobs.digests.mail import MailError, connection
from receiver.db.recipients import Outcome
from receiver.lib.settings import Settings
from tests.jobs.digests.test_mail import CERTIFICATE, KEY, states
from tests.peers import smtp
from tests.peers.http import free_port
from tests.peers.smtp import MailServer, Relay

CONTENT = b"From: desk@example.com\r\nTo: ada@example.com\r\n\r\nHello\r\n.a line that begins with a dot\r\n"
BOTH = ("ada@example.com", "bo@example.com")


@pytest.fixture
def relay() -> Iterator[Relay]:
    with smtp.relay(Relay()) as peer:
        yield peer


def to(peer: Relay, config: Settings, **changes: object) -> Settings:
    values = {"smtp_host": "127.0.0.1", "smtp_port": peer.port, "smtp_use_tls": False} | changes
    return replace(config, **values)  # type: ignore[arg-type]


def sent(config: Settings, *recipients: str, content: bytes = CONTENT) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for outcomes in mail.send(config, content, "desk@example.com", recipients):
        assert not found.keys() & outcomes.keys()  # Nobody is told of twice.
        found |= outcomes
    assert found.keys() == set(recipients)  # And nobody is left out.
    return found


def refused(config: Settings) -> MailError:
    with pytest.raises(MailError) as caught:
        connection.connect(config)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_passing_refusal_of_one_recipient_is_that_ones_alone(config: Settings, relay: Relay) -> None:
    relay.answers = {"RCPT TO:<bo@": "450 4.2.0 <bo@example.com>: Greylisted, see http://post.example/help"}
    outcomes = sent(to(relay, config), "ada@example.com", "bo@example.com", "dan@example.com")
    assert states(outcomes) == {"ada": "sent", "bo": "due", "dan": "sent"}
    assert relay.mails[0].recipients == ["ada@example.com", "dan@example.com"]
    assert relay.mails[0].content == CONTENT
    assert outcomes["bo@example.com"].error_code == "later"
    assert "450 4.2.0 <bo@example.com>: Greylisted" in (outcomes["bo@example.com"].error or "")


@pytest.mark.parametrize("words", ["452 4.5.3 Too many recipients", "452 too many", "552 too many", "550 5.5.3 no"])
def test_what_is_too_much_for_one_transaction_goes_in_further_ones(config: Settings, relay: Relay, words: str) -> None:
    relay.most, relay.too_many = 3, words
    outcomes = sent(to(relay, config), *(f"p{number}@example.com" for number in range(7)))
    assert set(states(outcomes).values()) == {"sent"}
    assert [len(each.recipients) for each in relay.mails] == [3, 3, 1]
    assert not [line for line in relay.lines if line.startswith("rset")]


def test_two_hundred_recipients_go_a_hundred_at_a_time(config: Settings, relay: Relay) -> None:
    outcomes = sent(to(relay, config), *(f"p{number}@example.com" for number in range(200)))
    assert set(states(outcomes).values()) == {"sent"}
    assert [len(each.recipients) for each in relay.mails] == [100, 100]


def test_a_full_mailbox_is_not_taken_for_too_many_recipients(config: Settings, relay: Relay) -> None:
    relay.answers = {"RCPT TO:<bo@": "452 4.2.2 mailbox full"}
    outcomes = sent(to(relay, config), *BOTH, "dan@example.com")
    assert states(outcomes) == {"ada": "sent", "bo": "due", "dan": "sent"}
    assert len(relay.mails) == 1


@pytest.mark.parametrize(
    ("answers", "state", "code", "words"),
    [
        ({"RCPT": "550 5.1.1 user unknown"}, "refused", "recipient", "550 5.1.1 user unknown"),
        ({"RCPT": "554 5.7.1 Relay access denied"}, "refused", "recipient", "SMTP_USERNAME"),
        ({"RCPT": "530 5.7.0 Authentication required"}, "failed", "sign_in", "SMTP_USERNAME"),
        ({"RCPT": "504 5.5.2 <15b071>: Helo command rejected: need a host name"}, "failed", "not_let_in", "SMTP_HELO"),
        ({"RCPT": "450 4.7.1 <15b071>: Helo command rejected: Host not found"}, "due", "not_let_in", "SMTP_HELO"),
        ({"RCPT": "553 5.7.1 <d@e.com>: Sender address rejected: not owned"}, "failed", "sender", "FROM_EMAIL"),
        ({".": "550 5.7.60 SMTP; Client does not have permissions to send as"}, "failed", "sender", "FROM_EMAIL"),
        ({".": "554 5.2.252 SendAsDenied; not allowed"}, "failed", "sender", "FROM_EMAIL"),
        ({"RCPT": "421 4.7.0 closing"}, "due", "later", "421 4.7.0 closing"),
        ({"MAIL": "553 5.7.1 not your address"}, "failed", "sender", "FROM_EMAIL"),
        ({"MAIL": "530 5.7.0 Must issue a STARTTLS command first"}, "failed", "sign_in", "SMTP_TLS"),
        ({"MAIL": "451 4.3.0 later"}, "due", "later", "451 4.3.0 later"),
        ({"MAIL": "552 5.3.4 Message size exceeds fixed limit"}, "failed", "too_large", "552 5.3.4"),
        ({"DATA": "452 4.3.1 disk full"}, "due", "later", "452 4.3.1 disk full"),
        ({"DATA": "554 5.7.1 spam"}, "failed", "content", "554 5.7.1 spam"),
        ({".": "452 4.3.1 disk full"}, "due", "later", "452 4.3.1"),
        ({".": "552 too long"}, "failed", "too_large", "552 too long"),
        ({".": "554 5.2.3 MessageSizeExceeded"}, "failed", "too_large", "554 5.2.3"),
        ({".": "552 5.7.0 the attachment is a program"}, "failed", "content", "552 5.7.0"),
        ({".": ""}, "held", "connection_broke", "while sending"),
        ({".": "what?"}, "held", "no_answer", "no proper answer"),
        ({"DATA": ""}, "due", "connection_broke", "broke"),
        ({"greeting": "421 4.3.2 too busy"}, "due", "not_let_in", "421 4.3.2 too busy"),
        ({"greeting": "554 5.7.1 your address is on a list"}, "due", "not_let_in", "on a list"),
        ({"greeting": ""}, "due", "no_greeting", "SMTP_TLS=implicit"),
        ({"EHLO": "421 4.7.0 later"}, "due", "not_let_in", "SMTP_HELO"),
        ({"EHLO": "502 what?", "HELO": "550 5.7.1 no such host"}, "due", "not_let_in", "550 5.7.1 no such host"),
    ],
)
def test_an_answer_is_judged_and_kept_in_the_servers_words(
    config: Settings, relay: Relay, answers: dict[str, str], state: str, code: str, words: str
) -> None:
    relay.answers = answers
    [outcome] = set(sent(to(relay, config), *BOTH).values())
    assert (outcome.state, outcome.error_code) == (state, code)
    assert words in (outcome.error or "")


def test_some_are_taken_and_then_the_mail_is_not(config: Settings, relay: Relay) -> None:
    relay.answers = {"RCPT TO:<bo@": "550 5.1.1 unknown", "DATA": "452 4.3.1 disk full"}
    assert states(sent(to(relay, config), *BOTH)) == {"ada": "due", "bo": "refused"}


def test_a_server_that_closes_the_line_at_one_address_costs_the_others_nothing(config: Settings, relay: Relay) -> None:
    relay.answers = {"RCPT TO:<bo@": "421 4.1.2 not in the list of routes"}
    outcomes = sent(to(relay, config), *BOTH, "dan@example.com")
    assert states(outcomes) == {"ada": "sent", "bo": "due", "dan": "sent"}
    assert [each.recipients for each in relay.mails] == [["ada@example.com", "dan@example.com"]]


def test_a_server_that_always_closes_the_line_is_not_called_for_ever(config: Settings, relay: Relay) -> None:
    relay.answers = {"RCPT": "421 4.7.0 too fast"}
    outcomes = sent(to(relay, config), *(f"p{number}@example.com" for number in range(50)))
    assert set(states(outcomes).values()) == {"due"}
    assert len([line for line in relay.lines if line.startswith("ehlo")]) == 4


def test_a_mail_that_is_refused_because_of_one_recipient_reaches_the_others(config: Settings, relay: Relay) -> None:
    no = "554 Message rejected: Email address is not verified"
    relay.answers = {".": [no, "250 2.0.0 OK", no, "250 2.0.0 OK"]}
    outcomes = sent(to(relay, config), *BOTH, "dan@example.com")
    assert states(outcomes) == {"ada": "sent", "bo": "failed", "dan": "sent"}
    assert no in (outcomes["bo@example.com"].error or "")


def test_an_old_server_that_knows_only_helo_takes_the_mail(config: Settings, relay: Relay) -> None:
    relay.answers = {"EHLO": "502 what?"}
    assert states(sent(to(relay, config), *BOTH)) == {"ada": "sent", "bo": "sent"}


def test_a_server_without_rset_gets_the_second_group_later(config: Settings, relay: Relay) -> None:
    relay.offers, relay.answers = ("SMTPUTF8",), {"RCPT TO:<ada@": "550 5.1.1 unknown", "RSET": "502 what?"}
    assert states(sent(to(relay, config), "ada@example.com", "jörg@example.com")) == {"ada": "refused", "jörg": "due"}
    assert states(sent(to(relay, config), "jörg@example.com")) == {"jörg": "sent"}


def test_the_words_are_one_line_without_what_must_not_be_shown(config: Settings, relay: Relay) -> None:
    coded = "AGRlc2sAczNjcmV0LXdvcmQ="  # What AUTH PLAIN sends for this user and password.
    relay.offers = ("AUTH PLAIN",)
    relay.answers = {
        "AUTH": f"535-5.7.8 desk and s3cret-word are wrong,\r\n535-5.7.8 so is {coded}\r\n535 5.7.8 \x1b[31m"
        + "x" * 999
    }
    error = refused(to(relay, config, smtp_username="desk", smtp_password="s3cret-word"))
    assert "535 5.7.8 *** and *** are wrong, so is ***" in str(error)
    assert "s3cret" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("offers", "answer", "code", "words"),
    [
        ((), "", "no_auth", "offers no sign-in (AUTH)"),
        (("STARTTLS",), "", "no_auth", "SMTP_TLS=starttls"),
        (("AUTH XOAUTH2 OAUTHBEARER",), "", "sign_in_method", "AUTH XOAUTH2 OAUTHBEARER"),
        (
            ("AUTH LOGIN XOAUTH2",),
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            "password",
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        ),
        (("AUTH PLAIN",), "535 5.7.8 Username and Password not accepted", "password", "app password"),
        (("AUTH PLAIN",), "538 5.7.11 Encryption required", "password", "SMTP_TLS=starttls"),
    ],
)
def test_a_sign_in_that_can_never_work_is_final_and_says_what_to_change(
    config: Settings, relay: Relay, offers: tuple[str, ...], answer: str, code: str, words: str
) -> None:
    relay.offers, relay.answers = offers, {"AUTH": answer}
    error = refused(to(relay, config, smtp_username="desk", smtp_password="wrong-one"))
    assert (error.error_code, error.permanent, error.unknown) == (code, True, False)
    assert words in str(error)
    assert not any("wrong-one" in line for line in relay.lines)


def test_a_sign_in_that_is_put_off_is_tried_again(config: Settings, relay: Relay) -> None:
    relay.offers, relay.answers = ("auth plain",), {"AUTH": "454 4.7.0 Temporary authentication failure"}
    error = refused(to(relay, config, smtp_username="desk", smtp_password="right-one"))
    assert (error.error_code, error.permanent) == ("password", False)


@pytest.mark.parametrize("offers", [(), ("SIZE 1000", "AUTH PLAIN")])
def test_a_server_without_starttls_is_refused_in_words_and_gets_no_password(
    config: Settings, relay: Relay, offers: tuple[str, ...]
) -> None:
    relay.offers = offers
    error = refused(to(relay, config, smtp_use_tls=True, smtp_username="desk", smtp_password="right-one"))
    assert (error.error_code, error.permanent) == ("no_starttls", True)
    assert "SMTP_TLS=none" in str(error)
    assert not [line for line in relay.lines if line.upper().startswith("AUTH")]


def test_tls_from_the_start_where_the_port_has_none_names_the_setting(config: Settings, relay: Relay) -> None:
    error = refused(to(relay, config, smtp_tls="implicit"))
    assert (error.error_code, error.permanent) == ("no_tls", True)
    assert "SMTP_TLS=starttls" in str(error)


@pytest.fixture
def own_authority(tmp_path: Path) -> Iterator[MailServer]:
    (tmp_path / "key.pem").write_text(KEY)
    (tmp_path / "certificate.pem").write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with smtp.serve(MailServer(), ssl_context=context) as server:
        yield server


def test_an_authority_of_ones_own_is_trusted_where_smtp_ca_file_names_it(
    config: Settings, own_authority: MailServer, tmp_path: Path
) -> None:
    ours = replace(config, smtp_host="127.0.0.1", smtp_port=own_authority.port, smtp_tls="implicit")
    error = refused(ours)
    assert (error.error_code, error.permanent) == ("certificate", True)
    assert "SMTP_CA_FILE" in str(error)
    connection.connect(replace(ours, smtp_ca_file=str(tmp_path / "certificate.pem"))).leave()


def test_the_name_of_smtp_helo_greets_the_server(config: Settings, relay: Relay) -> None:
    connection.connect(to(relay, config, smtp_helo="tickets.example.com")).leave()
    assert relay.lines[0] == "ehlo tickets.example.com"


@pytest.mark.parametrize(
    ("host", "words"),
    [("no-such-host.invalid", "SMTP_HOST"), ("a" * 70 + ".example", "SMTP_HOST"), ("127.0.0.1", "cannot be reached")],
)
def test_a_server_that_is_not_there_is_named(config: Settings, host: str, words: str) -> None:
    error = refused(replace(config, smtp_host=host, smtp_port=free_port(), smtp_tls="none"))
    assert words in str(error)
    assert host in str(error)


def test_a_domain_goes_out_as_dns_has_it(config: Settings, relay: Relay) -> None:
    people = ("boss@exämple.com", "ada@straße.de", "bo@日本.jp", "dan@💩.la")
    assert set(states(sent(to(relay, config), *people)).values()) == {"sent"}
    assert relay.mails[0].recipients == [
        "boss@xn--exmple-cua.com", "ada@xn--strae-oqa.de", "bo@xn--wgv71a.jp", "dan@xn--ls8h.la",
    ]  # fmt: skip


def test_an_address_that_this_server_cannot_take_is_set_apart(config: Settings, relay: Relay) -> None:
    outcomes = sent(to(relay, config), "boss@example.com", "jörg@example.com")
    assert states(outcomes) == {"boss": "sent", "jörg": "refused"}
    assert outcomes["jörg@example.com"].error_code == "address"
    assert "SMTPUTF8" in (outcomes["jörg@example.com"].error or "")


def test_with_smtputf8_it_is_taken_and_the_others_do_not_depend_on_it(config: Settings, relay: Relay) -> None:
    relay.offers = ("8BITMIME", "SMTPUTF8")
    outcomes = sent(to(relay, config), "jörg@example.com", "boss@example.com")
    assert states(outcomes) == {"boss": "sent", "jörg": "sent"}
    assert [(each.recipients, "SMTPUTF8" in each.options) for each in relay.mails] == [
        (["boss@example.com"], False),
        (["jörg@example.com"], True),
    ]


def test_a_mail_that_is_larger_than_the_server_says_is_not_even_begun(config: Settings, relay: Relay) -> None:
    relay.offers = ("SIZE 100",)
    [outcome] = set(sent(to(relay, config), *BOTH, content=CONTENT * 2).values())
    assert (outcome.state, outcome.error_code) == ("failed", "too_large")
    assert not [line for line in relay.lines if line.upper().startswith("MAIL")]
    assert states(sent(to(relay, config), *BOTH)) == {"ada": "sent", "bo": "sent"}
    assert relay.mails[0].options.upper() == f"SIZE={len(CONTENT)}"


def test_a_size_of_zero_is_none(config: Settings, relay: Relay) -> None:
    relay.offers = ("SIZE 0",)
    assert states(sent(to(relay, config), *BOTH)) == {"ada": "sent", "bo": "sent"}


def test_eight_megabytes_arrive_whole(config: Settings, relay: Relay) -> None:
    large = CONTENT + (b"x" * 76 + b"\r\n") * 110_000
    began = time.monotonic()
    assert states(sent(to(relay, config), *BOTH, content=large)) == {"ada": "sent", "bo": "sent"}
    assert relay.mails[0].content == large
    assert time.monotonic() - began < 60


def test_whoever_may_not_send_any_more_stops_before_the_mail_leaves(config: Settings, relay: Relay) -> None:
    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(mail.send(to(relay, config), CONTENT, "desk@example.com", BOTH, check))
    assert not [line for line in relay.lines if line.upper().startswith("DATA")]
    assert relay.lines[-1].upper() == "QUIT"


def test_a_quoted_name_before_the_at_is_sent_as_it_is(config: Settings, relay: Relay) -> None:
    assert set(states(sent(to(relay, config), '"quoted local"@example.com')).values()) == {"sent"}
    assert re.search(r'rcpt TO:<"quoted local"@example.com>', "\n".join(relay.lines))
