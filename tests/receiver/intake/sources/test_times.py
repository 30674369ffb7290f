"""Times as the helpdesks write them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.intake.sources.times import moment

TEN = datetime(2026, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01T10:00:00Z", "2026-01-01T10:00:00.000Z", "2026-01-01T06:00:00.000-0400", "2026-01-01T11:00:00+01:00",
        "2026-01-01 11:00:00 +0100", "2026-01-01 10:00:00 UTC", "2026-01-01 10:00:00", "2026-01-01T10:00",
        " 20260101T100000Z ",
        1767261600, 1767261600.0, "1767261600", 1767261600000, "1767261600000", "1767261600.000",
        "Thu, 01 Jan 2026 10:00:00 +0000", "1 Jan 2026 11:00 +0100", "Thu, 01 Jan 2026 10:00:00 GMT",
        "Thu, 01 Jan 2026 05:00:00 EST", "Thu, 01 Jan 2026 10:00:00 -0000",
    ],
)  # fmt: skip
def test_every_form_names_the_same_moment(value: Any) -> None:
    found = moment(value)
    assert found == TEN
    assert found.tzinfo is UTC


def test_milliseconds_are_kept() -> None:
    assert moment(1767261600123) == TEN.replace(microsecond=123_000)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_empty_field_is_no_time(value: Any) -> None:
    assert moment(value) is None


@pytest.mark.parametrize(
    "value",
    [
        True, [], {}, b"2026", 0, -1, 20260101, 10**13, 10**400, -(10**400), float("nan"), float("inf"), 1e300,
        "yesterday",
        "01/02/2026 10:00:00", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00", "Thu, 01 Jan 2026 10:00:00 CET", "2026-01-01 10:00:00 CET",
        "9" * 400, "2" * 100_000,
        "١٧٦٧٢٦١٦٠٠",
    ],
)  # fmt: skip
def test_what_could_mean_another_time_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\ba time\b"):
        moment(value)


@given(st.text() | st.integers() | st.floats() | st.from_regex(r"[0-9TZ:+. -]{1,30}", fullmatch=True))
def test_nothing_but_a_value_error_comes_of_any_value(value: Any) -> None:
    try:
        found = moment(value)
    except ValueError:
        return
    assert found is None or found.utcoffset() == TEN.utcoffset()
