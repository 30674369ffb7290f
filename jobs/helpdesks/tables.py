"""Tables in files, as spreadsheets and helpdesks write them: decoded, taken apart, and read under their header.

What a file leaves open is found out: its encoding, its separator, and in which row the columns are named. What cannot
be found out is a ValueError, whose text says what was found and what counts, and repeats no more than column names.
"""

import codecs
import csv
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import from_excel
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from receiver.lib.spreadsheet import unescaped

Names = Mapping[str, Sequence[str]]  # The names under which each field is known, as `plain_name` gives them.

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SEARCHED = 30  # Rows in which a header is looked for; titles and remarks stand above it.
_MOST_COLUMNS, _LONGEST_NAME = 1_000, 200
# What a workbook may hold: a small file can unpack to gigabytes, and name a cell that stands a million rows below.
_MOST_UNPACKED, _MOST_ROWS, _MOST_CELLS = 300 * 2**20, 500_000, 20_000_000
_SHOWN_COLUMNS, _LONGEST_SHOWN = 10, 30
_SEP_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n?\Z', re.IGNORECASE | re.DOTALL)
_ZEROS = re.compile("00+")  # A format of digits alone: 007 is the number 7 in it.
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_STRAY = re.compile("[\udc80-\udcff]")
# What openpyxl lets through when a file makes it stumble.
_BROKEN_WORKBOOK = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Table:
    """The rows below a header, each with its number as a spreadsheet shows it and its values by field.

    `found` says in words how the file was read.
    """

    rows: list[tuple[int, dict[str, Any]]]
    found: str


def of_text(body: bytes, names: Names, needed: Sequence[str]) -> Table:
    """The table in a text file: separated by commas, semicolons, tabs or vertical bars, in any usual encoding.

    `needed` are the fields without which a row is no header. Raises ValueError.
    """
    if body.startswith(b"PK\x03\x04"):
        raise ValueError("it is a workbook; name it .xlsx")
    text, encoding = decoded(body)
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        raise ValueError("it is HTML or XML, whatever its name; export it as CSV or .xlsx")
    csv.field_size_limit(max(len(text), 131_072))  # Else a long text would cost all the others.
    first, _, rest = text.partition("\n")
    declared = _SEP_LINE.match(first)
    if declared:
        text = rest
    tried = []
    for separator in [declared[1]] if declared else _SEPARATORS:
        rows = list(islice(_rows_of(text, separator, strict=False), _SEARCHED))
        place = _header_row(rows, names, needed)
        if place is not None:
            tried.append((-place, len(_columns(rows[place], names)), separator))
    if not tried:
        guess = declared[1] if declared else _likeliest_separator(text)
        rows = list(islice(_rows_of(text, guess, strict=False), _SEARCHED))
        how = f"{encoding}, separated by {_SEPARATORS.get(guess, repr(guess))}"
        raise ValueError(_no_header(rows, names, needed, how))
    separator = max(tried)[2]
    # Strict, because a quote that is never closed would swallow the rows after it.
    return _table(
        _rows_of(text, separator, strict=True),
        -max(tried)[0],
        names,
        f"{encoding}, separated by {_SEPARATORS.get(separator, repr(separator))}",
        is_ragged_wrong=True,
    )


def of_workbook(body: bytes, names: Names, needed: Sequence[str]) -> Table:
    """The table in the first sheet of an .xlsx file that has one. Raises ValueError."""
    if body[:1_000].lstrip().startswith(b"<"):
        raise ValueError("it is HTML or XML, whatever its name; export it as CSV or .xlsx")
    if body.startswith(_OLD_OFFICE):
        raise ValueError("it is an .xls file or has a password; save it as .xlsx without one")
    try:
        _check_size(body)
        reader = _Reader(io.BytesIO(body), read_only=True, data_only=True)
        reader.read()
        sheets = [sheet for sheet in reader.wb.worksheets if hasattr(sheet, "reset_dimensions")]
        heads = []
        for sheet in sheets:
            sheet.reset_dimensions()  # Some programs note a wrong size, and openpyxl would believe it.
            heads.append(list(islice(_cells_of(sheet), _SEARCHED)))
            place = _header_row(heads[-1], names, needed)
            if place is not None:
                return _table(_cells_of(sheet), place, names, f"sheet {sheet.title!r}")
    except _TableError:
        raise
    except _BROKEN_WORKBOOK as error:
        raise ValueError(f"it is not a sound workbook ({type(error).__name__})") from None
    raise ValueError(_no_header(heads[0] if heads else [], names, needed, f"{len(sheets)} sheets"))


