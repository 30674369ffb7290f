"""Rows as a file for a spreadsheet, piece by piece: CSV, or the smallest workbook that Excel opens. Pure.

The digest's workbook, with its styles and charts, is made by openpyxl in a job; a web process that shows a list as it
is needs neither. Every text stays text: a workbook's cells say so themselves, and a CSV's get an apostrophe in front
where a spreadsheet would take them for a formula; so do their parts behind what another spreadsheet, or another
country's, takes for the border of a cell.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

Cell = str | float | int | None
Row = Sequence[Cell]

# Signs without a width may be dropped on the way, and what stands behind them be read first.
_UNSEEN = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_SIGN = "[=+\\-@＝＋－＠﹢﹣﹦﹫]"
_FORMULA = re.compile(rf"[\t\r\n\0]|[{_UNSEEN}]*+{_SIGN}")
# A file with commas is cut at other signs where its reader's country, or its import, says so.
_BEHIND_BORDER = re.compile(rf"([;\t|\r\n][{_UNSEEN}\"]*+)({_SIGN})?")  # It takes all that is unseen at once.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Excel reads `_x` and four hexadecimal digits as a letter's number, so such a text gets its own `_` as a number.
# ECMA-376, part 1, 22.9.2.19 (ST_Xstring).
_CODE = re.compile("_x([0-9A-Fa-f]{4})_")
_LIKE_A_CODE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_LONGEST = 32_000  # Characters; Excel takes no more than 32,767 in a cell.
_PIECE = 64 * 1024

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
    f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
    f'ContentType="{_SHEET_TYPE}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" '
    f'ContentType="{_SHEET_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    f'<sheet name="Tickets" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
_SHEET_BEGIN = (
    f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    '<cols><col min="1" max="20" width="22" customWidth="1"/></cols><sheetData>'
)


def escaped(text: str) -> str:
    """The text as a workbook must hold it, so that Excel shows every letter: `_x000D_` is no line break."""
    return _LIKE_A_CODE.sub("_x005F_", text) if "_x" in text else text


def unescaped(text: str) -> str:
    """What Excel shows of a text in a workbook: `_x000D_` is a carriage return, `_x005F_` an underscore."""
    return _CODE.sub(_decoded_letter, text) if "_x" in text else text


def _decoded_letter(code: re.Match[str]) -> str:
    letter = chr(int(code[1], 16))
    return code[0] if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter  # These are no text.


def as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """UTF-8 with a mark in front, which is how Excel knows it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield b"\xef\xbb\xbf"
    for row in rows:
        writer.writerow([_without_formula(cell) for cell in row])
        if buffer.tell() > _PIECE:
            yield _take_written(buffer)
    yield _take_written(buffer)


def _without_formula(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\0", "")
    text = _BEHIND_BORDER.sub(lambda found: f"{found[1]}'{found[2]}" if found[2] else found[0], text)
    return f"'{text}" if _FORMULA.match(cell) else text


def _take_written(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode("utf-8", "replace")


class _Pipe(io.RawIOBase):
    """What a zip file is written to; it cannot seek, and is emptied between two pieces."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.held += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self.held)
        self.held.clear()
        return taken


def as_xlsx(rows: Iterable[Row]) -> Iterator[bytes]:
    """A workbook with one sheet, its first row frozen."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in _PARTS.items():
            book.writestr(name, _HEAD + text)
        # The sheet is the last part, so that what stands before it is sent while its rows are still being read.
        with book.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(_SHEET_BEGIN.encode())
            for row in rows:
                sheet.write(f"<row>{''.join(map(_cell_xml, row))}</row>".encode())
                if len(pipe.held) > _PIECE:
                    yield pipe.take()
            sheet.write(b"</sheetData></worksheet>")
    yield pipe.take()


def _cell_xml(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, int | float):
        return f"<c><v>{cell}</v></c>"
    text = _UNWRITABLE.sub("", cell)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(escaped(text))}</t></is></c>'
