"""Handing a mail to the server, and judging what goes wrong: the only user of smtplib."""

import smtplib
import ssl
from email.message import EmailMessage

from receiver.settings import Settings

IMPLICIT_TLS_PORT = 465
TIMEOUT_SECONDS = 30
GO_AHEAD = 354  # The answer to DATA, before the first byte of the mail.


class MailError(Exception):
    """The mail was not sent, or nobody knows (`unknown`); `permanent` means that trying again is in vain."""

    def __init__(self, message: str, *, permanent: bool = False, unknown: bool = False) -> None:
        super().__init__(message)
        self.permanent, self.unknown = permanent, unknown


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
    if not message["To"].addresses:
        raise MailError("nobody is to receive it; set RECIPIENT_EMAIL", permanent=True)
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
    # Reading every certificate there is takes a while, so it is done where it is needed.
    context = ssl.create_default_context() if config.smtp_use_tls else None
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
