"""The JSON API as its callers see it."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from jobs.digests import send as digest_job
from receiver import queue
from receiver.db import deliveries, due_tickets, tickets
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.models import Delivery, Digest
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import state
from receiver.web.app import create_app
from tests.conftest import wait_until
from tests.factories import arrival, deliver, due_ticket, incoming, settle

TICKET_KEYS = {
    "id", "source", "external_id", "short_description", "long_description", "requester_email", "status", "received_at",
    "due_at", "sla_state", "classification", "attempts", "error",
}  # fmt: skip
CLASSIFICATION_KEYS = {
    "category", "request_type", "sla", "confidence", "reasoning", "engine", "model", "fallback", "mended",
    "catalog_version", "prompt_version",
}  # fmt: skip
GETS = [
    "/api/stats", "/api/tickets", "/api/tickets/1", "/api/deliveries", "/api/deliveries/1", "/api/digests",
    "/api/digests/1", "/api/digests/1/workbook", "/api/catalog", "/metrics",
]  # fmt: skip


@pytest.fixture
def token(config: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret_files.api_token(config)}"}


@pytest.fixture
def api(client: FlaskClient, token: dict[str, str]) -> FlaskClient:
    """A program that sends the token with every request."""
    client.environ_base["HTTP_AUTHORIZATION"] = token["Authorization"]
    return client


def _is_error(answer: Any, code: int) -> bool:
    body = answer.get_json()
    assert answer.content_type == "application/json"
    assert {"code", "status", "message"} <= set(body) <= {"code", "status", "message", "errors"}
    assert body["code"] == answer.status_code == code
    return True


@pytest.fixture
def one_of_each(db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    digest = digest_job.send_now(db, config)
    assert digest is not None
    assert digest.id == 1


@pytest.mark.usefixtures("one_of_each")
def test_every_route_answers_with_the_token_and_only_with_it(client: FlaskClient, token: dict[str, str]) -> None:
    good = token["Authorization"]
    secret = good.removeprefix("Bearer ")
    for url in GETS:
        assert client.get(url, headers=token).status_code == 200, url
        assert _is_error(client.get(f"{url}?token={secret}"), 401)
        for offered in ("", "Bearer", "Bearer ", "Bearer x", f"Basic {secret}", good + "x", good[:-1], secret):
            assert _is_error(client.get(url, headers={"Authorization": offered}), 401)


def test_a_wrong_token_that_is_not_ascii_is_refused_like_any_other(client: FlaskClient) -> None:
    assert _is_error(client.get("/api/tickets", headers={"Authorization": "Bearer \xfc\xff"}), 401)


def test_a_digest_cannot_be_ordered_without_the_token(client: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db))
    assert _is_error(client.post("/api/digests"), 401)
    with db.read() as session:
        assert session.query(Digest).count() == 0


def test_a_classified_ticket_reads_as_promised(api: FlaskClient, db: Database) -> None:
    received, due = now().replace(microsecond=0), now().replace(microsecond=0) + timedelta(hours=4)
    ticket = due_ticket(db, external_id="INC-1", requester_email="ada@example.com", at=received)
    settle(db, ticket, due, engine="llm", model="gpt-4o-mini", prompt_version="p1", sla_value=4.0)
    read = api.get(f"/api/tickets/{ticket}").json
    assert read is not None
    assert set(read) >= TICKET_KEYS
    assert (read["id"], read["source"], read["external_id"]) == (ticket, "standard", "INC-1")
    assert (read["status"], read["attempts"], read["error"]) == ("classified", 1, None)
    assert (datetime.fromisoformat(read["received_at"]), datetime.fromisoformat(read["due_at"])) == (received, due)
    assert read["sla_state"] == "on_track"
    found = read["classification"]
    assert set(found) >= CLASSIFICATION_KEYS
    assert found["sla"] | {"is_default": False} == found["sla"]
    assert json.dumps([found["sla"]["value"], found["sla"]["unit"]]) == '[4, "hours"]'
    assert (found["confidence"], found["fallback"], found["mended"]) == (0.9, False, False)
    assert (found["engine"], found["model"], found["prompt_version"]) == ("llm", "gpt-4o-mini", "p1")


def test_half_an_hour_reads_as_half_an_hour(api: FlaskClient, db: Database) -> None:
    ticket = due_ticket(db)
    settle(db, ticket, sla_value=0.5)
    assert api.get(f"/api/tickets/{ticket}").get_json()["classification"]["sla"]["value"] == 0.5


def test_a_ticket_that_waits_and_one_that_failed_have_no_classification(api: FlaskClient, db: Database) -> None:
    waiting, failed = due_ticket(db), due_ticket(db)
    with db.write() as session:
        due_tickets.fail(session, failed, "other", "gave up", 1, None)
    items = api.get("/api/tickets").get_json()["items"]
    assert [(item["id"], item["status"], item["classification"], item["error"]) for item in items] == [
        (failed, "failed", None, "gave up"),
        (waiting, "received", None, None),
    ]
    assert all(set(item) >= TICKET_KEYS for item in items)


def test_a_ticket_has_its_history_newest_first(api: FlaskClient, db: Database) -> None:
    ticket = due_ticket(db)
    for reasoning in ("first", "second"):
        with db.write() as session:
            tickets.make_due(session, ticket, now())
        settle(db, ticket, reasoning=reasoning)
    read = api.get(f"/api/tickets/{ticket}").get_json()
    assert [entry["reasoning"] for entry in read["history"]] == ["second", "first"]
    assert read["classification"]["reasoning"] == "second"


@pytest.mark.parametrize("name", ["999", "0", "9" * 19, "9" * 40, "9" * 4000, "-1", "x", "1.5", "..%2f..%2fapi_token"])
def test_what_does_not_exist_is_not_found(api: FlaskClient, name: str) -> None:
    for url in ("tickets/{}", "deliveries/{}", "digests/{}", "digests/{}/workbook"):
        assert _is_error(api.get(f"/api/{url.format(name)}"), 404)


def _all_pages(api: FlaskClient, url: str) -> list[int]:
    found, cursor, pages = [], "", 0
    while True:
        page = api.get(f"{url}{cursor}").get_json()
        found += [item["id"] for item in page["items"]]
        pages += 1
        assert pages < 100
        if page["next"] is None:
            return found
        assert page["items"]
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 21])
def test_paging_goes_through_all_tickets_without_gap_or_repeat(api: FlaskClient, db: Database, count: int) -> None:
    if count:
        deliver(db, *(incoming() for _ in range(count)))
    assert _all_pages(api, "/api/tickets?limit=7") == list(range(count, 0, -1))
    assert _all_pages(api, "/api/tickets?limit=7&q=vpn") == list(range(count, 0, -1))
    assert _all_pages(api, "/api/tickets?limit=7&status=received&source=standard") == list(range(count, 0, -1))


def test_tickets_that_arrive_while_somebody_pages_do_not_disturb(api: FlaskClient, db: Database) -> None:
    deliver(db, *(incoming() for _ in range(5)))
    first = api.get("/api/tickets?limit=3").get_json()
    deliver(db, *(incoming() for _ in range(4)))
    second = api.get(f"/api/tickets?limit=3&cursor={first['next']}").get_json()
    assert [item["id"] for item in first["items"] + second["items"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None


def test_paging_goes_through_all_deliveries_and_digests(api: FlaskClient, db: Database) -> None:
    for _ in range(5):
        settle(db, due_ticket(db))
        assert api.post("/api/digests").status_code == 202
    assert _all_pages(api, "/api/deliveries?limit=2&status=accepted") == [5, 4, 3, 2, 1]
    assert _all_pages(api, "/api/digests?limit=2") == [5, 4, 3, 2, 1]


def test_a_page_has_fifty_unless_told(api: FlaskClient, db: Database) -> None:
    deliver(db, *(incoming() for _ in range(201)))
    assert len(api.get("/api/tickets").get_json()["items"]) == 50
    assert len(api.get("/api/tickets?limit=200").get_json()["items"]) == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=classified", {"A", "B"}), ("status=received", {"C"}), ("status=failed", {"D"}),
        ("status=reviewed", set()), ("category=Hardware", {"A"}), ("category=Network %26 Connectivity", {"B"}),
        ("category=hardware", set()), ("request_type=Laptop", {"A"}), ("source=theirs", {"C"}), ("q=ZÜRICH", {"D"}),
        ("q=vpn", {"A", "B", "C"}), ("q=d&status=failed", {"D"}), ("category=Hardware&status=classified", {"A"}),
        ("category=Hardware&request_type=none", set()), ("cursor=2", {"A"}), ("category=' OR 1=1 --", set()),
        ("q=%25", set()), ("q=_", set()), ("source=theirs&q=' OR 1=1", set()),
    ],
)  # fmt: skip
def test_a_filter_keeps_what_it_names(api: FlaskClient, db: Database, query: str, expected: set[str]) -> None:
    settle(db, due_ticket(db, external_id="A"), category="Hardware", request_type="Laptop")
    settle(db, due_ticket(db, external_id="B"))
    due_ticket(db, external_id="C", source="theirs")
    failed = due_ticket(db, external_id="D", short_description="train to Zürich")
    with db.write() as session:
        due_tickets.fail(session, failed, "other", "gave up", 1, None)
    answer = api.get(f"/api/tickets?{query}")
    assert {item["external_id"] for item in answer.get_json()["items"]} == expected


BAD_PAGES = [
    "limit=0", "limit=-1", "limit=201", "limit=x", "limit=1.5", "limit=", "cursor=0", "cursor=-5", "cursor=x",
    f"cursor={10**30}",
]  # fmt: skip
BAD_TICKETS = ["status=bogus", "status=", "q=%00", "q=", f"q={'x' * 201}", "category=%00", "source=a%00"]
BAD = {
    "tickets": BAD_PAGES + BAD_TICKETS,
    "deliveries": [*BAD_PAGES, "status=classified"],
    "digests": BAD_PAGES,
}


@pytest.mark.parametrize("noun", BAD)
def test_bad_parameters_are_named_in_the_one_shape_of_errors(api: FlaskClient, noun: str) -> None:
    for query in BAD[noun]:
        answer = api.get(f"/api/{noun}?{query}")
        assert _is_error(answer, 422), query
        assert list(answer.get_json()["errors"]["query"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("method", "url"), [("DELETE", "/api/tickets/1"), ("POST", "/api/tickets"), ("PUT", "/api/digests")]
)
def test_a_wrong_method_is_refused_and_the_right_ones_named(api: FlaskClient, method: str, url: str) -> None:
    answer = api.open(url, method=method)
    assert _is_error(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_an_unknown_path_is_answered_in_json(api: FlaskClient) -> None:
    assert _is_error(api.get("/api/nothing"), 404)


def test_a_bug_is_answered_in_json_and_tells_nothing_of_itself(app: Flask, api: FlaskClient) -> None:
    app.testing = False
    state.of(app).context = replace(state.of(app).context, db=cast(Database, None))
    answer = api.get("/api/tickets")
    assert _is_error(answer, 500)
    assert "NoneType" not in answer.text


def test_a_delivery_is_shown_with_what_was_rejected_and_without_its_body(api: FlaskClient, db: Database) -> None:
    rejected = [{"index": 1, "id": "T-2", "errors": {"short_description": ["Missing"]}}]
    with db.write() as session:
        made = deliveries.record(session, arrival(key="msg", body=b"secret words"), Content([incoming()], rejected))
    answer = api.get(f"/api/deliveries/{made.id}")
    assert answer.json == api.get("/api/deliveries?status=partial").get_json()["items"][0]
    shown = answer.get_json()
    assert (shown["key"], shown["status"], shown["accepted"], shown["rejected"]) == ("msg", "partial", 1, rejected)
    assert "secret words" not in answer.text


def test_a_list_of_deliveries_does_not_load_their_bodies(api: FlaskClient, db: Database) -> None:
    with db.write() as session:
        session.add_all(Delivery(**_quarantined(n)) for n in range(3))
    read: list[str] = []

    def note(*details: Any) -> None:
        read.append(details[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert len(api.get("/api/deliveries").get_json()["items"]) == 3
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any("deliveries.status" in statement for statement in read)
    assert not any("deliveries.body," in statement for statement in read)


def _quarantined(number: int) -> dict[str, Any]:
    return {
        "source": "standard", "key": f"msg-{number}", "received_at": now(), "headers": {}, "body": b"x" * 1000,
        "body_sha256": "", "status": "quarantined",
    }  # fmt: skip


def test_a_digest_is_ordered_sent_and_its_workbook_fetched(
    api: FlaskClient, db: Database, config: Settings, app: Flask
) -> None:
    settle(db, due_ticket(db))
    ordered = api.post("/api/digests")
    assert ordered.status_code == 202
    digest = ordered.get_json()
    assert (digest["status"], digest["tickets"], digest["sent_at"]) == ("claimed", 1, None)
    wait_until(lambda: queue.depths(state.of(app).redis)[queue.DIGEST] == 1)
    assert _is_error(api.get(f"/api/digests/{digest['id']}/workbook"), 404)
    digest_job.send_due()
    sent = api.get(f"/api/digests/{digest['id']}").get_json()
    assert (sent["status"], sent["message_id"]) == ("sent", digest["message_id"])
    assert api.get("/api/digests").get_json()["items"] == [sent]
    book = api.get(f"/api/digests/{digest['id']}/workbook")
    assert book.content_type == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert "attachment" in book.headers["Content-Disposition"]
    assert book.data == (config.data_dir / "digests" / f"digest-{digest['id']}.xlsx").read_bytes()


def test_an_order_with_nothing_to_send_is_refused(api: FlaskClient, db: Database) -> None:
    due_ticket(db)
    assert _is_error(api.post("/api/digests"), 409)
    settle(db, due_ticket(db))
    assert api.post("/api/digests").status_code == 202
    assert _is_error(api.post("/api/digests"), 409)


def test_a_digest_is_ordered_even_while_redis_is_away(tmp_path: Path, db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    away = create_app(replace(config, redis_url=f"unix://{tmp_path}/nobody.sock")).test_client()
    answer = away.post("/api/digests", headers={"Authorization": f"Bearer {secret_files.api_token(config)}"})
    assert answer.status_code == 202


def test_the_counts_are_those_of_the_record(api: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db), prompt_tokens=900, completion_tokens=40)
    settle(db, due_ticket(db), review_reason="low_confidence")
    due_ticket(db)
    stats = api.get("/api/stats").get_json()
    assert stats["tickets"] == {"received": 1, "classified": 1, "needs_review": 1, "failed": 0, "reviewed": 0}
    assert stats["deliveries"]["accepted"] == 3
    assert (stats["cost"]["prompt_tokens"], stats["cost"]["completion_tokens"]) == (900, 40)
    assert stats["cost"]["today"]["models"] == {}
    assert stats["queue"]["redis"] == "up"
    assert stats["queue"]["tickets"] == 1
    assert stats["engine"] == {"name": "local", "model": None}


TINY = "rules: [one]\ncategories:\n- name: A\n  requests:\n  - name: VPN\n    sla: {value: 4, unit: hours}\n"


@pytest.fixture
def file(tmp_path: Path, config: Settings) -> Path:
    (tmp_path / "ours.yaml").write_text(TINY)
    return tmp_path / "ours.yaml"


@pytest.fixture
def by_file(db: Database, config: Settings, file: Path, token: dict[str, str]) -> FlaskClient:
    made = create_app(replace(config, service_catalog_url=str(file))).test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = token["Authorization"]
    return made


def test_the_catalog_in_force_is_shown_with_its_age_and_what_it_lacks(by_file: FlaskClient, file: Path) -> None:
    shown = by_file.get("/api/catalog").get_json()
    assert (len(shown["version"]), shown["location"], shown["problem"]) == (12, str(file), None)
    assert 0 <= shown["age_seconds"] < 60
    assert shown["counts"] == {
        "categories": 2, "request_types": 2, "descriptions": 1, "examples": 0, "keywords": 0, "rules": 1,
    }  # fmt: skip
    assert shown["request_types"][0] == {
        "category": "A", "name": "VPN", "sla": {"value": 4, "unit": "hours", "is_default": False}, "description": "",
        "examples": [], "keywords": [],
    }  # fmt: skip
    assert shown["fallback"]["name"] == shown["request_types"][1]["name"]
    assert shown["rules"] == ["one"]
    assert "1 of 1 request types say too little" in shown["warnings"][0]
    assert "VPN: no description, no examples, no keywords" in shown["warnings"]


def test_a_changed_catalog_is_in_force_after_a_reload_and_wakes_who_waited(
    by_file: FlaskClient, file: Path, config: Settings
) -> None:
    before = by_file.get("/api/catalog").get_json()["version"]
    file.write_text(TINY.replace("VPN", "Tunnel"))
    answer = by_file.post("/api/catalog/reload")
    assert answer.status_code == 200
    assert answer.get_json()["version"] != before
    assert by_file.get("/api/catalog").get_json()["request_types"][0]["name"] == "Tunnel"
    connection = queue.connect(config.redis_url)
    wait_until(lambda: queue.depths(connection)[queue.CLASSIFY])


def test_a_wrong_catalog_is_refused_with_its_lines_while_the_old_one_serves(by_file: FlaskClient, file: Path) -> None:
    before = by_file.get("/api/catalog").get_json()["version"]
    file.write_text(TINY.replace("4", "-4").replace("rules: [one]", "rules: one"))
    answer = by_file.post("/api/catalog/reload")
    assert _is_error(answer, 422)
    assert [mistake["line"] for mistake in answer.get_json()["errors"]["catalog"]] == [1, 6]
    assert "line 6: the SLA of 'VPN'" in answer.get_json()["message"]
    shown = by_file.get("/api/catalog").get_json()
    assert shown["version"] == before
    assert f"version {before}, read on " in shown["problem"]
    assert by_file.get("/api/stats").get_json()["alarms"][0]["name"] == "catalog"
    file.unlink()
    assert _is_error(by_file.post("/api/catalog/reload"), 422)
    file.write_text(TINY)
    assert by_file.post("/api/catalog/reload").get_json()["problem"] is None


def test_a_catalog_that_was_never_good_is_not_found(by_file: FlaskClient, file: Path) -> None:
    file.write_text("categories: []")
    answer = by_file.get("/api/catalog")
    assert _is_error(answer, 404)
    assert "line 1" in answer.get_json()["message"]


def test_showing_the_catalog_asks_no_address(db: Database, config: Settings, token: dict[str, str]) -> None:
    away = create_app(replace(config, service_catalog_url="http://127.0.0.1:1/")).test_client()
    assert "reload" in away.get("/api/catalog", headers=token).get_json()["message"]
    assert _is_error(away.post("/api/catalog/reload", headers=token), 422)
    assert "never given a good one" in away.get("/api/catalog", headers=token).get_json()["message"]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [ref for key, item in value.items() for ref in ([item] if key == "$ref" else _references(item))]
    return [ref for item in value for ref in _references(item)] if isinstance(value, list) else []


def test_the_description_of_the_api_is_sound_and_names_every_route(app: Flask, client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()
    assert described["openapi"].startswith("3.")
    assert {"title", "version"} <= set(described["info"])
    routes = {
        (re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", str(rule)), method.lower())
        for rule in app.url_map.iter_rules()
        if str(rule).startswith("/api")
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    operations = {(path, name) for path, item in described["paths"].items() for name in item if name != "parameters"}
    assert operations == routes | {("/webhooks/{source_name}", "post"), ("/webhooks/{source_name}", "get")}
    for path, item in described["paths"].items():
        named = {parameter["name"] for parameter in item.get("parameters", ()) if parameter["in"] == "path"}
        assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
        assert all(item[name]["responses"] for _, name in operations if name in item)
    for reference in _references(described):
        found: Any = described
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_the_description_says_what_a_ticket_has(client: FlaskClient) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    assert set(schemas["TicketOut"]["properties"]) >= TICKET_KEYS
    assert set(schemas["ClassificationOut"]["properties"]) >= CLASSIFICATION_KEYS
