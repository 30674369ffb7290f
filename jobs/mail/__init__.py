"""The mails: composing digests and alerts, keeping them, and handing them to the mail server."""

from jobs.mail.compose import (
    Attachment,
    Content,
    compose,
    compose_alert,
    keep,
    on_the_line,
    outbox_path,
    without_attachments,
)
from jobs.mail.connection import Connection, MailError, connect
from jobs.mail.smtp import Outcome, send

__all__ = [
    "Attachment",
    "Connection",
    "Content",
    "MailError",
    "Outcome",
    "compose",
    "compose_alert",
    "connect",
    "keep",
    "on_the_line",
    "outbox_path",
    "send",
    "without_attachments",
]
