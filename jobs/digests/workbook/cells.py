"""What may stand in a cell, and how it looks: text stays text, whatever a ticket contains."""

import re
from functools import lru_cache
from typing import Any

from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

from receiver.lib.spreadsheet import escaped

MAX_CELL = 32_767  # https://support.microsoft.com/office/excel-specifications-and-limits
# The colours of the dashboard and of the mail.
ACCENT, ACCENT_SOFT, TEXT, SOFT, LINE = "4338CA", "EEEDFD", "17171C", "5A5A66", "E3E3E8"
BAR, BAR_SOFT, GOOD, WARN, BAD, NEUTRAL = "6366F1", "C7D2FE", "22A05A", "D98A14", "DC4444", "A1A1AA"
WARN_TEXT, BAD_TEXT = "8A4B08", "B01C1C"
WHOLE, PERCENT, TIME, DAY = "#,##0", "0%", "yyyy-mm-dd hh:mm", "yyyy-mm-dd"

_CUT = " [... cut, too long for a cell]"
# What XML cannot hold. https://www.w3.org/TR/xml/#charsets
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What a spreadsheet takes for the start of a formula, or of an error. https://owasp.org/www-community/attacks/CSV_Injection
_SUSPECT = frozenset("=+-@\t\r\n＝＋－＠#")


def plain(text: str) -> str:
    """The text as it is shown: what Excel cannot hold is replaced, or cut, where it shows."""
    shown = text if text.isprintable() else _UNPRINTABLE.sub(_visible, text)  # Most are, and asking is cheaper.
    return shown if len(shown) <= MAX_CELL // 2 else _cut(shown)  # Shorter text fits whatever letters it has.


def held(text: str) -> str:
    """That text as the file holds it."""
    return escaped(plain(text))


def cell(sheet: Any, value: Any) -> Any:
    """What a streamed sheet takes for `value`: a text that could be more than a text gets a cell that says so."""
    if not isinstance(value, str):
        return value
    text = held(value)
    return literal(sheet, text) if is_treacherous(text) else text


def is_treacherous(text: str) -> bool:
    """Whether a spreadsheet could take this text for a formula or an error."""
    return text[:1] in _SUSPECT and (text[0] != "#" or text in ERROR_CODES)


def literal(sheet: Any, text: str) -> Any:
    """A cell that holds this text and nothing else, even when somebody edits it."""
    made = WriteOnlyCell(sheet, text)
    made.data_type = "s"
    made.quotePrefix = True
    return made


class Reused(Cell):
    """A cell that serves in row after row of a stream, and remembers the number of its style."""

    __slots__ = ("_number",)

    @property
    def style_id(self) -> int:
        if not hasattr(self, "_number"):
            self._number: int = super().style_id
        return self._number

    def holding(self, text: str) -> "Reused":
        """Itself with this text, whatever a value like it would mean."""
        self._value, self.data_type = text, "s"
        return self


def styled(
    sheet: Any,
    value: Any = None,
    *,
    size: int = 11,
    bold: bool = False,
    underlined: bool = False,
    color: str | None = None,
    fill: str | None = None,
    line: str | None = None,
    number_format: str | None = None,
    **alignment: Any,
) -> Any:
    """A cell with these looks; `line` is the colour of a rule below it, `alignment` as openpyxl takes it."""
    made = cell(sheet, value)
    if not isinstance(made, Cell):
        made = WriteOnlyCell(sheet, made)
    if size != 11 or bold or underlined or color:
        made.font = font(size, color, bold=bold, underlined=underlined)
    if number_format:
        made.number_format = number_format
    if fill:
        made.fill = _filled(fill)
    if line:
        made.border = _ruled(line)
    if alignment:
        made.alignment = Alignment(**alignment)
    return made


# Making these costs more than all else of a cell, and openpyxl shares them between cells anyway.
@lru_cache(maxsize=32)
def _filled(color: str) -> PatternFill:
    return PatternFill("solid", fgColor=color)


@lru_cache(maxsize=32)
def _ruled(color: str) -> Border:
    return Border(bottom=Side("thin", color=color))


@lru_cache(maxsize=64)
def font(size: int = 11, color: str | None = None, *, bold: bool = False, underlined: bool = False) -> Font:
    """The font of every cell, which is that of the reader's own workbooks, in a look of its own."""
    rule: Any = "single" if underlined else None
    return Font(name="Calibri", family=2, scheme="minor", size=size, bold=bold, color=color, underline=rule)


def header(sheet: Any, text: str, **alignment: Any) -> Any:
    """The heading of a column."""
    return styled(sheet, text, bold=True, color="FFFFFF", fill=ACCENT, vertical="center", **alignment)


def _cut(text: str) -> str:
    """What of a text fits into a cell. Excel counts as UTF-16 does: an emoji is two."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MAX_CELL:
        return text
    return units[: 2 * (MAX_CELL - len(_CUT))].decode("utf-16-le", "ignore") + _CUT


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"
