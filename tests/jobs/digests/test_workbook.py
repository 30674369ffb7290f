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

from jobs.digests import workbook
from jobs.digests.translations import LANGUAGES, words
from jobs.digests.workbook import Look, sheets
from receiver.db import digest_members
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.db.tickets import Pair
from receiver.lib.spreadsheet import escaped, unescaped
from tests.factories import classification, due_ticket, settle
from tests.properties import tries

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
    values |= fields
    due_at, received_at = values["due_at"], values["received_at"]
    return Ticket(**{"at_risk_at": due_at and due_at - (due_at - received_at) / 4} | values)


def pair(decided: dict[str, Any] | None = None, **fields: Any) -> Pair:
    return ticket(**fields), classification(1, **(decided or {}))


def written(folder: Path, *rows: Pair, now: datetime = NOON, before: Any = None, **look: Any) -> Any:
    workbook.build(folder / "report.xlsx", rows, now, Look(**look), before)
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


@pytest.mark.parametrize(("sheet_name", "expected"), [("Tickets", "A1:L4"), ("Needs review", "A1:H3")])
def test_the_rows_are_banded_and_can_be_filtered(tmp_path: Path, sheet_name: str, expected: str) -> None:
    unsure = {"review_reason": "low_confidence"}
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


def test_rows_are_sorted_by_category_type_and_description_whatever_the_case(tmp_path: Path, db: Database) -> None:
    order = [
        ("access", "badge", "lost"), ("Access", "Badge", "Stolen"), ("ACCESS", "door", "a"), ("Network", "vpn", "b"),
        ("network", "VPN", "Zero"), ("network", "VPN", "ärger 1"), ("network", "VPN", "Ärger 2"),
        ("Ökonomie", "x", "1"), ("ökonomie", "x", "2"),
    ]  # fmt: skip
    for category, request_type, text in reversed(order):
        settle(db, due_ticket(db, short_description=text), category=category, request_type=request_type)
    with db.read() as session:
        sheet = written(tmp_path, *digest_members.pending(session))["Tickets"]
    assert [(row[4], row[5], row[1]) for row in sheet.iter_rows(min_row=2, values_only=True)] == order


def test_no_text_is_ever_a_formula_or_an_error(tmp_path: Path) -> None:
    rows: list[Pair] = []
    for text in FORMULAS:
        decided: dict[str, Any] = dict.fromkeys(("category", "request_type", "sla_unit", "reasoning", "model"), text)
        decided |= {"alternatives": [text], "review_reason": "other", "review_detail": {"text": text}}
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


@settings(deadline=None, max_examples=tries(40))
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
    assert book["Summary"]["A5"].value == 0
    assert book["Summary"]._charts == []


def test_a_ticket_that_could_not_be_classified_says_so(tmp_path: Path) -> None:
    book = written(tmp_path, (ticket(status="failed", due_at=None, error="the worker died"), None))
    row = dict(zip(COLUMNS, (cell.value for cell in book["Tickets"][2]), strict=True))
    assert row["Status"] == "failed"
    assert [row[name] for name in ("Category", "Request Type", "SLA Value", "Confidence", "Due")] == [None] * 5
    assert book["Needs review"]["H2"].value == "the worker died"


UNSURE = {"review_reason": "low_confidence", "confidence": 0.3}
HARDWARE = {"category": "Hardware", "request_type": "Laptop", "prompt_version": "p7"}
MIXED: list[Pair] = [
    pair(),
    pair(UNSURE, status="needs_review"),
    pair(UNSURE, status="reviewed"),
    pair(HARDWARE, received_at=NOON - timedelta(hours=9), due_at=NOON + timedelta(hours=1)),
    pair(HARDWARE, received_at=NOON - timedelta(days=2), due_at=NOON),
    (ticket(status="failed", due_at=None), None),
]


def table(sheet: Any, heading: str) -> list[tuple[Any, ...]]:
    """The rows of a table of the summary, from the one under its head to the one before the next empty row."""
    rows = list(sheet.iter_rows(values_only=True))
    start = next(index for index, row in enumerate(rows) if row[0] == heading) + 2
    end = next((index for index in range(start, len(rows)) if rows[index][0] is None), len(rows))
    return rows[start:end]


