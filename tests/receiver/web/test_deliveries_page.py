"""Deliveries: what is seen of what arrived, and who may have it read again."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from sqlalchemy import update

from receiver.db import audit, deliveries
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.models import Delivery, Ticket
from receiver.lib import secret_files
from receiver.lib.settings import Settings
from receiver.web import auth, state
from tests.factories import arrival, csrf, sign_in_as, signed, ticket_json
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in, person

__all__ = ["person"]

Push = Callable[..., int]


@pytest.fixture
def push(app: Flask, config: Settings) -> Push:
    """Pushes a body to the source `standard` and returns the delivery's id."""
    sender = app.test_client()

    def send(body: Any, key: str | None = None) -> int:
        answer = sender.post("/webhooks/standard", **signed(secret_files.webhook_secrets(config)[0], body, key))
        return int(answer.json["delivery"])  # type: ignore[index]

    return send


def _page(person: FlaskClient, path: str) -> Any:
    answer = person.get(path)
    assert answer.status_code == 200
    return markup.fromstring(answer.text)


def _ids(person: FlaskClient, query: str = "") -> list[int]:
    return [int(link.text_content()) for link in _page(person, f"/deliveries{query}").xpath("//td/a[@data-open-row]")]


def _text(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def test_the_list_is_filtered_by_its_address_and_paged_by_id(person: FlaskClient, db: Database, push: Push) -> None:
    good = push(ticket_json(), "msg_a")
    broken = push(b"{broken")
    push(ticket_json(id="T-other"), "msg_a")  # Another body under a known id.
    assert _ids(person) == [3, broken, good]
    assert _ids(person, "?status=quarantined") == [broken]
    assert _ids(person, "?source=standard&status=accepted") == [good]
    assert _ids(person, "?conflict=1") == [3]
    assert _ids(person, "?source=nobody") == []
    assert "conflict" in _text(_page(person, "/deliveries?conflict=1").xpath("//tbody/tr")[0])
    assert person.get("/deliveries?status=lost").status_code == 400
    with db.write() as session:
        for _ in range(100):
            deliveries.record(session, arrival(), Content(error="nothing"))
    seen, address = [], "/deliveries?status=quarantined"
    while address:
        page = _page(person, address)
        seen += [int(link.text_content()) for link in page.xpath("//td/a[@data-open-row]")]
        address = next(iter(page.xpath("//a[@rel='next']/@href")), "")
    assert seen == [*range(103, 3, -1), broken]


def test_a_delivery_shows_what_it_said_and_what_came_of_it(person: FlaskClient, db: Database, push: Push) -> None:
    batch = [ticket_json(id="T-good"), ticket_json(id="T-bad", requester_email="nobody")]
    kept = push(json.dumps(batch).encode() + b"\n", "msg_batch")
    push(batch, "msg_batch")
    text = _text(_page(person, f"/deliveries/{kept}").find("body"))
    assert "verified when it arrived" in text
    assert "T-bad requester_email :" in text
    assert "It came again" in text
    assert "VPN does not connect T-good" in text
    assert '"short_description": "VPN does not connect"' in text
    with db.read() as session:
        ticket = session.query(Ticket).one()
    assert _page(person, f"/deliveries/{kept}").xpath(f"//a[@href='/tickets/{ticket.id}']")


def test_the_place_of_a_fault_is_marked(person: FlaskClient, push: Push) -> None:
    kept = push(b'{"id": 1,\n "short_description": "a "quoted" word"}')
    [place] = _page(person, f"/deliveries/{kept}").find_class("fault")
    assert place.text_content() == ' "short_description": "a "quoted" word"}'
    assert place.find("mark").text == "q"
    assert place.get("aria-label") == "Line 2, column 27"


def test_no_secret_is_shown(person: FlaskClient, push: Push, config: Settings) -> None:
    own = secret_files.webhook_secrets(config)[0]
    kept = push(ticket_json(long_description=f"our secret is {own}", password="hunter2"))
    answer = person.get(f"/deliveries/{kept}")
    assert own not in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(("role", "may"), [(auth.VIEWER, False), (auth.REVIEWER, False), (auth.OPERATOR, True)])
def test_only_operators_read_what_arrived(client: FlaskClient, db: Database, push: Push, role: str, may: bool) -> None:
    kept = push(b'{"id": 1,\n "short_description": "a "quoted" word"}')
    sign_in_as(client, db, role)
    page = client.get(f"/deliveries/{kept}")
    assert ("quoted" in page.text) is may
    assert ("for operators to read" in page.text) is not may
    assert client.get(f"/api/deliveries/{kept}/raw").status_code == (200 if may else 403)


def test_what_is_kept_no_longer_says_so_and_cannot_be_replayed(person: FlaskClient, db: Database, push: Push) -> None:
    kept = push(ticket_json())
    with db.write() as session:
        session.execute(update(Delivery).values(body=None))
    page = _page(person, f"/deliveries/{kept}")
    assert "RAW_RETENTION_DAYS" in _text(page)
    assert [form.action for form in page.forms if "replay" in (form.action or "")] == []
    assert person.get("/deliveries/999").status_code == 404
    assert person.get(f"/deliveries/{2**70}").status_code == 404


def _replayed(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [_text(row) for row in markup.fromstring(answer.text).xpath("//tr[@data-row]")]


def _mend(app: Flask) -> None:
    """Read what was broken, as an operator might have it."""
    known = state.of(app).context.sources
    standard = known["standard"]
    known["standard"] = replace(standard, shape=replace(standard.shape, lenient=True))


def test_a_selection_is_replayed_with_old_and_new_result(
    person: FlaskClient, db: Database, push: Push, app: Flask
) -> None:
    broken = push(b'{"id": "R-1", "short_description": "two\nlines"}')
    fine = push(ticket_json())
    _mend(app)
    form = next(form for form in _page(person, "/deliveries").forms if form.action == "/deliveries/replay")
    token = form.fields["csrf_token"]
    rows = _replayed(person.post(form.action, data={"csrf_token": token, "delivery": [broken, fine, 999]}))
    assert rows[0] == f"{broken} quarantined no ticket replayed 1 new"
    assert rows[1].startswith(f"{fine} accepted 1 new replayed 1 known")
    assert rows[2] == "999 not replayed There is no delivery with this id."
    with db.read() as session:
        entries = {entry.subject: entry for entry in audit.page(session, 9) if entry.action == "replay"}
    assert entries[f"delivery {broken}"].details["after"] == {
        "status": "replayed", "accepted": 1, "updated": 0, "duplicates": 0, "rejected": 0,
    }  # fmt: skip
    history = _page(person, f"/deliveries/{broken}").xpath("//section[@aria-labelledby='replays-title']//tbody/tr")
    assert [_text(row).endswith("quarantined no ticket replayed 1 new") for row in history] == [True]


def test_all_since_a_time_are_replayed_and_the_page_asks_for_the_rest(
    person: FlaskClient, db: Database, push: Push, app: Flask
) -> None:
    push(ticket_json())
    for number in range(60):
        push(b'{"id": "R-%d", "short_description": "two\nlines"}' % number)
    _mend(app)
    form = next(form for form in _page(person, "/deliveries").forms if form.action == "/deliveries/replay-since")
    data = dict(form.form_values()) | {"source": "standard", "since": "2020-01-01T00:00"}
    assert data["status"] == "quarantined"
    seen = []
    while data:
        answer = person.post(form.action, data=data)
        seen += _replayed(answer)
        following = [form for form in markup.fromstring(answer.text).forms if form.get("hx-trigger") == "load"]
        data = dict(following[0].form_values()) if following else {}
    assert len(seen) == 60
    assert all(row.endswith("quarantined no ticket replayed 1 new") for row in seen)
    with db.read() as session:
        assert session.query(Ticket).count() == 61


@pytest.mark.parametrize(
    "wrong",
    [{"since": "soon"}, {"since": ""}, {"source": "nobody"}, {"status": "lost"}],
)
def test_an_unclear_since_is_refused(person: FlaskClient, push: Push, wrong: dict[str, str]) -> None:
    push(ticket_json())
    form = next(form for form in _page(person, "/deliveries").forms if form.action == "/deliveries/replay-since")
    data = dict(form.form_values()) | {"source": "standard", "since": "2020-01-01T00:00"} | wrong
    assert person.post(form.action, data=data).status_code == 400


def test_who_is_no_operator_looks_and_replays_nothing(client: FlaskClient, db: Database, push: Push) -> None:
    kept = push(ticket_json())
    sign_in_as(client, db, auth.REVIEWER)
    for path in ("/deliveries", f"/deliveries/{kept}"):
        assert [form.action for form in _page(client, path).forms if "replay" in (form.action or "")] == []
    token = csrf(client, "/deliveries")
    for action in ("replay", "replay-since"):
        answer = client.post(f"/deliveries/{action}", data={"csrf_token": token, "delivery": kept})
        assert answer.status_code == 403
    sign_in_as(client, db, auth.OPERATOR)
    assert client.post("/deliveries/replay", data={"delivery": kept}).status_code == 400  # Without the token.
    token = csrf(client, "/deliveries")
    assert client.post("/deliveries/replay", data={"csrf_token": token, "delivery": kept}).status_code == 200


def test_hostile_text_is_text(person: FlaskClient, db: Database, push: Push) -> None:
    fields = {"id": HOSTILE, "short_description": HOSTILE, HOSTILE: HOSTILE}
    kept = push([ticket_json(**fields), {"id": HOSTILE, "short_description": 5}], f"msg {HOSTILE[:9]}")
    with db.write() as session:
        values = {"error": HOSTILE, "headers": {"user-agent": HOSTILE}, "verification": "unsigned", "peer": HOSTILE}
        session.execute(update(Delivery).values(**values))
    for path in ("/deliveries", f"/deliveries/{kept}"):
        page = _page(person, path)
        no_way_in(page)
        assert HOSTILE in page.text_content() or HOSTILE in " ".join(page.xpath("//@title"))
