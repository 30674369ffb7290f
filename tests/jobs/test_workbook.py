"""The workbook as Excel would find it: re-read from the file, with whatever text tickets contain."""

import tempfile
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from jobs import workbook
from receiver.record import digests
from receiver.record.database import Record
from receiver.record.models import Ticket
from receiver.record.tickets import Pair
from tests.factories import classification, due_ticket, settle

NOON = datetime(2025, 12, 5, 12, 0, 30, tzinfo=UTC)
COLUMNS = [
    "Request ID", "Short Description", "Long Description", "Requester Email", "Category", "Request Type",
    "SLA Value", "SLA Unit", "Confidence", "Status", "Received", "Due",
]  # fmt: skip
TEXT_NUMBER_DATE = {"s", "n", "d"}
FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1", "＋1", "－1", "＠SUM(1)",
    "=cmd|'/C calc'!A0", "=DDE(\"cmd\";\"/C calc\";\"x\")", '=HYPERLINK("http://evil.example","open")',
    "#REF!", "#N/A", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#VALUE!", "=", "==", "{=1+1}", "'=1+1",
]  # fmt: skip


def ticket(**fields: Any) -> Ticket:
    values: dict[str, Any] = {
        "id": 1, "external_id": "T-1", "short_description": "VPN", "long_description": "No route.", "error": None,
        "requester_email": "ada@example.com", "status": "classified", "received_at": NOON,
        "due_at": NOON + timedelta(hours=4),
    }  # fmt: skip
    return Ticket(**(values | fields))


def pair(decided: dict[str, Any] | None = None, **fields: Any) -> Pair:
    return ticket(**fields), classification(1, **(decided or {}))


def written(folder: Path, *rows: Pair, now: datetime = NOON) -> Any:
    workbook.build(folder / "report.xlsx", rows, now)
    return load_workbook(folder / "report.xlsx")


def kinds(book: Any) -> set[str]:
    cells = (cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row)
    return {cell.data_type for cell in cells if cell.value is not None}


def test_the_sheets_and_columns_are_those_that_readers_rely_on(tmp_path: Path) -> None:
    book = written(tmp_path, pair())
    assert book.sheetnames == ["Tickets", "Summary", "Needs review"]
    assert [cell.value for cell in book["Tickets"][1]] == COLUMNS


def test_the_header_is_frozen_and_bold_on_a_fill(tmp_path: Path) -> None:
    sheet = written(tmp_path, pair())["Tickets"]
    assert sheet.freeze_panes == "A2"
    for cell in sheet[1]:
        assert cell.font.bold
        assert cell.fill.fill_type == "solid"
        assert cell.fill.fgColor.rgb not in ("00000000", "00FFFFFF", cell.font.color.rgb)


@pytest.mark.parametrize(("sheet_name", "expected"), [("Tickets", "A1:L4"), ("Needs review", "A1:G3")])
def test_the_rows_are_banded_and_can_be_filtered(tmp_path: Path, sheet_name: str, expected: str) -> None:
    unsure = {"review_reason": "confidence is below the threshold"}
    sheet = written(tmp_path, pair(), pair(unsure), pair(unsure))[sheet_name]
    [table] = sheet.tables.values()
    assert table.ref == table.autoFilter.ref == expected
    assert table.tableStyleInfo.showRowStripes
    assert [column.name for column in table.tableColumns] == [cell.value for cell in sheet[1]]
    assert sheet.auto_filter.ref is None  # Excel repairs a sheet that has both.


def test_widths_fit_the_text_within_reason(tmp_path: Path) -> None:
    short = written(tmp_path, pair(short_description="VPN"))["Tickets"].column_dimensions["B"].width
    fitted = written(tmp_path, pair(short_description="x" * 40))["Tickets"].column_dimensions["B"].width
    longest = written(tmp_path, pair(short_description="x" * 5000))["Tickets"].column_dimensions["B"].width
    assert len("Short Description") <= short < 40 <= fitted < longest < 100


