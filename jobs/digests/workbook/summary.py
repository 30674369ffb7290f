"""The sheet `Summary`: the figures of a digest at a glance, then its charts, then the tables behind them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from openpyxl.formatting.rule import DataBarRule

from jobs.digests.translations import Words
from jobs.digests.workbook import cells, charts
from jobs.digests.workbook.cells import styled
from jobs.digests.workbook.charts import Series, Source
from jobs.digests.workbook.totals import NOT_CLASSIFIED, Group, Label, Summary
from receiver.lib import sla

_NO_BREAK = "\N{NARROW NO-BREAK SPACE}"  # Between thousands, in every language.
_Key = TypeVar("_Key", str, Label)
Before = Mapping[Label, int]

_WIDTHS = (30, 38, *[13] * 8)
_CHART_ROWS, _CHARTED_CATEGORIES, _CHARTED_DAYS = 17, 10, 30
_COUNT, _SIGNED, _SHARE = '#,##0;-#,##0;"–"', "+#,##0;-#,##0;0", "0.0%"
_FIGURES = ("tickets", "share", "mean_confidence", "needs_review", "at_risk", "past_due", "previous", "change")
_FORMATS = {"share": _SHARE, "mean_confidence": cells.PERCENT, "change": _SIGNED}
_STATE_COLORS = (cells.GOOD, cells.WARN, cells.SOFT, cells.NEUTRAL)
_TONES = {"needs_review": cells.WARN_TEXT, "at_risk": cells.WARN_TEXT}


@dataclass(frozen=True)
class Frame:
    """What the summary stands in: its title and words, its moment and clock, and the counts of the period before."""

    title: str
    words: Words
    now: datetime
    zone: ZoneInfo
    before: Before | None = None


def write(sheet: Any, summary: Summary, frame: Frame) -> None:
    """Write the sheet. It is streamed, so everything comes in the order of its rows."""
    page = _Page(sheet, frame, summary)
    page.title()
    page.tiles()
    top = page.leave_out(_CHART_ROWS)
    categories = page.categories()
    page.request_types()
    page.made_by()
    states = page.counts(
        "by_sla", "sla_state", [(frame.words["sla"][name], summary.states[name]) for name in sla.STATES]
    )
    earlier, last = _last_days(summary.days)
    older = [(page.word("earlier"), earlier)] if earlier else []
    days = page.counts("by_day", "day", [*older, *last])
    if summary.total:
        page.charts(top, categories.first(_CHARTED_CATEGORIES), days.last(len(last)), states)


def _last_days(found: Counter[date]) -> tuple[int, list[tuple[date, int]]]:
    """How many tickets are older than the last thirty days, and those days up to the last ticket, empty ones too."""
    if not found:
        return 0, []
    last = max(found)
    first = max(min(found), last - timedelta(days=_CHARTED_DAYS - 1))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return sum(count for day, count in found.items() if day < first), [(day, found[day]) for day in days]


class _Page:
    """The sheet as far as it is written; each of its parts ends with an empty row."""

    def __init__(self, sheet: Any, frame: Frame, summary: Summary) -> None:
        self._sheet, self._frame, self._summary = sheet, frame, summary
        self._categories, self._row = summary.by_category, 0
        sheet.sheet_view.showGridLines = False
        sheet.page_setup.orientation = "portrait"
        for column, width in zip("ABCDEFGHIJ", _WIDTHS, strict=True):
            sheet.column_dimensions[column].width = width

    def word(self, name: str) -> str:
        """A word of the summary in its language."""
        return str(self._frame.words["summary"][name])

    def _add(self, values: Iterable[Any] = (), height: float | None = None) -> int:
        """Write a row; returns its number."""
        self._row += 1
        if height:
            self._sheet.row_dimensions[self._row].height = height
        self._sheet.append(list(values))
        return self._row

    def leave_out(self, count: int) -> int:
        """Leave so many rows and one more empty; returns the number of the first."""
        first = self._row + 1
        for _ in range(count + 1):
            self._add()
        return first

    def title(self) -> None:
        """What this is, and of when."""
        zone = self._frame.zone
        as_of = self.word("as_of").format(moment=f"{self._frame.now.astimezone(zone):%Y-%m-%d %H:%M %Z}")
        moment = f"{as_of}. {self.word('clock').format(zone=zone.key)}"
        for text, size, height in ((self._frame.title, 20, 36), (moment, 11, 22)):
            look: dict[str, Any] = {"fill": cells.ACCENT, "vertical": "center", "horizontal": "left", "indent": 1}
            first = styled(self._sheet, text, size=size, bold=size == 20, color="FFFFFF", **look)
            self._add([first, *(styled(self._sheet, None, fill=cells.ACCENT) for _ in _WIDTHS[1:])], height)
        self._add(height=12)

    def tiles(self) -> None:
        """The figures that matter, large."""
        found, total = self._summary, self._summary.total
        tiles = [
            ("tickets", total, None, None),
            ("needs_review", found.needs_review, cells.WARN_TEXT, _share(found.needs_review, total)),
            ("not_classified", found.failed, cells.BAD_TEXT, _share(found.failed, total)),
            ("at_risk", found.at_risk, cells.WARN_TEXT, _share(found.at_risk, total)),
            ("past_due", found.past_due, None, _share(found.past_due, total)),
            ("mean_confidence", found.all.mean_confidence, None, None),
        ]
        change = self._change()
        looks: dict[str, Any] = {"fill": cells.ACCENT_SOFT, "horizontal": "left", "indent": 1}
        labels, figures, notes = [], [], []
        for name, value, tone, note in tiles:
            color = tone if tone and value else cells.TEXT
            form = cells.PERCENT if name == "mean_confidence" else cells.WHOLE
            labels.append(styled(self._sheet, self.word(name), color=cells.SOFT, **looks))
            figures.append(styled(self._sheet, value, size=22, bold=True, color=color, number_format=form, **looks))
            shown = change if name == "tickets" else note
            notes.append(styled(self._sheet, shown, color=cells.SOFT, number_format=_SHARE, **looks))
        for line, height in ((labels, 22), (figures, 34), (notes, 20)):
            self._tile_row(line, height)
        self._add(height=12)

    def _change(self) -> str | None:
        if self._frame.before is None:
            return None
        before = sum(self._frame.before.values())
        return f"{self.word('previous')}: {before:,} ({self._summary.total - before:+,})".replace(",", _NO_BREAK)

    def _tile_row(self, tiles: list[Any], height: float) -> None:
        """Two tiles are a wide column each; the others take two columns, of which the second is theirs by merging."""
        wide, narrow = tiles[:2], tiles[2:]
        blank = [styled(self._sheet, None, fill=cells.ACCENT_SOFT) for _ in narrow]
        row = self._add([*wide, *(cell for pair in zip(narrow, blank, strict=True) for cell in pair)], height)
        for pair in ("C{0}:D{0}", "E{0}:F{0}", "G{0}:H{0}", "I{0}:J{0}"):
            self._sheet.merged_cells.add(pair.format(row))

    def _heading(self, name: str) -> None:
        self._add([styled(self._sheet, self.word(name), size=14, bold=True, color=cells.ACCENT)], 24)

    def _header(self, *names: str | None) -> int:
        """The heads of columns A and B, then of figures, which stand at the right as the figures do."""
        texts = [self.word(name) if name else None for name in names]
        made = [
            cells.header(self._sheet, text or "", horizontal="right" if index > 1 else "left", wrap_text=True)
            for index, text in enumerate(texts)
        ]
        return self._add(made, 32 if len(names) > 4 else 20)

    def categories(self) -> Source:
        """The table by category, the largest first, with a line of totals; returns its categories."""
        self._heading("by_category")
        self._header("category", None, *_FIGURES)
        before, names = self._before_by_category(), self._ranked_categories()
        shown = [self.word("not_classified") if name == NOT_CLASSIFIED else name for name in names]
        first = self._row + 1
        for name, text in zip(names, shown, strict=True):
            self._figures((text, None), self._categories.get(name, Group()), before.get(name, 0))
        rows = range(first, self._row + 1)
        self._figures((self.word("total"), None), self._summary.all, sum(before.values()), bold=True)
        self._add()
        self._bars(rows)
        return self._source(rows, shown)

    def _source(self, rows: range, names: Sequence[Any]) -> Source:
        return Source(self._sheet.title, rows, [cells.held(name) if isinstance(name, str) else name for name in names])

    def _ranked_categories(self) -> list[str]:
        return _ranked(self._categories, self._before_by_category())

    def request_types(self) -> None:
        """The table by request type, in the order of the categories."""
        self._heading("by_request_type")
        self._header("category", "request_type", *_FIGURES)
        before = self._frame.before or {}
        place = {name: index for index, name in enumerate(self._ranked_categories())}
        labels = [(category, name) for category, name in _ranked(self._summary.groups, before) if category is not None]
        first = self._row + 1
        for label in sorted(labels, key=lambda label: place[label[0]]):
            self._figures(label, self._summary.groups.get(label, Group()), before.get(label, 0))
        self._bars(range(first, self._row + 1))
        self._add()

    def _before_by_category(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for (category, _), count in (self._frame.before or {}).items():
            counts[NOT_CLASSIFIED if category is None else category] += count
        return counts

    def _figures(self, names: Label, group: Group, before: int, *, bold: bool = False) -> None:
        known = self._frame.before is not None
        values = {
            "tickets": group.count,
            "share": _share(group.count, self._summary.total),
            "mean_confidence": group.mean_confidence,
            "needs_review": group.needs_review,
            "at_risk": group.at_risk,
            "past_due": group.past_due,
            "previous": before if known else None,
            "change": group.count - before if known else None,
        }
        look: dict[str, Any] = {"bold": bold, "line": cells.LINE}
        made = [styled(self._sheet, name, **look) for name in names]
        for name in _FIGURES:
            color = _TONES.get(name) if values[name] else None
            form = _FORMATS.get(name, _COUNT)
            made.append(styled(self._sheet, values[name], color=color, number_format=form, **look))
        self._add(made)

    def _bars(self, rows: range) -> None:
        """A bar behind each share, so that the eye finds the large ones."""
        if rows:
            made: Any = DataBarRule
            rule = made("num", 0, "max", None, color=f"FF{cells.BAR_SOFT}")
            self._sheet.conditional_formatting.add(f"D{rows.start}:D{rows.stop - 1}", rule)

    def counts(self, heading: str, column: str, found: Sequence[tuple[Any, int]]) -> Source:
        """A small table of counts and shares; returns what is counted."""
        self._heading(heading)
        self._header(column, None, "tickets", "share")
        first = self._row + 1
        for name, count in found:
            self._count(name, None, count)
        rows = range(first, self._row + 1)
        self._add()
        return self._source(rows, [name for name, _ in found])

    def _count(self, name: Any, note: str | None, count: int) -> None:
        shown = styled(self._sheet, name, line=cells.LINE, number_format=cells.DAY, horizontal="left")
        share = styled(self._sheet, _share(count, self._summary.total), line=cells.LINE, number_format=_SHARE)
        number = styled(self._sheet, count, line=cells.LINE, number_format=_COUNT)
        self._add([shown, styled(self._sheet, note, line=cells.LINE), number, share])

    def made_by(self) -> None:
        """Which engines, catalogs and prompts have classified the tickets."""
        self._heading("made_by")
        self._header("made_by", "version", "tickets", "share")
        for name, found in (
            ("engine", self._summary.engines),
            ("catalog_version", self._summary.catalog_versions),
            ("prompt_version", self._summary.prompt_versions),
        ):
            for version, count in found.most_common():
                self._count(self.word(name), version, count)
        self._add()

    def charts(self, top: int, categories: Source, days: Source, states: Source) -> None:
        """The three charts side by side in the rows that were left out for them."""
        found, tickets = self._summary, self.word("tickets")
        groups = [self._categories.get(name, Group()) for name in self._ranked_categories()[: len(categories.names)]]
        counts = Series("C", tickets, [group.count for group in groups], [cells.BAR])
        reviews = Series("F", self.word("needs_review"), [group.needs_review for group in groups], [cells.WARN])
        by_day = Series("C", tickets, [found.days[day] for day in days.names if isinstance(day, date)], [cells.BAR])
        by_state = Series("C", tickets, [found.states[name] for name in sla.STATES], _STATE_COLORS)
        for chart, left, right in (
            (charts.across(self.word("by_category"), categories, counts, reviews), 0, 2),
            (charts.upright(self.word("by_day"), days, by_day), 2, 6),
            (charts.upright(self.word("by_sla"), states, by_state), 6, 10),
        ):
            self._sheet.add_chart(chart, charts.place(left, top - 1, right, top - 1 + _CHART_ROWS))


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def _ranked(found: Mapping[_Key, Group], before: Mapping[_Key, int]) -> list[_Key]:
    """What there is now or was before, the most frequent first."""
    counts = {key: found[key].count if key in found else 0 for key in found.keys() | before.keys()}
    return sorted(counts, key=lambda key: (-counts[key], str(key).lower()))
