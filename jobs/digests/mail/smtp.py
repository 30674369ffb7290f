"""Handing a mail to the server, and judging for each recipient what came of it."""

import logging
from collections.abc import Callable, Iterator, Sequence

from jobs.digests.mail.connection import BrokenError, Connection, Reply, connect
from jobs.digests.mail.errors import MailError
from receiver.db.recipients import DUE, FAILED, HELD, REFUSED, SENT, TOO_LARGE, Outcome
from receiver.lib.mail_addresses import on_the_wire
from receiver.lib.settings import Settings

MOST_RECIPIENTS = 100  # Of one transaction; every server must take so many (RFC 5321, 4.5.3.1.8).
_FEW, _MOST_CONNECTIONS = 20, 4
GO_AHEAD, CLOSING, SIGN_IN_FIRST = 354, 421, 530
# RFC 3463 has two for the sender's address, Exchange two more; its words and Postfix's say it where codes do not.
_SENDER_CODES = (".1.7", ".1.8", ".7.60", ".2.252")
_SENDER_WORDS = ("sender address rejected", "sendasdenied", "permissions to send as")

log = logging.getLogger(__name__)


def _outcome_of(error: MailError) -> Outcome:
    """The outcome for everybody whose mail this error has stopped."""
    return Outcome(HELD if error.unknown else FAILED if error.permanent else DUE, error.error_code, str(error))


def send(
    config: Settings, content: bytes, sender: str, recipients: Sequence[str], check: Callable[[], None] = lambda: None
) -> Iterator[dict[str, Outcome]]:
    """Hand the mail to the SMTP server; yields what became of it for some recipients as soon as that is known.

    In the end everybody was told of once. `content` is the mail as it goes over the line: ASCII, lines that end in CR
    LF. `check` is called before anything leaves, and raises where this process may not send any more.
    """
    left, last = list(recipients), Outcome(DUE)
    for _ in range(_MOST_CONNECTIONS):
        if not left:
            return
        try:
            server = connect(config)
        except MailError as error:
            yield dict.fromkeys(left, _outcome_of(error))
            return
        try:
            for outcomes in _deliver(server, content, sender, left, check):
                yield outcomes
                left = [address for address in left if address not in outcomes]
                last = next(reversed(outcomes.values()), last)
        finally:
            server.leave()
    if left:
        yield dict.fromkeys(left, last)


def _deliver(
    server: Connection, content: bytes, sender: str, recipients: Sequence[str], check: Callable[[], None]
) -> Iterator[dict[str, Outcome]]:
    if server.largest and len(content) > server.largest:
        text = f"the mail has {len(content):,} bytes, the mail server takes {server.largest:,}"
        yield dict.fromkeys(recipients, Outcome(FAILED, TOO_LARGE, text))
        return
    usual, unusual, impossible = _sorted(server, recipients)
    if impossible:
        yield impossible
    for group in (usual, unusual):
        left = group
        while left:
            try:
                outcomes = _transaction(server, content, sender, left, check)
            except BrokenError as error:
                outcomes = dict.fromkeys(left, _outcome_of(error))
            yield outcomes
            left = {address: wire for address, wire in left.items() if address not in outcomes}
            if server.is_closing:
                return  # Whoever is left is for another connection.


def _sorted(server: Connection, recipients: Sequence[str]) -> tuple[dict[str, str], dict[str, str], dict[str, Outcome]]:
    """Each recipient as the server is told it: the usual ones, those for SMTPUTF8, and what it cannot take."""
    usual: dict[str, str] = {}
    unusual: dict[str, str] = {}
    impossible: dict[str, Outcome] = {}
    for address in recipients:
        try:
            wire = on_the_wire(address)
        except UnicodeError:
            impossible[address] = Outcome(REFUSED, "address", "what stands after the @ is no name of a mail domain")
            continue
        if wire.isascii():
            usual[address] = wire
        elif server.has_extn("smtputf8"):
            unusual[address] = wire
        else:
            text = "the mail server takes only ASCII letters before the @ (it offers no SMTPUTF8)"
            impossible[address] = Outcome(REFUSED, "address", text)
    return usual, unusual, impossible


def _transaction(
    server: Connection, content: bytes, sender: str, recipients: dict[str, str], check: Callable[[], None]
) -> dict[str, Outcome]:
    """One MAIL, RCPTs and DATA; whoever is not in its outcomes belongs into another transaction.

    Raises BrokenError where nothing of the mail has left.
    """
    if server.is_in_transaction and not (answer := server.command("RSET")).is_good:
        raise BrokenError(f"the mail server begins no second mail: {answer}")
    options = [f"SIZE={len(content)}"] if server.has_extn("size") else []
    if not all(wire.isascii() for wire in recipients.values()):
        options.append("SMTPUTF8")
    answer = server.mail_from(sender, options)
    _stop_where_closing(answer)
    if not answer.is_good:
        return dict.fromkeys(recipients, _about_sender(answer, sender))
    accepted: list[str] = []
    outcomes: dict[str, Outcome] = {}
    for address, wire in list(recipients.items())[: 1 if server.sends_alone else MOST_RECIPIENTS]:
        answer = server.recipient(wire)
        if answer.code == CLOSING:  # Some say so to an address that they do not like; it must not cost the others.
            server.is_closing = True
            return outcomes | {address: _later(answer)}
        if answer.is_good:
            accepted.append(address)
        elif accepted and _is_too_many(answer):
            break
        else:
            outcomes[address] = _about_us(server, answer, sender) or _about_recipient(server, answer)
    if accepted:
        check()
        outcomes |= _hand_over(server, content, sender, accepted)
    return outcomes