def test_the_summary_counts_what_the_sheet_shows(tmp_path: Path) -> None:
    before = {("Hardware", "Laptop"): 5, ("Gone", "Fax"): 2, (None, None): 1}
    sheet = written(tmp_path, *MIXED, before=before, title="Service Desk")["Summary"]
    assert [sheet["A1"].value, sheet["A2"].value] == [
        "Service Desk",
        "As of 2025-12-05 12:00 UTC. Times and days are those of UTC.",
    ]
    tiles = dict(zip((cell.value for cell in sheet[4]), (cell.value for cell in sheet[5]), strict=True))
    assert tiles.pop("Mean confidence") == pytest.approx((0.9 * 3 + 0.3 * 2) / 5)
    counts = {"Tickets": 6, "Needs review": 2, "Not classified": 1, "At risk": 1, "Past due": 1}
    assert {name: count for name, count in tiles.items() if name} == counts
    assert table(sheet, "Tickets by category") == [
        ("Network & Connectivity", None, 3, 0.5, pytest.approx(0.5), 1, 0, 0, 0, 3),
        ("Hardware", None, 2, pytest.approx(1 / 3), pytest.approx(0.9), 0, 1, 1, 5, -3),
        ("Not classified", None, 1, pytest.approx(1 / 6), None, 1, 0, 0, 1, 0),
        ("Gone", None, 0, 0, None, 0, 0, 0, 2, -2),
        ("Total", None, 6, 1, pytest.approx(0.66), 2, 1, 1, 8, -2),
    ]
    assert [row[:3] + row[8:] for row in table(sheet, "Tickets by request type")] == [
        ("Network & Connectivity", "VPN Connection Issue", 3, 0, 3), ("Hardware", "Laptop", 2, 5, -3),
        ("Gone", "Fax", 0, 2, -2),
    ]  # fmt: skip
    assert [(row[0], row[2]) for row in table(sheet, "Tickets by SLA")] == [
        ("On track", 3), ("At risk", 1), ("Past due", 1), ("No due date", 1),
    ]  # fmt: skip
    assert [row[:3] for row in table(sheet, "Made by")] == [
        ("Engine", "local (use-multilingual-v3)", 5), ("Catalog version", "v1", 5), ("Prompt version", "p7", 2),
    ]  # fmt: skip


def test_every_day_of_the_last_thirty_is_counted_and_what_is_older_together(tmp_path: Path) -> None:
    rows = [pair(received_at=NOON - timedelta(days=days)) for days in (0, 2, 2, 29, 30, 400)]
    days = [(row[0], row[2]) for row in table(written(tmp_path, *rows)["Summary"], "Tickets by day received")]
    assert days[0] == ("earlier", 2)
    assert [day for day, _ in days[1:]] == [datetime(2025, 11, 6) + timedelta(days=number) for number in range(30)]
    assert [count for _, count in days[1:]] == [1, *[0] * 26, 2, 0, 1]


def test_without_a_period_before_no_change_is_claimed(tmp_path: Path) -> None:
    found = written(tmp_path, *MIXED)["Summary"]
    assert {row[8:] for row in table(found, "Tickets by category")} == {(None, None)}
    assert written(tmp_path, *MIXED, before={})["Summary"]["A6"].value == "Previous: 0 (+6)"


def test_three_charts_show_their_tables_and_lie_on_nothing(tmp_path: Path) -> None:
    rows = [pair({"category": f"Category {number:02}"}) for number in range(14)]
    sheet = written(tmp_path, *rows, *MIXED)["Summary"]
    charts = sheet._charts
    titles = [chart.title.tx.rich.p[0].r[0].t for chart in charts]
    assert titles == ["Tickets by category", "Tickets by day received", "Tickets by SLA"]
    right = 0
    for chart, column, heading, shown in zip(charts, "FCC", titles, (10, 3, 4), strict=True):
        place, values = chart.anchor, chart.ser[-1].val.numRef
        assert place._from.col >= right
        right = place.to.col
        taken = sheet.iter_rows(place._from.row + 1, place.to.row, place._from.col + 1, right, values_only=True)
        assert {value for row in taken for value in row} == {None}
        cells = [cell.value for row in sheet[values.f.split("!")[1].replace("$", "")] for cell in row]
        wanted = [row["ABCDEF".index(column)] for row in table(sheet, heading)][:shown]
        assert [point.v for point in values.numCache.pt] == cells == wanted