def test_dates_are_dates_and_numbers_are_numbers(tmp_path: Path) -> None:
    received = NOON.astimezone(tz=None) + timedelta(microseconds=5)
    decided = {"sla_value": 1.5, "sla_unit": "days", "confidence": 0.75}
    row = written(tmp_path, pair(decided, received_at=received))["Tickets"][2]
    values = dict(zip(COLUMNS, (cell.value for cell in row), strict=True))
    assert (values["SLA Value"], values["SLA Unit"], values["Confidence"]) == (1.5, "days", 0.75)
    assert values["Received"] == datetime(2025, 12, 5, 12, 0, 30)
    assert values["Due"] == datetime(2025, 12, 5, 16, 0, 30)
    assert all(row[COLUMNS.index(name)].is_date for name in ("Received", "Due"))


def test_a_whole_sla_has_no_fraction(tmp_path: Path) -> None:
    value = written(tmp_path, pair({"sla_value": 4.0}))["Tickets"]["G2"].value
    assert value == 4
    assert isinstance(value, int)


def test_rows_are_sorted_by_category_type_and_description_whatever_the_case(tmp_path: Path, record: Record) -> None:
    order = [
        ("access", "badge", "lost"), ("Access", "Badge", "Stolen"), ("ACCESS", "door", "a"), ("Network", "vpn", "b"),
        ("network", "VPN", "Zero"), ("network", "VPN", "ärger 1"), ("network", "VPN", "Ärger 2"),
        ("Ökonomie", "x", "1"), ("ökonomie", "x", "2"),
    ]  # fmt: skip
    for category, request_type, text in reversed(order):
        settle(record, due_ticket(record, short_description=text), category=category, request_type=request_type)
    with record.read() as session:
        sheet = written(tmp_path, *digests.pending(session))["Tickets"]
    assert [(row[4], row[5], row[1]) for row in sheet.iter_rows(min_row=2, values_only=True)] == order


def test_no_text_is_ever_a_formula_or_an_error(tmp_path: Path) -> None:
    rows: list[Pair] = []
    for text in FORMULAS:
        decided: dict[str, Any] = dict.fromkeys(("category", "request_type", "sla_unit", "reasoning", "model"), text)
        decided |= {"alternatives": [text], "review_reason": text}
        names = ("external_id", "short_description", "long_description", "requester_email", "error")
        fields: dict[str, Any] = dict.fromkeys(names, text)
        rows += [pair(decided, **fields, status="needs_review"), (ticket(**fields, status="failed"), None)]
    book = written(tmp_path, *rows)
    assert kinds(book) <= TEXT_NUMBER_DATE
    for number, text in enumerate(FORMULAS):
        row = [cell.value for cell in book["Tickets"][2 + 2 * number]]
        assert [*row[:6], row[7]] == [text] * 7
        assert [cell.value for cell in book["Needs review"][2 + 2 * number]][:4] == [text] * 4
        assert [cell.value for cell in book["Summary"]["A"]].count(text) == 2


@pytest.mark.parametrize("text", ["=1+1", "#REF!", "-1"])
def test_text_stays_text_when_somebody_edits_its_cell(tmp_path: Path, text: str) -> None:
    assert written(tmp_path, pair(short_description=text))["Tickets"]["B2"].quotePrefix


def test_what_a_cell_cannot_hold_is_replaced_by_something_that_shows(tmp_path: Path) -> None:
    text = "a\x00b\x07c\x1bd\x0be\ud800f\udfffg\ufffeh\uffff"
    value = written(tmp_path, pair(long_description=text))["Tickets"]["C2"].value
    assert value == "a␀b␇c␛d␋e\ufffdf\ufffdg\ufffdh\ufffd"


@pytest.mark.parametrize("letter", ["x", "😀", "\x07"])
def test_a_text_too_long_for_a_cell_is_cut_where_it_shows(tmp_path: Path, letter: str) -> None:
    value = written(tmp_path, pair(long_description=letter * 40_000))["Tickets"]["C2"].value
    assert len(value.encode("utf-16-le")) // 2 <= 32_767  # Excel counts as UTF-16 does.
    assert len(value.encode("utf-16-le")) // 2 > 32_700
    assert "cut" in value[-60:]


def test_a_text_that_just_fits_is_not_cut(tmp_path: Path) -> None:
    text = "😀" * 16_383 + "x"
    assert written(tmp_path, pair(long_description=text))["Tickets"]["C2"].value == text


texts = st.text(st.characters(), max_size=40) | st.sampled_from(FORMULAS).map(lambda text: text * 2)


