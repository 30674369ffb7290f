"""Behind a proxy: who called, under which address and path people see us, and what they hear where it is wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from receiver.db.database import Database
from receiver.lib.setting_kinds import networks
from receiver.lib.settings import Settings, SettingsError, load
from receiver.web.proxy import BehindProxy

Make = Callable[[Settings], Flask]


def _seen(public_url: str | None = None, trusted: str = "127.0.0.1, 10.0.0.0/8", **environ: str) -> dict[str, Any]:
    """The environment that the application sees."""
    seen: dict[str, Any] = {}
    wsgi = BehindProxy(lambda given, _: [seen.update(given) or b""], public_url, networks(trusted))
    wsgi({"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "machine:8000", **environ}, None)
    return seen


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),  # The first is what the caller claimed.
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),  # As some gateways write it.
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "10.1.2.3"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_a_trusted_proxy_says_who_called(forwarded: str, caller: str) -> None:
    assert _seen(HTTP_X_FORWARDED_FOR=forwarded)["REMOTE_ADDR"] == caller


def test_nobody_else_is_believed_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    wsgi = BehindProxy(lambda given, _: [str(given["REMOTE_ADDR"]).encode()], None, ())
    request = {"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    assert [*wsgi(dict(request), None), *wsgi(dict(request), None)] == [b"192.0.2.7", b"192.0.2.7"]
    assert [line.getMessage() for line in caplog.records if "TRUSTED_PROXIES" in line.getMessage()] == [
        "Requests come through a proxy at 192.0.2.7, so who sent them is not known: all count as one address. "
        "If that proxy is yours, name it in TRUSTED_PROXIES"
    ]


@given(st.text(max_size=300) | st.lists(st.ip_addresses().map(str), max_size=40).map(", ".join))
def test_whatever_is_forwarded_the_caller_is_an_address(forwarded: str) -> None:
    networks(_seen(HTTP_X_FORWARDED_FOR=forwarded)["REMOTE_ADDR"])


def test_public_url_says_which_address_people_see() -> None:
    seen = _seen("https://tickets.example.com")
    assert (seen["wsgi.url_scheme"], seen["HTTP_HOST"]) == ("https", "tickets.example.com")


@pytest.mark.parametrize(
    ("path", "inner"), [("/desk", "/"), ("/desk/", "/"), ("/desk/tickets", "/tickets"), ("/desktop", "/desktop")]
)
def test_a_path_of_the_proxys_is_taken_off(path: str, inner: str) -> None:
    seen = _seen("https://example.com/desk/", PATH_INFO=path)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/desk", inner)


def test_on_a_sub_path_every_link_has_it(config: Settings, db: Database, application: Make) -> None:
    client = application(replace(config, public_url="https://example.com/desk")).test_client()
    answer = client.get("/desk/tickets")
    assert answer.headers["Location"] == "/desk/sign-in"
    page = client.get("/desk/sign-in").text
    assert 'href="/desk/static/' in page
    assert 'href="/static/' not in page
    assert client.get("/healthz").status_code == 200


def _form_token(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_a_form_works_though_the_proxy_passes_no_host_on(config: Settings, db: Database, application: Make) -> None:
    client = application(replace(config, public_url="https://tickets.example.com")).test_client(use_cookies=False)
    page = client.get("/sign-in", headers={"Host": "127.0.0.1:8000"})
    answer = client.post(
        "/sign-in",
        data={"csrf_token": _form_token(page.text), "email": "a@example.com", "password": "x"},
        headers={
            "Host": "127.0.0.1:8000",
            "Cookie": page.headers["Set-Cookie"].partition(";")[0],
            "Referer": "https://tickets.example.com/sign-in",
        },
    )
    assert answer.status_code == 403
    assert "password is wrong" in answer.text


def test_who_opens_another_address_is_told_which_to_open(config: Settings, db: Database, application: Make) -> None:
    client = application(replace(config, public_url="https://tickets.example.com")).test_client()
    answer = client.post("/sign-in", data={"csrf_token": "x"}, headers={"Host": "machine:8000", "Accept": "text/html"})
    assert answer.status_code == 400
    assert "open https://tickets.example.com instead" in answer.text


def test_without_public_url_a_lost_host_is_named(client: FlaskClient) -> None:
    page = client.get("/sign-in", base_url="https://127.0.0.1:8000").text
    answer = client.post(
        "/sign-in",
        data={"csrf_token": _form_token(page)},
        headers={"Referer": "https://tickets.example.com/sign-in", "Accept": "text/html"},
        base_url="https://127.0.0.1:8000",
    )
    assert answer.status_code == 400
    assert "set PUBLIC_URL to that address" in answer.text


def test_browsers_stay_with_https(config: Settings, db: Database, application: Make) -> None:
    secure = application(replace(config, public_url="https://tickets.example.com")).test_client()
    assert secure.get("/sign-in").headers["Strict-Transport-Security"] == "max-age=31536000"
    plain = application(replace(config, public_url="http://tickets.example.com")).test_client()
    assert "Strict-Transport-Security" not in plain.get("/sign-in").headers


def test_a_wrong_network_is_told_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"TRUSTED_PROXIES: Addresses and networks, such as 127\.0\.0\.1"):
        load({"TRUSTED_PROXIES": "nginx"})
    with pytest.raises(ValueError, match="Addresses and networks"):
        networks("10.0.0.0/99")
