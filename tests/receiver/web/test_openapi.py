"""What /openapi.json promises, tried with made-up requests."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from sqlalchemy import text
from werkzeug.test import TestResponse

from receiver.catalog import Catalog
from receiver.db import sign_in
from receiver.db.database import Database
from receiver.db.models import Delivery
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.factories import deliver, due_ticket, incoming, settle, use_link
from tests.properties import tries

# The same requests in every run: a build shall not fail by luck.
_tries = settings(
    max_examples=tries(4),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _failures(operation: Any, mode: GenerationMode, shipped: Catalog, bearer: dict[str, str]) -> list[str]:
    found: list[str] = []

    @_tries
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            _name_what_there_is(case, shipped)
        try:
            case.call_and_validate(headers=bearer)
        except FailureGroup as failures:
            found.extend(f"{operation.label} {case.body!r}: {failure}" for failure in failures.exceptions)

    run()
    return found


def _name_what_there_is(case: schemathesis.Case[Any], shipped: Catalog) -> None:
    # Made-up ids and entries would all be refused.
    case.path_parameters.update({name: 1 for name in case.path_parameters if name.endswith("_id")})
    if case.method == "POST" and "source_name" in case.path_parameters:
        case.path_parameters["source_name"] = "standard"
    if isinstance(case.body, dict) and "category" in case.body:
        entry = shipped.request_types[0]
        case.body = {"category": entry.category, "request_type": entry.name}


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_described(
    mode: GenerationMode, app: Flask, db: Database, config: Settings, shipped: Catalog
) -> None:
    for _ in range(3):
        settle(db, due_ticket(db))
    described: Any = schemathesis.openapi.from_wsgi("/openapi.json", app)
    bearer = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) > 15
    assert [failure for operation in operations for failure in _failures(operation, mode, shipped, bearer)] == []


@pytest.fixture
def sent(client: FlaskClient, config: Settings, db: Database) -> Callable[..., TestResponse]:
    deliver(db, incoming())
    bearer = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    return lambda *request, **options: client.open(request[1], method=request[0], headers=bearer, **options)


JSON = "application/json"
REFUSED: list[tuple[int, str, str, dict[str, Any]]] = [
    (400, "POST", "/api/tickets/1/review", {"data": "{", "content_type": JSON}),
    (400, "POST", "/api/deliveries/replay", {"data": '{"ids": ' + "[" * 5_000, "content_type": JSON}),
    (400, "POST", "/api/deliveries/replay", {"data": '{"ids": [' + "9" * 5_000 + "]}", "content_type": JSON}),
    (404, "GET", "/api/nothing", {}),
    (404, "GET", "/api/tickets/2", {}),
    (405, "PATCH", "/api/tickets", {}),
    (409, "POST", "/api/digests", {}),
    (409, "POST", "/api/tickets/1/review", {"json": {}}),
    (409, "POST", "/api/tickets/1/undo", {}),
    (413, "POST", "/api/deliveries/replay", {"data": b" " * (5 * 2**20 + 1), "content_type": JSON}),
    (415, "POST", "/api/deliveries/replay", {"data": "ids=1"}),
    (415, "POST", "/api/digests", {"data": "x", "content_type": "text/plain"}),
    (422, "POST", "/api/deliveries/replay", {"json": {"ids": ["1"]}}),
    (422, "POST", "/api/deliveries/replay", {"json": {"ids": [1.5]}}),
    (422, "GET", "/api/tickets?limit=0", {}),
]


@pytest.mark.parametrize(("status", "method", "url", "options"), REFUSED)
def test_every_refusal_has_one_shape_and_says_what_is_wrong(
    sent: Callable[..., TestResponse], status: int, method: str, url: str, options: dict[str, Any]
) -> None:
    answer = sent(method, url, **options)
    assert (answer.status_code, answer.content_type) == (status, JSON)
    assert {"code", "status", "message"} <= set(answer.get_json()) <= {"code", "status", "message", "errors"}
    assert answer.get_json()["code"] == status
    assert ("errors" in answer.get_json()) == (status in (400, 422))
    assert "semantic" not in answer.get_json()["message"]


def test_bytes_that_are_no_longer_kept_are_gone(sent: Callable[..., TestResponse], db: Database) -> None:
    with db.write() as session:
        session.query(Delivery).update({"body": None})
    assert [sent("GET", "/api/deliveries/1/raw").status_code, sent("POST", "/api/deliveries/1/replay").status_code] == [
        410, 410,
    ]  # fmt: skip


def test_a_record_that_cannot_be_used_is_told_in_the_same_shape(
    sent: Callable[..., TestResponse], db: Database
) -> None:
    with db.write() as session:
        session.execute(text("DROP TABLE digests"))
    answer = sent("GET", "/api/digests")
    assert (answer.status_code, answer.get_json()["code"], answer.headers["Retry-After"]) == (503, 503, "10")


def test_whole_numbers_are_taken_as_json_writes_them(sent: Callable[..., TestResponse]) -> None:
    answer = sent("POST", "/api/deliveries/replay", data='{"ids": [1.0], "cursor": null}', content_type=JSON)
    assert [item["delivery"] for item in answer.get_json()["items"]] == [1]


def test_every_operation_names_its_errors_and_how_to_come_in(client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()
    assert described["security"] == [{"token": []}, {"session": []}]
    assert set(described["components"]["securitySchemes"]) == {"token", "session"}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method == "parameters" or path.startswith("/webhooks"):
                continue
            assert operation["summary"], path
            assert {"401", "500", "503"} <= set(operation["responses"]), path
            assert "default" not in operation["responses"]
            for code in (code for code in operation["responses"] if code >= "400"):
                content = operation["responses"][code]["content"]
                assert content == {JSON: {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}, (path, code)


def test_a_body_that_may_be_left_out_is_described_so(client: FlaskClient, sent: Callable[..., TestResponse]) -> None:
    for path, operations in client.get("/openapi.json").get_json()["paths"].items():
        body = operations.get("post", {}).get("requestBody")
        if path.startswith("/api/") and body and "{" not in path:
            assert (sent("POST", path).status_code in (400, 422)) == body.get("required", False), path


def test_every_list_is_paged_alike(client: FlaskClient) -> None:
    described = client.get("/openapi.json").get_json()
    for name in ("tickets", "deliveries", "digests"):
        parameters = described["paths"][f"/api/{name}"]["get"]["parameters"]
        assert {"limit", "cursor"} <= {parameter["name"] for parameter in parameters}
    pages = [schema for name, schema in described["components"]["schemas"].items() if name.endswith("Page")]
    assert len(pages) == 4
    assert all(set(page["properties"]) == set(page["required"]) == {"items", "next"} for page in pages)


def test_the_page_that_shows_it_is_for_people_and_needs_no_other_host(app: Flask, db: Database) -> None:
    person, stranger = app.test_client(), app.test_client()
    assert stranger.get("/docs").headers["Location"] == "/sign-in"
    with db.write() as session:
        link = sign_in.issue(session, now())
    use_link(person, f"/sign-in/{link}")
    page = person.get("/docs")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "<style" not in page.text
    assert " style=" not in page.text
    used = re.findall(r'(?:src|href|data-description)="([^"]+)"', page.text)
    assert {url for url in used if url != "data:,"} >= {"/openapi.json", "/static/docs.js"}
    assert [url for url in used if url != "data:," and person.get(url).status_code != 200] == []
