"""Sheets that are written as a stream: a table of any length, and how every sheet is printed."""

import math
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from openpyxl.comments import Comment
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.table import Table, TableStyleInfo

from jobs.digests.workbook import cells

MAX_ROWS = 1_048_576  # https://support.microsoft.com/office/excel-specifications-and-limits
MAX_LINKS = 10_000  # More than anybody follows; each takes 3 kB until the end, and Excel's own limit is 65,530.
_SAMPLE = 500
_WIDEST = 52
_LINE, _MOST_LINES = 15, 12
_A4 = "9"
# How a cell looks beside its column: as that says, or else; any other look is a colour.
_OTHER_LOOKS = _AS_COLUMN, _TOP, _LITERAL, _LINK = "as column", "top", "literal", "link"


@dataclass(frozen=True)
class Column:
    """A column of a table, its heading perhaps with a note.

    Text in it is wrapped, and then stands at the top of its row, where `wraps`.
    """

    heading: str
    number_format: str | None = None
    horizontal: str | None = None
    wraps: bool = False
    note: str | None = None


class Toned(NamedTuple):
    """A value in a colour of its own."""

    value: Any
    color: str


class Linked(NamedTuple):
    """A text that leads to an address of ours."""

    text: str
    address: str


def create(book: Any, title: str, position: int | None = None) -> Any:
    """A sheet that prints on A4, one page wide, with its name and the page's number at the foot."""
    sheet = book.create_sheet(title, position)
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", _A4
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.page_margins.top = sheet.page_margins.bottom = 0.6
    sheet.page_margins.footer = 0.3
    sheet.HeaderFooter.oddFooter.left.text = "&A"
    sheet.HeaderFooter.oddFooter.right.text = "&P / &N"
    return sheet


