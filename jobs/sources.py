"""The sources as an operator sees them: a list with the addresses to paste, and a signed sample to try one with."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from string import Template
from urllib.parse import quote

import requests

from receiver import sources
from receiver.record import deliveries
from receiver.record.database import Record
from receiver.settings import Settings
from receiver.signatures import Message
from receiver.signatures.static import Credential
from receiver.sources import Source, pages, profiles


class SampleError(Exception):
    """The sample could not be sent; the text says why and what to do."""


@dataclass(frozen=True)
class Reply:
    """What the receiver said to a sample; `own_paths` where SOURCES_FILE says where the source's fields stand."""

    status: int
    text: str
    own_paths: bool = False

    @property
    def is_ticket(self) -> bool:
        """Whether the sample was taken in."""
        try:
            document = json.loads(self.text)
        except ValueError:
            return False
        return (
            self.status == 200
            and isinstance(document, dict)
            and any(document.get(name) for name in ("accepted", "updated", "duplicates"))
        )


def listed(record: Record, config: Settings) -> Iterator[str]:
    """A line for each source: name, profile, how it proves itself, the address to paste, and its last delivery."""
    rows = [("SOURCE", "PROFILE", "PROOF", "URL", "LAST DELIVERY")]
    with record.read() as session:
        for source in sources.configured(config).values():
            last = deliveries.latest(session, source.name)
            came = f"{last.received_at:%Y-%m-%d %H:%M} UTC {last.status}" if last else "none yet"
            rows.append((source.name, source.profile.name, proof(source), address(config, source), came))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def proof(source: Source) -> str:
    """How a source proves itself, in a word or two."""
    if not source.is_signed:
        return "UNSIGNED"
    ends = [secret.is_live(time.time()) for secret in source.secrets]
    kind = "credential" if isinstance(source.signing, Credential) else "signed"
    return kind if any(ends) else f"{kind}, but every secret has ended"


def address(config: Settings, source: Source) -> str:
    """What is pasted into the helpdesk."""
    return f"{config.url}{_path(source)}"


def sample(source: Source, config: Settings, now: float, own: bytes | None = None) -> tuple[bytes, dict[str, str]]:
    """A delivery as this helpdesk would send it, marked as a test sample, or with a body of one's `own`.

    `now` in unix seconds.
    """
    moment = datetime.fromtimestamp(int(now), UTC)
    filled = {
        "number": str(int(now)),
        "seconds": str(int(now)),
        "ms": str(int(now * 1000)),
        "iso": moment.isoformat().replace("+00:00", "Z"),
        "plain": f"{moment:%Y-%m-%d %H:%M:%S}",
    }
    body = Template(source.profile.sample.body).safe_substitute(filled).encode() if own is None else own
    headers = {name: Template(text).safe_substitute(filled) for name, text in source.profile.sample.headers.items()}
    live = [secret for secret in source.secrets if secret.is_live(now)]
    message = Message(headers, body, "POST", _signed_url(config, source))
    signed = source.signing.sign(live[0].value if live else "", message, now)
    return body, {"Content-Type": "application/json"} | headers | signed


def _signed_url(config: Settings, source: Source) -> str:
    return f"{(config.public_url or '').rstrip('/')}{_path(source)}"


def _path(source: Source) -> str:
    return f"/webhooks/{quote(source.name, safe='')}"


def send_sample(config: Settings, name: str, own: Path | None = None) -> Reply:
    """Send the source `name` of the running receiver a sample, or the body in the file `own`. Raises SampleError."""
    known = sources.configured(config)
    if name not in known:
        raise SampleError(f"there is no source {name!r}; there are {', '.join(known)}")
    source = known[name]
    if source.is_signed and not any(secret.is_live(time.time()) for secret in source.secrets):
        raise SampleError(f"every secret of {name} has ended; give it a new one in SOURCES_FILE")
    if source.secrets and source.secrets[0].value.startswith("whpk_"):
        raise SampleError(f"only the sender of {name} can sign for it: we have its public key")
    body, headers = sample(source, config, time.time(), _read(own) if own else None)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104 - not listening, calling
    url = f"http://{f'[{host}]' if ':' in host else host}:{config.port}{_path(source)}"
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
    """What came back to a sample, or to one's `own` body, and whether it is what it should be."""
    what, name = (f"What is in {own.name}", "") if own else ("The sample", ", named TEST SAMPLE")
    verdict = f"{what} is a ticket now{name}." if reply.is_ticket else f"{what} is no ticket."
    if reply.own_paths and not (own or reply.is_ticket) and reply.status == HTTPStatus.OK:
        verdict += (
            "\nIts proof was accepted; but it is written as the profile expects, and SOURCES_FILE looks for items or"
            " fields elsewhere.\nTry again with --body and a file that holds a body as your helpdesk sends it."
        )
    return f"{reply.status} {reply.text}\n{verdict}"


def write_pages(folder: Path) -> int:
    """Write a set-up page for each profile into `folder`, and an index; returns how many files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.all_pages(profiles.shipped()).items():
        (folder / name).write_text(text, encoding="utf-8")
    return len(profiles.shipped()) + 1
