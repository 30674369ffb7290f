"""Digests and alerts as mails, the same however often they are composed."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import format_datetime, make_msgid
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from jobs.digests.mail import chart
from jobs.digests.mail.phrases import Wording
from jobs.digests.workbook import Summary
from receiver.db.models import Digest, Ticket
from receiver.digests import schedules
from receiver.lib.mail_addresses import on_the_wire
from receiver.lib.settings import Settings

TEMPLATES = Path(__file__).with_name("templates")
_XLSX = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")
# Whatever goes over the line is ASCII: not every server says 8BITMIME, and what one hop takes the next may not.
ON_THE_LINE = policy.SMTP.clone(cte_type="7bit")
_LONGEST_LINE = 90
_LONGEST_NAME, _LONGEST_QUOTED, _SPECIAL = 200, 40, re.compile(r'[]["\\<>@:;,().]')
_UNNAMED = ("digest", "run", "alert")


@dataclass(frozen=True)
class Attachment:
    """A workbook and the name it has in the mail, or which the mail only says where to find."""

    path: Path
    name: str
    is_linked: bool = False


@dataclass(frozen=True)
class Content:
    """What a digest's mail tells: its numbers, what is due next, and how many tickets the digest before had."""

    summary: Summary
    soonest: Sequence[Ticket] = field(default=())
    before: int | None = None
    copy_of: Digest | None = None


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["line"] = _shown_line
    return found


def _shown_line(text: str) -> str:
    """What a requester wrote, in one line that no mail reader chokes on, and not too long to read."""
    words = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
    return printable if len(printable) <= _LONGEST_LINE else f"{printable[: _LONGEST_LINE - 1]}…"


