"""What an answer says about when to come back."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from receiver.clock import now


def retry_after(headers: Mapping[str, str]) -> float | None:
    """For how many seconds the other side asks to be left alone; None where it says nothing readable.

    RFC 9110, 10.2.3. Below zero where the moment that it names is past.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now()).total_seconds()
