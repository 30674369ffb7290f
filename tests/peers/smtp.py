"""A mail server that keeps every message, and can be told to fail at any verb."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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


@dataclass
class Mail:
    """A mail as it came over the line: who sends it, to whom, and its bytes."""

    options: str
    recipients: list[str]
    content: bytes

    @property
    def parsed(self) -> Any:
        """The mail, read."""
        return message_from_bytes(self.content, policy=policy.default)


@dataclass
class Relay:
    """A mail server that says, word for word, what a test wants.

    `answers` are by the beginning of a line, the longest that fits; "." is the end of a mail, `greeting` comes unasked.
    An empty answer hangs up; of a list each is given once, then the usual. `waits` are seconds before an answer, by the
    same. `most` is how many recipients it takes in one transaction, `largest` how many bytes, whatever it offers.
    """

    offers: tuple[str, ...] = ()
    answers: Mapping[str, str | list[str]] = field(default_factory=dict)
    largest: int | None = None
    waits: dict[str, float] = field(default_factory=dict)
    most: int | None = None
    too_many: str = "452 4.5.3 Too many recipients"
    lines: list[str] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    port: int = 0

    def session(self, connection: socket.socket) -> None:
        """Talk to one client until it leaves."""
        with connection, connection.makefile("rb") as arriving, suppress(OSError):
            if not self._say(connection, "greeting", "220 relay.example ESMTP"):
                return
            options, named = "", list[str]()
            while line := arriving.readline().decode("utf-8", "replace").strip():
                self.lines.append(line)
                verb = line.split()[0].upper()
                said = self._say(connection, line, self._usual(verb, line, len(named)))
                if not said:
                    return
                if verb == "MAIL" and said.startswith("2"):
                    options, named = line.partition(">")[2].strip() or "-", []
                elif verb == "RCPT" and said.startswith("2"):
                    named.append(line.partition("<")[2].partition(">")[0])
                elif verb == "DATA" and said.startswith("354"):
                    content = b"".join(iter(arriving.readline, b".\r\n")).replace(b"\r\n..", b"\r\n.")
                    fits = self.largest is None or len(content) <= self.largest
                    said = self._say(connection, ".", "250 2.0.0 OK queued" if fits else "552 5.3.4 too large")
                    if said.startswith("2"):
                        self.mails.append(Mail(options, named, content))
                    options, named = "", []
                    if not said:
                        return
                elif verb == "QUIT":
                    return

    def _usual(self, verb: str, line: str, named: int) -> str:
        size = re.search(r"SIZE=(\d+)", line, re.IGNORECASE)
        if verb == "MAIL" and self.largest and size and int(size.group(1)) > self.largest:
            return "552 5.3.4 too large"
        if verb == "RCPT" and self.most is not None and named >= self.most:
            return self.too_many
        if verb == "EHLO":
            return "\r\n".join([f"250-{text}" for text in ("relay.example", *self.offers)] + ["250 HELP"])
        return {"DATA": "354 go on", "QUIT": "221 bye", "AUTH": "504 no"}.get(verb, "250 2.0.0 OK")

    def _say(self, connection: socket.socket, line: str, usual: str) -> str:
        def of(said: Mapping[str, Any], other: Any) -> Any:
            fits = [start for start in said if line.lower().startswith(start.lower())]
            return said[max(fits, key=len)] if fits else other

        time.sleep(of(self.waits, 0))
        answer = of(self.answers, usual)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else usual
        if answer:
            connection.sendall(f"{answer}\r\n".encode())
        return str(answer)


@contextmanager
def relay(peer: Relay) -> Iterator[Relay]:
    """Run `peer` on a free port of 127.0.0.1 until the end of the block."""
    with listening(peer.session) as peer.port:
        yield peer


@contextmanager
def listening(session: Callable[[socket.socket], None]) -> Iterator[int]:
    """Have `session` talk to each client, in a thread of its own, until the end of the block; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=session, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