def compose(config: Settings, digest: Digest, content: Content, attachment: Attachment) -> EmailMessage:
    """The mail of a digest; it has the same Message-ID and Date however often it is composed."""
    wording, summary = _wording(config, digest), content.summary
    size = attachment.path.stat().st_size
    attached = bool(summary.total) and size <= config.max_attachment_mb * 2**20 and not attachment.is_linked
    bars = [(wording.category(name), n, summary.reviews[name]) for name, n in summary.categories.most_common()]
    picture = chart.draw(bars[: chart.MOST]) if bars else None
    cid = f"chart.{digest.message_id.strip('<>')}"
    headline = wording.headline(summary.total, summary.needs_review)
    values = {
        "config": config, "digest": digest, "summary": summary, "content": content, "w": wording, "bars": bars,
        "headline": headline, "attached": attached, "megabytes": -(-size // 2**20), "cid": cid,
        "chart_width": chart.WIDTH, "as_of": (content.copy_of or digest).created_at,
        "alt": wording["chart"].format(
            counts=", ".join(f"{name} {count}" for name, count, _ in bars[: chart.MOST])
        ),
    }  # fmt: skip
    message = _addressed(config, digest, headline, wording)
    _write(message, "digest", values, picture, cid)
    if attached:
        main, sub = _XLSX
        name = _one_line(attachment.name)
        message.add_attachment(attachment.path.read_bytes(), maintype=main, subtype=sub, filename=name)
    return message


def compose_alert(config: Settings, digest: Digest, soonest: Sequence[Ticket]) -> EmailMessage:
    """The mail that names tickets which are due soon or past due."""
    wording = _wording(config, digest)
    # What is due first comes first, so one that is past due is seen even where not all are named.
    is_past = any(ticket.due_at and ticket.due_at <= digest.created_at for ticket in soonest)
    headline = wording.counted("alert_past" if is_past else "alert", digest.tickets)
    message = _addressed(config, digest, headline, wording)
    values = {"config": config, "digest": digest, "soonest": soonest, "w": wording, "headline": headline}
    values["as_of"] = digest.created_at
    _write(message, "alert", values)
    return message


def compose_test(config: Settings, recipients: Sequence[str], moment: datetime) -> EmailMessage:
    """A short mail that says that mail arrives."""
    message = EmailMessage(policy=ON_THE_LINE)
    message["Subject"] = _one_line(f"{config.sender_name}: a test")
    message["From"] = _address(config.from_name, on_the_wire(config.from_email or "ticket-attribution@localhost"))
    message["To"] = [_receiver(address) for address in recipients]
    message["Date"] = format_datetime(moment)
    message["Message-ID"] = make_msgid("test", config.envelope.domain)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("This is a test of Ticket Attribution: mail arrives here.\n", cte="quoted-printable")
    return message


def _wording(config: Settings, digest: Digest) -> Wording:
    plan = schedules.of(config, digest.name)
    return Wording(plan.language, plan.zone)


def _addressed(config: Settings, digest: Digest, headline: str, wording: Wording) -> EmailMessage:
    message = EmailMessage(policy=ON_THE_LINE)
    sender = config.sender_name if digest.name in _UNNAMED else f"{config.sender_name} ({digest.name})"
    copied = f"{wording['copy']}: " if digest.copy_of else ""
    message["Subject"] = _one_line(f"{copied}{sender}: {headline}")
    message["From"] = _address(config.from_name, on_the_wire(config.from_email or "ticket-attribution@localhost"))
    message["To"] = [_receiver(address) for address in digest.recipients] or "undisclosed-recipients:;"
    if config.reply_to:
        message["Reply-To"] = [_receiver(address) for address in config.reply_to]
    message["Date"] = format_datetime(digest.created_at)
    message["Message-ID"] = digest.message_id
    message["List-Id"] = f"<{digest.name.lower().replace('_', '-')}.digests.{config.envelope.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    return message


def _receiver(address: str) -> Address | Group:
    """The address for a header. Of one that only SMTPUTF8 can carry, a header in ASCII can show the text (RFC 6857)."""
    wire = on_the_wire(address)
    return Address(addr_spec=wire) if wire.isascii() else Group(address, ())


def _write(
    message: EmailMessage, template: str, values: dict[str, Any], picture: bytes | None = None, cid: str = ""
) -> None:
    text = _templates().get_template(f"{template}.txt").render(values)
    html_text = _templates().get_template(f"{template}.html").render(values)
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html_text, subtype="html", cte="quoted-printable")
    if picture:
        html: Any = message.get_body(("html",))
        html.add_related(picture, maintype="image", subtype="png", cid=f"<{cid}>", disposition="inline")


def _one_line(text: str) -> str:
    # Python decodes what looks like an encoded word (RFC 2047), line breaks included, and writes that out.
    return " ".join(text.replace("=?", "= ?").split())


def _address(name: str, address: str) -> Address:
    line = _one_line(name)[:_LONGEST_NAME]  # Python puts a word of any length into one line of the head.
    # Python loses the quotes of a name that it has to fold, and what stood in them would be read as addresses.
    return Address(_SPECIAL.sub(" ", line) if len(line) > _LONGEST_QUOTED else line, addr_spec=address)


def outbox_path(config: Settings, digest: Digest) -> Path:
    """Where the mail of a digest is kept when there is no SMTP server."""
    return config.data_dir / "outbox" / f"digest-{digest.id}.eml"


def without_attachments(message: EmailMessage) -> EmailMessage:
    """The same mail, but for what is attached."""
    kept = copy(message)
    if message.get_content_type() == "multipart/mixed":
        kept.set_payload([part for part in message.iter_parts() if not part.is_attachment()])
    return kept


def on_the_line(message: EmailMessage) -> bytes:
    """The mail as any server takes it: ASCII, in lines of at most 998 bytes that end in CR LF."""
    return message.as_bytes(policy=ON_THE_LINE)


def sender(content: bytes) -> str:
    """The address that a mail comes from, as it stands in its head."""
    parsed = BytesParser(policy=ON_THE_LINE).parsebytes(content, headersonly=True)
    return str(parsed["From"].addresses[0].addr_spec)


def keep(mail: EmailMessage | bytes, path: Path) -> None:
    """Put the mail into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(bytes(mail))
    unfinished.replace(path)
