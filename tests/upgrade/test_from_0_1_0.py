"""An installation of 0.1.0, with everything it can hold, goes on under today's code."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest
import redis
import time_machine
from flask.testing import FlaskClient
from sqlalchemy import select

from jobs.operations import scheduler
from receiver.db import outbox
from receiver.db.database import opened
from receiver.db.models import OutgoingCall, Work
from receiver.web.app import create_app
from tests import databases
from tests.conftest import ROOT, wait_until
from tests.peers import http
from tests.peers.http import Answer, Peer, Request
from tests.peers.smtp import MailServer

LEFT = Path(__file__).parent / "from-0.1.0"
ANSWERS = json.loads((LEFT / "answers.json").read_text())
AT = datetime.fromisoformat(ANSWERS["at"])
STOOD_IN = "VPN-6"
PASSWORD = "a long password of words"
QUEUES = ("classify", "digest", "maintenance", "outgoing", "training")
PAGES = (
    *("/", "/tickets", "/review", "/jobs", "/deliveries", "/digests", "/quality", "/catalog", "/sources", "/people"),
    *("/audit", "/account", "/sources/acme", "/tickets/1", "/tickets/7", "/tickets/18", "/deliveries/6", "/digests/5"),
)


@pytest.fixture
def helpdesk() -> Iterator[Peer]:
    """The helpdesk of the source acme and the webhook's receiver of crm; both take everything."""
    with http.serve(Peer(_helpdesk)) as peer:
        yield peer


def _helpdesk(request: Request) -> Answer:
    if "/users/" in request.path:
        return Answer.of({"user": {"email": "frida@example.com"}})
    return Answer.of({"ticket": {"description": "It is dark.", "requester_id": 9, "tags": []}})


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database that 0.1.0 left, migrated by today's code."""
    folder = tmp_path_factory.mktemp("left")
    with databases.made(databases.new_url(folder)) as made:
        _restore(made)
        _command("migrate", DATABASE_URL=made, DATA_DIR=str(folder))
        yield made


@pytest.fixture
def url(
    environment: pytest.MonkeyPatch,
    redis_url: str,
    helpdesk: Peer,
    model: Peer,
    mail_server: MailServer,
    migrated: str,
    tmp_path: Path,
) -> Iterator[str]:
    """A database like the migrated one, with DATA_DIR, Redis and the settings of that installation."""
    for name in ("sources.yaml", "digests.yaml", "catalog.yaml"):
        (tmp_path / name).write_text((LEFT / name).read_text().replace("HELPDESK", helpdesk.url))
    data = tmp_path / "data"
    data.mkdir()
    for name, text in ANSWERS["files"].items():
        (data / name).write_text(text)
    _put_jobs(redis_url)
    settings = {
        "SOURCES_FILE": str(tmp_path / "sources.yaml"),
        "DIGESTS_FILE": str(tmp_path / "digests.yaml"),
        "SERVICE_CATALOG_URL": str(tmp_path / "catalog.yaml"),
        "OPENAI_BASE_URL": f"{model.url}/v1",
        "OUTGOING_ALLOW": "127.0.0.0/8",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail_server.port),
        "SMTP_USE_TLS": "false",
        "FROM_EMAIL": "tickets@example.com",
        "RECIPIENT_EMAIL": "boss@example.com,deputy@example.com",
        "ALERT_RECIPIENTS": "duty@example.com",
    }
    with databases.made(databases.new_url(data), migrated) as made:
        for name, value in (settings | {"DATABASE_URL": made}).items():
            environment.setenv(name, value)
        yield made


