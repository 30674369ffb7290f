"""The pages, as a person and as an attacker's ticket would have them."""

import html
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html as markup  # type: ignore[import-untyped]

from receiver import queue
from receiver.clock import now
from receiver.record import alarms, digests, leases, sign_in
from receiver.record.database import Record
from receiver.record.digests import Envelope
from receiver.record.models import Digest
from tests.conftest import wait_until
from tests.factories import deliver, due_ticket, incoming, settle

HOSTILE = (
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)>' onmouseover=alert(3) {{7*7}} {% raw %} </title>&amp;"
)


@pytest.fixture
def person(client: FlaskClient, record: Record) -> FlaskClient:
    with record.write() as session:
        token = sign_in.issue(session, now())
    client.get(f"/sign-in/{token}")
    return client


def _page(person: FlaskClient, path: str = "/") -> Any:
    answer = person.get(path)
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    return markup.fromstring(answer.text)


def _tiles(page: Any) -> dict[str, str]:
    return {tile.findtext("span") or "": tile.findtext("b") or "" for tile in page.find_class("tile")}


def _words(page: Any, css_class: str) -> list[str]:
    return [" ".join(element.text_content().split()) for element in page.find_class(css_class)]


def test_the_counts_are_those_of_the_record(person: FlaskClient, record: Record) -> None:
    settle(record, due_ticket(record))
    settle(record, due_ticket(record), review_reason="low")
    failed = due_ticket(record)
    with record.write() as session:
        leases.fail(session, failed, "gave up")
    deliver(record, *(incoming() for _ in range(1200)))
    tiles = _tiles(_page(person))
    assert re.fullmatch(r"\d+ s", tiles.pop("oldest due ticket"))
    assert tiles == {
        "received": "1,200", "classified": "1", "needs review": "1", "failed": "1", "reviewed": "0", "deliveries": "4",
    }  # fmt: skip


def test_an_empty_record_says_what_will_be_seen(person: FlaskClient) -> None:
    page = _page(person)
    assert set(_tiles(page).values()) == {"0", "0 s"}
    tickets, digest = _words(page, "empty")
    assert "/webhooks/standard" in tickets
    assert "DIGEST_CRON" in digest
    assert page.xpath("//table") == []


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


def test_hostile_text_stays_text_wherever_it_comes_from(person: FlaskClient, record: Record) -> None:
    ticket = due_ticket(record, external_id=HOSTILE, short_description=HOSTILE, requester_email=HOSTILE)
    settle(record, ticket, category=HOSTILE, request_type=HOSTILE, reasoning=HOSTILE)
    with record.write() as session:
        alarms.sound(session, "engine", HOSTILE, now())
        digest = digests.claim(session, "today", Envelope((HOSTILE,), "localhost"), now())
        assert digest
        digests.mark(session, digest.id, "failed", now(), error=HOSTILE)
    page = _page(person)
    no_way_in(page)
    shown = " ".join(HOSTILE.split())
    assert page.text_content().count(HOSTILE) == 6
    assert page.xpath("//td/@title") == [HOSTILE]
    assert shown in _words(page, "problem")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_any_subject_is_shown_as_it_is(person: FlaskClient, record: Record, text: str) -> None:
    due_ticket(record, short_description=text)
    answer = person.get("/")
    assert answer.status_code == 200
    cells = re.findall(r'<td class="cut" title="([^"<>]*)"><strong>([^"<>]*)</strong>', answer.text)
    assert len(cells) == answer.text.count('<td class="cut"')
    assert [html.unescape(part) for part in cells[0]] == [text, text]


def test_the_latest_tickets_come_first_with_what_was_decided(person: FlaskClient, record: Record) -> None:
    settle(record, due_ticket(record, external_id="INC-1"), confidence=0.876)
    due_ticket(record, external_id="INC-2")
    rows = [[" ".join(cell.text_content().split()) for cell in row] for row in _page(person).xpath("//tbody/tr")]
    assert [row[0] for row in rows] == ["INC-2", "INC-1"]
    assert rows[0][2:6] == ["", "", "", "received"]
    assert rows[1][2:6] == ["Network & Connectivity", "VPN Connection Issue", "87.6 %", "classified"]


def test_a_page_shows_the_newest_twenty(person: FlaskClient, record: Record) -> None:
    deliver(record, *(incoming() for _ in range(30)))
    assert len(_page(person).xpath("//tbody/tr")) == 20


def test_a_digest_is_sent_by_the_button(person: FlaskClient, record: Record, app: Flask) -> None:
    settle(record, due_ticket(record))
    [form] = [form for form in _page(person).forms if form.action == "/digests"]
    answer = person.post(form.action, data=dict(form.form_values()), follow_redirects=True)
    page = markup.fromstring(answer.text)
    assert _words(page, "toast") == ["Digest 1 is on its way."]
    assert "claimed" in _words(page, "status")
    wait_until(lambda: queue.depths(app.extensions["redis"])[queue.DIGEST] == 1)
    assert _words(_page(person), "toast") == []


def test_the_button_says_when_there_is_nothing_to_send(person: FlaskClient, record: Record) -> None:
    [form] = [form for form in _page(person).forms if form.action == "/digests"]
    answer = person.post(form.action, data=dict(form.form_values()), follow_redirects=True)
    assert "Nothing was settled since the last digest." in answer.text
    with record.read() as session:
        assert session.query(Digest).count() == 0


def test_nothing_is_changed_by_following_links(person: FlaskClient, record: Record) -> None:
    settle(record, due_ticket(record))
    for href in _page(person).xpath("//a/@href"):
        person.get(str(href))
    assert person.get("/sign-out").status_code == 405
    with record.read() as session:
        assert session.query(Digest).count() == 0


def test_every_file_a_page_names_is_there(person: FlaskClient) -> None:
    named = [str(path) for path in _page(person).xpath("//link/@href | //script/@src | //img/@src | //use/@href")]
    assert named
    assert {person.get(path).status_code for path in named} == {200}


def test_an_alarm_is_seen_until_it_is_cleared(person: FlaskClient, record: Record) -> None:
    with record.write() as session:
        alarms.sound(session, "engine", "the key is wrong", now())
    assert _words(_page(person), "problem") == ["the key is wrong"]
    with record.write() as session:
        alarms.clear(session, "engine")
    assert _words(_page(person), "problem") == []


def test_the_sign_in_page_says_how_to_come_in(client: FlaskClient) -> None:
    page = _page(client, "/sign-in")
    assert "python -m jobs token --sign-in" in page.text_content()
    assert _words(page, "problem") == []
