"""The pages, as a person and as an attacker's ticket would have them."""

import html
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html as markup  # type: ignore[import-untyped]

from receiver import queue
from receiver.db import alarms, circuit_breaker, digests, due_tickets, latencies, overview, sign_in, tickets
from receiver.db.database import Database
from receiver.db.models import Digest
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.web import state
from tests.factories import deliver, due_ticket, incoming, open_circuit, serve_every_queue, settle, use_link
from tests.properties import tries

HOSTILE = (
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)>' onmouseover=alert(3) {{7*7}} {% raw %} </title>&amp;"
)

LATEST = "//section[@id='latest']//tbody/tr"


@pytest.fixture
def person(app: Flask, client: FlaskClient, db: Database) -> FlaskClient:
    serve_every_queue(state.of(app).context.redis)
    with db.write() as session:
        token = sign_in.issue(session, now())
    use_link(client, f"/sign-in/{token}")
    return client


def _page(person: FlaskClient, path: str = "/") -> Any:
    answer = person.get(path)
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    return markup.fromstring(answer.text)


def _tiles(page: Any) -> dict[str, str]:
    return {tile.findtext("a/span"): tile.findtext("a/b") for tile in page.find_class("tile")}


def _words(page: Any, css_class: str) -> list[str]:
    return [" ".join(element.text_content().split()) for element in page.find_class(css_class)]


def test_the_counts_are_those_of_the_record(person: FlaskClient, db: Database) -> None:
    deliver(db, incoming(), at=now() - timedelta(days=2))
    settle(db, due_ticket(db))
    settle(db, due_ticket(db), review_reason="low_confidence")
    failed = due_ticket(db)
    with db.write() as session:
        due_tickets.fail(session, failed, "other", "gave up", 1, None)
    deliver(db, *(incoming() for _ in range(1200)))
    page = _page(person)
    assert _tiles(page) == {
        "today": "1,203", "waiting": "1,200", "classified": "1", "needs review": "1", "failed": "1", "reviewed": "0",
    }  # fmt: skip
    assert [tile.findtext("small/a") for tile in page.find_class("tile")][:2] == ["1,204 in all", "1,201 in all"]
    assert "1,201 tickets are on the way, the first due now. 1 needs review." in _words(page, "verdict")[0]


def test_an_empty_record_says_what_will_be_seen(person: FlaskClient) -> None:
    page = _page(person)
    assert set(_tiles(page).values()) == {"0"}
    assert "/webhooks/standard" in _words(page, "empty")[0]
    assert _words(page, "verdict") == ["All is well No ticket waits to be attributed."]


def no_way_in(page: Any) -> None:
    assert page.xpath("//iframe | //object | //style | //base | //@style") == []
    loaded = page.xpath("//script/@src | //img/@src")
    assert len(loaded) == len(page.xpath("//script | //img"))
    assert [path for path in loaded if not path.startswith("/static/")] == []
    assert page.xpath("//script/text()") == []
    assert [name for element in page.iter() for name in element.attrib if str(name).startswith("on")] == []
    assert [
        href for href in page.xpath("//@href | //@action | //@src") if not str(href).startswith(("/", "#content"))
    ] == []


def test_hostile_text_stays_text_wherever_it_comes_from(person: FlaskClient, db: Database) -> None:
    ticket = due_ticket(db, external_id=HOSTILE, short_description=HOSTILE, requester_email=HOSTILE)
    settle(db, ticket, category=HOSTILE, request_type=HOSTILE, reasoning=HOSTILE)
    with db.write() as session:
        alarms.raise_(session, "disk", now(), "other", text=HOSTILE)
        digest = digests.claim(session, "today", Envelope((HOSTILE,), "localhost"), now())
        assert digest
        digests.mark(session, digest.id, "failed", now(), error=HOSTILE)
    page = _page(person)
    no_way_in(page)
    shown = " ".join(HOSTILE.split())
    assert page.text_content().count(HOSTILE) == 5
    assert page.xpath("//td/@title")[-2:] == [HOSTILE, f"{HOSTILE} › {HOSTILE}"]
    assert shown in _words(page, "problem")[0]


