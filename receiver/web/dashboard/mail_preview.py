"""The mails that jobs have written, read back for a page."""

import base64
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


def text(path: Path) -> str:
    """The text part of the mail in this file."""
    body = _read_mail(path).get_body(("plain",))
    return str(body.get_content()) if body else ""


def html(path: Path) -> str:
    """The HTML part of the mail in this file, its pictures inside it."""
    message = _read_mail(path)
    body = message.get_body(("html",))
    shown = str(body.get_content()) if body else ""
    # A mail program finds a picture by its Content-ID; a browser needs it in the page itself.
    for part in message.walk():
        if part.get_content_maintype() == "image" and (cid := str(part["Content-ID"]).strip("<>")):
            data = base64.b64encode(part.get_content()).decode()
            shown = shown.replace(f"cid:{cid}", f"data:{part.get_content_type()};base64,{data}")
    return shown


def _read_mail(path: Path) -> EmailMessage:
    return message_from_bytes(path.read_bytes(), policy=policy.default)
