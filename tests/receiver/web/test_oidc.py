"""Signing in by a provider: whom it vouches for comes in, and nothing that was forged, replayed or sent elsewhere."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.db import audit, people
from receiver.db.database import Database
from receiver.db.models import Person
from receiver.lib import roles, settings
from receiver.lib.settings import Settings
from receiver.web.app import create_app
from tests.conftest import ADMIN
from tests.factories import csrf, person
from tests.peers import oidc
from tests.peers.oidc import Provider

GRACE = {"email": ADMIN.title(), "email_verified": True, "name": "Grace"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oidc.serve() as served:
        served.claims = dict(GRACE)
        yield served


def _app(config: Settings, provider: Provider, **changed: Any) -> Flask:
    own: dict[str, Any] = {
        "oidc_issuer": provider.url, "oidc_client_id": oidc.CLIENT_ID, "oidc_client_secret": oidc.CLIENT_SECRET,
    }  # fmt: skip
    return create_app(replace(config, **own | changed))


@pytest.fixture
def browser(config: Settings, db: Database, provider: Provider) -> FlaskClient:
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


def test_the_provider_asks_for_its_own_second_factor_and_nobody_here(
    config: Settings, provider: Provider, db: Database
) -> None:
    browser = _app(config, provider, require_second_factor="viewer").test_client()
    assert _come_in(browser).headers["Location"] == "/"
    assert [browser.get(path).status_code for path in ("/", "/people", "/api/tickets")] == [200, 200, 200]


def test_a_stranger_needs_an_invitation(browser: FlaskClient, provider: Provider, db: Database) -> None:
    provider.claims |= {"email": "lin@example.com", "name": "Lin"}
    refused = _come_in(browser)
    assert (refused.status_code, "ask an admin to invite" in refused.text) == (403, True)
    person(db, "reviewer", email="lin@example.com")
    assert _come_in(browser).status_code == 302
    assert "lin@example.com · reviewer" in browser.get("/").text


def test_a_default_role_makes_accounts(config: Settings, db: Database, provider: Provider) -> None:
    browser = _app(config, provider, oidc_default_role="viewer").test_client()
    provider.claims |= {"email": "lin@example.com", "name": "Lin"}
    assert _come_in(browser).status_code == 302
    assert browser.get("/people").status_code == 403
    with db.read() as session:
        [_, entry] = audit.page(session, 5)
    assert (entry.who, entry.action, entry.details["role"]) == ("lin@example.com", "create account", "viewer")


def test_who_is_disabled_stays_out(browser: FlaskClient, db: Database) -> None:
    person(db, roles.ADMIN, password_hash="x")
    with db.write() as session:
        people.disable(session, session.query(Person).filter_by(email=ADMIN).one())
    assert "is disabled" in _come_in(browser).text
    assert browser.get("/").status_code == 302


FORGED: dict[str, dict[str, Any]] = {
    "address not verified": {"claims": {"email_verified": False}},
    "not verified, as a word": {"claims": {"email_verified": "false"}},
    "nothing said of it": {"claims": {"email_verified": None}},
    "not verified by the domain": {"claims": {"email_verified": None, "xms_edov": False}},
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


def test_what_goes_wrong_there_is_explained(config: Settings, db: Database, provider: Provider) -> None:
    refused = _app(config, provider).test_client().get("/sign-in/oidc/callback?error=access_denied&state=x")
    assert "Try it again" in refused.text
    away = _app(config, provider, oidc_issuer="http://127.0.0.1:9").test_client()
    assert (away.get("/sign-in/oidc").status_code, "Try it again" in away.get("/sign-in/oidc").text) == (403, True)
    elsewhere = _app(config, provider, oidc_issuer=provider.url.replace("127.0.0.1", "127.1")).test_client()
    assert elsewhere.get("/sign-in/oidc").status_code == 403


def test_without_a_provider_there_is_no_such_way(client: FlaskClient) -> None:
    assert client.get("/sign-in/oidc").status_code == 403
    assert "/sign-in/oidc" not in client.get("/sign-in").text


@pytest.mark.parametrize(
    "said",
    [
        {"email_verified": "true"}, {"email_verified": "True"}, {"email_verified": 1},
        {"email_verified": None, "xms_edov": True}, {"email_verified": None, "xms_edov": "1"},
    ],
)  # fmt: skip
def test_verified_is_said_in_several_ways(browser: FlaskClient, provider: Provider, said: dict[str, Any]) -> None:
    provider.claims |= said
    assert _come_in(browser).headers["Location"] == "/"


@pytest.mark.parametrize("claim", ["email", "preferred_username", "upn"])
def test_the_own_tenants_addresses_are_trusted_where_a_setting_says_so(
    config: Settings, db: Database, provider: Provider, claim: str
) -> None:
    provider.claims = {claim: ADMIN}
    assert _come_in(_app(config, provider).test_client()).status_code == 403
    trusting = _app(config, provider, oidc_trust_email=True).test_client()
    assert _come_in(trusting).status_code == 302
    provider.claims = {claim: "not an address", "sub": "2"}
    assert _come_in(trusting).status_code == 403
    provider.claims = {"email": ADMIN, "email_verified": False, "sub": "3"}
    assert _come_in(trusting).status_code == 403


def test_who_inherits_a_mailbox_inherits_no_account(browser: FlaskClient, provider: Provider, db: Database) -> None:
    assert _come_in(browser).status_code == 302
    provider.claims |= {"sub": "another person"}
    heir = browser.application.test_client()
    refused = _come_in(heir)
    assert (refused.status_code, "belongs to somebody else" in refused.text) == (403, True)
    provider.claims |= {"sub": "1", "email": "married@example.com", "email_verified": False}
    assert _come_in(heir).status_code == 302
    assert ADMIN in heir.get("/").text
    with db.read() as session:
        found = session.query(Person).filter_by(email=ADMIN).one()
    path = f"/people/{found.id}/forget-identity"
    assert heir.post(path, data={"csrf_token": csrf(heir)}).status_code == 302
    provider.claims |= {"sub": "another person", "email": ADMIN, "email_verified": True}
    assert _come_in(browser.application.test_client()).status_code == 302


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["a", "staff"]}, "viewer"), ({"groups": ["staff", "desk"]}, "operator"),
        ({"roles": "desk"}, "operator"), ({"cognito:groups": ["desk"]}, "operator"),
        ({"groups": ["a"]}, None), ({}, None),
        ({"_claim_names": {"groups": "src1"}}, "more groups"), ({"hasgroups": True}, "more groups"),
    ],
)  # fmt: skip
def test_groups_are_roles_at_each_sign_in(
    config: Settings, db: Database, provider: Provider, claims: dict[str, Any], role: str | None
) -> None:
    lin = person(db, "reviewer", email="lin@example.com")
    app = _app(config, provider, oidc_group_roles={"staff": "viewer", "desk": "operator"})
    provider.claims |= {"email": "lin@example.com"} | claims
    answer = _come_in(app.test_client())
    with db.read() as session:
        now_is = session.get_one(Person, lin.id).role
    if role in roles.ROLES:
        assert (answer.status_code, now_is) == (302, role)
    else:
        assert (answer.status_code, now_is) == (403, "reviewer")
        assert (role or "None of your groups") in answer.text


def test_the_last_admin_stays_one_whatever_their_groups_say(config: Settings, db: Database, provider: Provider) -> None:
    provider.claims |= {"groups": ["staff"]}
    browser = _app(config, provider, oidc_group_roles={"staff": "viewer"}).test_client()
    assert _come_in(browser).status_code == 302
    assert browser.get("/people").status_code == 200


def test_what_the_provider_says_is_shown_to_whom_it_answers(browser: FlaskClient) -> None:
    state = parse_qs(urlsplit(_callback(browser)).query)["state"][0]
    told = "error=access_denied&error_description=AADSTS50105:+not+assigned+<b>"
    there = browser.get(f"/sign-in/oidc/callback?{told}&state={state}").text
    assert "AADSTS50105: not assigned &lt;b&gt;" in there
    assert "AADSTS" not in browser.get(f"/sign-in/oidc/callback?{told}&state=x").text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OIDC_ISSUER", "https://login.microsoftonline.com/common/v2.0", "every tenant"),
        ("OIDC_GROUP_ROLES", "desk=owner", "Write GROUP=ROLE"),
        ("OIDC_GROUP_ROLES", "desk", "Write GROUP=ROLE"),
    ],
)
def test_what_can_never_be_right_is_told_at_the_start(name: str, value: str, told: str) -> None:
    with pytest.raises(settings.SettingsError, match=told):
        settings.load({name: value})


def test_the_issuer_is_compared_exactly(config: Settings, db: Database, provider: Provider) -> None:
    provider.claims |= {"iss": f"{provider.url}/"}
    assert _come_in(_app(config, provider).test_client()).status_code == 403
    provider.metadata = {"issuer": f"{provider.url}/"}
    assert _come_in(_app(config, provider).test_client()).status_code == 302


@pytest.mark.parametrize("issuer", ["https://evil.example", "https://login.example/{tenantid}/v2.0", None])
def test_a_provider_that_calls_itself_otherwise_is_refused_in_words(
    browser: FlaskClient, provider: Provider, issuer: str | None
) -> None:
    provider.metadata = {"issuer": issuer}
    refused = browser.get("/sign-in/oidc")
    assert (refused.status_code, "set OIDC_ISSUER to the issuer" in refused.text) == (403, True)
