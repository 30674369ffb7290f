"""Tickets from the helpdesk's API, or from a file, in the shape of the source `standard`."""

import codecs
import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests
from marshmallow import ValidationError
from marshmallow.validate import Email

from jobs.digests.translations import LANGUAGES, words
from jobs.helpdesks import tables
from jobs.helpdesks.tables import Table
from receiver.intake.sources import bodies, standard
from receiver.lib import egress
from receiver.lib.settings import Settings

log = logging.getLogger(__name__)

_TABLES = {".csv": tables.of_text, ".tsv": tables.of_text, ".txt": tables.of_text, ".xlsx": tables.of_workbook}
_NEEDED = ("id", "short_description")
# Our own names first, then what helpdesks call these columns in their exports, the most telling first.
_NAMES = {
    "id": "id request_id ticket_id external_id issue_key ticket_number ticket_no ticket_nr ticketnummer case_number "
    "case_id incident_number issue_id number key ticket",
    "short_description": "short_description subject summary title ticket_subject issue_summary betreff titel objet "
    "titre asunto título assunto oggetto titolo",
    "long_description": "long_description description details body ticket_description issue_description message",
    "requester_email": "requester_email requester_e_mail email e_mail email_address contact_email reporter_email "
    "user_email from_email sender_email requester reporter caller from",
    "created_at": "created_at created created_time created_on created_date date_created creation_date opened_at opened",
    "updated_at": "updated_at updated updated_time updated_on updated_date last_updated last_update last_update_time "
    "last_modified modified_at",
    "priority": "priority",
    "url": "url link",
}
_HEADINGS = {
    "id": "Request ID",
    "short_description": "Short Description",
    "long_description": "Long Description",
    "requester_email": "Requester Email",
}
_DECIMAL = re.compile(r"\d+\.0+")
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_AS_FORMULA = re.compile(r'="([^"]*)"')
_LONGEST_ADDRESSES = 1_000
_IN_BRACKETS = re.compile(r"<([^<>]+)>\s*\Z")


class PullError(Exception):
    """Tickets cannot be had; the text says why and what to do."""


@dataclass(frozen=True)
class Batch:
    """The tickets of one pull, unchecked, and the raw bytes they came in; `rows` says where in a table each stood."""

    source: str
    body: bytes
    items: list[Any]
    rows: tuple[int, ...] = ()

    def place(self, index: int) -> str:
        """Where a person finds the ticket with this index."""
        return f"row {self.rows[index]}" if self.rows else f"number {index + 1}"


def from_helpdesk(config: Settings) -> Batch:
    """Every ticket the pull API gives. Raises PullError."""
    credentials = {"api_key": config.helpdesk_api_key, "api_secret": config.helpdesk_api_secret}
    try:
        with egress.Session(_rule(config), config.request_timeout) as session:
            response = session.post(config.helpdesk_webhook_url or "", json=credentials)
    except egress.AddressRefusedError as error:
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


def _rule(config: Settings) -> egress.Policy:
    return egress.Policy(config.outgoing_allow, config.helpdesk_webhook_url)


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


def from_file(path: Path, zone: str = "UTC") -> Batch:
    """The tickets in a .json, .jsonl, .csv or .xlsx file. Raises PullError.

    `zone` is the clock of the times in a table that name none.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".jsonl", *_TABLES):
        raise PullError(f"--input takes .json, .jsonl, {', '.join(_TABLES)}; {path.name} is none of them")
    try:
        body = path.read_bytes()
        if suffix in _TABLES:
            table = _TABLES[suffix](body, _names(), _NEEDED)
            log.info("%s is read as %s", path.name, table.found)
            items = _tickets(table, ZoneInfo(zone), path.name)
            return Batch("file", body, items, tuple(number for number, _ in table.rows))
        return Batch("file", body, _json(body) if suffix == ".json" else _json_lines(body))
    except OSError as error:
        raise PullError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PullError(f"{path.name} cannot be read: {error}") from None


def _in_utf8(body: bytes) -> bytes:
    """JSON as PowerShell writes it, in UTF-16, as every other JSON is."""
    is_wide = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in body[:2]
    return tables.decoded(body)[0].encode() if is_wide else body


def _json(body: bytes) -> list[Any]:
    return standard.unwrap(bodies.parse_json(_in_utf8(body)))


def _json_lines(body: bytes) -> list[Any]:
    items = []
    for number, line in enumerate(_in_utf8(body).splitlines(), start=1):
        if line.strip():
            try:
                items.append(bodies.parse_json(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return items


def _names() -> dict[str, list[str]]:
    """The names of a ticket's columns, those of our own workbook in its languages among them."""
    found = {field: known.split() for field, known in _NAMES.items()}
    for field, heading in _HEADINGS.items():
        found[field] += [tables.plain_name(words(language)["columns"][heading]) for language in LANGUAGES]
    return found


def _tickets(table: Table, zone: ZoneInfo, file: str) -> list[dict[str, str]]:
    """The rows as tickets of the source `standard`; what only looks like an address or a time is left out and told."""
    items = [dict(values) for _, values in table.rows]
    left_out: Counter[str] = Counter()
    for name in ("created_at", "updated_at"):
        for item, moment in zip(items, tables.moments([item.get(name) for item in items], zone), strict=True):
            left_out[name] += name in item and moment is None
            item[name] = moment.isoformat() if moment else None
    for (number, _), item in zip(table.rows, items, strict=True):
        for name, value in item.items():
            item[name] = _text(value) if value is not None else None
        if "id" in item:
            item["id"] = _whole_id(item["id"], number)
        if "requester_email" in item:
            item["requester_email"] = _address(item["requester_email"])
            left_out["requester_email"] += item["requester_email"] is None
    if all(_DECIMAL.fullmatch(item["id"]) for item in items if "id" in item):
        for item in (item for item in items if "id" in item):
            item["id"] = item["id"].partition(".")[0]
    for name, count in (+left_out).items():
        what = "an address" if name == "requester_email" else "a time that is certain (such as 2026-01-31 10:00)"
        log.warning("%s: in %d rows %s is not %s and is left out", file, count, name, what)
    return [{name: value for name, value in item.items() if value is not None} for item in items]


def _whole_id(text: str, row: int) -> str:
    """The id without what a spreadsheet put around it. Raises ValueError where it has cut digits off."""
    if _SHORTENED.fullmatch(text):
        raise ValueError(
            f"row {row}: the id is written as {text}, so a spreadsheet has cut its digits off; "
            "format the column as text and export it again"
        )
    as_formula = _AS_FORMULA.fullmatch(text)
    return (as_formula[1] if as_formula else text).strip()


def _address(text: str) -> str | None:
    """The first address in `Ada <ada@example.com>; bo@example.com` or alone; None where a column holds names."""
    for one in re.split(r"[;,]", text[:_LONGEST_ADDRESSES]):
        in_brackets = _IN_BRACKETS.search(one)
        try:
            return str(Email()((in_brackets[1] if in_brackets else one).strip().removeprefix("mailto:")))
        except ValidationError:
            continue
    return None


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
