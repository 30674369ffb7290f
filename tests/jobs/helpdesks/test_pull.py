"""Tickets from the helpdesk's API and from files: everything in them is read, or it is said why not."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.digests import workbook
from jobs.helpdesks import pull
from jobs.helpdesks.pull import PullError
from receiver.intake.sources import standard
from receiver.lib.settings import Settings
from tests.factories import classification
from tests.jobs.digests.test_workbook import NOON, ticket
from tests.peers import http
from tests.peers.http import Answer, Peer, Request, free_port
from tests.properties import tries

ROWS = [
    ["ID", "Short Description", "Requester Email"],
    ["T-1", "VPN", "ada@example.com"],
    ["T-2", "Größe, „laut“", ""],
]
TICKETS = [
    {"id": "T-1", "short_description": "VPN", "requester_email": "ada@example.com"},
    {"id": "T-2", "short_description": "Größe, „laut“"},
]


@pytest.fixture
def helpdesk() -> Iterator[Peer]:
    with http.serve(Peer(lambda _: requests_of([]))) as peer:
        yield peer


@pytest.fixture
def pulling(config: Settings, helpdesk: Peer) -> Settings:
    return replace(
        config, helpdesk_webhook_url=f"{helpdesk.url}/pull", helpdesk_api_key="key-1", helpdesk_api_secret="s3cret-1"
    )


def requests_of(tickets: list[Any]) -> Answer:
    return Answer.of({"response_code": 200, "data": {"requests": tickets}})


def complaint(config: Settings) -> str:
    with pytest.raises(PullError) as caught:
        pull.from_helpdesk(config)
    assert "s3cret-1" not in str(caught.value)
    return str(caught.value)


def file_complaint(path: Path, body: bytes) -> str:
    path.write_bytes(body)
    with pytest.raises(PullError) as caught:
        pull.from_file(path)
    return str(caught.value)


def read(path: Path, body: bytes) -> list[Any]:
    path.write_bytes(body)
    return pull.from_file(path).items


def workbook_of(rows: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet
    for row in rows:
        sheet.append(row)
    found = io.BytesIO()
    book.save(found)
    return found.getvalue()


def edited(workbook: bytes, name: str, old: bytes, new: bytes) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as before, zipfile.ZipFile(found, "w") as after:
        for entry in before.namelist():
            body = before.read(entry)
            assert entry != name or old in body
            after.writestr(entry, body.replace(old, new) if entry == name else body)
    return found.getvalue()


def test_the_helpdesk_gets_the_key_and_gives_its_requests(pulling: Settings, helpdesk: Peer) -> None:
    tickets = [{"id": 1, "short_description": "VPN"}, {"id": 2}]
    helpdesk.respond = lambda _: requests_of(tickets)
    batch = pull.from_helpdesk(pulling)
    assert batch.items == tickets
    assert batch.source == "helpdesk"
    [request] = helpdesk.requests
    assert (request.method, request.path) == ("POST", "/pull")
    assert request.json == {"api_key": "key-1", "api_secret": "s3cret-1"}


def test_a_helpdesk_without_requests_gives_none(pulling: Settings) -> None:
    assert pull.from_helpdesk(pulling).items == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer.of({"response_code": 401, "message": "bad key"}),
        Answer.of({"response_code": 403, "data": {"requests": []}}),
        Answer.of({}, status=401),
        Answer(403, b"<html>no</html>"),
    ],
)
def test_a_refused_key_is_told_as_such(pulling: Settings, helpdesk: Peer, answer: Answer) -> None:
    helpdesk.respond = lambda _: answer
    assert "refused HELPDESK_API_KEY and HELPDESK_API_SECRET" in complaint(pulling)


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (Answer.of({}, status=500), "500"),
        (Answer.of({}, status=429), "429"),
        (Answer.of({}, status=204), "204"),
        (Answer(200, b"<html>maintenance</html>", {"Content-Type": "text/html"}), "not JSON"),
        (Answer(200, b""), "not JSON"),
        (Answer(200, b'{"response_code": 200, "data"'), "not JSON"),
        (Answer(200, b"\xff\xfe{}"), "not UTF-8"),
        (Answer(200, b"[" * 100_000), "nested"),
        (Answer.of({"response_code": 200}), "data.requests"),
        (Answer.of({"response_code": 200, "data": []}), "data.requests"),
        (Answer.of({"response_code": 200, "data": {"requests": {"id": 1}}}), "data.requests"),
        (Answer.of({"response_code": 500, "data": {"requests": [{"id": 1}]}}), "500"),
        (Answer.of([{"id": 1}]), "data.requests"),
        (Answer.of("requests"), "data.requests"),
        (Answer.of(None), "data.requests"),
    ],
)
def test_an_answer_that_is_not_as_agreed_is_refused_in_words(
    pulling: Settings, helpdesk: Peer, answer: Answer, part: str
) -> None:
    helpdesk.respond = lambda _: answer
    assert part in complaint(pulling)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_key_does_not_follow_a_redirect(pulling: Settings, helpdesk: Peer, status: int) -> None:
    def respond(request: Request) -> Answer:
        moved = {"Location": f"{helpdesk.url}/elsewhere", "Content-Type": "application/json"}
        return Answer(status, b"{}", moved) if request.path == "/pull" else requests_of([{"id": 1}])

    helpdesk.respond = respond
    assert str(status) in complaint(pulling)
    assert [request.path for request in helpdesk.requests] == ["/pull"]


def test_a_helpdesk_that_is_away_or_silent_is_told_as_such(pulling: Settings, helpdesk: Peer) -> None:
    away = replace(pulling, helpdesk_webhook_url=f"http://127.0.0.1:{free_port()}/")
    assert "cannot be reached" in complaint(away)
    helpdesk.respond = silent
    assert "cannot be reached" in complaint(replace(pulling, request_timeout=0.2))


def silent(_: Request) -> Answer:
    threading.Event().wait(2)
    return requests_of([])


@pytest.mark.parametrize(
    "body",
    [
        [{"id": 1}, {"id": 2}],
        {"tickets": [{"id": 1}, {"id": 2}]},
        {"requests": [{"id": 1}, {"id": 2}]},
        {"data": [{"id": 1}, {"id": 2}]},
    ],
)
def test_a_json_file_has_the_shapes_of_a_delivery(tmp_path: Path, body: Any) -> None:
    assert read(tmp_path / "a.json", json.dumps(body).encode()) == [{"id": 1}, {"id": 2}]


def test_json_lines_may_have_a_mark_and_blank_lines(tmp_path: Path) -> None:
    body = b'\xef\xbb\xbf{"id": 1}\r\n\r\n   \n{"id": 2, "short_description": "a\\nb\xe2\x80\xa8c"}'
    assert read(tmp_path / "a.jsonl", body) == [{"id": 1}, {"id": 2, "short_description": "a\nb\u2028c"}]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_file_may_have_a_mark_blank_rows_and_any_line_ends(tmp_path: Path, mark: str, ending: str) -> None:
    lines = ["ID,Short Description,Requester Email", "T-1,VPN,ada@example.com", "", ",,", 'T-2,"Größe, „laut“"', ""]
    assert read(tmp_path / "A.CSV", (mark + ending.join(lines)).encode()) == TICKETS


def test_a_csv_file_keeps_line_breaks_quotes_and_long_text(tmp_path: Path) -> None:
    long = "x" * 300_000
    body = f'request_id,short_description,long_description,colour\n007,"a ""b""\nc",{long},red\n'
    assert read(tmp_path / "a.csv", body.encode()) == [
        {"id": "007", "short_description": 'a "b"\nc', "long_description": long}
    ]


def test_a_workbook_is_read_cell_by_cell(tmp_path: Path) -> None:
    assert read(tmp_path / "a.xlsx", workbook_of([*ROWS, [], [None, ""]])) == TICKETS


def test_a_workbook_may_have_numbers_and_dates(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["Request ID", "Short Description", "Created At"],
        [4711, "VPN", datetime(2025, 12, 5, 15, 30)],
    ]
    [item] = read(tmp_path / "a.xlsx", workbook_of(rows))
    [incoming] = standard.validate([item]).tickets
    assert incoming.external_id == "4711"
    assert incoming.source_created_at == datetime(2025, 12, 5, 15, 30, tzinfo=UTC)


def test_a_workbook_that_notes_a_wrong_size_is_read_whole(tmp_path: Path) -> None:
    lying = edited(workbook_of(ROWS), "xl/worksheets/sheet1.xml", b'ref="A1:C3"', b'ref="A1"')
    assert read(tmp_path / "a.xlsx", lying) == TICKETS


texts = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1)


@hypothesis_settings(deadline=None, max_examples=tries(25))
@given(
    found=st.lists(
        st.tuples(
            texts, texts | st.sampled_from(["=1+1", "#REF!", "0123", "1e5", "TRUE", "_x000D_", "_x005F_x0041_x000a_"])
        ),
        min_size=1,
    )
)
def test_our_own_workbook_is_read_back(found: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("own") / "report.xlsx"
    rows = [
        (ticket(external_id=name, short_description=text, due_at=NOON + timedelta(hours=1)), classification(1))
        for name, text in found
    ]
    workbook.build(path, rows, NOON)
    expected = [
        {
            "id": name.strip(),
            "short_description": text,
            "long_description": "No route.",
            "requester_email": "ada@example.com",
        }
        for name, text in found
    ]
    assert pull.from_file(path).items == expected


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
@pytest.mark.parametrize("rows", [[], [["id", "text"], ["1", "VPN"]], [["short_description"], ["VPN"]]])
def test_a_table_without_the_needed_columns_is_refused(tmp_path: Path, suffix: str, rows: list[list[str]]) -> None:
    body = workbook_of(rows) if suffix == "xlsx" else "\n".join(",".join(row) for row in rows).encode()
    assert "short_description" in file_complaint(tmp_path / f"a.{suffix}", body)


def test_columns_that_may_be_missing_may_be_missing(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"id,short_description\n1,VPN") == [{"id": "1", "short_description": "VPN"}]


@pytest.mark.parametrize(
    ("name", "body", "part"),
    [
        ("a.json", b"", "not JSON"),
        ("a.json", b"[", "not JSON"),
        ("a.json", b"[]", "no tickets"),
        ("a.json", b"[" * 100_000, "nested"),
        ("a.json", b'[{"id": 1, "id": 2}]', "twice"),
        ("a.json", b'[{"id": NaN}]', "NaN"),
        ("a.jsonl", b'{"id": 1}\n{"id": 2', "line 2"),
        ("a.jsonl", b'{"id": 1}\n\xff', "line 2"),
        ("a.csv", b'id,short_description\n1,"never closed\n2,VPN\n3,Mail', "end of data"),
        ("a.xlsx", b"", "not a sound workbook"),
        ("a.xlsx", b"PK\x03\x04", "not a sound workbook"),
        ("a.xlsx", b"id,short_description\n1,VPN", "not a sound workbook"),
        ("a.pdf", b"%PDF", ".jsonl"),
        ("a", b"[]", ".jsonl"),
    ],
)
def test_a_broken_file_is_refused_in_words(tmp_path: Path, name: str, body: bytes, part: str) -> None:
    text = file_complaint(tmp_path / name, body)
    assert part in text
    assert name in text


def test_a_file_that_cannot_be_opened_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(PullError, match="directory"):
        pull.from_file(tmp_path / "a.json")


@pytest.mark.parametrize("entry", ["[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"])
@pytest.mark.parametrize(("old", "new"), [(b"<", b""), (b">", b"\x00"), (b"sheet", b"shoot"), (b"=", b"")])
def test_a_workbook_with_broken_parts_is_refused_in_words(tmp_path: Path, entry: str, old: bytes, new: bytes) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(edited(workbook_of(ROWS), entry, old, new))
    try:
        assert pull.from_file(path).items == TICKETS
    except PullError as error:
        assert "a.xlsx" in str(error)


@hypothesis_settings(deadline=None, max_examples=tries(60))
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_workbook_never_ends_in_a_traceback(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    body = bytearray(workbook_of(ROWS))
    for place, value in changes:
        body[place % len(body)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
    path.write_bytes(body)
    try:
        assert isinstance(pull.from_file(path).items, list)
    except PullError as error:
        assert "damaged.xlsx" in str(error)


@pytest.mark.parametrize("item", [None, 1, "x", [], {}, {"id": 1}, {"id": 1, "short_description": ""}])
def test_an_unusable_item_is_rejected_alone(item: Any) -> None:
    content = standard.validate([{"id": 1, "short_description": "VPN"}, item])
    assert [found.external_id for found in content.tickets] == ["1"]
    assert [fault["index"] for fault in content.rejected] == [1]
