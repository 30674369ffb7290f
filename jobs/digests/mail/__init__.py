"""The mails: composing digests and alerts, keeping them, and handing them to the mail server."""

from jobs.digests.mail.compose import (
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
from jobs.digests.mail.connection import Connection, connect
from jobs.digests.mail.errors import MailError
from jobs.digests.mail.smtp import send

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
