"""Times as helpdesks write them."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_LONGEST = 64
_TOO_LATE = 10**13  # Milliseconds; later than 2286.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds have nine to eleven digits from 1973 to 5138, milliseconds twelve or thirteen from 1973 to 2286. Intercom
# sends seconds, HubSpot and Linear milliseconds, ServiceDesk Plus milliseconds as text.
_EPOCH_DIGITS = re.compile(r"\d{9,13}(?:\.\d{1,9})?")
_UTC_BY_NAME = re.compile(r"\s*(?:Z|UTC|GMT)$", re.IGNORECASE)
_GAP_BEFORE_OFFSET = re.compile(r"\s+(?=[+-]\d\d:?\d\d$)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?|\d{8}T.*")
# Only the zones that RFC 2822 gives a meaning to: another name would silently count as UTC.
_RFC_2822 = re.compile(
    r"(?:[A-Z]{3},\s*)?\d{1,2}\s+[A-Z]{3}\s+\d{4}\s+\d{1,2}:\d\d(?::\d\d)?\s+"
    r"(?:[+-]\d{4}|GMT|UTC|UT|Z|[ECMP][SD]T)",
    re.IGNORECASE,
)


def moment(value: object) -> datetime | None:
    """The time in UTC that `value` names; None where it is empty.

    Takes ISO 8601 with any offset, with `UTC` after a space, or without a zone, which is UTC as in ServiceNow's tables;
    seconds or milliseconds since 1970 as a number or in digits; RFC 2822. Raises ValueError, without the value in it.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a time is a text or a number")  # noqa: TRY004 - one kind of error for all that is no time.
    if isinstance(value, float):
        text = f"{value:.6f}"
    elif isinstance(value, int):
        text = str(value) if value < _TOO_LATE else ""  # Python refuses to write out very long ones.
    else:
        text = value.strip()
    try:
        return _parse_known_form(text).astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        raise ValueError(
            "not a time in a form that is known; send ISO 8601, such as 2026-01-31T10:00:00+01:00"
        ) from None


def _parse_known_form(text: str) -> datetime:
    if len(text) > _LONGEST or not text.isascii():
        raise ValueError
    if _EPOCH_DIGITS.fullmatch(text):
        whole = float(text)
        return _EPOCH + timedelta(seconds=whole if whole < 1e11 else whole / 1000)
    if _ISO.fullmatch(text):
        found = datetime.fromisoformat(_GAP_BEFORE_OFFSET.sub("", _UTC_BY_NAME.sub("+00:00", text)))
    elif _RFC_2822.fullmatch(text):
        found = parsedate_to_datetime(text)  # Without a zone where that is "-0000", UTC of an unknown place.
    else:
        raise ValueError
    return found if found.tzinfo else found.replace(tzinfo=UTC)
