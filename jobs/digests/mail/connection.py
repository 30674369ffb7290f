"""The way to the mail server: TLS, what it offers, signing in, and what it answers. The only user of smtplib."""

import base64
import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jobs.digests.mail import oauth
from jobs.digests.mail.errors import MailError
from receiver.lib.settings import Settings

IMPLICIT_TLS_PORT = 465
CONNECT_SECONDS = 60  # For each address of the server, its greeting included.
COMMAND_SECONDS = 300  # RFC 5321, 4.5.3.2: a server may take five minutes for a command,
END_SECONDS = 600  # and ten to look through the mail once it is there.
_CHUNK = 65_536
_LONGEST_WORDS = 300
_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})[ \t]*", re.MULTILINE)
_XOAUTH2 = "XOAUTH2"
_PASSWORD_METHODS = {"CRAM-MD5", "PLAIN", "LOGIN"}
# OpenSSL's numbers for a certificate that is not valid at this time: mended by its owner, not by a setting of ours.
_TIMES_OF_CERTIFICATE = {9, 10}
_NAME_OF_CERTIFICATE = {62, 64}

log = logging.getLogger(__name__)


class BrokenError(MailError):
    """The connection broke; what was not answered before may or may not have been heard."""

    def __init__(self, message: str = "the connection to the mail server broke") -> None:
        super().__init__(message, "connection_broke")


@dataclass(frozen=True)
class Reply:
    """What the server answered: its code, the enhanced code (RFC 3463) or "", and its words in one short line.

    The code is -1 where the answer was none that SMTP knows.
    """

    code: int
    enhanced: str
    words: str

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code) if self.code > 0 else "", self.enhanced, self.words) if part)

    @property
    def is_good(self) -> bool:
        """Whether the server agrees."""
        return 200 <= self.code < 300

    @property
    def is_final(self) -> bool:
        """Whether the server will say the same again."""
        return 500 <= self.code < 600

    @property
    def is_known(self) -> bool:
        """Whether it is an answer at all."""
        return 200 <= self.code < 600

    @property
    def is_about_size(self) -> bool:
        """Whether the mail is too large for the server or the mailbox (552, 5.3.4, 5.2.3)."""
        if self.enhanced:
            return self.enhanced in ("5.3.4", "5.2.3")
        return self.code == 552


class Connection(smtplib.SMTP):
    """A connection whose answers come as `Reply`, and whose end as BrokenError."""

    secrets: tuple[str, ...] = ()  # What the server's words may not repeat; longest first.
    is_signed_in = is_in_transaction = is_closing = sends_alone = False

    def reply(self, code: int, text: bytes | str) -> Reply:
        """The server's answer without what must not be shown."""
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        found = _ENHANCED.match(words)
        words = " ".join(_ENHANCED.sub("", words).split())
        words = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
        for secret in self.secrets:
            words = re.sub(re.escape(secret), "***", words, flags=re.IGNORECASE)
        if len(words) > _LONGEST_WORDS:
            words = f"{words[: _LONGEST_WORDS - 1]}…"
        return Reply(code, found.group(1) if found else "", words)

    def command(self, words: str) -> Reply:
        """Say a line and read the answer. Raises BrokenError."""
        with _broken_in_words():
            return self.reply(*self.docmd(words))

    def mail_from(self, address: str, options: list[str]) -> Reply:
        """Begin a transaction. Raises BrokenError."""
        with _broken_in_words():
            answer = self.reply(*self.mail(address, options))
        self.is_in_transaction = answer.is_good
        return answer

    def recipient(self, address: str) -> Reply:
        """Name a recipient of the transaction. Raises BrokenError."""
        with _broken_in_words():
            return self.reply(*self.rcpt(address))

    def content(self, content: bytes) -> Reply:
        """Send the mail after the server's 354, in pieces: each may take its time. Raises BrokenError."""
        quoted = re.sub(rb"(?m)^\.", b"..", content)
        with _broken_in_words():
            whole = quoted + (b"" if quoted.endswith(b"\r\n") else b"\r\n") + b".\r\n"
            for start in range(0, len(whole), _CHUNK):
                self.send(whole[start : start + _CHUNK])
            self.patience(END_SECONDS)
            answer = self.reply(*self.getreply())
            self.patience(COMMAND_SECONDS)
        self.is_in_transaction = False
        return answer

    def patience(self, seconds: float) -> None:
        """How long an answer may take from now on."""
        if self.sock:
            self.sock.settimeout(seconds)

    @property
    def largest(self) -> int | None:
        """The size in bytes of the largest mail that the server says it takes; None where it says nothing."""
        size = self.esmtp_features.get("size", "")
        return int(size) if size.isdecimal() and int(size) > 0 else None

    def leave(self) -> None:
        """Say goodbye. Whatever the server answers to that, it has taken the mail or has not."""
        try:
            self.patience(10)
            self.quit()
        except (smtplib.SMTPException, OSError):
            self.close()


class _TlsConnection(Connection, smtplib.SMTP_SSL):
    """The same, with TLS from the start."""


