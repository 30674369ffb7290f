"""Files of rows: nothing in them is a formula, and every text comes out as it went in."""

import csv
import io
import random
import time

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from receiver.lib import spreadsheet

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\0=1",
    "＝1",
    "\ufeff=1",
    "\u200b=1",
    "－1",
    '=HYPERLINK("http://x")',
]
TEXTS = ["plain", "a,b", 'say "no"', "two\nlines", "<b>&amp;</b>", " spaces ", "🔥 ünï", "]]>", "_x0041_"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_csv_holds_no_formula(text: str) -> None:
    content = b"".join(spreadsheet.as_csv([("subject",), (text,)])).decode("utf-8-sig")
    [_, [cell]] = csv.reader(io.StringIO(content))
    assert cell.startswith("'")


@pytest.mark.parametrize("border", [",", ";", "\t", "|"])
@given(
    st.lists(
        st.sampled_from(
            [";", "|", "\t", "\n", "\r", '"', "'", ",", "=1", "+1", "-1", "@a", "\u2060", "\u00ad", " ", "a", "\0"]
        ),
        max_size=8,
    ).map("".join)
)
def test_no_cell_is_a_formula_wherever_a_spreadsheet_cuts_the_line(border: str, text: str) -> None:
    content = b"".join(spreadsheet.as_csv([("7", text, text), ("8", "b", text)])).decode("utf-8-sig")
    for row in csv.reader(io.StringIO(content, newline=""), delimiter=border):
        assert [cell for cell in row if cell.strip(" \t\r\n\u2060\u00ad")[:1] in (*"=+-@",)] == []


@pytest.mark.parametrize("text", TEXTS)
def test_a_csv_keeps_what_is_harmless(text: str) -> None:
    content = b"".join(spreadsheet.as_csv([(text, 0.5, None)])).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content, newline=""))) == [[text, "0.5", ""]]


def _book(rows: list[spreadsheet.Row]) -> Worksheet:
    return openpyxl.load_workbook(io.BytesIO(b"".join(spreadsheet.as_xlsx(rows))))["Tickets"]


def test_a_workbook_opens_and_its_cells_are_what_they_were() -> None:
    sheet = _book([("Subject", "Confidence"), *((text, 0.25) for text in TEXTS)])
    # Excel decodes `_xHHHH_`, which openpyxl does not.
    assert [spreadsheet.unescaped(str(row[0].value)) for row in sheet.iter_rows(min_row=2)] == TEXTS
    assert "_x005F_x0041_" in [row[0].value for row in sheet.iter_rows()]
    assert {row[1].value for row in sheet.iter_rows(min_row=2)} == {0.25}
    assert sheet.freeze_panes == "A2"


def test_no_cell_of_a_workbook_is_a_formula_and_what_xml_cannot_hold_is_left_out() -> None:
    sheet = _book([(text, "x" * 40_000, "\ud800\x0b!") for text in FORMULAS])
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert "f" not in {cell.data_type for cell in cells}
    assert {(len(str(row[1].value)), row[2].value) for row in sheet.iter_rows()} == {(32_001, "!")}


@pytest.mark.full
def test_a_cell_of_a_megabyte_takes_no_minute() -> None:
    for piece in ("\n", "; ", ";", " ", "\u2060", ';"', "=", ";="):
        began = time.thread_time()
        list(spreadsheet.as_csv([(piece * (1_000_000 // len(piece)),)]))
        assert time.thread_time() - began < 5


def test_a_large_file_comes_in_pieces() -> None:
    noise = random.Random(1)
    rows = ((noise.random(), f"{noise.getrandbits(900):x}") for _ in range(3000))
    pieces = list(spreadsheet.as_xlsx(rows))
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 200_000