def _hand_over(server: Connection, content: bytes, sender: str, accepted: list[str]) -> dict[str, Outcome]:
    """DATA and the mail: what became of it for those whom the server took; nothing where each is to be tried alone."""
    answer = server.command("DATA")
    if answer.code == GO_AHEAD:
        try:
            answer = server.content(content)
        except BrokenError as error:
            return dict.fromkeys(accepted, Outcome(HELD, error.error_code, f"{error} while sending"))
        if answer.is_good:
            log.info("The mail server has taken the mail for %d recipients: %s", len(accepted), answer)
            return dict.fromkeys(accepted, Outcome(SENT))
        if not answer.is_known:
            text = f"the mail server gave no proper answer to the mail: {answer}"
            return dict.fromkeys(accepted, Outcome(HELD, "no_answer", text))
    outcome = _about_us(server, answer, sender) or _about_content(answer)
    if outcome.error_code == "content" and 1 < len(accepted) <= _FEW:
        server.sends_alone = True  # Some refuse the mail of all because of one recipient, such as one not verified.
        return {}
    return dict.fromkeys(accepted, outcome)


def _stop_where_closing(answer: Reply) -> None:
    if answer.code == CLOSING:
        raise BrokenError(f"the mail server ends the connection: {answer}")


def _is_too_many(answer: Reply) -> bool:
    """Whether the recipient only is one too many for this transaction (RFC 5321, 4.5.3.1.10)."""
    if answer.enhanced:
        return answer.enhanced[1:] == ".5.3"
    return answer.code in (452, 552) or "too many recipients" in answer.words.lower()


def _about_us(server: Connection, answer: Reply, sender: str) -> Outcome | None:
    """What a server says at a recipient, or after the mail, and means of who sends; None where it does not.

    Many judge our name and FROM_EMAIL only there, so that nobody learns more from their refusals.
    """
    state, words = FAILED if answer.is_final else DUE, answer.words.lower()
    if answer.code == SIGN_IN_FIRST:
        return Outcome(FAILED, "sign_in", _wants_sign_in(answer))
    if answer.enhanced[1:] in _SENDER_CODES or any(known in words for known in _SENDER_WORDS):
        return Outcome(state, "sender", _not_from(sender, answer))
    if "helo command rejected" in words:
        text = f"the mail server does not like our name {server.local_hostname}, set SMTP_HELO to one that DNS knows"
        return Outcome(state, "not_let_in", f"{text}: {answer}")
    return None


def _not_from(sender: str, answer: Reply) -> str:
    return f"the mail server takes no mail from {sender}, set FROM_EMAIL to an address it lets us use: {answer}"


def _about_sender(answer: Reply, sender: str) -> Outcome:
    if answer.is_about_size:
        return Outcome(FAILED, TOO_LARGE, f"the mail server does not take so large a mail: {answer}")
    if not answer.is_final:
        return _later(answer)
    if answer.code == SIGN_IN_FIRST:
        return Outcome(FAILED, "sign_in", _wants_sign_in(answer))
    return Outcome(FAILED, "sender", _not_from(sender, answer))


def _about_recipient(server: Connection, answer: Reply) -> Outcome:
    if answer.is_about_size:
        return Outcome(REFUSED, TOO_LARGE, f"the mail server does not take so large a mail: {answer}")
    if not answer.is_final:
        return _later(answer)
    text = f"the mail server refuses this address: {answer}"
    if answer.enhanced == "5.7.1" and not server.is_signed_in:
        text += "; if that means relaying, set SMTP_USERNAME and SMTP_PASSWORD"
    return Outcome(REFUSED, "recipient", text)


def _about_content(answer: Reply) -> Outcome:
    if answer.is_about_size:
        return Outcome(FAILED, TOO_LARGE, f"the mail server does not take so large a mail: {answer}")
    if not answer.is_final:
        return _later(answer)
    return Outcome(FAILED, "content", f"the mail server refuses the mail: {answer}")


def _wants_sign_in(answer: Reply) -> str:
    return f"the mail server wants a sign-in or TLS first, set SMTP_USERNAME and SMTP_PASSWORD or SMTP_TLS: {answer}"


def _later(answer: Reply) -> Outcome:
    return Outcome(DUE, "later", f"the mail server does not take it now: {answer}")
