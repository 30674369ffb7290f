"""The charts of the summary: native ones, that follow their cells, and carry what they show for readers without."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from openpyxl.chart import BarChart
from openpyxl.chart.axis import ChartLines
from openpyxl.chart.data_source import AxDataSource, NumData, NumDataSource, NumRef, NumVal, StrData, StrRef, StrVal
from openpyxl.chart.label import DataLabelList
from openpyxl.chart.marker import DataPoint
from openpyxl.chart.series import Series as Bars
from openpyxl.chart.series import SeriesLabel
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText
from openpyxl.chart.title import title_maker
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties
from openpyxl.utils import quote_sheetname

from jobs.digests.workbook import cells

_EPOCH = date(1899, 12, 30)  # From which Excel counts days.
_LABELLED = 15  # So many bars have room for their values.
_LABELS = 6  # So many dates have room below a chart.
_GAP = 66_675  # Between charts, in English metric units: seven pixels.


@dataclass(frozen=True)
class Source:
    """The rows of a table that a chart shows, what they are called, and the name of their sheet."""

    sheet: str
    rows: range
    names: Sequence[str | date]

    def first(self, count: int) -> "Source":
        """No more than so many of the rows."""
        return Source(self.sheet, self.rows[:count], self.names[:count])

    def last(self, count: int) -> "Source":
        """The last of the rows, so many."""
        start = len(self.rows) - count
        return Source(self.sheet, self.rows[start:], self.names[start:])

    def reference(self, column: str) -> str:
        """These rows of a column, as formulas name them."""
        return f"{quote_sheetname(self.sheet)}!${column}${self.rows.start}:${column}${self.rows.stop - 1}"


@dataclass(frozen=True)
class Series:
    """A column of the table as bars of one colour, or each bar in its own."""

    column: str
    title: str
    values: Sequence[int]
    colors: Sequence[str]


def across(title: str, source: Source, *series: Series) -> BarChart:
    """Bars from left to right, the first at the top; those of a further series lie on those of the first."""
    chart = _chart("bar", title, source, series)
    chart.x_axis.scaling.orientation = "maxMin"
    chart.gapWidth, chart.overlap = 45, 100
    chart.legend.position = "b"
    chart.legend.txPr = _text(900, cells.SOFT)
    return chart


def upright(title: str, source: Source, series: Series) -> BarChart:
    """Columns from left to right."""
    chart = _chart("col", title, source, [series])
    chart.legend = None
    chart.gapWidth = 45
    if source.names and isinstance(source.names[0], date):
        chart.x_axis.number_format, chart.x_axis.numFmt.sourceLinked = "d mmm", False
        chart.x_axis.tickLblSkip = chart.x_axis.tickMarkSkip = -(-len(source.names) // _LABELS)
    return chart


def place(left: int, top: int, right: int, bottom: int) -> TwoCellAnchor:
    """From one cell to another, counted from 0: no chart lies on a table, however wide columns are shown."""
    start = AnchorMarker(col=left, colOff=_GAP if left else 0, row=top, rowOff=0)
    return TwoCellAnchor("twoCell", start, AnchorMarker(col=right, colOff=0, row=bottom, rowOff=0))


def _chart(kind: str, title: str, source: Source, series: Sequence[Series]) -> BarChart:
    chart = BarChart()
    chart.type, chart.roundedCorners = kind, False
    chart.title = _title(title)
    chart.series = [_bars(index, source, one) for index, one in enumerate(series)]
    chart.x_axis.delete, chart.y_axis.scaling.min = False, 0
    _scale(chart, is_needed=len(source.rows) > _LABELLED)
    chart.x_axis.txPr = _text(900, cells.SOFT)
    chart.x_axis.majorTickMark = "none"
    chart.x_axis.graphicalProperties = GraphicalProperties(ln=LineProperties(solidFill=cells.LINE))
    chart.graphical_properties = GraphicalProperties(ln=LineProperties(solidFill=cells.LINE))
    return chart


def _scale(chart: BarChart, *, is_needed: bool) -> None:
    """A scale where there is no room for bars to say their values."""
    chart.y_axis.delete = not is_needed
    line = GraphicalProperties(ln=LineProperties(solidFill=cells.LINE))
    chart.y_axis.majorGridlines = ChartLines(spPr=line) if is_needed else None
    chart.y_axis.txPr = _text(900, cells.SOFT)
    chart.y_axis.graphicalProperties = GraphicalProperties(ln=LineProperties(noFill=True))


def _title(text: str) -> Any:
    made: Any = title_maker(text)
    made.overlay = False
    paragraph = made.tx.rich.p[0]
    paragraph.pPr.defRPr = paragraph.r[0].rPr = _letters(1200, cells.TEXT, bold=True)
    return made


def _bars(index: int, source: Source, series: Series) -> Any:
    bars: Any = Bars(idx=index, order=index, tx=SeriesLabel(v=series.title))
    bars.cat = _names(source)
    points = [NumVal(idx=place, v=value) for place, value in enumerate(series.values)]
    cache = NumData(formatCode="General", ptCount=len(points), pt=points)
    bars.val = NumDataSource(numRef=NumRef(f=source.reference(series.column), numCache=cache))
    bars.spPr, bars.invertIfNegative = GraphicalProperties(solidFill=series.colors[0]), False
    bars.dPt = [
        DataPoint(idx=place, invertIfNegative=False, spPr=GraphicalProperties(solidFill=color))
        for place, color in enumerate(series.colors[1:], start=1)
    ]
    if index == 0 and len(series.values) <= _LABELLED:
        bars.dLbls = DataLabelList(
            showVal=True, showSerName=False, showCatName=False, showLegendKey=False, showPercent=False,
            numFmt="#,##0;;", txPr=_text(900, cells.SOFT),
        )  # fmt: skip
    return bars


def _names(source: Source) -> AxDataSource:
    place = source.reference("A")
    days = [NumVal(idx=index, v=(day - _EPOCH).days) for index, day in enumerate(source.names) if isinstance(day, date)]
    if days:
        return AxDataSource(numRef=NumRef(f=place, numCache=NumData(formatCode=cells.DAY, ptCount=len(days), pt=days)))
    texts = [StrVal(idx=index, v=str(name)) for index, name in enumerate(source.names)]
    return AxDataSource(strRef=StrRef(f=place, strCache=StrData(ptCount=len(texts), pt=texts)))


def _letters(size: int, color: str, *, bold: bool = False) -> CharacterProperties:
    return CharacterProperties(sz=size, b=bold, solidFill=color)


def _text(size: int, color: str) -> RichText:
    return RichText(
        p=[Paragraph(pPr=ParagraphProperties(defRPr=_letters(size, color)), endParaRPr=_letters(size, color))]
    )