@settings(deadline=None, max_examples=40)
@given(st.lists(texts, min_size=1, max_size=12))
@example(["\r\n", " ", "  a  ", "\n", "\x85\u2028", "<b>&amp;</b>", "]]>", "\U0001fffe\ufdd0"])
def test_any_text_comes_back_or_is_visibly_replaced(found: list[str]) -> None:
    rows = [pair({"category": text or "-"}, short_description=text) for text in found]
    with tempfile.TemporaryDirectory() as folder:
        book = written(Path(folder), *rows)
    assert kinds(book) <= TEXT_NUMBER_DATE
    for text, row in zip(found, book["Tickets"].iter_rows(min_row=2, values_only=True), strict=True):
        back = str(row[1] or "")
        assert len(back) == len(text)
        assert all(_same_or_shown(letter, shown) for letter, shown in zip(text, back, strict=True))


def _same_or_shown(letter: str, shown: str) -> bool:
    possible_in_xml = letter in "\t\n\r" or (unicodedata.category(letter) != "Cs" and " " <= letter < "\ufffe")
    if possible_in_xml or letter > "\uffff":
        return shown == letter
    return unicodedata.category(shown) == "So"


def test_a_report_that_breaks_off_leaves_the_earlier_one_as_it_was(tmp_path: Path) -> None:
    def breaking_off() -> Iterator[Pair]:
        yield pair()
        raise OSError("the disk is gone")

    path = tmp_path / "report.xlsx"
    with pytest.raises(OSError, match="the disk is gone"):
        workbook.build(path, breaking_off(), NOON)
    assert not path.exists()
    workbook.build(path, [pair()], NOON)
    before = path.read_bytes()
    with pytest.raises(OSError, match="the disk is gone"):
        workbook.build(path, breaking_off(), NOON)
    assert path.read_bytes() == before


def test_without_tickets_the_file_opens_and_says_so(tmp_path: Path) -> None:
    book = written(tmp_path)
    assert [cell.value for cell in book["Tickets"][1]] == COLUMNS
    assert book["Tickets"].max_row == 1
    assert book["Summary"]["C1"].value == 0


def test_a_ticket_that_could_not_be_classified_says_so(tmp_path: Path) -> None:
    book = written(tmp_path, (ticket(status="failed", due_at=None, error="the worker died"), None))
    row = dict(zip(COLUMNS, (cell.value for cell in book["Tickets"][2]), strict=True))
    assert row["Status"] == "failed"
    assert [row[name] for name in ("Category", "Request Type", "SLA Value", "Confidence", "Due")] == [None] * 5
    assert book["Needs review"]["G2"].value == "the worker died"


def test_the_summary_counts_what_the_sheet_shows(tmp_path: Path) -> None:
    unsure = {"review_reason": "confidence is below the threshold", "confidence": 0.3}
    hardware = {"category": "Hardware", "request_type": "Laptop"}
    book = written(
        tmp_path,
        pair(),
        pair(unsure, status="needs_review"),
        pair(unsure, status="reviewed"),
        pair(hardware, received_at=NOON - timedelta(hours=9), due_at=NOON + timedelta(hours=1)),
        pair(hardware, received_at=NOON - timedelta(hours=5), due_at=NOON),
        (ticket(status="failed", due_at=None), None),
    )
    rows = [row[:5] for row in book["Summary"].iter_rows(values_only=True)]
    counts = {row[0]: row[2] for row in rows[:5]}
    assert counts == {"Tickets": 6, "Needs review": 2, "Not classified": 1, "At risk": 1, "Breached": 1}
    assert ("Engine", "local (use-multilingual-v3)", None, None, None) in rows
    assert ("Hardware", None, 2, 0, 0.9) in rows
    assert ("Hardware", "Laptop", 2, None, None) in rows
    assert ("Network & Connectivity", None, 3, 1, pytest.approx(0.5)) in rows
    assert len(book["Summary"]._charts) == 1
    assert book["Needs review"].max_row == 3


def test_a_promise_of_no_time_at_all_is_breached(tmp_path: Path) -> None:
    book = written(tmp_path, pair(due_at=NOON), now=NOON)
    assert book["Summary"]["C5"].value == 1