def _check_size(body: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        unpacked = sum(part.file_size for part in packed.infolist())  # No part is read beyond what it says.
    if unpacked > _MOST_UNPACKED:
        raise _TableError(f"it unpacks to more than {_MOST_UNPACKED >> 20} MB; {_SPLIT}")


_SPLIT = "delete what is empty below and beside the table, or split the file"


class _TableError(ValueError):
    """What is wrong with a table, in words that are for the reader."""


class _Reader(ExcelReader):
    """openpyxl's reader, but for the texts that cells share: it would take `x005F_` out of them, and no more."""

    def read_strings(self) -> None:
        part: Any = self.package.find(SHARED_STRINGS)  # type: ignore[no-untyped-call]
        if part is None:
            return
        with self.archive.open(part.PartName[1:]) as source:
            for _, node in iterparse(source):
                if node.tag == f"{{{SHEET_MAIN_NS}}}si":
                    text: Any = Text.from_tree(node)
                    self.shared_strings.append(text.content)
                    node.clear()


def _cells_of(sheet: Any) -> Iterator[list[Any]]:
    cells = 0
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells += len(row)
        if number > _MOST_ROWS or cells > _MOST_CELLS:
            raise _TableError(f"it has more than {_MOST_ROWS:,} rows or {_MOST_CELLS:,} cells; {_SPLIT}")
        yield [_shown(cell) for cell in row]


def _shown(cell: Any) -> Any:
    """The value of a cell; a whole number that is shown with leading zeros is the text that a person sees."""
    value = cell.value
    if isinstance(value, str):
        return unescaped(value)
    if type(value) is int and _ZEROS.fullmatch(cell.number_format):
        return str(value).zfill(len(cell.number_format))
    return value


def decoded(body: bytes) -> tuple[str, str]:
    """The text of a file and the name of its encoding. Raises ValueError where there is no telling."""
    for mark, encoding, name in (
        (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
        (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # Before UTF-16, whose mark is the beginning of this one.
        (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
        (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    ):
        if body.startswith(mark):
            return _decoded_as(body, encoding, name)
    head = body[:4_000]
    if head.count(0) * 5 > len(head):  # UTF-16 without its mark: of most letters one byte is zero.
        is_little = head[1::2].count(0) >= head[::2].count(0)
        return _decoded_as(body, "utf-16-le" if is_little else "utf-16-be", "UTF-16")
    text = body.decode("utf-8", "surrogateescape")
    stray = len(_STRAY.findall(text))
    if not stray:
        return text, "UTF-8"
    # What Western Europe writes is mostly ASCII; Cyrillic, Greek or Japanese in an encoding of its own is not.
    if stray * 3 > sum(letter.isascii() and letter.isalpha() for letter in text):
        raise ValueError("it is neither UTF-8 nor UTF-16 nor Windows-1252; save it as UTF-8 (Excel: CSV UTF-8)")
    return _STRAY.sub(_western, text), "Windows-1252"


def _decoded_as(body: bytes, encoding: str, name: str) -> tuple[str, str]:
    try:
        return body.decode(encoding), name
    except UnicodeDecodeError as error:
        line = body[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise ValueError(f"it begins as {name}, but line {line} is not; save it as UTF-8") from None


def _western(stray: re.Match[str]) -> str:
    """Byte by byte, so that one stray letter does not garble a file that is UTF-8 otherwise."""
    raw = stray[0].encode("utf-8", "surrogateescape")
    return raw.decode("cp1252", "replace")


def _rows_of(text: str, separator: str, *, strict: bool) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="")
    reader, number = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict), 1
    try:
        for row in reader:
            yield row
            number += 1
    except csv.Error as error:
        hint = "a quotation mark inside a quoted text is written twice, and every text that opens one closes it"
        raise ValueError(f"row {number} (line {reader.line_num}): {error}; {hint}") from None


def _likeliest_separator(text: str) -> str:
    head = text[:4_000]
    return max(_SEPARATORS, key=head.count)


def plain_name(name: Any) -> str:
    """How a column's name is compared: `Ticket ID`, `ticket-id` and `ticketId` are the same."""
    text = unicodedata.normalize("NFKC", str(name or "")).strip()
    if text in ("#", "№"):
        return "number"
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    return "_".join(re.findall(r"[^\W_]+", apart.casefold()))


def _header_row(rows: Sequence[Sequence[Any]], names: Names, needed: Sequence[str]) -> int | None:
    """The first row that names every needed field, counted from 0."""
    for number, row in enumerate(rows):
        if set(needed) <= _columns(row, names).keys():
            return number
    return None


def _columns(header: Sequence[Any], names: Names) -> dict[str, list[int]]:
    """In which columns each field stands: those of its first name that is there at all."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(header[:_MOST_COLUMNS]):
        if isinstance(name, str) and len(name) <= _LONGEST_NAME:
            places.setdefault(plain_name(name), []).append(index)
    first = {field: next((name for name in known if name in places), None) for field, known in names.items()}
    return {field: places[name] for field, name in first.items() if name is not None}


def _table(
    rows: Iterable[Sequence[Any]], place: int, names: Names, how: str, *, is_ragged_wrong: bool = False
) -> Table:
    """The table whose header is the row `place`, counted from 0, and may be repeated below, as on every page."""
    columns: dict[str, list[int]] = {}
    header: Sequence[Any] = ()
    found = []
    for number, row in enumerate(rows, start=1):
        if number == place + 1:
            header, columns = row, _columns(row, names)
        elif number > place and any(value not in (None, "") for value in row) and list(row) != list(header):
            if is_ragged_wrong and any(value.strip() for value in row[len(header) :]):
                raise _TableError(
                    f"row {number} has {len(row)} cells, the header in row {place + 1} names {len(header)} columns; "
                    "a text with a separator in it needs quotation marks around it"
                )
            found.append((number, _values(number, row, header, columns)))
    taken = ", ".join(f"{field} from {header[at[0]].strip()!r}" for field, at in columns.items())
    return Table(found, f"{how}, header in row {place + 1}: {taken}")


def _values(number: int, row: Sequence[Any], header: Sequence[Any], columns: dict[str, list[int]]) -> dict[str, Any]:
    """What a row says of each field, the empty ones left out."""
    values = {}
    for field, places in columns.items():
        said = {at: row[at] for at in places if at < len(row) and row[at] not in (None, "")}
        if len(set(map(str, said.values()))) > 1:
            letters = " and ".join(get_column_letter(at + 1) for at in said)
            name = header[places[0]].strip()
            raise _TableError(
                f"row {number}: columns {letters} are both named {name!r} and differ, so which counts is not certain; "
                "rename one"
            )
        if said:
            values[field] = next(iter(said.values()))
    return values


def _no_header(rows: Sequence[Sequence[Any]], names: Names, needed: Sequence[str], how: str) -> str:
    """What was found instead of a header, and what would be one."""
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(cell not in (None, "") for cell in row)]
    wanted = " and ".join(f"{field} (or {', '.join(names[field][1:6])})" for field in needed)
    if not filled:
        return f"found no rows ({how}); one row must name the columns, among them {wanted}"
    number, row = max(filled, key=lambda found: len(_columns(found[1], names)))
    cells = [str(cell).strip() for cell in row if cell not in (None, "")]
    shown = [cell if _could_be_name(cell) else "…" for cell in cells[:_SHOWN_COLUMNS]]
    more = f" and {len(cells) - _SHOWN_COLUMNS} more" if len(cells) > _SHOWN_COLUMNS else ""
    missing = [field for field in needed if field not in _columns(row, names)]
    return (
        f"found {how}; row {number} comes nearest to a header, with {len(cells)} columns: {', '.join(shown)}{more}; "
        f"it lacks {' and '.join(missing)}. "
        f"One of the first {_SEARCHED} rows must name the columns, among them {wanted}"
    )


def _could_be_name(cell: str) -> bool:
    """Whether a cell may be repeated: a few words without digits or an address, as the name of a column is."""
    return len(cell) <= _LONGEST_SHOWN and len(cell.split()) <= 3 and not re.search(r"[\d@]", cell)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    r"(?P<a>\d{1,4})(?P<sep>[./ -])\s?(?P<b>\d{1,2}|[a-z]{3,9})\.?[./ -]\s?(?P<c>\d{2,4})"
    r"(?:[t, ]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?\s*(?P<half>[ap])?\.?(?:m\.?)?)?",
    re.IGNORECASE,
)


def moments(values: Sequence[Any], zone: ZoneInfo) -> list[datetime | None]:
    """The times in a column, on the clock of `zone` where they name none; None for what is no time, or not certain.

    Whether 05/12 is in May or in December the other rows of the column tell: where one has 13 or more in a place, that
    place is the day in all of them.
    """
    days = [found for value in values if isinstance(value, str) and (found := _DATE.fullmatch(value.strip()))]
    numbers = [(int(day["a"]), int(day["b"])) for day in days if day["sep"] != "." and day["b"].isdigit()]
    is_day_first = any(12 < first <= 31 for first, _ in numbers)
    is_month_first = any(second > 12 for _, second in numbers)
    order = None if is_day_first == is_month_first else "day" if is_day_first else "month"
    return [_moment(value, zone, order) for value in values]


def _moment(value: Any, zone: ZoneInfo, order: str | None) -> datetime | None:
    try:
        if isinstance(value, str):
            value = _written_moment(value.strip(), order)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = from_excel(value) if 20_000 < value < 100_000 else None  # A date whose cell is not formatted so.
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if not isinstance(value, datetime):
            return None
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _written_moment(text: str, order: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        found = _DATE.fullmatch(text)
    if found is None:
        return None
    a, b, c = found["a"], found["b"].lower(), found["c"]
    if not b.isdigit():
        if b[:3] not in _MONTHS:
            return None
        b = str(_MONTHS.index(b[:3]) + 1)
    elif len(a) != 4 and found["sep"] != "." and order != "day":
        if order is None and a != b:  # 05/05 is the same either way.
            return None
        a, b = b, a
    year, month, day = (int(a), int(b), int(c)) if len(a) == 4 else (int(c), int(b), int(a))
    hour = int(found["hour"] or 0)
    if found["half"]:
        hour = hour % 12 + 12 * (found["half"].lower() == "p")
    return datetime(year + 2000 * (year < 100), month, day, hour, int(found["minute"] or 0), int(found["second"] or 0))
