"""The Excel workbook of a digest, written as a stream so that its size does not matter. Pure, but for the file."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.table import Table, TableStyleInfo

from receiver.record.models import FAILED, NEEDS_REVIEW, REVIEWED, Classification, Ticket
from receiver.record.tickets import Pair

COLUMNS = (
    "Request ID", "Short Description", "Long Description", "Requester Email", "Category", "Request Type",
    "SLA Value", "SLA Unit", "Confidence", "Status", "Received", "Due",
)  # fmt: skip
REVIEW_COLUMNS = ("Request ID", "Short Description", "Category", "Request Type", "Confidence", "Next Best", "Why")
MAX_CELL = 32_767  # https://support.microsoft.com/office/excel-specifications-and-limits
MAX_ROWS = 1_048_576
AT_RISK_FROM = 0.75
_CUT = " [... cut, too long for a cell]"
_SAMPLE = 500
_WIDEST = 60
# What XML cannot hold. https://www.w3.org/TR/xml/#charsets
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What a spreadsheet takes for the start of a formula. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass
class Summary:
    """What a digest says in numbers; `confidences` are sums by category."""

    total: int = 0
    needs_review: int = 0
    failed: int = 0
    at_risk: int = 0
    breached: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    request_types: Counter[tuple[str, str]] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    confidences: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    catalog_versions: Counter[str] = field(default_factory=Counter)

    def add(self, ticket: Ticket, classification: Classification | None, now: datetime) -> None:
        """Count one ticket as things stand at `now`."""
        self.total += 1
        category = classification.category if classification else "Not classified"
        self.categories[category] += 1
        if needs_review(ticket, classification):
            self.needs_review += 1
            self.reviews[category] += 1
        if ticket.due_at:
            promised, left = ticket.due_at - ticket.received_at, ticket.due_at - now
            self.breached += left <= timedelta(0)
            self.at_risk += timedelta(0) < left <= promised * (1 - AT_RISK_FROM)
        if classification is None:
            self.failed += 1
            return
        self.request_types[category, classification.request_type] += 1
        self.confidences[category] += classification.confidence  # type: ignore[assignment]
        self.engines[f"{classification.engine} ({classification.model})"] += 1
        self.catalog_versions[classification.catalog_version] += 1

    def mean_confidence(self, category: str) -> float | None:
        """The mean confidence of a category's classified tickets."""
        return self.confidences[category] / self.categories[category] if category in self.confidences else None


def needs_review(ticket: Ticket, classification: Classification | None) -> bool:
    """Whether a person should look: by the classification that is shown, unless one has looked since."""
    return ticket.status != REVIEWED and (classification is None or classification.review_reason is not None)


def build(path: Path, rows: Iterable[Pair], now: datetime) -> Summary:
    """Write the workbook of `rows`, which come in the order of the sheet, to `path`; either whole or not at all."""
    book = Workbook(write_only=True)
    summary = Summary()
    reviews: list[list[Any]] = []
    _write_tickets(book, _counted(rows, summary, reviews, now))
    _write_summary(book, summary)
    _write_table(book, "Needs review", REVIEW_COLUMNS, iter(reviews))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    book.save(unfinished)
    unfinished.replace(path)
    return summary


def _counted(rows: Iterable[Pair], summary: Summary, reviews: list[list[Any]], now: datetime) -> Iterator[list[Any]]:
    for ticket, classification in rows:
        summary.add(ticket, classification, now)
        if needs_review(ticket, classification):
            reviews.append(_review_row(ticket, classification))
        yield _ticket_row(ticket, classification)


def _ticket_row(ticket: Ticket, classification: Classification | None) -> list[Any]:
    sla = classification and int(classification.sla_value)
    if classification and sla != classification.sla_value:
        sla = classification.sla_value  # type: ignore[assignment]
    return [
        ticket.external_id,
        ticket.short_description,
        ticket.long_description,
        ticket.requester_email or "",
        classification.category if classification else "",
        classification.request_type if classification else "",
        sla,
        classification.sla_unit if classification else "",
        classification.confidence if classification else None,
        _status(ticket, classification),
        _plain_time(ticket.received_at),
        _plain_time(ticket.due_at),
    ]


def _status(ticket: Ticket, classification: Classification | None) -> str:
    status = NEEDS_REVIEW if classification and needs_review(ticket, classification) else ticket.status
    return (status if classification else FAILED).replace("_", " ")


def _review_row(ticket: Ticket, classification: Classification | None) -> list[Any]:
    if classification is None:
        return [ticket.external_id, ticket.short_description, "", "", None, "", ticket.error or ""]
    return [
        ticket.external_id,
        ticket.short_description,
        classification.category,
        classification.request_type,
        classification.confidence,
        ", ".join(map(str, classification.alternatives)),
        f"{classification.review_reason}; {classification.reasoning}",
    ]


