"""Sheets that are written as a stream: a table of any length, and how every sheet is printed."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.table import Table, TableStyleInfo

from jobs.workbook import cells

MAX_ROWS = 1_048_576  # https://support.microsoft.com/office/excel-specifications-and-limits
MAX_LINKS = 65_530  # The same; a sheet with more is damaged to Excel.
_SAMPLE = 500
_WIDEST = 52
_LINE, _MOST_LINES = 15, 12
_A4 = "9"


@dataclass(frozen=True)
class Column:
    """A column of a table; text in it is wrapped, and then stands at the top of its row, where `wraps`."""

    heading: str
    number_format: str | None = None
    horizontal: str | None = None
    wraps: bool = False

    @property
    def alignment(self) -> Alignment | None:
        """How its values stand; None as usual."""
        if self.wraps:
            return Alignment(self.horizontal, vertical="top", wrap_text=True)
        return Alignment(self.horizontal) if self.horizontal else None


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
        self._prepared: dict[tuple[int, str | None], Any] = {}

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
        self._sheet.append([cells.header(self._sheet, column.heading) for column in self._columns])
        for values in first:
            self._write(values)

    def _fitting(self, rows: list[Sequence[Any]]) -> list[int]:
        """As wide as the longest value of the first rows, within reason; a heading has a button beside it."""
        headings = [len(column.heading) + 5 for column in self._columns]
        longest = [max((_length(value) for value in values), default=0) + 2 for values in zip(*rows, strict=True)]
        return [min(_WIDEST, max(pair)) for pair in zip(headings, longest or headings, strict=True)]

    def _write(self, values: Sequence[Any]) -> None:
        made = [None if value is None else self._cell(index, value) for index, value in enumerate(values)]
        if not self._wraps:
            self._sheet.append(made)
            return
        self._written += 1
        self._sheet.row_dimensions[self._written + 1].height = _LINE * self._lines(values)
        self._sheet.append(made)
        del self._sheet.row_dimensions[self._written + 1]  # It is written; a hundred thousand would be heavy.

    def _lines(self, values: Sequence[Any]) -> int:
        """How many lines the highest cell of a row has, about; not every program finds out by itself."""
        texts = zip(values, self._widths, strict=True)
        return min(_MOST_LINES, max(_lines(text, width) for text, width in texts if isinstance(text, str)))

    def _cell(self, index: int, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(index, value)
        if isinstance(value, Linked):
            return self._link(index, value)
        value, color = value if isinstance(value, Toned) else (value, None)
        made = self._look(index, color)
        made.value = value
        return made

    def _text(self, index: int, text: str) -> Any:
        found = cells.cell(self._sheet, text)
        column = self._columns[index]
        if not column.wraps and "\n" not in text:
            return found
        made = found if isinstance(found, Cell) else WriteOnlyCell(self._sheet, found)
        made.alignment = column.alignment or Alignment(vertical="top")  # Or some would show the last line only.
        return made

    def _link(self, index: int, link: Linked) -> Any:
        if self._links == MAX_LINKS:
            return self._text(index, link.text)
        self._links += 1
        made = cells.styled(self._sheet, link.text, color=cells.ACCENT, underlined=True, vertical="top")
        made.row, made.column = 1, 1  # openpyxl asks for them, and sets them right when it writes the row.
        made.hyperlink = link.address
        return made

    def _look(self, index: int, color: str | None) -> Any:
        """The one cell of this look, used again in every row: a streamed row is written at once."""
        made = self._prepared.get((index, color))
        if made is None:
            made = self._prepared[index, color] = WriteOnlyCell(self._sheet)
            column = self._columns[index]
            if column.number_format:
                made.number_format = column.number_format
            if column.alignment:
                made.alignment = column.alignment
            if color:
                made.font = cells.font(color=color)
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


def _length(value: Any) -> int:
    """How many letters wide a value is shown."""
    if isinstance(value, (Toned, Linked)):
        return _length(value[0])
    if isinstance(value, datetime):
        return 16
    return len(f"{value:.2f}") if isinstance(value, float) else len(str(value).split("\n", 1)[0])


def _lines(text: str, width: int) -> int:
    """How many lines a wrapped text takes, about."""
    return sum(max(1, math.ceil(len(line) / width)) for line in text.split("\n"))