@settings(deadline=None, max_examples=tries(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_any_subject_is_shown_as_it_is(person: FlaskClient, db: Database, text: str) -> None:
    due_ticket(db, short_description=text)
    answer = person.get("/")
    assert answer.status_code == 200
    latest = answer.text[answer.text.index('id="latest"') :]
    cells = re.findall(r'<td class="cut" title="([^"<>]*)"><strong>(?:<a [^<>]*>)?([^"<>]*)<', latest)
    assert len(cells) == latest.count("<strong>")
    assert [html.unescape(part) for part in cells[0]] == [text, text]


def test_the_latest_tickets_come_first_with_what_was_decided(person: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db, external_id="INC-1"), confidence=0.876)
    due_ticket(db, external_id="INC-2")
    rows = [[" ".join(cell.text_content().split()) for cell in row] for row in _page(person).xpath(LATEST)]
    assert [row[0] for row in rows] == ["INC-2", "INC-1"]
    assert rows[0][2:5] == ["", "", "received"]
    assert rows[1][2:5] == ["Network & Connectivity › VPN Connection Issue", "87.6 %", "classified"]


def test_the_page_shows_the_newest_eight(person: FlaskClient, db: Database) -> None:
    deliver(db, *(incoming() for _ in range(30)))
    assert len(_page(person).xpath(LATEST)) == 8


def test_nothing_is_changed_by_following_links(person: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db))
    for href in _page(person).xpath("//a/@href"):
        person.get(str(href))
    assert person.get("/sign-out").status_code == 405
    with db.read() as session:
        assert session.query(Digest).count() == 0


def test_every_file_a_page_names_is_there(person: FlaskClient) -> None:
    named = [str(path) for path in _page(person).xpath("//link/@href | //script/@src | //img/@src | //use/@href")]
    assert named
    assert {person.get(path).status_code for path in named} == {200}


def test_an_alarm_is_seen_until_it_is_cleared(person: FlaskClient, db: Database) -> None:
    open_circuit(db, "key", status=401)
    (told,) = _words(_page(person), "problem")
    assert told.startswith("The engine is out The model's endpoint refused the key (401); check OPENAI_API_KEY")
    assert "One thing needs you" in _words(_page(person), "verdict")[0]
    with db.write() as session:
        circuit_breaker.close(session, circuit_breaker.ENGINE)
    assert _words(_page(person), "problem") == []


def test_without_redis_the_overview_is_calm(person: FlaskClient, app: Flask) -> None:
    state.of(app).context = replace(state.of(app).context, redis=queue.connect("redis://127.0.0.1:1", timeout=0.25))
    page = _page(person)
    assert "Redis is away Tickets wait safely in the database" in _words(page, "problem")[0]


def test_the_stages_are_told_in_quantiles_and_the_tickets_by_the_minute(person: FlaskClient, db: Database) -> None:
    with db.write() as session:
        for minutes in range(1, 5):
            at = now() - timedelta(minutes=minutes, seconds=5)
            latencies.note(session, latencies.ACCEPT, [5] * minutes, at)
            latencies.note(session, latencies.WHOLE, [100] * 49 + [2000], at)
    page = _page(person)
    rows = [[cell.text_content() for cell in row] for row in page.xpath("//section[@id='stages']//tbody/tr")]
    assert rows[0][0] == "Accept"
    assert rows[0][1] == rows[0][3]
    assert rows[1][1:] == ["–", "–", "–"]
    assert [rows[3][0], rows[3][1][:2], rows[3][3][-2:]] == ["End to end", "10", " s"]
    minutes_told = [row[1].text for row in page.xpath("//section[@id='by-minute']//tbody/tr")]
    assert minutes_told[-4:] == ["4", "3", "2", "1"]
    assert len(minutes_told) == 60


def test_every_digest_says_when_it_goes_out_next(person: FlaskClient) -> None:
    text = _page(person).get_element_by_id("digest").text_content()
    assert re.search(r"Goes out\s*in \d+ (h|d|min|s)\s+into the outbox", " ".join(text.split()))


def test_today_begins_at_midnight_where_the_people_are(db: Database) -> None:
    zone = ZoneInfo("Pacific/Kiritimati")
    midnight = now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for seconds in (-1, 0):
        deliver(db, incoming(), at=midnight + timedelta(seconds=seconds))
    with db.read() as session:
        assert sum(overview.received_since(session, tickets.first_since(session, midnight)).values()) == 1
        assert sum(overview.received_since(session, tickets.first_since(session, now())).values()) == 0


def test_the_sign_in_page_says_how_to_come_in(client: FlaskClient) -> None:
    page = _page(client, "/sign-in")
    assert "python -m jobs token --sign-in" in page.text_content()
    assert _words(page, "problem") == []
