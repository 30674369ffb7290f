"""The SLA clock, against one that looks at the wall every minute."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.lib import sla
from receiver.lib.sla import AT_RISK_FROM, Clock, Hours, Sla, Week
from tests.properties import tries

MINUTE = timedelta(minutes=1)
OFFICE = sla.week("mon-thu 09:00-17:30, fri 09:00-12:00 13:00-15:00")
BERLIN = Hours(OFFICE, "Europe/Berlin", frozenset({date(2026, 12, 25)}))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("received", "value", "unit", "expected"),
    [
        ("2026-11-23 09:00", 4, "hours", "2026-11-23 13:00"),  # 10:00 in Berlin, a Monday.
        ("2026-11-23 15:30", 2, "hours", "2026-11-24 09:00"),  # An hour of it on the next day.
        ("2026-11-27 11:30", 30, "minutes", "2026-11-27 12:30"),  # In the lunch break.
        ("2026-11-27 13:00", 2, "hours", "2026-11-30 09:00"),  # Over a weekend.
        ("2026-11-28 10:00", 1, "days", "2026-11-30 16:30"),  # On a Saturday: all of Monday.
        ("2026-11-23 12:15", 1, "days", "2026-11-24 12:15"),  # Half of Monday and half of Tuesday.
        ("2026-11-26 12:15", 1, "days", "2026-11-27 10:30"),  # Half of a short Friday is over before lunch.
        ("2026-11-23 08:00", 1, "weeks", "2026-11-27 14:00"),
        ("2026-12-24 16:30", 1, "minutes", "2026-12-28 08:01"),  # Over Christmas.
        ("2026-10-23 12:00", 4, "hours", "2026-10-26 11:00"),  # The clock is set back meanwhile.
        ("2026-11-23 16:00", 0.5, "hours", "2026-11-23 16:30"),  # Used to the minute, it does not wait for the morning.
    ],
)
def test_the_clock_stands_still_while_the_desk_is_closed(received: str, value: float, unit: str, expected: str) -> None:
    assert sla.due(utc(received), value, unit, BERLIN) == utc(expected)


def slow(received_at: datetime, minutes: int, hours: Hours) -> datetime:
    """Look at the wall clock every minute, and count those in which the desk is open."""
    moment = received_at
    while minutes:
        shown = moment.astimezone(ZoneInfo(hours.zone))
        clock = shown.hour * 60 + shown.minute
        spans = hours.week[shown.weekday()] if shown.date() not in hours.holidays else ()
        minutes -= any(start <= clock < end for start, end in spans)
        moment += MINUTE
    return moment


NIGHT = 5 * 60  # Clocks are set before five, and a desk that opens amid that has no plain answer.
SPANS = st.lists(st.integers(NIGHT, 24 * 60), min_size=2, max_size=4, unique=True).map(
    lambda times: tuple(zip(sorted(times)[::2], sorted(times)[1::2], strict=False))
)
DAYS = st.one_of(st.just(()), st.just(((0, 24 * 60),)), SPANS)
WEEKS = st.tuples(*[DAYS] * 6, SPANS)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Cairo"])
AROUND = st.sampled_from(["2026-03-06", "2026-03-27", "2026-04-22", "2026-10-23", "2026-10-28", "2026-12-30"])


@settings(max_examples=tries(60), deadline=None)
@given(week=WEEKS, zone=ZONES, start=AROUND, offset=st.integers(0, 4 * 24 * 60), minutes=st.integers(1, 3000))
def test_it_agrees_with_a_clock_that_looks_at_the_wall(
    week: Week, zone: str, start: str, offset: int, minutes: int
) -> None:
    hours = Hours(week, zone, frozenset({date.fromisoformat(start) + timedelta(days=2)}))
    received_at = utc(start) + offset * MINUTE
    assert sla.due(received_at, minutes, "minutes", hours) == slow(received_at, minutes, hours)


@settings(max_examples=tries(60), deadline=None)
@given(
    week=WEEKS, zone=ZONES, start=AROUND, offset=st.integers(0, 10_000), value=st.integers(1, 90),
    unit=st.sampled_from(list(sla.UNITS)),
)  # fmt: skip
def test_a_promise_moves_on_and_is_at_risk_before_it_ends(
    week: Week, zone: str, start: str, offset: int, value: int, unit: str
) -> None:
    hours, received_at = Hours(week, zone), utc(start) + offset * MINUTE
    at_risk_at, due_at = sla.promise(received_at, value, unit, hours)
    assert received_at < at_risk_at < due_at < sla.due(received_at, value + 1, unit, hours)
    assert at_risk_at == sla.due(received_at, float(value * AT_RISK_FROM), unit, hours)
    assert due_at <= sla.due(received_at + MINUTE, value, unit, hours)


def test_without_hours_it_always_runs() -> None:
    received_at = utc("2026-10-24 12:00")
    assert sla.promise(received_at, 2, "days") == (received_at + timedelta(hours=36), received_at + timedelta(days=2))
    assert sla.due(received_at, 0.1, "hours") == received_at + timedelta(minutes=6)


def test_a_promise_that_no_calendar_holds_ends_all_the_same() -> None:
    rarely = Hours(sla.week("mon 09:00-09:01"))
    assert sla.due(utc("2026-11-23 12:00"), 10_000, "weeks", rarely) < utc("2067-01-01 00:00")


def test_what_stands_how() -> None:
    received_at = utc("2026-11-23 12:00")
    at_risk_at, due_at = sla.promise(received_at, 4, "hours")
    moments = [received_at, at_risk_at - MINUTE, at_risk_at, due_at - MINUTE, due_at]
    states = ["on_track", "on_track", "at_risk", "at_risk", "past_due"]
    assert [sla.state(due_at, at_risk_at, moment) for moment in moments] == states
    assert sla.state(None, None, received_at) == "none"
    assert Fraction(3, 4) == (at_risk_at - received_at) / (due_at - received_at)


@pytest.mark.parametrize(
    "text",
    ["9-17", "mon", "mon-fri", "mon 9", "someday 09:00-17:00", "mon 17:00-09:00", "mon 09:00-24:01", "mon 09:00-17:60",
     "mon-fri 09:00-17:00, fri 16:00-18:00", ","],
)  # fmt: skip
def test_hours_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        sla.week(text)


def test_a_week_is_read_as_it_is_written() -> None:
    assert sla.week("Fri-Mon 9:00-12:00 13:00-24:00, wed 00:00-06:00") == (
        *[((540, 720), (780, 1440))], (), ((0, 360),), (), *[((540, 720), (780, 1440))] * 3,
    )  # fmt: skip


def test_holidays_are_dates_or_a_file_of_them(tmp_path: Path) -> None:
    path = tmp_path / "holidays.txt"
    path.write_text("# Berlin\n2026-12-25  # Christmas\n\n2027-01-01\n")
    expected = {date(2026, 12, 25), date(2027, 1, 1)}
    assert sla.holidays("2026-12-25, 2027-01-01,") == sla.holidays(str(path)) == expected
    for wrong in ("2026-13-01", "2026-12-25 2027-01-01", str(tmp_path / "none")):
        with pytest.raises(ValueError, match="such as 2026-12-25"):
            sla.holidays(wrong)


ARRIVED = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "starts"),
    [
        (None, ARRIVED),
        (ARRIVED, ARRIVED),
        (ARRIVED - timedelta(seconds=1), ARRIVED - timedelta(seconds=1)),
        (ARRIVED - timedelta(days=1800), ARRIVED - timedelta(days=1800)),
        (ARRIVED + timedelta(microseconds=1), ARRIVED),  # Its helpdesk's clock is fast, or its zone is missing.
        (datetime(9999, 12, 31, tzinfo=UTC), ARRIVED),
        (datetime(1970, 1, 1, tzinfo=UTC), ARRIVED),
        (datetime(1, 1, 1, tzinfo=UTC), ARRIVED),
        (datetime(2000, 1, 1, tzinfo=UTC), ARRIVED),
    ],
)
def test_the_clock_starts_with_a_tickets_creation_where_that_can_be_true(
    created: datetime | None, starts: datetime
) -> None:
    assert Clock().start(created, ARRIVED) == starts
    assert Clock(starts=sla.RECEIVED).start(created, ARRIVED) == ARRIVED


def test_a_desk_that_was_closed_when_the_ticket_was_created_starts_when_it_opens() -> None:
    friday_night = utc("2026-11-27 22:00")
    clock = Clock(BERLIN)
    promised = Sla(2, "hours").promise(clock.start(friday_night, utc("2026-11-30 12:00")), clock.hours)
    assert promised.due_at == utc("2026-11-30 10:00")