def _plain_time(moment: datetime | None) -> datetime | None:
    """Excel knows no time zones; the cells are in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0) if moment else None


def _write_tickets(book: Any, rows: Iterator[list[Any]]) -> None:
    """The sheet `Tickets`; beyond a sheet's last row it goes on in `Tickets 2` and so on."""
    number = 1
    while True:
        title = "Tickets" if number == 1 else f"Tickets {number}"
        _write_table(book, title, COLUMNS, islice(rows, MAX_ROWS - 1))
        following = next(rows, None)
        if following is None:
            return
        rows, number = chain([following], rows), number + 1


def _write_table(book: Any, title: str, columns: tuple[str, ...], rows: Iterator[list[Any]]) -> None:
    sheet = _sheet(book, title)
    sample = list(islice(rows, _SAMPLE))
    # In a streamed sheet, widths and the frozen row must be set before the first row is written.
    for index, width in enumerate(_widths(columns, sample), start=1):
        sheet.column_dimensions[get_column_letter(index)].width = width
    sheet.freeze_panes = "A2"
    sheet.append([_header(sheet, name) for name in columns])
    count = 0
    for row in chain(sample, rows):
        sheet.append([_cell(sheet, value) for value in row])
        count += 1
    if count:
        with warnings.catch_warnings():  # openpyxl reminds us of the columns, which `_table` has named.
            warnings.simplefilter("ignore", UserWarning)
            sheet.add_table(_table(title, columns, count))


def _sheet(book: Any, title: str, position: int | None = None) -> Any:
    """A sheet that prints one page wide."""
    sheet = book.create_sheet(title, position)
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    return sheet


def _widths(columns: tuple[str, ...], rows: list[list[Any]]) -> list[int]:
    cells = zip(columns, *rows, strict=True)
    return [min(_WIDEST, max(_length(value) for value in column) + 3) for column in cells]


def _length(value: Any) -> int:
    return 16 if isinstance(value, datetime) else len(str(value if value is not None else "").split("\n", 1)[0])


def _header(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.font = Font(bold=True, color="FFFFFF")
    cell.fill = PatternFill("solid", fgColor="3730A3")
    return cell


def _table(title: str, columns: tuple[str, ...], count: int) -> Table:
    table = Table(displayName=title.replace(" ", "_"), ref=f"A1:{get_column_letter(len(columns))}{count + 1}")
    table.tableStyleInfo = TableStyleInfo(name="TableStyleLight9", showRowStripes=True)
    table._initialise_columns()  # type: ignore[attr-defined]
    for column, name in zip(table.tableColumns, columns, strict=True):
        column.name = name
    return table


def _cell(sheet: Any, value: Any) -> Any:
    """Text stays text, whatever it contains; what Excel cannot hold is replaced or cut where it shows."""
    if not isinstance(value, str):
        return value
    text = _UNPRINTABLE.sub(_visible, value)
    if len(text) > MAX_CELL // 2:  # Shorter text fits whatever letters it has.
        text = _cut(text)
    if not text.startswith(_FORMULA_STARTS) and text not in ERROR_CODES:
        return text
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    cell.quotePrefix = True  # Excel keeps it text even when somebody edits the cell.
    return cell


def _cut(text: str) -> str:
    """What of a text fits into a cell. Excel counts as UTF-16 does: an emoji is two."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MAX_CELL:
        return text
    return units[: 2 * (MAX_CELL - len(_CUT))].decode("utf-16-le", "ignore") + _CUT


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


def _write_summary(book: Any, summary: Summary) -> None:
    sheet = _sheet(book, "Summary", 1)
    for column, width in zip("ABCDE", (34, 44, 12, 16, 16), strict=True):
        sheet.column_dimensions[column].width = width
    totals = [
        ("Tickets", summary.total), ("Needs review", summary.needs_review), ("Not classified", summary.failed),
        ("At risk", summary.at_risk), ("Breached", summary.breached),
    ]  # fmt: skip
    for name, count in totals:
        sheet.append([name, None, count])
    for name, versions in (("Engine", summary.engines), ("Catalog version", summary.catalog_versions)):
        sheet.append([name, ", ".join(versions)])
    sheet.append([])
    sheet.append([_header(sheet, name) for name in ("Category", "", "Tickets", "Needs review", "Mean confidence")])
    first = len(totals) + 5
    for category, count in sorted(summary.categories.items()):
        mean = WriteOnlyCell(sheet, summary.mean_confidence(category))
        mean.number_format = "0.0%"
        sheet.append([_cell(sheet, category), None, count, summary.reviews[category], mean])
    sheet.append([])
    sheet.append([_header(sheet, name) for name in ("Category", "Request Type", "Tickets")])
    for (category, name), count in sorted(summary.request_types.items()):
        sheet.append([_cell(sheet, category), _cell(sheet, name), count])
    if summary.categories:
        sheet.add_chart(_chart(sheet, first, len(summary.categories)), "G2")


def _chart(sheet: Any, first: int, count: int) -> BarChart:
    chart = BarChart()
    chart.type, chart.style, chart.title, chart.legend = "bar", 10, "Tickets by category", None
    chart.add_data(Reference(sheet, min_col=3, min_row=first, max_row=first + count - 1))
    chart.set_categories(Reference(sheet, min_col=1, min_row=first, max_row=first + count - 1))
    chart.height, chart.width = 9, 18
    return chart