@contextmanager
def _broken_in_words() -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPServerDisconnected as error:
        late = ": no answer in time" if "timed out" in str(error) else ""
        raise BrokenError(f"the connection to the mail server broke{late}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise BrokenError(f"the connection to the mail server broke ({type(error).__name__})") from None


def connect(config: Settings) -> Connection:
    """A connection that is ready for mail: by TLS as the settings want it, introduced, and signed in where they say so.

    What the server offers is in its `esmtp_features`. Raises MailError, never `unknown`: nothing was sent yet.
    """
    security = tls_of(config)
    server = _connected(config, security)
    try:
        server.secrets = _secrets(config)
        _introduce(server)
        if security == "starttls":
            _start_tls(server, config)
            _introduce(server)
        if config.smtp_username and config.smtp_oauth_token_url:
            _sign_in_by_token(server, config)
        elif config.smtp_username and config.smtp_password:
            _sign_in(server, config, security)
    except BaseException:
        server.leave()
        raise
    return server


def tls_of(config: Settings) -> str:
    """How the connection is encrypted: `starttls`, `implicit` or `none`: SMTP_TLS, else by SMTP_USE_TLS and port."""
    if config.smtp_tls:
        return config.smtp_tls
    if not config.smtp_use_tls:
        return "none"
    return "implicit" if config.smtp_port == IMPLICIT_TLS_PORT else "starttls"


def _context(config: Settings) -> ssl.SSLContext:
    """Reading every certificate there is takes a while, so it is done where it is needed."""
    context = ssl.create_default_context()
    if config.smtp_ca_file:
        try:
            context.load_verify_locations(config.smtp_ca_file)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise MailError(f"SMTP_CA_FILE cannot be read any more: {why}", "certificate", permanent=True) from None
        # Newer Pythons ask of a CA what many that companies made for themselves do not have.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _connected(config: Settings, security: str) -> Connection:
    host, port, place = (config.smtp_host or "").strip("[]"), config.smtp_port, _place(config)
    try:
        if security == "implicit":
            server: Connection = _TlsConnection(
                host, port, config.smtp_helo, timeout=CONNECT_SECONDS, context=_context(config)
            )
        else:
            server = Connection(host, port, config.smtp_helo, timeout=CONNECT_SECONDS)
    except smtplib.SMTPConnectError as error:
        greeting = Connection().reply(error.smtp_code, error.smtp_error)
        raise MailError(f"the mail server at {place} does not let us in: {greeting}", "not_let_in") from None
    except ssl.SSLError as error:
        raise _tls_fault(error, place, security) from None
    except smtplib.SMTPServerDisconnected:
        raise MailError(
            f"the mail server at {place} ended the connection without a greeting; where the port speaks TLS from the"
            " start, set SMTP_TLS=implicit",
            "no_greeting",
        ) from None
    except socket.gaierror as error:
        text = f"the name {host} of the mail server (SMTP_HOST) is not known: {error.strerror}"
        raise MailError(text, "unknown_host") from None
    except UnicodeError:
        raise MailError(f"SMTP_HOST: {host} is not the name of a host", "unknown_host", permanent=True) from None
    except (OSError, smtplib.SMTPException) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
        raise MailError(
            f"the mail server cannot be reached ({place}): {why or type(error).__name__}", "unreachable"
        ) from None
    server.patience(COMMAND_SECONDS)
    return server


def _place(config: Settings) -> str:
    return f"{config.smtp_host}:{config.smtp_port}"


def _introduce(server: Connection) -> None:
    """EHLO, or HELO for a server that does not know it; one that says later is not asked for less."""
    with _broken_in_words():
        answer = server.reply(*server.ehlo())
        if answer.is_final:
            answer = server.reply(*server.helo())
    if not answer.is_good:
        raise MailError(
            f"the mail server does not take our name {server.local_hostname} (SMTP_HELO): {answer}", "not_let_in"
        )


def _start_tls(server: Connection, config: Settings) -> None:
    place = _place(config)
    if not server.has_extn("starttls"):
        raise MailError(
            f"the mail server at {place} offers no STARTTLS: set SMTP_TLS=none, or SMTP_TLS=implicit and the port"
            " where it speaks TLS from the start, often 465",
            "no_starttls",
            permanent=True,
        )
    try:
        answer = server.reply(*server.starttls(context=_context(config)))
    except smtplib.SMTPResponseException as error:
        answer = server.reply(error.smtp_code, error.smtp_error)
    except ssl.SSLError as error:
        raise _tls_fault(error, place, "starttls") from None
    except (OSError, smtplib.SMTPException) as error:
        raise BrokenError(f"the connection to the mail server broke at STARTTLS ({type(error).__name__})") from None
    if not answer.is_good:
        text = f"the mail server offers STARTTLS and refuses it: {answer}"
        raise MailError(text, "no_starttls", permanent=answer.is_final)


def _tls_fault(error: ssl.SSLError, place: str, security: str) -> MailError:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the mail server's certificate is not valid: {error.verify_message.rstrip('.')}"
        if error.verify_code in _TIMES_OF_CERTIFICATE:
            return MailError(text, "certificate")
        if error.verify_code in _NAME_OF_CERTIFICATE:
            text += "; SMTP_HOST must be a name that the certificate has"
        else:
            text += "; if you trust it, set SMTP_CA_FILE to the certificate of who signed it"
        return MailError(text, "certificate", permanent=True)
    if security == "implicit" and error.reason == "WRONG_VERSION_NUMBER":
        text = f"the mail server at {place} does not speak TLS from the start: set SMTP_TLS=starttls"
        return MailError(text, "no_tls", permanent=True)
    reason = (error.reason or type(error).__name__).replace("_", " ").lower()
    return MailError(f"no TLS with the mail server at {place}: {reason}", "no_tls")


def _secrets(config: Settings) -> tuple[str, ...]:
    """User name and password, plain and as they go over the line."""
    user, password = config.smtp_username or "", config.smtp_password or ""
    texts = (user, password, f"\0{user}\0{password}")
    coded = [base64.b64encode(text.encode()).decode().rstrip("=") for text in texts if text.strip("\0")]
    return tuple(sorted({text for text in (user, password, *coded) if text}, key=len, reverse=True))


def _sign_in(server: Connection, config: Settings, security: str) -> None:
    methods = list(dict.fromkeys(server.esmtp_features.get("auth", "").upper().split()))
    if not methods:
        if security == "none" and server.has_extn("starttls"):
            remedy = "it may after STARTTLS: set SMTP_TLS=starttls"
        else:
            remedy = "leave SMTP_USERNAME and SMTP_PASSWORD empty, or set SMTP_PORT to its port for senders, often 587"
        raise MailError(f"the mail server offers no sign-in (AUTH): {remedy}", "no_auth", permanent=True)
    if not _PASSWORD_METHODS.intersection(methods):
        by_token = "; set SMTP_OAUTH_TOKEN_URL and what goes with it" if _XOAUTH2 in methods else ""
        raise MailError(
            f"the mail server takes no password, it offers only AUTH {' '.join(methods)[:100]}{by_token}",
            "sign_in_method",
            permanent=True,
        )
    if security == "none" and server.has_extn("starttls"):
        log.warning("SMTP_PASSWORD goes to the mail server in the clear; it offers STARTTLS: set SMTP_TLS=starttls")
    server.esmtp_features["auth"] = " ".join(methods)  # smtplib knows them in capitals only.
    try:
        server.login(config.smtp_username or "", config.smtp_password or "")
        server.is_signed_in = True
    except smtplib.SMTPAuthenticationError as error:
        raise _refused_sign_in(server.reply(error.smtp_code, error.smtp_error), security) from None
    except UnicodeEncodeError:
        text = "SMTP_USERNAME and SMTP_PASSWORD can only have ASCII characters"
        raise MailError(text, "password", permanent=True) from None
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise BrokenError(f"the connection to the mail server broke at sign-in ({type(error).__name__})") from None


def _sign_in_by_token(server: Connection, config: Settings) -> None:
    """Sign in by an OAuth 2.0 access token; one that was kept and is refused is asked for anew the next time."""
    methods = server.esmtp_features.get("auth", "").upper().split()
    if _XOAUTH2 not in methods:
        told = f"it offers only AUTH {' '.join(methods)[:100]}" if methods else "it offers no sign-in (AUTH)"
        text = f"the mail server takes no OAuth 2.0 token, {told}: leave SMTP_OAUTH_TOKEN_URL empty"
        raise MailError(text, "sign_in_method", permanent=True)
    token, is_new = oauth.access_token(config)
    said = f"user={config.smtp_username}\1auth=Bearer {token}\1\1"
    server.secrets = (base64.b64encode(said.encode()).decode().rstrip("="), token, *server.secrets)

    def answer(challenge: bytes | None = None) -> str:
        return said if challenge is None else ""  # What it says of a refusal is heard out; then comes its 535.

    try:
        server.auth(_XOAUTH2, answer)
        server.is_signed_in = True
    except smtplib.SMTPAuthenticationError as error:
        oauth.forget(config)
        refusal = server.reply(error.smtp_code, error.smtp_error)
        text = (
            f"the mail server refused the OAuth 2.0 token: {refusal}; SMTP_USERNAME must be a mailbox that this client "
            "may send from, with SMTP AUTH allowed"
        )
        raise MailError(text, "oauth", permanent=refusal.is_final and is_new) from None
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise BrokenError(f"the connection to the mail server broke at sign-in ({type(error).__name__})") from None


def _refused_sign_in(answer: Reply, security: str) -> MailError:
    if answer.enhanced == "5.7.139":
        remedy = "; sign-in with a password is switched off there: allow it (SMTP AUTH) for this mailbox"
    elif answer.code == 538 and security == "none":
        remedy = "; it wants TLS first: set SMTP_TLS=starttls"
    elif answer.is_final:
        remedy = "; many providers want a password made for programs (an app password) here"
    else:
        remedy = ""
    text = f"the mail server refused SMTP_USERNAME and SMTP_PASSWORD: {answer}{remedy}"
    return MailError(text, "password", permanent=answer.is_final)
