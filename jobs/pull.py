"""Tickets from the helpdesk's API, or from a file, in the shape of the source `standard`."""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import requests

from receiver import guarded
from receiver.settings import Settings
from receiver.sources import bodies, standard

_ALIASES = {"request_id": "id", "ticket_id": "id", "external_id": "id"}
_FIELDS = {
    "id",
    "short_description",
    "long_description",
    "requester_email",
    "created_at",
    "updated_at",
    "priority",
    "url",
}
# What openpyxl lets through when a file makes it stumble.
_BROKEN_WORKBOOK = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


class PullError(Exception):
    """Tickets cannot be had; the text says why and what to do."""


@dataclass(frozen=True)
class Batch:
    """The tickets of one pull, unchecked, and the raw bytes they came in."""

    source: str
    body: bytes
    items: list[Any]


def from_helpdesk(config: Settings) -> Batch:
    """Every ticket the pull API gives. Raises PullError."""
    credentials = {"api_key": config.helpdesk_api_key, "api_secret": config.helpdesk_api_secret}
    try:
        with guarded.Session(_rule(config), config.request_timeout) as session:
            response = session.post(config.helpdesk_webhook_url or "", json=credentials)
    except guarded.AddressRefusedError as error:
        raise PullError(f"the helpdesk is not asked: {error}") from None
    except requests.RequestException as error:
        raise PullError(
            f"the helpdesk cannot be reached ({type(error).__name__}); check HELPDESK_WEBHOOK_URL"
        ) from None
    if response.status_code in (401, 403):
        raise PullError("the helpdesk refused HELPDESK_API_KEY and HELPDESK_API_SECRET")
    if response.status_code != 200:
        raise PullError(f"the helpdesk answered {response.status_code}; check HELPDESK_WEBHOOK_URL")
    return Batch("helpdesk", response.content, _requests_in(response.content))


def _rule(config: Settings) -> guarded.Rule:
    return guarded.Rule(config.outgoing_allow, config.helpdesk_webhook_url)


def _requests_in(body: bytes) -> list[Any]:
    """The tickets in `{"response_code": 200, "data": {"requests": [...]}}`."""
    try:
        document = bodies.parse_json(body)
    except ValueError as error:
        raise PullError(f"the helpdesk's answer cannot be read: {error}") from None
    code = document.get("response_code", 200) if isinstance(document, dict) else None
    if code in (401, 403):
        raise PullError("the helpdesk refused HELPDESK_API_KEY and HELPDESK_API_SECRET")
    data = document.get("data") if isinstance(document, dict) else None
    found = data.get("requests") if isinstance(data, dict) else None
    if code != 200 or not isinstance(found, list):
        raise PullError(f"the helpdesk's answer has response_code {code!r} and no list data.requests")
    return found


def from_file(path: Path) -> Batch:
    """The tickets in a .json, .jsonl, .csv or .xlsx file. Raises PullError."""
    readers = {".json": _json, ".jsonl": _json_lines, ".csv": _csv, ".xlsx": _xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise PullError(f"--input takes {', '.join(readers)}; {path.name} is none of them")
    try:
        body = path.read_bytes()
        return Batch("file", body, reader(body))
    except OSError as error:
        raise PullError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise PullError(f"{path.name} cannot be read: {error}") from None


def _json(body: bytes) -> list[Any]:
    return standard.unwrap(bodies.parse_json(body))


def _json_lines(body: bytes) -> list[Any]:
    items = []
    for number, line in enumerate(body.splitlines(), start=1):
        if line.strip():
            try:
                items.append(bodies.parse_json(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return items


def _csv(body: bytes) -> list[Any]:
    csv.field_size_limit(max(len(body), 1))  # Else a long ticket would cost all the others.
    # Strict, because a quote that is never closed would swallow the tickets after it.
    return _records(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))


def _xlsx(body: bytes) -> list[Any]:
    try:
        sheet = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True).worksheets[0]
        sheet.reset_dimensions()  # Some programs note a wrong size, and openpyxl would believe it.
        rows = list(sheet.iter_rows(values_only=True))
    except _BROKEN_WORKBOOK as error:
        raise ValueError(f"it is not a sound workbook ({type(error).__name__})") from None
    return _records(rows)


def _records(rows: Iterable[Any]) -> list[Any]:
    """Rows under a header to tickets; only the columns of a ticket, so that a workbook of ours can be read back."""
    iterator = iter(rows)
    header = [_column(name) for name in next(iterator, ())]
    if "id" not in header or "short_description" not in header:
        raise ValueError("the first row must name the columns, id and short_description among them")
    return [
        {
            name: _text(value)
            for name, value in zip(header, row, strict=False)
            if name in _FIELDS and value not in (None, "")
        }
        for row in iterator
        if any(value not in (None, "") for value in row)
    ]


def _column(name: Any) -> str:
    plain = "_".join(str(name or "").lower().split())
    return _ALIASES.get(plain, plain)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        value = value.replace(tzinfo=UTC)  # A workbook knows no time zones; ours are in UTC.
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
