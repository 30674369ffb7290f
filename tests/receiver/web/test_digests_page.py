"""The page Digests: who sees what, who may change what, and that a mail on it can do nothing."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from rq.serializers import JSONSerializer

from jobs.digests import send as digest_job
from jobs.operations.worker import OwnJob
from receiver import queue
from receiver.db import digests, recipients
from receiver.db.database import Database
from receiver.db.models import DigestRecipient
from receiver.db.recipients import Outcome
from receiver.lib import roles
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings
from receiver.web import state
from receiver.web.dashboard import digests as page_module
from tests.factories import csrf, due_ticket, settle, sign_in_as
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in

PAGES = ("/digests", "/digests/1", "/digests/preview/digest")


@pytest.fixture
def hostile(db: Database, config: Settings) -> None:
    """A digest that was sent, of a ticket and with a fate that attack whoever looks at them."""
    settle(db, due_ticket(db, short_description=HOSTILE), category=HOSTILE, request_type=HOSTILE)
    sent = digest_job.send_now(db, config)
    assert sent
    with db.write() as session:
        digests.mark(session, sent.id, "held", now(), error=HOSTILE, recipients=[HOSTILE], period=HOSTILE)
        told = {"digest_id": sent.id, "address": HOSTILE, "state": "sent", "error": HOSTILE, "run_at": now()}
        session.add(DigestRecipient(**told))


def pages(client: FlaskClient) -> list[Any]:
    answers = [client.get(path) for path in PAGES]
    assert [answer.status_code for answer in answers] == [200] * len(PAGES)
    return [markup.fromstring(answer.text) for answer in answers]


@pytest.mark.usefixtures("hostile")
def test_hostile_text_stays_text(client: FlaskClient, db: Database, config: Settings) -> None:
    sign_in_as(client, db)
    digest_job.preview(db, config)
    for page in pages(client):
        for frame in page.xpath("//iframe"):
            assert (frame.get("sandbox"), frame.get("src").startswith("/digests/")) == ("", True)
            frame.drop_tree()
        no_way_in(page)


@pytest.mark.usefixtures("hostile")
def test_a_mail_is_framed_where_nothing_can_run(client: FlaskClient, db: Database, config: Settings) -> None:
    sign_in_as(client, db)
    digest_job.preview(db, config)
    for path in ("/digests/1/mail", "/digests/preview/digest/mail"):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"sandbox", "default-src 'none'", "frame-ancestors 'self'"} <= set(policy)
        assert not any(rule.startswith(("script-src", "connect-src", "form-action")) for rule in policy)
        shown = markup.fromstring(answer.text)
        assert shown.xpath("//script | //iframe | //object | //form | //link") == []
        assert all(source.startswith("data:image/png;base64,") for source in shown.xpath("//img/@src"))


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(("role", "may"), [(roles.VIEWER, False), (roles.REVIEWER, False), (roles.OPERATOR, True)])
def test_operators_change_and_others_look(client: FlaskClient, db: Database, role: str, may: bool) -> None:
    sign_in_as(client, db, role)
    offered = {form.action for page in pages(client) for form in page.forms}
    changes = {"/digests", "/digests/1/resend", "/digests/1/redrive", "/digests/1/mark-sent"}
    assert (offered & changes == changes) if may else not offered & changes
    assert "/digests/preview" in offered
    for path in sorted(changes):
        answer = client.post(path, data={"csrf_token": csrf(client), "name": "digest"})
        assert (answer.status_code == 403) is not may
    with db.read() as session:
        assert len(digests.page(session, 9)) == (2 if may else 1)


def build_preview(connection: "redis.Redis") -> None:
    """Do what a worker does with the preview that waits."""
    waiting = queue.queue(queue.TRAINING, connection).get_jobs()
    [found] = [job.id for job in waiting if job.func_name == queue.PREVIEW_JOB]
    OwnJob.fetch(found, connection=connection, serializer=JSONSerializer).perform()


def test_a_preview_is_asked_for_by_name(client: FlaskClient, db: Database, app: Flask, config: Settings) -> None:
    sign_in_as(client, db, roles.VIEWER)
    settle(db, due_ticket(db))
    form = {"csrf_token": csrf(client), "name": "digest"}
    assert client.post("/digests/preview", data=form | {"name": "weekly"}).status_code == 404
    waits = client.post("/digests/preview", data=form, follow_redirects=True)
    assert "A worker builds it" in waits.text
    assert client.get("/digests/preview/digest/mail").status_code == 404
    assert client.get("/digests/preview/..%2F..%2Fsecret/mail").status_code == 404
    build_preview(state.of(app).redis)
    built = client.get(waits.request.full_path)
    assert "As it would be sent" in built.text
    workbook = client.get("/digests/preview/digest/workbook")
    assert (workbook.data[:2], workbook.headers["Cache-Control"]) == (b"PK", "no-store")
    with db.read() as session:
        assert digests.page(session, 9) == []


def test_however_often_a_preview_is_asked_for_one_waits_and_no_digest_waits_for_it(
    client: FlaskClient, db: Database, app: Flask
) -> None:
    sign_in_as(client, db, roles.VIEWER)
    form = {"csrf_token": csrf(client), "name": "digest"}
    for _ in range(20):
        assert client.post("/digests/preview", data=form).status_code == 302
    connection = state.of(app).redis
    assert [queue.queue(name, connection).count for name in (queue.TRAINING, queue.DIGEST)] == [1, 0]
    queue.queue(queue.TRAINING, connection).empty()
    client.post("/digests/preview", data=form)
    assert queue.queue(queue.TRAINING, connection).count == 1


def test_old_history_is_a_page_away(
    client: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch, config: Settings
) -> None:
    sign_in_as(client, db)
    monkeypatch.setattr(page_module, "_AT_ONCE", 2)
    settle(db, due_ticket(db))
    with db.write() as session:
        for number in range(5):
            period = f"2026-03-0{number + 1}T08:00:00+00:00"
            assert digests.claim(session, period, Envelope((), "x"), now(), even_empty=True)
    found, path = [], "/digests"
    while path:
        page = markup.fromstring(client.get(path).text)
        found += [row.text_content().split()[1] for row in page.xpath("//tr[@data-row]")]
        path = next(iter(page.xpath("//nav[@class='pages']//a[text()='Older']/@href")), "")
    assert found == ["5", "4", "3", "2", "1"]
    assert "2026-03-05 08:00" in client.get("/digests").text


def test_the_page_says_who_was_mailed_who_was_not_and_in_whose_words(
    client: FlaskClient, db: Database, config: Settings
) -> None:
    settle(db, due_ticket(db))
    with db.write() as session:
        envelope = Envelope(("boss@example.com", "carol@example.com", "dan@example.com"), "example.com")
        claimed = digests.claim(session, "p", envelope, now())
        assert claimed
        outcomes = {
            "boss@example.com": Outcome("sent"),
            "carol@example.com": Outcome("refused", "recipient", "550 5.1.1 no such user"),
            "dan@example.com": Outcome("due", "later", "450 4.2.0 greylisted"),
        }
        again = now() + timedelta(minutes=5)
        recipients.settle(session, claimed.id, outcomes, now(), retry_at=again, resends=False)
        digests.conclude(session, claimed.id, now())
    sign_in_as(client, db)
    page = markup.fromstring(client.get("/digests/1").text)
    [table] = page.xpath("//section[@aria-labelledby='recipients-title']//tbody")
    rows = [[" ".join(cell.text_content().split()) for cell in row.xpath("td")] for row in table.xpath("tr")]
    assert [row[:2] for row in rows] == [
        ["boss@example.com", "sent"],
        ["carol@example.com", "refused"],
        ["dan@example.com", "due"],
    ]
    assert [row[3] for row in rows] == ["", "550 5.1.1 no such user", "450 4.2.0 greylisted"]
    with db.write() as session:
        recipients.settle(session, 1, {"dan@example.com": Outcome("sent")}, now(), retry_at=None, resends=False)
        digests.conclude(session, 1, now())
    page = markup.fromstring(client.get("/digests/1").text)
    [told] = page.xpath("//*[@role='alert']")
    assert "carol@example.com: 550 5.1.1 no such user" in told.text_content()
    [again_button] = told.xpath(".//button")
    assert again_button.text_content().strip() == "Try again"
    assert "partly sent" in client.get("/digests").text
