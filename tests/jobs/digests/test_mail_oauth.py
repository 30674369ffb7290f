"""Signing in at the mail server by OAuth 2.0, and trying it with one mail."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner

from jobs.__main__ import main
from jobs.digests import mail
from jobs.digests.mail import oauth
from receiver.db.recipients import DUE, FAILED, SENT, Outcome
from receiver.lib.settings import Settings, SettingsError, load
from tests.peers import http
from tests.peers.http import Answer, Peer
from tests.peers.smtp import Relay, relay

USER, TOKEN, SECRET = "tickets@example.com", "ya29.token", "client-secret-42"
SAID = base64.b64encode(f"user={USER}\1auth=Bearer {TOKEN}\1\1".encode()).decode()


@pytest.fixture
def provider() -> Iterator[Peer]:
    """A token endpoint that gives TOKEN for an hour."""
    oauth._kept.clear()
    with http.serve(Peer(lambda _: Answer.of({"access_token": TOKEN, "expires_in": 3599}))) as peer:
        yield peer


def _config(config: Settings, provider: Peer, server: Relay, **more: Any) -> Settings:
    return replace(
        config,
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        smtp_tls="none",
        smtp_username=USER,
        smtp_oauth_token_url=f"{provider.url}/token",
        smtp_oauth_client_id="client",
        smtp_oauth_client_secret=SECRET,
        smtp_oauth_scope="https://outlook.office365.com/.default",
        recipient_email=("boss@example.com",),
        from_email=USER,
        **more,
    )


def _send(config: Settings) -> Outcome:
    content = b"From: tickets@example.com\r\nTo: boss@example.com\r\n\r\nHello\r\n"
    (outcomes,) = mail.send(config, content, USER, ["boss@example.com"])
    return outcomes["boss@example.com"]


def test_a_mailbox_of_microsoft_365_is_signed_in_by_client_credentials(config: Settings, provider: Peer) -> None:
    with relay(Relay(offers=("AUTH LOGIN XOAUTH2",), answers={"AUTH": "235 2.7.0 ok"})) as server:
        known = _config(config, provider, server)
        assert [_send(known).state, _send(known).state] == [SENT, SENT]
    assert f"AUTH XOAUTH2 {SAID}" in server.lines
    (asked,) = provider.requests  # The token is kept.
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client"],
        "client_secret": [SECRET],
        "scope": ["https://outlook.office365.com/.default"],
    }


def test_gmail_is_asked_by_a_refresh_token(config: Settings, provider: Peer) -> None:
    with relay(Relay(offers=("AUTH XOAUTH2",), answers={"AUTH": "235 2.7.0 ok"})) as server:
        known = _config(config, provider, server, smtp_oauth_refresh_token="1//refresh")
        assert _send(replace(known, smtp_oauth_scope=None)).state == SENT
    form = parse_qs(provider.requests[0].body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["1//refresh"]


def test_a_kept_token_that_is_refused_is_asked_for_anew(config: Settings, provider: Peer) -> None:
    answers = {"AUTH": ["235 2.7.0 ok", "535 5.7.3 Authentication unsuccessful", "235 2.7.0 ok"]}
    with relay(Relay(offers=("AUTH XOAUTH2",), answers=answers)) as server:
        known = _config(config, provider, server)
        found = [_send(known) for _ in range(3)]
    assert [outcome.state for outcome in found] == [SENT, DUE, SENT]
    assert len(provider.requests) == 2


def test_a_fresh_token_that_is_refused_is_final_and_never_shown(config: Settings, provider: Peer) -> None:
    answer = f"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled {TOKEN} {SAID}"
    with relay(Relay(offers=("AUTH XOAUTH2",), answers={"AUTH": answer})) as server:
        outcome = _send(_config(config, provider, server))
    assert (outcome.state, outcome.error_code) == (FAILED, "oauth")
    assert "SmtpClientAuthentication is disabled" in str(outcome.error)
    assert TOKEN not in str(outcome.error)
    assert SAID not in str(outcome.error)


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (
            Answer.of({"error": "invalid_client", "error_description": f"AADSTS7000215 {SECRET}"}, status=401),
            FAILED,
            "401 invalid_client: AADSTS7000215 ***",
        ),
        (Answer.of({"error": "invalid_grant"}, status=400), FAILED, "400 invalid_grant"),
        (Answer.of({"error": "temporarily_unavailable"}, status=503), DUE, "503 temporarily_unavailable"),
        (Answer.of(["odd"]), DUE, "gives no token"),
        (Answer.of({"access_token": 5}), DUE, "gives no token"),
    ],
)
def test_what_the_provider_says_stands_in_the_error(
    config: Settings, provider: Peer, answer: Any, state: str, words: str
) -> None:
    provider.respond = lambda _: answer
    with relay(Relay(offers=("AUTH XOAUTH2",))) as server:
        outcome = _send(_config(config, provider, server))
    assert outcome.state == state
    assert words in str(outcome.error)
    assert SECRET not in str(outcome.error)


def test_a_server_without_it_is_told_at_once(config: Settings, provider: Peer) -> None:
    with relay(Relay(offers=("AUTH PLAIN",))) as server:
        outcome = _send(_config(config, provider, server))
    assert (outcome.state, outcome.error_code) == (FAILED, "sign_in_method")
    assert "it offers only AUTH PLAIN" in str(outcome.error)
    assert provider.requests == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, "SMTP_OAUTH_CLIENT_ID"),
        ({"SMTP_OAUTH_CLIENT_ID": "x", "SMTP_USERNAME": USER}, "SMTP_OAUTH_CLIENT_SECRET"),
        (
            {
                "SMTP_OAUTH_CLIENT_ID": "x",
                "SMTP_OAUTH_CLIENT_SECRET": "y",
                "SMTP_USERNAME": USER,
                "SMTP_PASSWORD": "z",
            },
            "SMTP_PASSWORD",
        ),
    ],
)
def test_what_goes_together_is_told_at_the_start(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=f"{named}: "):
        load({"SMTP_OAUTH_TOKEN_URL": "https://login.example/token", **wrong})


def test_a_test_mail_says_what_the_server_answered(environment: pytest.MonkeyPatch, redis_url: str) -> None:
    answers = {"RCPT TO:<gone@example.com>": "550 5.1.1 no such mailbox"}
    with relay(Relay(answers=answers)) as server:
        for name, value in {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(server.port),
            "SMTP_TLS": "none",
            "FROM_EMAIL": USER,
            "RECIPIENT_EMAIL": "boss@example.com, gone@example.com",
        }.items():
            environment.setenv(name, value)
        told = CliRunner().invoke(main, ["mail", "--test"])
        assert told.exit_code == 1
        assert "boss@example.com: the mail server has taken it" in told.output
        assert "gone@example.com: the mail server refuses this address: 550 5.1.1 no such mailbox" in told.output
        assert CliRunner().invoke(main, ["mail", "--test", "--to", "boss@example.com"]).exit_code == 0
    assert [mail.recipients for mail in server.mails] == [["boss@example.com"], ["boss@example.com"]]
    assert server.mails[0].parsed["Subject"] == "IT Service Desk: a test"


def test_without_a_mail_server_the_test_mail_is_kept(environment: pytest.MonkeyPatch, redis_url: str) -> None:
    told = CliRunner().invoke(main, ["mail", "--test", "--to", "boss@example.com"])
    assert told.exit_code == 0
    assert load().data_dir.joinpath("outbox/test.eml").exists()
