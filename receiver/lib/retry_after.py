"""How long an answer asks us to wait before the next request."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from receiver.lib.clock import now

# Every number has a limit to its digits, for headers and bodies are written by others.
_SPAN = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?")
# "try again in 1m7.66s", "retry after 20 seconds", and a span alone, which is Google's retryDelay.
_SAID = re.compile(
    r"(?:try again|retry|wait)[^.\d]{0,40}?(?=\d)"
    r"((?:\d{1,6}h)?(?:\d{1,6}m(?!s))?(?:\d{1,9}(?:\.\d{1,9})?m?s)?)(?=[\s.,;)]|\Z)"
    r"|(?:try again|retry|wait)[^.\d]{0,40}?(\d{1,6}(?:\.\d{1,9})?) ?(?:s\b|sec)"
    r"|(?:\A|\s)(\d{1,6}(?:\.\d{1,9})?s)(?=\s|\Z)",
    re.I,
)
_RESETS = ("requests", "tokens")


def retry_after(headers: Mapping[str, str], *, all_forms: bool = False) -> float | None:
    """How many seconds the other side asks us to wait; None where it says nothing readable.

    RFC 9110, 10.2.3. Below zero where the moment that it names is past. With `all_forms` also what the endpoints of
    models and their gateways say instead: milliseconds, and when the quota that is used up is filled again.
    """
    if all_forms:
        for name in ("retry-after-ms", "x-ms-retry-after-ms"):
            if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", value := headers.get(name, "").strip()):
                return float(value) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    if all_forms and (span := _span_seconds(value)) is not None:
        return span
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return _quota_reset(headers) if all_forms else None
    # A date that ends in -0000 names no zone (RFC 5322, section 3.3), and RFC 9110 has no other than UTC.
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now()).total_seconds()


def wait_in(said: str) -> float | None:
    """The seconds in a sentence such as "Please try again in 1m7.66s", or in Google's retryDelay of "34s"."""
    found = _SAID.search(said)
    if not found:
        return None
    return float(found[2]) if found[2] else _span_seconds(found[1] or found[3] or "")


def _quota_reset(headers: Mapping[str, str]) -> float | None:
    """When the quota that is used up is filled again, by the headers of OpenAI and Groq, OpenRouter, and the draft."""
    for kind in _RESETS:
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() in ("0", "0.0"):
            return _seconds_until(headers.get(f"x-ratelimit-reset-{kind}", "").strip())
    for name in ("x-ratelimit-reset", "ratelimit-reset"):
        if (wait := _seconds_until(headers.get(name, "").strip())) is not None:
            return wait
    return None


def _seconds_until(value: str) -> float | None:
    """Seconds until what is a span, a number of seconds, or a moment in seconds or milliseconds since 1970."""
    if not re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,9})?", value):
        return _span_seconds(value)
    number = float(value)
    # As a span 1e8 seconds are three years, as a moment they are in 1973; 1e11 seconds are the year 5138.
    if number > 1e11:
        number /= 1000
    return number - datetime.timestamp(now()) if number > 1e8 else number


def _span_seconds(text: str) -> float | None:
    found = _SPAN.fullmatch(text) if text else None
    if not found:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