def test_a_plan_chooses_the_columns_and_their_order(tmp_path: Path) -> None:
    sheet = written(tmp_path, pair(), columns=("Due", "Request ID", "Category"))["Tickets"]
    assert [cell.value for cell in sheet[1]] == ["Due", "Request ID", "Category"]
    assert [cell.value for cell in sheet[2]] == [datetime(2025, 12, 5, 16, 0, 30), "T-1", "Network & Connectivity"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_all_words_and_no_heading_twice(tmp_path: Path, language: str) -> None:
    own, english = words(language), words("en")
    assert {section: own[section].keys() for section in own} == {
        section: english[section].keys() for section in english
    }
    book = written(tmp_path, *MIXED, language=language)
    assert book.sheetnames == list(own["sheets"].values())
    assert book.sheetnames[0] == "Tickets"
    for title in (book.sheetnames[0], book.sheetnames[2]):
        headings = [str(cell.value).lower() for cell in book[title][1]]
        assert len(set(headings)) == len(headings)  # Excel repairs a table with a heading twice.
    assert [cell.value for cell in book["Tickets"][1]] == [own["columns"][name] for name in COLUMNS]
    assert [row[0].value for row in book["Tickets"]["J2":"J3"]] == [
        own["statuses"][name] for name in ("classified", "needs_review")
    ]


def test_what_needs_review_names_the_next_best_the_reason_and_leads_to_the_dashboard(tmp_path: Path) -> None:
    decided = UNSURE | {"alternatives": ["Hardware > Laptop", "Network > Wi-Fi"], "reasoning": "names a cable"}
    found = pair(decided, id=42, external_id="=T-42")
    sheet = written(tmp_path, found, address="https://tickets.example.com")["Needs review"]
    row = [cell.value for cell in sheet[2]]
    assert row[5:] == ["Hardware > Laptop", "Network > Wi-Fi", "confidence is below the threshold; names a cable"]
    assert (row[0], sheet["A2"].data_type) == ("=T-42", "s")
    assert sheet["A2"].hyperlink.target == "https://tickets.example.com/tickets/42"
    assert written(tmp_path, found)["Needs review"]["A2"].hyperlink is None


def test_a_sheet_that_is_full_goes_on_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_ROWS", 4)
    monkeypatch.setattr(sheets, "MAX_LINKS", 2)
    rows = [pair(UNSURE, external_id=f"T-{number}") for number in range(7)]
    book = written(tmp_path, *rows, address="https://tickets.example.com")
    full = ["Tickets", "Tickets 2", "Tickets 3", "Summary", "Needs review", "Needs review 2", "Needs review 3"]
    assert book.sheetnames == full
    for title in ("Tickets", "Needs review"):
        parts = [book[name] for name in full if name.startswith(title)]
        assert [part.max_row for part in parts] == [4, 4, 2]
        assert {part["A1"].value for part in parts} == {"Request ID"}
        assert [row[0] for part in parts for row in part.iter_rows(2, values_only=True)] == [f"T-{n}" for n in range(7)]
    assert len({name for sheet in book.worksheets for name in sheet.tables}) == 6
    assert [bool(cell.hyperlink) for cell in book["Needs review"]["A"]] == [False, True, True, False]


def test_every_sheet_prints_one_page_wide_with_its_header_on_each(tmp_path: Path) -> None:
    for sheet in written(tmp_path, *MIXED).worksheets:
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert (sheet.page_setup.fitToHeight, sheet.page_setup.paperSize) == (0, 9)
        assert sheet.print_title_rows == (None if sheet.title == "Summary" else "$1:$1")


@pytest.mark.parametrize("text", ["_x000D_", "a_x0041_x0042_b", "_x005f_", "_xABCD_ _x00e9_"])
def test_text_that_excel_would_take_for_the_number_of_a_letter_stays_text(tmp_path: Path, text: str) -> None:
    unsure = UNSURE | {"category": text, "reasoning": text}
    fields = {"external_id": text, "short_description": text, "long_description": f"{text}\n{text}"}
    book = written(tmp_path, pair(unsure, **fields), title=text, address="https://tickets.example.com")
    cells = [str(cell.value) for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
    found = [cell for cell in cells if text in unescaped(cell)]
    assert len(found) > 8
    assert [cell for cell in found if cell != escaped(unescaped(cell))] == []
    assert book.properties.title == text  # Which is no cell.


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("프린터가 작동하지 않습니다 빨리요", 33),
        ("プリンターが動きません", 22),
        ("👩‍💻👍🏽🔥", 10),
        ("e\u0301e\u0301e\u0301e\u0301", 4),
    ],
)
def test_a_column_is_as_wide_as_its_letters(tmp_path: Path, text: str, width: int) -> None:
    sheet = written(tmp_path, pair(short_description=text))["Tickets"]
    assert sheet.column_dimensions["B"].width == max(width + 2, len("Short Description") + 5)


def test_a_promise_of_no_time_at_all_is_past_due(tmp_path: Path) -> None:
    book = written(tmp_path, pair(due_at=NOON), now=NOON)
    assert book["Summary"]["G5"].value == 1
