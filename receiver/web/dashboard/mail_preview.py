"""The mails that jobs have written, read back for a page."""

import base64
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


def text(path: Path) -> str:
    """The text part of the mail in this file."""
    return _part(_read(path), "plain")


def html(path: Path) -> str:
    """The HTML part of the mail in this file, its pictures inside it."""
    message = _read(path)
    shown = _part(message, "html")
    for part in message.walk():
        if part.get_content_maintype() == "image" and (cid := str(part["Content-ID"]).strip("<>")):
            data = base64.b64encode(part.get_content()).decode()
            shown = shown.replace(f"cid:{cid}", f"data:{part.get_content_type()};base64,{data}")
    return shown


def _read(path: Path) -> EmailMessage:
    return message_from_bytes(path.read_bytes(), policy=policy.default)


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    return str(found.get_content()) if found else ""
