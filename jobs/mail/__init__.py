"""The mails: composing digests and alerts, keeping them, and handing them to the mail server."""

from jobs.mail.compose import (
    Attachment,
    Content,
    compose,
    compose_alert,
    compose_test,
    keep,
    on_the_line,
    outbox_path,
    sender,
    without_attachments,
)
from jobs.mail.connection import Connection, MailError, connect
from jobs.mail.smtp import send

__all__ = [
    "Attachment",
    "Connection",
    "Content",
    "MailError",
    "compose",
    "compose_alert",
    "compose_test",
    "connect",
    "keep",
    "on_the_line",
    "outbox_path",
    "send",
    "sender",
    "without_attachments",
]
