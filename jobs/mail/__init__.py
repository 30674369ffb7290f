"""The mails: composing digests and alerts, keeping them, and handing them to the mail server."""

from jobs.mail.compose import Attachment, Content, compose, compose_alert, keep, outbox_path, without_attachments
from jobs.mail.smtp import MailError, send

__all__ = [
    "Attachment",
    "Content",
    "MailError",
    "compose",
    "compose_alert",
    "keep",
    "outbox_path",
    "send",
    "without_attachments",
]
