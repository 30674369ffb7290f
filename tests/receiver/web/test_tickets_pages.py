"""Tickets, Ticket and Review: what they show, to whom, and that no text in them becomes anything else."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.catalog import Catalog
from receiver.db import audit, catalogs, classifications, due_tickets, outbox, search_index, work
from receiver.db.database import Database
from receiver.db.models import WRITE_BACK, OutgoingCall, Ticket
from receiver.lib.clock import now
from receiver.web import auth
from tests.factories import classification, csrf, deliver, due_ticket, incoming, review, settle, sign_in_as
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in

LAPTOP = ("Hardware Support", "Laptop Repair/Replacement")


@pytest.fixture
def ticket(db: Database, shipped: Catalog) -> int:
    """A ticket that waits for a person, and the shipped catalog in force."""
    with db.write() as session:
        catalogs.remember(session, shipped.version, shipped.text, now())
    ticket_id = due_ticket(db, external_id="T-1", short_description="no tunnel")
    settle(db, ticket_id, review_reason="low_confidence", confidence=0.4, model="gpt-x")
    return ticket_id


@pytest.fixture
def reviewer(client: FlaskClient, db: Database) -> FlaskClient:
    sign_in_as(client, db, auth.REVIEWER)
    return client


def _page(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return markup.fromstring(answer.text)


def _post(client: FlaskClient, path: str, **fields: Any) -> str:
    """What is said when a form was sent."""
    token = csrf(client, "/tickets/1")
    answer = client.post(path, data={"csrf_token": token, **fields}, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return " ".join(markup.fromstring(answer.text).get_element_by_id("toasts").text_content().split())


def _status(db: Database, ticket_id: int = 1) -> tuple[str, str | None]:
    with db.read() as session:
        found = session.get_one(Ticket, ticket_id)
        return found.status, found.request_type


def test_text_stays_text_everywhere(reviewer: FlaskClient, db: Database, shipped: Catalog) -> None:
    values = dict.fromkeys(("external_id", "short_description", "long_description", "requester_email"), HOSTILE)
    ticket_id = due_ticket(db, **values, priority=HOSTILE, url="javascript:alert(1)", source=HOSTILE)
    said: dict[str, Any] = dict.fromkeys(("category", "request_type", "second_opinion", "model"), HOSTILE)
    said |= {"review_reason": "other", "review_detail": {"text": HOSTILE}}
    settle(db, ticket_id, reasoning=f"it says {HOSTILE}", alternatives=[HOSTILE], agreement=False, **said)
    failed = due_ticket(db)
    with db.write() as session:
        audit.note(session, HOSTILE, HOSTILE, f"ticket {ticket_id}", now(), {"to": HOSTILE})
        due_tickets.fail(session, failed, "other", HOSTILE, 1, None)
    for path in ("/tickets", f"/tickets/{ticket_id}", "/review", "/review/next", "/tickets?q=%3Cscript%3E"):
        page = _page(reviewer, path)
        no_way_in(page)
        assert page.xpath("//a[starts-with(@href, 'javascript:')]") == []


def test_the_list_keeps_its_filters_in_the_url(reviewer: FlaskClient, db: Database, ticket: int) -> None:
    deliver(db, incoming(short_description="printer jam"), source="zendesk")
    for query, count in (
        ("", 2), ("?status=needs_review", 1), ("?q=tunnel", 1), ("?source=zendesk", 1), ("?category=Nowhere", 0),
        ("?order=due", 0), ("?sla=past_due", 1), ("?sla=breached", 1),
        ("?since=1d&order=oldest", 2), ("?status=bogus&after=x&order=%00", 2),
        ("?q=%00%F0%9F%94%A5%22*", 0), ("?requester_email=ada%40example.com", 0),
    ):  # fmt: skip
        assert len(_page(reviewer, f"/tickets{query}").xpath("//tr[@data-row]")) == count, query


@pytest.mark.sqlite
def test_only_a_search_is_put_in_the_order_of_the_best_match(
    reviewer: FlaskClient, ticket: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "RANKED", 1)
    asked = "/tickets?q=tunnel&order=best&requester_email=ada%40example.com"
    orders = {
        path: _page(reviewer, path).xpath("//select[@name='order']/option/@value") for path in ("/tickets", asked)
    }
    assert orders == {"/tickets": ["newest", "oldest", "due"], asked: ["newest", "best", "oldest"]}
    page = _page(reviewer, asked)
    assert page.xpath("//input[@type='search' and @name='requester_email']/@value") == ["ada@example.com"]
    assert "Ranked are the newest" in page.text_content()


def test_an_export_is_the_list(reviewer: FlaskClient, db: Database, ticket: int) -> None:
    deliver(db, incoming(short_description="=cmd|' /C calc'!A0"), source="zendesk")
    answer = reviewer.get("/tickets/export.csv?order=oldest")
    head, first, second = csv.reader(io.StringIO(answer.data.decode("utf-8-sig"), newline=""))
    assert (head[0], first[0], first[2], second[2]) == ("Ticket", "T-1", "no tunnel", "'=cmd|' /C calc'!A0")
    assert answer.headers["Content-Disposition"] == "attachment; filename=tickets.csv"
    workbook = reviewer.get("/tickets/export.xlsx?source=zendesk")
    assert workbook.data.startswith(b"PK")
    assert {kept.headers["Cache-Control"] for kept in (answer, workbook)} == {"no-store"}
    with db.read() as session:
        exports = [(entry.subject, entry.details["as"]) for entry in audit.page(session, 2)]
    assert exports == [("tickets", "workbook"), ("tickets", "CSV")]


def test_a_ticket_is_corrected_undone_and_redriven(reviewer: FlaskClient, db: Database, ticket: int) -> None:
    fields = {"category": LAPTOP[0], "request_type": LAPTOP[1], "seen": "1"}
    assert "Laptop Repair/Replacement" in _post(reviewer, "/tickets/1/review", **fields)
    assert _status(db) == ("reviewed", LAPTOP[1])
    assert "has reviewed this ticket meanwhile" in _post(reviewer, "/tickets/1/review", seen="1")
    assert "no engine overrules a person" in _post(reviewer, "/tickets/1/redrive")
    assert "as it was before" in _post(reviewer, "/tickets/1/undo")
    assert _status(db) == ("needs_review", "VPN Connection Issue")
    assert "no review" in _post(reviewer, "/tickets/1/undo")
    assert "not in the catalog" in _post(reviewer, "/tickets/1/review", category="No", request_type="Such")
    assert "classified again" in _post(reviewer, "/tickets/1/redrive")
    assert _status(db)[0] == "received"
    page = _page(reviewer, "/tickets/1").text_content()
    for word in ("gpt-x", "undo review", "redrive", "correct"):
        assert word in page


def test_several_are_confirmed_and_redriven_and_said_how_many(
    reviewer: FlaskClient, db: Database, ticket: int, shipped: Catalog
) -> None:
    waiting = due_ticket(db)
    said = _post(reviewer, "/tickets/confirm", ticket=[ticket, waiting, 4711, "x"], list="?status=needs_review")
    assert said == "Confirmed 1 ticket. 2 tickets had no answer that could be confirmed."
    said = _post(reviewer, "/tickets/redrive", ticket=[ticket, waiting], list="//evil.example")
    assert said == "1 ticket will be classified again. 1 ticket stays as a person reviewed it."
    with db.read() as session:
        assert [entry.action for entry in audit.page(session, 10)][:2] == ["redrive", "confirm"]


def test_the_examples_that_a_model_was_shown_are_named(
    reviewer: FlaskClient, db: Database, ticket: int, shipped: Catalog
) -> None:
    taught = due_ticket(db, short_description="seen before")
    review(db, taught, shipped, *LAPTOP)
    asked = due_ticket(db)
    settle(db, asked, example_ids=[1, 99])
    page = _page(reviewer, f"/tickets/{asked}")
    [card] = [card for card in page.find_class("card") if "Examples" in card.text_content()]
    words = " ".join(card.text_content().split())
    assert "seen before" in words
    assert "1 more that no longer count" in words


def test_what_its_helpdesk_was_asked_and_told_is_shown_with_the_reason_and_the_next_attempt(
    reviewer: FlaskClient, db: Database, ticket: int
) -> None:
    def tell(session: Session, owner: str) -> OutgoingCall:
        claimed = outbox.claim(session, "standard", owner, now(), 60)
        assert claimed
        return claimed.call

    for told in ("first", "second", "third", "fourth"):
        with db.write() as session:
            made = classification(ticket, request_type=told)
            classifications.replace_current(session, "standard", made, {"standard": False})
            if told == "first":
                assert outbox.finish(session, tell(session, told), told)
            elif told == "second":
                assert work.bury(session, WRITE_BACK, tell(session, told).id, told, "request", "it refused <b>it</b>")
            elif told == "fourth":  # The third is superseded before anybody has begun it.
                again = now() + timedelta(minutes=5, seconds=30)
                assert work.retry(session, WRITE_BACK, [tell(session, told).id], told, again, "server", "it failed")
    card = _page(reviewer, f"/tickets/{ticket}").xpath("//section[h2='At the helpdesk']")[0]
    lines = [" ".join(line.text_content().split()) for line in card.xpath(".//li")]
    assert [line.replace("Told of the classification", "") for line in lines] == [
        "due, again in 5 minnowit failed",
        "supersedednow",
        "deadnowit refused <b>it</b>",
        "donenow",
    ]


def test_a_viewer_looks_and_changes_nothing(client: FlaskClient, db: Database, ticket: int) -> None:
    sign_in_as(client, db, auth.VIEWER)
    for path in ("/tickets", "/tickets/1", "/review"):
        page = _page(client, path)
        assert page.xpath("//main//form[@method='post']//button") == [], path
    token = csrf(client)
    paths = (
        "/tickets/1/review", "/tickets/1/undo", "/tickets/1/redrive", "/tickets/confirm", "/tickets/redrive",
        "/review/1", "/review/1/undo",
    )  # fmt: skip
    for path in paths:
        assert client.post(path, data={"csrf_token": token, "ticket": "1"}).status_code == 403, path
    assert _status(db)[0] == "needs_review"


def test_review_works_without_scripts(reviewer: FlaskClient, db: Database, ticket: int) -> None:
    page = _page(reviewer, "/review")
    assert page.xpath("//article[not(@hidden)]/@data-card") == ["1"]
    _post(reviewer, "/review/1", seen="0")
    assert _status(db)[0] == "needs_review"
    _post(reviewer, "/review/1", seen="1")
    assert _status(db)[0] == "reviewed"
    assert "Done for today" in _page(reviewer, "/review").text_content()


def test_texts_of_megabytes_from_before_there_was_a_limit_harm_no_page(client: FlaskClient, db: Database) -> None:
    sign_in_as(client, db)
    ticket_id = due_ticket(db)
    with db.write() as session:
        session.execute(update(Ticket).values(short_description="s" * 2_000_000, long_description="t" * 2_000_000))
        delivery_id = session.scalar(select(Ticket.delivery_id))
    for path in ("/", "/tickets", "/tickets/export.csv", f"/deliveries/{delivery_id}", "/live/overview?once"):
        assert len(client.get(path).data) < 100_000, path
    page = client.get(f"/tickets/{ticket_id}").text
    assert "[cut off: the text is longer]" in page
    assert len(page) < 400_000
