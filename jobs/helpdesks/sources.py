"""The sources as an operator sees them: a list with the addresses to paste, and a signed sample to try one with."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from receiver.db import deliveries
from receiver.db.database import Database
from receiver.intake import samples, sources
from receiver.intake.samples import DryRunResult, SampleError
from receiver.intake.sources import pages, profiles
from receiver.lib.settings import Settings

_OWN_PATHS = (
    "The sample is written as the profile expects, and SOURCES_FILE looks for items or fields elsewhere.\n"
    "Try again with --body and a file that holds a body as your helpdesk sends it."
)


@dataclass(frozen=True)
class Reply:
    """What the receiver said to a sample; `own_paths` where SOURCES_FILE says where the source's fields stand."""

    status: int
    text: str
    own_paths: bool = False

    @property
    def found(self) -> dict[str, Any] | None:
        """What would become of the sample, where its proof was accepted."""
        try:
            document = json.loads(self.text)
        except ValueError:
            return None
        is_told = self.status == HTTPStatus.OK and isinstance(document, dict) and document.get("sample")
        return document if is_told else None

    @property
    def is_ticket(self) -> bool:
        """Whether a delivery like the sample becomes a ticket."""
        return self.found is not None and DryRunResult(outcome=self.found["outcome"]).is_ticket


def listed(db: Database, config: Settings) -> Iterator[str]:
    """A line for each source: name, profile, how it proves itself, the address to paste, and its last delivery."""
    rows = [("SOURCE", "PROFILE", "PROOF", "URL", "LAST DELIVERY")]
    with db.read() as session:
        for source in sources.configured(config).values():
            last = deliveries.latest(session, source.name)
            came = f"{last.received_at:%Y-%m-%d %H:%M} UTC {last.status}" if last else "none yet"
            rows.append((source.name, source.profile.name, source.proof(time.time()), config.url + source.path, came))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def send_sample(config: Settings, name: str, own: Path | None = None) -> Reply:
    """Send the source `name` of the running receiver a sample, or the body in the file `own`. Raises SampleError."""
    known = sources.configured(config)
    if name not in known:
        raise SampleError(f"there is no source {name!r}; there are {', '.join(known)}")
    source = known[name]
    body, headers = samples.compose(source, config, time.time(), _read(own) if own else None)
    headers[samples.HEADER] = samples.proof(config, name, body)
    url = config.local_url + source.path
    try:
        answer = requests.post(url, body, headers=headers, timeout=config.request_timeout, allow_redirects=False)
    except requests.RequestException as error:
        told = f"nothing answers at {url} ({type(error).__name__}); start it with python -m jobs up"
        raise SampleError(told) from None
    own_paths = (source.shape.items, source.shape.fields) != (source.profile.items, source.profile.fields)
    return Reply(answer.status_code, answer.text.strip(), own_paths)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SampleError(f"--body: {path} cannot be read: {error.strerror}") from None


def explain(reply: Reply, own: Path | None = None) -> str:
    """What came back to a sample, or to one's `own` body: what was checked, and what a delivery like it would be."""
    what = f"What is in {own.name}" if own else "The sample"
    if reply.found is None:
        return f"{reply.status} {reply.text}\n{what} was refused; nothing was recorded."
    lines = [f"{what} was verified, read and recorded, and taken back again: nothing of it is left."]
    lines += map(_ticket_line, reply.found["tickets"])
    outcome = reply.found["outcome"]
    lines += [f"Rejected: {json.dumps(fault, ensure_ascii=False)}" for fault in outcome["rejected"]]
    lines += [outcome["error"]] if outcome["error"] else []
    lines.append(f"A delivery like it {'is a ticket' if reply.is_ticket else 'is no ticket'}.")
    if reply.own_paths and not (own or reply.is_ticket):
        lines.append(_OWN_PATHS)
    return "\n".join(lines)


def _ticket_line(ticket: dict[str, Any]) -> str:
    values = (f"{name}: {value}" for name, value in ticket.items() if name != "long_description" and value)
    return f"Read: {', '.join(values)}, {len(ticket['long_description'])} characters of description"


def write_pages(folder: Path) -> int:
    """Write a set-up page for each profile into `folder`, and an index; returns how many files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.all_pages(profiles.shipped()).items():
        (folder / name).write_text(text, encoding="utf-8")
    return len(profiles.shipped()) + 1
