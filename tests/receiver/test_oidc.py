"""Signing in by a provider: whom it vouches for comes in, and nothing that was forged, replayed or sent elsewhere."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.app import create_app
from receiver.record import audit, people
from receiver.record.database import Record
from receiver.record.models import Person
from receiver.settings import Settings
from tests.conftest import ADMIN
from tests.factories import person
from tests.peers import oidc
from tests.peers.oidc import Provider

GRACE = {"email": ADMIN.title(), "email_verified": True, "name": "Grace"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oidc.serve() as served:
        served.claims = dict(GRACE)
        yield served


def _app(config: Settings, provider: Provider, **changed: Any) -> Flask:
    settings: dict[str, Any] = {
        "oidc_issuer": provider.url, "oidc_client_id": oidc.CLIENT_ID, "oidc_client_secret": oidc.CLIENT_SECRET,
    }  # fmt: skip
    return create_app(replace(config, **settings | changed))


@pytest.fixture
def browser(config: Settings, record: Record, provider: Provider) -> FlaskClient:
    return _app(config, provider).test_client()


def _callback(browser: FlaskClient) -> str:
    """Go to the provider, and return where it sends the browser back to."""
    there = browser.get("/sign-in/oidc")
    assert there.status_code == 302
    back = requests.get(there.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
    assert back.startswith("http://127.0.0.1:8000/sign-in/oidc/callback?")
    return urlsplit(back).path + "?" + urlsplit(back).query


def _come_in(browser: FlaskClient) -> TestResponse:
    return browser.get(_callback(browser))


def test_whom_the_provider_vouches_for_comes_in_to_the_page_they_wanted(browser: FlaskClient) -> None:
    assert browser.get("/people").status_code == 302
    assert "/sign-in/oidc" in browser.get("/sign-in").text
    assert _come_in(browser).headers["Location"] == "/people"
    assert ADMIN in browser.get("/people").text


def test_a_stranger_needs_an_invitation(browser: FlaskClient, provider: Provider, record: Record) -> None:
    provider.claims |= {"email": "lin@example.com", "name": "Lin"}
    refused = _come_in(browser)
    assert (refused.status_code, "ask an admin to invite" in refused.text) == (403, True)
    person(record, "reviewer", email="lin@example.com")
    assert _come_in(browser).status_code == 302
    assert "lin@example.com · reviewer" in browser.get("/").text


def test_a_default_role_makes_accounts(config: Settings, record: Record, provider: Provider) -> None:
    browser = _app(config, provider, oidc_default_role="viewer").test_client()
    provider.claims |= {"email": "lin@example.com", "name": "Lin"}
    assert _come_in(browser).status_code == 302
    assert browser.get("/people").status_code == 403
    with record.read() as session:
        [_, entry] = audit.page(session, 5)
    assert (entry.who, entry.action, entry.details["role"]) == ("lin@example.com", "create account", "viewer")


def test_who_is_disabled_stays_out(browser: FlaskClient, record: Record) -> None:
    person(record, people.ADMIN, password_hash="x")
    with record.write() as session:
        people.disable(session, session.query(Person).filter_by(email=ADMIN).one())
    assert "is disabled" in _come_in(browser).text
    assert browser.get("/").status_code == 302


FORGED: dict[str, dict[str, Any]] = {
    "address not verified": {"claims": {"email_verified": False}},
    "verified as a word": {"claims": {"email_verified": "true"}},
    "no address": {"claims": {"email": None}},
    "another nonce": {"claims": {"nonce": "x"}},
    "no nonce": {"claims": {"nonce": None}},
    "for another client": {"claims": {"aud": "another"}},
    "for several, by another": {"claims": {"aud": [oidc.CLIENT_ID, "another"], "azp": "another"}},
    "of another issuer": {"claims": {"iss": "https://evil.example"}},
    "expired": {"claims": {"exp": 1}},
    "without an end": {"claims": {"exp": None}},
    "signed by another": {"signed_by": "another"},
    "not signed": {"algorithm": "none"},
    "not signed, as announced": {
        "algorithm": "none", "metadata": {"id_token_signing_alg_values_supported": ["RS256", "none"]},
    },
    "signed with a word": {"algorithm": "HS256"},
    "token kept elsewhere": {"metadata": {"token_endpoint": "http://169.254.169.254/token"}},
    "keys kept elsewhere": {"metadata": {"jwks_uri": "http://127.0.0.1:9/keys"}},
    "no keys": {"metadata": {"jwks_uri": None}},
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_what_the_provider_did_not_say_lets_nobody_in(browser: FlaskClient, provider: Provider, name: str) -> None:
    forged = FORGED[name]
    provider.claims |= forged.get("claims", {})
    provider.signed_by = forged.get("signed_by", "good")
    provider.algorithm = forged.get("algorithm", "RS256")
    provider.metadata = forged.get("metadata", {})
    assert _come_in(browser).status_code == 403
    assert browser.get("/").status_code == 302


def test_an_answer_is_good_once_and_in_the_browser_that_asked(config: Settings, browser: FlaskClient) -> None:
    callback = _callback(browser)
    thief = browser.application.test_client()
    assert thief.get(callback).status_code == 403
    assert browser.get(callback.replace("state=", "state=x")).status_code == 403
    again = _callback(browser)
    assert browser.get(again).status_code == 302
    assert thief.get(again).status_code == 403
    assert browser.application.test_client().get("/sign-in/oidc/callback").status_code == 403


def test_what_goes_wrong_there_is_explained(config: Settings, record: Record, provider: Provider) -> None:
    refused = _app(config, provider).test_client().get("/sign-in/oidc/callback?error=access_denied&state=x")
    assert "Try it again" in refused.text
    away = _app(config, provider, oidc_issuer="http://127.0.0.1:9").test_client()
    assert (away.get("/sign-in/oidc").status_code, "Try it again" in away.get("/sign-in/oidc").text) == (403, True)
    elsewhere = _app(config, provider, oidc_issuer=provider.url.replace("127.0.0.1", "127.1")).test_client()
    assert elsewhere.get("/sign-in/oidc").status_code == 403


def test_without_a_provider_there_is_no_such_way(client: FlaskClient) -> None:
    assert client.get("/sign-in/oidc").status_code == 403
    assert "/sign-in/oidc" not in client.get("/sign-in").text
