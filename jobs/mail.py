"""The digest as a mail: composing it, and the only user of smtplib."""

import smtplib
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from jobs.workbook import Summary
from receiver.record.models import Digest
from receiver.settings import Settings

TEMPLATES = Path(__file__).with_name("templates")
IMPLICIT_TLS_PORT = 465
TIMEOUT_SECONDS = 30
GO_AHEAD = 354  # The answer to DATA, before the first byte of the mail.
_XLSX = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")


class MailError(Exception):
    """The mail was not sent, or nobody knows (`unknown`); `permanent` means that trying again is in vain."""

    def __init__(self, message: str, *, permanent: bool = False, unknown: bool = False) -> None:
        super().__init__(message)
        self.permanent, self.unknown = permanent, unknown


@dataclass(frozen=True)
class Attachment:
    """A workbook and the name it has in the mail."""

    path: Path
    name: str


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def compose(config: Settings, digest: Digest, summary: Summary, attachment: Attachment) -> EmailMessage:
    """The mail of a digest; it has the same Message-ID and Date however often it is composed."""
    message = EmailMessage()
    message["Subject"] = _one_line(f"{config.sender_name}: {summary.total} tickets, {summary.needs_review} need review")
    message["From"] = _address(config.from_name, config.from_email or "ticket-attribution@localhost")
    message["To"] = ", ".join(digest.recipients) or "undisclosed-recipients:;"
    message["Date"] = format_datetime(digest.created_at)
    message["Message-ID"] = digest.message_id
    message["Auto-Submitted"] = "auto-generated"
    values: dict[str, Any] = {"config": config, "digest": digest, "summary": summary}
    message.set_content(_templates().get_template("digest.txt").render(values))
    message.add_alternative(_templates().get_template("digest.html").render(values), subtype="html")
    main, sub = _XLSX
    message.add_attachment(
        attachment.path.read_bytes(), maintype=main, subtype=sub, filename=_one_line(attachment.name)
    )
    return message


def _one_line(text: str) -> str:
    # Python decodes what looks like an encoded word (RFC 2047), line breaks included, and writes that out.
    return " ".join(text.replace("=?", "= ?").split())


def _address(name: str, address: str) -> Address:
    return Address(_one_line(name), addr_spec=address)


def outbox_path(config: Settings, digest: Digest) -> Path:
    """Where the mail of a digest is kept when there is no SMTP server."""
    return config.data_dir / "outbox" / f"digest-{digest.id}.eml"


def keep(message: EmailMessage, path: Path) -> None:
    """Put the mail into the outbox, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(bytes(message))
    unfinished.replace(path)


class _Connection(smtplib.SMTP):
    """Knows whether the mail itself has begun to leave; before that, nothing can have arrived."""

    has_begun = False

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()
        self.has_begun = self.has_begun or code == GO_AHEAD
        return code, text


class _TlsConnection(_Connection, smtplib.SMTP_SSL):
    """The same, with TLS from the start."""


def send(config: Settings, message: EmailMessage) -> dict[str, str]:
    """Hand the mail to the SMTP server; returns the recipients it refused, with its reason. Raises MailError."""
    server = _connect(config)
    try:
        if config.smtp_username and config.smtp_password:
            server.login(config.smtp_username, config.smtp_password)
        refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise MailError(
            f"the mail server refused SMTP_USERNAME and SMTP_PASSWORD ({error.smtp_code})",
            permanent=error.smtp_code >= 500,
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        permanent = all(code >= 500 for code, _ in error.recipients.values())
        raise MailError("the mail server refused every recipient", permanent=permanent) from None
    except smtplib.SMTPResponseException as error:
        raise MailError(f"the mail server answered {error.smtp_code}", permanent=error.smtp_code >= 500) from None
    except smtplib.SMTPServerDisconnected:
        if server.has_begun:
            raise MailError("the connection broke while sending", unknown=True) from None
        raise MailError("the connection broke before the mail was sent") from None
    except UnicodeEncodeError:
        raise MailError("SMTP_USERNAME and SMTP_PASSWORD can only have ASCII characters", permanent=True) from None
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server cannot be used: {type(error).__name__}") from None
    finally:
        _leave(server)
    return {address: f"{code}" for address, (code, _) in refused.items()}


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye. Whatever the server answers to that, it has taken the mail or has not."""
    try:
        server.quit()
    except smtplib.SMTPException:
        server.close()


def _connect(config: Settings) -> _Connection:
    """A connection with a verified certificate, unless SMTP_USE_TLS is off. Raises MailError, never `unknown`."""
    context = ssl.create_default_context()
    host, port = config.smtp_host or "", config.smtp_port
    try:
        if config.smtp_use_tls and port == IMPLICIT_TLS_PORT:
            return _TlsConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
        server = _Connection(host, port, timeout=TIMEOUT_SECONDS)
        if config.smtp_use_tls:
            server.starttls(context=context)
    except ssl.SSLCertVerificationError as error:
        raise MailError(f"the mail server's certificate is not valid: {error.verify_message}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server cannot be reached: {type(error).__name__}") from None
    return server
