"""The SLA clock: when a promise ends, from when on it is at risk, and how it stands. Pure arithmetic.

Without business hours the clock always runs. With them it runs while the desk is open: minutes and hours are open time,
a day is one working day whatever its length, a week as many as the desk has in a week.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from receiver.lib import strict_yaml

UNITS = {"minutes": timedelta(minutes=1), "hours": timedelta(hours=1), "days": timedelta(days=1),
         "weeks": timedelta(weeks=1)}  # fmt: skip
AT_RISK_FROM = Fraction(3, 4)
# Past due, not breached: whether a ticket is solved by now only its helpdesk knows.
ON_TRACK, AT_RISK, PAST_DUE, NONE = "on_track", "at_risk", "past_due", "none"
STATES = (ON_TRACK, AT_RISK, PAST_DUE, NONE)
CREATED, RECEIVED = STARTS = ("created", "received")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(\d\d?):([0-5]\d)-(\d\d?):([0-5]\d)")
_MICROSECOND = timedelta(microseconds=1)
_OLDEST_CREATION = timedelta(days=5 * 365)
_HORIZON = timedelta(days=40 * 366)  # A promise that is longer ends there.

Span = tuple[int, int]  # From when to when a desk is open, in minutes of a day.
Week = tuple[tuple[Span, ...], ...]


class Promise(NamedTuple):
    """When three quarters of the promised time are used, and when all of it is."""

    at_risk_at: datetime
    due_at: datetime


@dataclass(frozen=True)
class Hours:
    """When a desk is open: for each weekday its spans, on the wall clock of the zone, and the days it is closed."""

    week: Week
    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()

    @property
    def working_days(self) -> int:
        """On how many days of a week it is open."""
        return sum(bool(spans) for spans in self.week)

    def open_from(self, moment: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
        """Every time it is open from `moment` on: from when, to when, and how long it is open on that day in all."""
        day, last = moment.astimezone(ZoneInfo(self.zone)).date(), (moment + _HORIZON).date()
        while day < last:
            on_the_wall = [] if day in self.holidays else self.week[day.weekday()]
            spans = [(self._instant(day, start), self._instant(day, end)) for start, end in on_the_wall]
            whole = sum((end - start for start, end in spans), timedelta(0))
            yield from ((max(start, moment), end, whole) for start, end in spans if end > moment)
            day += timedelta(days=1)

    def _instant(self, day: date, minutes: int) -> datetime:
        days, minutes = divmod(minutes, 24 * 60)
        # The wall clock first, the zone after it: on the day that the clocks change, 09:00 stays 09:00.
        shown = time(minutes // 60, minutes % 60, tzinfo=ZoneInfo(self.zone))
        return datetime.combine(day + timedelta(days=days), shown).astimezone(UTC)


@dataclass(frozen=True)
class Clock:
    """The SLA clock of a desk: the hours in which it runs, and what starts it, CREATED or RECEIVED."""

    hours: Hours | None = None
    starts: str = CREATED

    def start(self, created_at: datetime | None, received_at: datetime) -> datetime:
        """When it starts for a ticket that its helpdesk created and we received then.

        A creation that cannot be true counts as not known: after the arrival, as of a clock that is fast or a time
        whose zone is missing, or more than five years before it, as of 1970 or of a device whose clock was reset.
        """
        if self.starts == RECEIVED or created_at is None:
            return received_at
        return created_at if timedelta(0) <= received_at - created_at <= _OLDEST_CREATION else received_at


def promise(start: datetime, value: float, unit: str, hours: Hours | None = None) -> Promise:
    """What an SLA of `value` in `unit` promises to a ticket whose clock started then."""
    amount = Fraction(str(value))  # From its digits: the float 0.1 is not exactly a tenth.
    return Promise(_moment_after(start, amount * AT_RISK_FROM, unit, hours), _moment_after(start, amount, unit, hours))


@dataclass(frozen=True)
class Sla:
    """A time promise: `value` in `unit` (minutes, hours, days, weeks)."""

    value: float
    unit: str
    is_default: bool = False

    def promise(self, start: datetime, hours: Hours | None) -> Promise:
        """What it promises to a ticket whose clock started then; without hours the clock always runs."""
        return promise(start, self.value, self.unit, hours)


def due(start: datetime, value: float, unit: str, hours: Hours | None = None) -> datetime:
    """When that promise ends."""
    return promise(start, value, unit, hours).due_at


def state(due_at: datetime | None, at_risk_at: datetime | None, now: datetime) -> str:
    """How a promise stands at `now`: on_track, at_risk or past_due; none where nothing is promised."""
    if due_at is None:
        return NONE
    if now >= due_at:
        return PAST_DUE
    return AT_RISK if at_risk_at is not None and now >= at_risk_at else ON_TRACK


def _moment_after(moment: datetime, amount: Fraction, unit: str, hours: Hours | None) -> datetime:
    """The first time at which `amount` of a unit has passed since `moment`."""
    if hours is None:
        return moment + _multiplied(UNITS[unit], amount)
    if unit == "weeks":
        amount, unit = amount * hours.working_days, "days"
    end = moment
    for start, end, whole in hours.open_from(moment):
        one = whole if unit == "days" else UNITS[unit]
        if (needed := _multiplied(one, amount)) <= end - start:
            return start + needed
        amount -= Fraction((end - start) // _MICROSECOND, one // _MICROSECOND)
    return end


def _multiplied(span: timedelta, amount: Fraction) -> timedelta:
    return round(span // _MICROSECOND * amount) * _MICROSECOND


def week(text: str) -> Week:
    """The week written as `mon-thu 09:00-17:30, fri 9:00-12:00 13:00-15:00`. Raises ValueError, which says how."""
    spans: dict[str, list[Span]] = {name: [] for name in _WEEKDAYS}
    for part in text.lower().split(","):
        days, *times = part.split() or [""]
        if not times:
            raise ValueError("Write days and hours, such as mon-fri 09:00-17:30, sat 10:00-14:00.")
        first, _, last = days.partition("-")
        if first not in _WEEKDAYS or (last or first) not in _WEEKDAYS:
            raise ValueError(f"The days are {', '.join(_WEEKDAYS)}, or such as mon-fri.")
        start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
        named = _WEEKDAYS[start : end + 1] if start <= end else _WEEKDAYS[start:] + _WEEKDAYS[: end + 1]
        for written in times:
            found = _SPAN.fullmatch(written)
            numbers = [int(number) for number in found.groups()] if found else [0] * 4
            opens, closes = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
            if not opens < closes <= 24 * 60:
                raise ValueError(
                    "Write hours such as 09:00-17:30, and a night as two of them: 22:00-24:00, then 00:00-06:00."
                )
            for name in named:
                spans[name].append((opens, closes))
    ordered = [sorted(spans[name]) for name in _WEEKDAYS]
    if any(start < end for day in ordered for (_, end), (start, _) in pairwise(day)):
        raise ValueError("Two of its times overlap; write each hour once.")
    return tuple(map(tuple, ordered))


def holidays(text: str) -> frozenset[date]:
    """The days in `2026-12-25, 2027-01-01`, or in the file of that name, one a line and `#` before a remark.

    Raises ValueError, which says what is wrong.
    """
    if re.match(r"\s*\d{4}-", text):
        return frozenset(_holiday(item) for item in text.split(",") if item.strip())
    try:
        lines = strict_yaml.decoded(Path(text.strip()).expanduser().read_bytes(), comment=b"#").splitlines()
    except strict_yaml.DocumentError as error:
        raise ValueError(f"Of that file, {error}.") from None
    except (OSError, ValueError, RuntimeError):
        raise ValueError("Neither dates such as 2026-12-25, 2027-01-01 nor a file that can be read.") from None
    return frozenset(_holiday(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip())


def _holiday(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("Not every day of it is a date such as 2026-12-25.") from None
