"""A mail server that keeps every message, and can be told to fail at any verb."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.peers.http import free_port


@dataclass
class MailServer:
    """`replies` names the answer to a verb (EHLO, MAIL, RCPT, DATA); "drop" hangs up instead of answering."""

    replies: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    port: int = 0

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self._reply("MAIL", server, "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return self._reply("RCPT", server, "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.replies.get("DATA", "2").startswith("2") or self.replies["DATA"] == "drop":
            parsed: Any = message_from_bytes(envelope.original_content or b"", policy=policy.default)
            self.messages.append(parsed)
            self.recipients.append(list(envelope.rcpt_tos))
        return self._reply("DATA", server, "250 OK")

    def _reply(self, verb: str, server: SMTP, usual: str) -> str:
        reply = self.replies.get(verb, usual)
        if reply == "drop":
            cast(Any, server.transport).abort()
            return usual
        return reply

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Note the login; the password `right` is right."""
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right")


@contextmanager
def serve(mail: MailServer, **options: Any) -> Iterator[MailServer]:
    """Run `mail` on a free port of 127.0.0.1 until the end of the block."""
    mail.port = free_port()
    controller = Controller(mail, hostname="127.0.0.1", port=mail.port, **options)
    controller.start()
    try:
        yield mail
    finally:
        controller.stop()