def _restore(url: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.executescript((LEFT / "sqlite.sql").read_text())
        connection.close()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute((LEFT / "postgresql.sql").read_text())


def _put_jobs(url: str) -> None:
    """Everything that 0.1.0 had in Redis."""
    with redis.Redis.from_url(url) as connection:
        for key, kept in json.loads((LEFT / "redis.json").read_text()).items():
            [(kind, value)] = kept.items()
            if kind == "hash":
                connection.hset(key, mapping={name: _raw(text) for name, text in value.items()})
            elif kind == "list":
                connection.rpush(key, *value)
            elif kind == "set":
                connection.sadd(key, *value)
            elif kind == "zset":
                connection.zadd(key, value)
            else:
                assert kind == "stream"
                for entry, fields in value:
                    connection.xadd(key, {name: _raw(text) for name, text in fields.items()}, id=entry)


def _raw(value: Any) -> Any:
    return zlib.compress(value["zlib"].encode()) if isinstance(value, dict) else value


def _command(*arguments: str, **settings: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "jobs", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clock() -> Iterator[None]:
    """The moment at which 0.1.0 was asked, so that whatever depends on the time is the same."""
    with time_machine.travel(AT, tick=False):
        yield


@pytest.fixture
def api(url: str) -> FlaskClient:
    """A program with the token of the settings."""
    client = create_app().test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ANSWERS['files']['api_token']}"
    return client


@pytest.fixture
def browser(api: FlaskClient) -> FlaskClient:
    """The browser in which Grace, an admin, was signed in."""
    client = api.application.test_client()
    for name, value in ANSWERS["kept"]["cookies"].items():
        client.set_cookie(name, value)
    return client


def _said(client: FlaskClient, path: str) -> Any:
    return client.get(path).json


def known(now: Any, before: Any) -> Any:
    """What is said now, without what 0.1.0 did not say."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: known(now.get(name), value) for name, value in before.items()}
    if isinstance(before, list) and isinstance(now, list) and len(now) == len(before):
        return [known(*pair) for pair in zip(now, before, strict=True)]
    return now


def test_every_ticket_is_as_it_was(clock: None, api: FlaskClient) -> None:
    for before in ANSWERS["tickets"]:
        now = _said(api, f"/api/tickets/{before['id']}")
        assert known(now, before) == before


def test_every_delivery_and_digest_is_as_it_was(clock: None, api: FlaskClient) -> None:
    for kind in ("deliveries", "digests"):
        now = _said(api, f"/api/{kind}?limit=100")["items"]
        assert known(now, ANSWERS[kind]) == ANSWERS[kind]


def test_counts_alarms_outage_and_pause_are_as_they_were(clock: None, api: FlaskClient) -> None:
    before, now = ANSWERS["stats"], _said(api, "/api/stats")
    for part in ("tickets", "deliveries", "cost", "engine"):
        assert known(now[part], before[part]) == before[part]
    assert (now["queue"]["tickets"], now["queue"]["paused"]) == (before["queue"]["tickets"], True)
    assert all(alarm["message"] for alarm in now["alarms"])
    assert {alarm["name"]: alarm["since"] for alarm in now["alarms"]} == {
        alarm["name"]: alarm["since"] for alarm in before["alarms"]
    }


@pytest.mark.parametrize("reason", ANSWERS["review"])
def test_the_review_queue_is_in_the_same_order_for_every_reason(clock: None, browser: FlaskClient, reason: str) -> None:
    found: list[int] = []
    while fresh := _cards(browser, reason, found[-1:]):
        found += fresh
    assert found == ANSWERS["review"][reason]


def _cards(browser: FlaskClient, reason: str, after: list[int]) -> list[int]:
    page = browser.get("/review", query_string={"reason": reason, "after": after})
    assert page.status_code == 200
    return [int(number) for number in re.findall(r'data-card="(\d+)"', page.text)]


def test_who_could_come_in_still_can(clock: None, browser: FlaskClient) -> None:
    kept, application = ANSWERS["kept"], browser.application
    assert browser.get("/account").status_code == 200
    token = {"Authorization": f"Bearer {kept['token']}"}
    assert application.test_client().get("/api/tickets", headers=token).status_code == 200
    assert application.test_client().get(f"/sign-in/{kept['link']}").status_code == 200
    for code in (pyotp.TOTP(kept["totp"]).at(AT + timedelta(seconds=30)), kept["recovery_code"]):
        otto = application.test_client()
        answer = _post(otto, "/sign-in", email="otto@example.com", password=PASSWORD)
        assert answer.location == "/sign-in/code"
        assert _post(otto, "/sign-in/code", code=code).location == "/"


def _post(client: FlaskClient, path: str, page: str | None = None, **form: str) -> Any:
    csrf = re.findall(r'name="csrf_token" value="([^"]+)"', client.get(page or path).text)[0]
    return client.post(path, data={"csrf_token": csrf, **form})


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(clock: None, browser: FlaskClient, page: str) -> None:
    assert browser.get(page).status_code == 200


def test_how_each_delivery_proved_itself_is_still_said(clock: None, browser: FlaskClient) -> None:
    for source, prefix, words in (
        ("door", "", "unsigned: nothing but the address was checked (from 127.0.0.1)"),
        ("acme", "reconcile-", "asked for by us"),
        ("standard", "msg_accepted", "verified when it arrived"),
    ):
        number = next(
            row["id"] for row in ANSWERS["deliveries"] if row["source"] == source and row["key"].startswith(prefix)
        )
        assert words in browser.get(f"/deliveries/{number}").text


def test_it_is_known_how_the_timed_jobs_went(clock: None, browser: FlaskClient, url: str) -> None:
    with opened(url) as db:
        scheduler.announce(db)
    assert '<span class="status failed">OperationalError</span>' in browser.get("/jobs").text  # Of the daily training.


def test_what_no_helpdesk_took_is_listed_and_tried_again_when_asked(url: str) -> None:
    listed = _command("outgoing").splitlines()
    for line, told in zip(
        listed, ("crm ticket 27 answered 410", "acme ticket 32 422", "acme ticket 39 404"), strict=False
    ):
        assert all(word in line for word in told.split()), listed
    assert listed[3:] == ["3 failed"]
    assert "3" in _command("outgoing", "--redrive")
    assert "acme" not in _command("outgoing")


def test_what_helpdesks_were_asked_and_told_is_known_and_what_waited_waits(url: str) -> None:
    with opened(url) as db, db.read() as session:
        calls = Counter(session.scalars(select(OutgoingCall.outcome)))
        waiting = Counter(session.scalars(select(Work.state).where(Work.kind.in_(outbox.KINDS))))
    assert calls == {"done": 3, "superseded": 1, None: 9}
    assert waiting == {"due": 6, "dead": 3}


def test_the_audit_is_unbroken(url: str) -> None:
    assert "25" in _command("audit", "--verify")


def test_a_review_of_then_is_undone(clock: None, api: FlaskClient) -> None:
    reviewed = _named("PW-2")
    token = {"Authorization": f"Bearer {ANSWERS['kept']['token']}"}
    answer = api.application.test_client().post(f"/api/tickets/{reviewed['id']}/undo", headers=token, json={})
    assert (answer.status_code, answer.get_json()["status"]) == (200, "needs_review"), answer.text
    assert answer.get_json()["classification"]["review_reason"]


def _named(external_id: str) -> Any:
    return next(ticket for ticket in ANSWERS["tickets"] if ticket["external_id"] == external_id)


@contextmanager
def workers() -> Iterator[None]:
    """A worker process of today for every queue."""
    with ExitStack() as started, Path("log").open("ab") as log:
        for name in QUEUES:
            command = [sys.executable, "-m", "jobs", "worker", name]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            process = started.enter_context(subprocess.Popen(command, env=environment, stderr=log, stdout=log))
            started.callback(process.kill)
        yield


class Jobs:
    """What Redis holds of jobs."""

    def __init__(self, connection: "redis.Redis") -> None:
        self._connection = connection

    def of(self, kind: str) -> dict[str, str]:
        """The jobs of a registry (failed, wip, scheduled), of every queue: id and path."""
        found: list[Any] = [self._connection.zrange(f"rq:{kind}:{name}", 0, -1) for name in QUEUES]
        ids = {entry.decode().partition(":")[0] for entries in found for entry in entries}
        return {job_id: self.path(job_id) for job_id in ids}

    def path(self, job_id: str) -> str:
        """The dotted path that a job names."""
        data: Any = self._connection.hget(f"rq:job:{job_id}", "data")
        return str(json.loads(zlib.decompress(data))[0]) if data else "gone"

    def waiting(self) -> int:
        """How many jobs wait or run."""
        return sum(self._connection.llen(f"rq:queue:{name}") for name in QUEUES) + len(self.of("wip"))


@pytest.fixture
def jobs(redis_client: "redis.Redis", url: str) -> Jobs:
    """The jobs that 0.1.0 left."""
    return Jobs(redis_client)


@pytest.mark.full
def test_todays_workers_go_on_with_what_waits(
    api: FlaskClient, jobs: Jobs, helpdesk: Peer, model: Peer, mail_server: MailServer
) -> None:
    failed, died, planned = set(jobs.of("failed")), set(jobs.of("wip")), jobs.of("scheduled")
    operator = api.application.test_client()
    assert _post(operator, "/sign-in", email="grace@example.com", password=PASSWORD).location == "/"
    with workers():
        wait_until(lambda: jobs.waiting() == 0)
        # What ran when 0.1.0 was killed is known to have failed; nothing else has.
        assert (set(jobs.of("failed")), jobs.of("scheduled")) == (failed | died, planned), Path("log").read_text()
        # The pause holds: nobody has asked the model anything.
        assert (_stats(api)["queue"]["paused"], model.requests) == (True, [])
        _post(operator, "/jobs/resume", "/jobs")
        for job_id in failed:
            _post(operator, "/jobs/retry", "/jobs", job=job_id)
        wait_until(lambda: _stats(api)["tickets"].get("received", 0) == 0, seconds=120)
        # The engine answers again, so it is asked about the ticket for which another stood in.
        from_fallback_engine = f"/api/tickets/{_named(STOOD_IN)['id']}"
        wait_until(lambda: not _said(api, from_fallback_engine)["classification"]["fallback"])
        wait_until(lambda: jobs.waiting() == 0)
        assert set(jobs.of("failed")) == died, Path("log").read_text()
    assert {"engine", "paused"}.isdisjoint(alarm["name"] for alarm in _stats(api)["alarms"])
    _check_tickets(api)
    _check_digests(api, mail_server)
    _check_helpdesk(api, helpdesk)


def _stats(api: FlaskClient) -> Any:
    return _said(api, "/api/stats")


def _check_tickets(api: FlaskClient) -> None:
    """What had an outcome keeps it, and every ticket that waited has one."""
    for before in ANSWERS["tickets"]:
        now = _said(api, f"/api/tickets/{before['id']}")
        if before["status"] == "received" or before["external_id"] == STOOD_IN:
            assert now["status"] in ("classified", "needs_review"), now
            assert (now["classification"]["engine"], now["classification"]["fallback"]) == ("llm", False), now
        else:
            volatile = {"sla_state", "requester_email", "long_description"}
            assert {name: known(now, before)[name] for name in before.keys() - volatile} == {
                name: before[name] for name in before.keys() - volatile
            }


def _check_digests(api: FlaskClient, mail_server: MailServer) -> None:
    """What was on its way is sent, once to each; what was not is as it was."""
    now = {digest["id"]: digest for digest in _said(api, "/api/digests?limit=100")["items"]}
    sent = list(zip((mail["Message-ID"] for mail in mail_server.messages), mail_server.recipients, strict=True))
    for before in ANSWERS["digests"]:
        found, number = now[before["id"]], before["id"]
        mailed = sorted(address for name, addresses in sent if name == before["message_id"] for address in addresses)
        due = [row["address"] for row in before["recipient_states"] if row["state"] == "due"]
        assert mailed == due, found
        if due:
            assert found["status"] == "sent", found
        elif before["status"] == "sending":
            assert (found["status"], found["recipient_states"][0]["error_code"]) == ("held", "sender_died"), found
        elif before["status"] == "claimed":
            assert (number, found["status"]) == (14, "failed"), found  # It is for nobody.
        else:
            assert known(found, before) == before


def _check_helpdesk(api: FlaskClient, helpdesk: Peer) -> None:
    """What was due is told and asked; who has said 410 is not called again."""
    asked = [(request.method, request.path) for request in helpdesk.requests]
    assert not [path for _, path in asked if path.startswith("/hook")]
    for name in ("10", "11"):
        assert ("GET", f"/api/v2/tickets/{name}.json") in asked
        [row] = [ticket for ticket in ANSWERS["tickets"] if (ticket["source"], ticket["external_id"]) == ("acme", name)]
        assert _said(api, f"/api/tickets/{row['id']}")["requester_email"] == "frida@example.com"
    told = {path for method, path in asked if method != "GET"}
    for name in ("3", "4", "9"):
        assert f"/api/v2/tickets/{name}/tags.json" in told, told
    assert "/api/v2/tickets/2/tags.json" not in told