class TableSheet:
    """A sheet with one table, of which only the first rows wait in memory, for the widths of its columns.

    Beyond the last row that a sheet can have it goes on in a sheet with a number behind its title.
    """

    def __init__(self, book: Any, title: str, name: str, columns: Sequence[Column]) -> None:
        self._book, self._title, self._name, self._columns = book, title, name, columns
        self._number, self._wraps = 1, any(column.wraps for column in columns)
        self._begin(create(book, title))

    def append(self, values: Sequence[Any]) -> None:
        """Add a row."""
        if self._count == MAX_ROWS - 1:
            self._go_on()
        self._count += 1
        if self._waiting is None:
            self._write(values)
            return
        self._waiting.append(values)
        if self._count == _SAMPLE:
            self._write_first()

    def close(self) -> None:
        """Write what waits, and make it a table; a table without rows would be damaged to Excel."""
        self._write_first()
        if self._count:
            with warnings.catch_warnings():  # openpyxl reminds us of the columns, which are named.
                warnings.simplefilter("ignore", UserWarning)
                self._sheet.add_table(self._table())

    def _begin(self, sheet: Any) -> None:
        self._sheet, self._count, self._written, self._links = sheet, 0, 0, 0
        self._waiting: list[Sequence[Any]] | None = []
        # openpyxl would try each cell as a value first, which takes a third of all the time.
        sheet._values_to_row = _placed
        self._cells: dict[tuple[int, str], Any] = {}

    def _go_on(self) -> None:
        self.close()
        self._number += 1
        position = self._book.index(self._sheet) + 1
        self._begin(create(self._book, f"{self._title} {self._number}", position))

    def _write_first(self) -> None:
        """In a streamed sheet, widths and the frozen row must be set before the first row is written."""
        if self._waiting is None:
            return
        first, self._waiting = self._waiting, None
        self._widths = self._fitting(first)
        for index, width in enumerate(self._widths, start=1):
            self._sheet.column_dimensions[get_column_letter(index)].width = width
        self._sheet.freeze_panes = "A2"
        self._sheet.print_title_rows = "1:1"
        self._sheet.append([self._heading(column) for column in self._columns])
        for values in first:
            self._write(values)

    def _heading(self, column: Column) -> Any:
        made = cells.header(self._sheet, column.heading)
        if column.note:
            made.comment = Comment(column.note, "Ticket Attribution", height=50, width=220)
        return made

    def _fitting(self, rows: list[Sequence[Any]]) -> list[int]:
        """As wide as the longest value of the first rows, within reason; a heading has a button beside it."""
        headings = [len(column.heading) + 5 for column in self._columns]
        longest = [max((_length(value) for value in values), default=0) + 2 for values in zip(*rows, strict=True)]
        return [min(_WIDEST, max(pair)) for pair in zip(headings, longest or headings, strict=True)]

    def _write(self, values: Sequence[Any]) -> None:
        made = [None if value is None else self._cell(index, value) for index, value in enumerate(values)]
        self._written += 1
        # The attributes of this row, which is written at once; an object for each would be slow and heavy.
        height = _LINE * (self._lines(values) if self._wraps else 1)
        self._sheet.row_dimensions[self._written + 1] = {"ht": f"{height}", "customHeight": "1"}
        self._sheet.append(made)
        del self._sheet.row_dimensions[self._written + 1]

    def _lines(self, values: Sequence[Any]) -> int:
        """How many lines the highest cell of a row has, about; not every program finds out by itself."""
        texts = zip(values, self._widths, strict=True)
        return min(_MOST_LINES, max(_lines(text, width) for text, width in texts if isinstance(text, str)))

    def _cell(self, index: int, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(index, value)
        if isinstance(value, Linked):
            return self._link(index, value)
        value, look = (value.value, value.color) if isinstance(value, Toned) else (value, _AS_COLUMN)
        made = self._looking(index, look)
        made.value = value
        return made

    def _text(self, index: int, text: str) -> Any:
        shown, look = cells.held(text), _AS_COLUMN
        if cells.is_treacherous(shown):
            look = _LITERAL
        elif "\n" in shown:
            look = _TOP  # Of several lines a row of one shows the first.
        return self._looking(index, look).holding(shown)

    def _link(self, index: int, link: Linked) -> Any:
        if self._links == MAX_LINKS:
            return self._text(index, link.text)
        self._links += 1
        made = self._looking(index, _LINK).holding(cells.held(link.text))
        made.hyperlink = link.address
        return made

    def _looking(self, index: int, look: str) -> Any:
        """The one cell of this column and look; it serves every row, for a row is written at once."""
        made = self._cells.get((index, look))
        if made is None:
            made = self._cells[index, look] = self._prepared(self._columns[index], look)
        return made

    def _prepared(self, column: Column, look: str) -> Any:
        made: Any = cells.Reused(self._sheet, 1, 1)
        if column.number_format:
            made.number_format = column.number_format
        vertical = "top" if column.wraps or look in (_TOP, _LITERAL) else None
        if column.horizontal or vertical:
            made.alignment = Alignment(column.horizontal, vertical, wrap_text=bool(vertical) or None)
        if look in (_LITERAL, _LINK):
            made.quotePrefix = True
        if look == _LINK:
            made.font = cells.font(color=cells.ACCENT, underlined=True)
        elif look not in _OTHER_LOOKS:
            made.font = cells.font(color=look)
        return made

    def _table(self) -> Table:
        name = self._name if self._number == 1 else f"{self._name}_{self._number}"
        reference = f"A1:{get_column_letter(len(self._columns))}{self._count + 1}"
        table = Table(displayName=name, ref=reference)
        table.tableStyleInfo = TableStyleInfo(name="TableStyleLight9", showRowStripes=True)
        table._initialise_columns()  # type: ignore[attr-defined]
        for column, ours in zip(table.tableColumns, self._columns, strict=True):
            column.name = ours.heading
        return table


def _placed(row: Sequence[Any], number: int) -> Iterator[Any]:
    """The cells of a row, each told where it stands."""
    for column, made in enumerate(row, start=1):
        if made is not None:
            made.row, made.column = number, column
            if made.hyperlink:
                made.hyperlink.ref = made.coordinate
            yield made


def _length(value: Any) -> int:
    """How many letters wide a value is shown."""
    if isinstance(value, (Toned, Linked)):
        return _length(value[0])
    if isinstance(value, datetime):
        return 16
    return len(f"{value:.2f}") if isinstance(value, float) else _width(str(value).split("\n", 1)[0])


def _width(text: str) -> int:
    """How many columns of a fixed font a text takes: letters of East Asia and emoji two, marks on a letter none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    none = sum(unicodedata.category(letter) in ("Mn", "Me", "Cf") for letter in text)
    return len(text) + wide - none


def _lines(text: str, width: int) -> int:
    """How many lines a wrapped text takes, about."""
    return sum(max(1, math.ceil(_width(line) / width)) for line in text.split("\n"))
