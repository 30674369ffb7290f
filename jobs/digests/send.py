"""Claim the period, build the workbook, compose and send the mail, mark it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from typing import TypeVar

from sqlalchemy.orm import Session

from jobs.digests import mail, workbook
from jobs.digests.mail import Attachment, Content
from jobs.digests.workbook import Summary
from jobs.operations import shell_user
from jobs.operations.lease_renewal import renewed
from receiver.actions import digests as orders
from receiver.actions.context import Context, for_command
from receiver.actions.errors import ActionError
from receiver.db import alarms, digest_members, digests, recipients, work
from receiver.db.database import Database, opened
from receiver.db.digest_filters import at_risk, in_digest, soonest_due
from receiver.db.digests import Taken
from receiver.db.models import SEND_DIGEST, Digest, DigestRecipient
from receiver.db.recipients import Outcome
from receiver.digests import schedules
from receiver.digests.schedules import Plan
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure
from receiver.lib.retry_policy import WORK
from receiver.lib.settings import Settings

# How many tickets a mail names that are due soonest.
_NAMED_IN_DIGEST, _NAMED_IN_ALERT = 5, 20

log = logging.getLogger(__name__)

T = TypeVar("T")


def send_due() -> None:
    """The job of the queue `digest`. Safe to run twice, and at once: a period is claimed by a unique row."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        send_what_is_due(db, config)


def send_what_is_due(db: Database, config: Settings) -> None:
    """Claim every slot whose time has come, and send what is claimed and can be taken."""
    claim_slots(db, config, now())
    settle_interrupted(db, config)
    with db.read() as session:
        waiting = work.subjects_due(session, SEND_DIGEST, now())
    for digest_id in waiting:
        send(db, config, digest_id)


def alert() -> None:
    """The job that tells ALERT_RECIPIENTS what is due soon. Safe to run twice: each ticket is told of once."""
    config = settings.load()
    configure(config.log_level)
    if config.alert_recipients:
        with opened(config.database_url) as db:
            send_alert(db, config)


def send_alert(db: Database, config: Settings) -> None:
    """Claim and send the alert, where there is something to tell."""
    with db.write() as session:
        claimed = digests.claim_alert(session, replace(config.envelope, recipients=config.alert_recipients), now())
    if claimed:
        send(db, config, claimed.id)


def claim_slots(db: Database, config: Settings, moment: datetime) -> None:
    """Claim every planned digest whose time has come and nobody claimed; a missed time is caught up with once.

    An alarm is up while the newest DIGESTS_FILE has mistakes; the plans of the last good one are in force meanwhile.
    """
    found = schedules.current(config)
    with db.read() as session:
        known = alarms.known(session, schedules.ALARM)
    if found.problem != (known.detail.get("problem") if known else None):
        with db.write() as session:
            if found.problem:
                alarms.raise_(session, schedules.ALARM, now(), problem=found.problem)
                log.error("Alarm: %s", found.problem)
            else:
                alarms.clear(session, schedules.ALARM)
    # When a plan is due takes a while to find out, and the record is locked for writing only after that.
    slots = [(plan, plan.latest_slot(moment)) for plan in found.plans.values()]
    with db.write() as session:
        for plan, slot in slots:
            if digests.take_slot(session, plan.name, slot):
                digests.claim(
                    session,
                    slot.isoformat(),
                    plan.envelope(config),
                    moment,
                    name=plan.name,
                    chosen=plan.chosen,
                    even_empty=not plan.only_with_news,
                )


def settle_interrupted(db: Database, config: Settings) -> None:
    """Free the digests whose builder died, and settle those whose sender died while sending.

    Of the latter nobody knows whether the mail went out.
    """
    unknown = Outcome(recipients.HELD, "sender_died", "the sender died while sending; the mail may have arrived")
    with db.write() as session:
        digests.expire(session, now())
        for digest_id in digests.interrupted(session, now()):
            outcomes = dict.fromkeys(recipients.sending(session, digest_id), unknown)
            _settle(session, config, digest_id, outcomes, retry_at=None)
            concluded = digests.conclude(session, digest_id, now())
            _say(concluded, recipients.of(session, digest_id))


def _settle(
    session: Session, config: Settings, digest_id: int, outcomes: dict[str, Outcome], retry_at: datetime | None
) -> None:
    """Write down what became of an attempt, and when the next one is for those who are due again; None for never."""
    digest = session.get_one(Digest, digest_id)
    shrinks = not digest.without_workbook and digest.name != digests.ALERT
    resends = config.digest_after_unknown == "resend"
    recipients.settle(session, digest_id, outcomes, now(), retry_at=retry_at, resends=resends, shrinks=shrinks)
    if shrinks and any(outcome.error_code == recipients.TOO_LARGE for outcome in outcomes.values()):
        digest.without_workbook = True
        # The next mail is another one.
        digests.sending_path(config.data_dir, digest_id).unlink(missing_ok=True)


def send(db: Database, config: Settings, digest_id: int, built: Summary | None = None) -> Digest | None:
    """Build and send a claimed digest; None where it is not this caller's to send. Its status says how it went.

    Whoever has just built the workbook gives its summary, so that the very file that was shown is what is mailed.
    """
    most = WORK[SEND_DIGEST].most_attempts
    with db.write() as session:
        taken = digests.take(session, digest_id, now())
        if taken is None:
            return None
        # An attempt whose process died is counted too, and had no outcome that could have ended this.
        is_over = taken.attempts > most
        if is_over:
            text = f"not built or sent in {most} attempts; see the worker's log"
            digests.fail(session, taken.digest, "attempts", text, now())
            log.error("Digest %d failed: %s", digest_id, text)
    if not is_over:
        with renewed(db, SEND_DIGEST, taken.owner):
            _build_and_send(db, config, taken, built)
    with db.read() as session:
        found = session.get(Digest, digest_id)
    if found and found.without_workbook > taken.digest.without_workbook and found.status == "claimed":
        # What was too large goes at once without its workbook.
        return send(db, config, digest_id)
    return found


def _build_and_send(db: Database, config: Settings, taken: Taken, built: Summary | None) -> None:
    digest = taken.digest
    with db.read() as session:
        rows = recipients.of(session, digest.id)
    path = digests.sending_path(config.data_dir, digest.id)
    if path.exists() and any(row.state == recipients.SENT or row.resends for row in rows):
        # Whoever is mailed later gets the very mail that others have.
        _send_by_smtp(db, config, taken, path.read_bytes())
        return
    message = _composed(db, config, digest, built)
    mail.keep(mail.without_attachments(message), digests.mail_path(config.data_dir, digest.id))
    content = mail.on_the_line(message)
    if config.smtp_host:
        mail.keep(content, path)
        _send_by_smtp(db, config, taken, content)
        return
    mail.keep(message, mail.outbox_path(config, digest))
    with db.write() as session:
        if digests.is_last_taken(session, taken):
            recipients.move(session, digest.id, [recipients.DUE], recipients.KEPT, now())
            concluded = digests.conclude(session, digest.id, now())
            _say(concluded, recipients.of(session, digest.id))


class _LeaseLostError(Exception):
    """Somebody else has taken the digest over."""


def _send_by_smtp(db: Database, config: Settings, taken: Taken, content: bytes) -> None:
    """Send, and write down what became of each recipient as soon as that is known."""
    digest_id = taken.digest.id
    with db.write() as session:
        if not digests.begin_sending(session, taken, now()):
            return  # The workbook took so long that somebody else took the digest over.
        trying = recipients.sending(session, digest_id)
        if not trying:
            digests.fail(session, taken.digest, "nobody", "nobody is to receive it; set RECIPIENT_EMAIL", now())
            return

    def check() -> None:
        """The last look before the mail leaves, so that it leaves once."""
        with db.write() as session:
            if not work.renew(session, SEND_DIGEST, taken.owner, now()):
                raise _LeaseLostError

    def need_last(session: Session) -> None:
        if not digests.is_last_taken(session, taken):
            raise _LeaseLostError

    try:
        for outcomes in mail.send(config, content, mail.sender(content), trying, check):
            with db.write() as session:
                need_last(session)
                wait = WORK[SEND_DIGEST].wait_after(taken.attempts)
                _settle(session, config, digest_id, outcomes, retry_at=now() + wait if wait else None)
        with db.write() as session:
            need_last(session)
            concluded = digests.conclude(session, digest_id, now())
            rows = recipients.of(session, digest_id)
    except _LeaseLostError:
        log.warning("Digest %d is another process's by now, which sends it", digest_id)
        return
    _say(concluded, rows)
    if concluded.status not in ("claimed", "held"):
        digests.sending_path(config.data_dir, digest_id).unlink(missing_ok=True)


def _say(digest: Digest, rows: Sequence[DigestRecipient]) -> None:
    """Log how a digest stands: who was mailed, who will be, and who cannot be."""
    what = f"Digest {digest.id} of {digest.tickets} tickets"
    if mailed := recipients.mailed(rows):
        log.info("%s is sent to %s", what, recipients.named(mailed))
    elif digest.status == "sent":
        log.info("%s is kept in the outbox", what)
    if due := [row for row in rows if row.state == recipients.DUE]:
        again = min(row.run_at for row in due).isoformat(timespec="seconds")
        log.warning("%s is tried again at %s: %s", what, again, recipients.problems(due, len(rows)))
    if wrong := [row for row in rows if row.state in recipients.WRONG]:
        status = {"failed": "failed", "held": "is held"}.get(digest.status, "does not reach everybody")
        log.error("%s %s: %s", what, status, recipients.problems(wrong, len(rows)))


def _composed(db: Database, config: Settings, digest: Digest, built: Summary | None) -> EmailMessage:
    if digest.name == digests.ALERT:
        with db.read() as session:
            soonest = soonest_due(session, in_digest(digest.id), _NAMED_IN_ALERT)
        return mail.compose_alert(config, digest, soonest)
    summary = built or build_workbook(db, config, digest)
    path = digests.workbook_path(config.data_dir, digest.id)
    attachment = Attachment(path, config.report_filename, is_linked=digest.without_workbook)
    with db.read() as session:
        before = digests.previous(session, digest)
        first = session.get(Digest, digest.copy_of) if digest.copy_of else None
        moment = (first or digest).created_at
        soonest = soonest_due(session, in_digest(digest.id) & at_risk(moment), _NAMED_IN_DIGEST)
    content = Content(summary, soonest, before.tickets if before else None, first)
    return mail.compose(config, digest, content, attachment)


def build_workbook(db: Database, config: Settings, digest: Digest) -> Summary:
    """Write the workbook of a digest to its place; a copy shows how things stood at the time of the first."""
    with db.read() as session:
        first = session.get(Digest, digest.copy_of) if digest.copy_of else None
        before = digest_members.counts(session, digests.previous(session, digest))
        rows, path = digest_members.rows(session, digest.id), digests.workbook_path(config.data_dir, digest.id)
        look = _look(config, digest.name, schedules.of(config, digest.name))
        return workbook.build(path, rows, (first or digest).created_at, look, before)


def _look(config: Settings, name: str, plan: Plan) -> workbook.Look:
    title = config.sender_name if name in (digests.SCHEDULED, digests.RUN) else f"{config.sender_name} ({name})"
    return workbook.Look(title, plan.columns, plan.language, config.url if config.public_url else None, plan.zone)


def send_now(db: Database, config: Settings, plan: Plan | None = None) -> Digest | None:
    """Claim everything settled since the last digest of this plan and send it here; None where nothing was."""
    return _send_ordered(db, config, orders.send_now, plan or schedules.named(config))


def resend(db: Database, config: Settings, digest_id: int) -> Digest | None:
    """Send a copy of a digest to the same people; None where there is no such digest, or it is on its way itself."""
    return _send_ordered(db, config, orders.resend, digest_id)


def redrive(db: Database, config: Settings, digest_id: int) -> Digest | None:
    """Send a digest that failed or is held after all, under its own Message-ID; None where it is neither."""
    return _send_ordered(db, config, orders.redrive, digest_id)


def _send_ordered(db: Database, config: Settings, order: Callable[[Context, str, T], Digest], what: T) -> Digest | None:
    """Send what a person orders in this process, which can say how it went; no worker is woken for it."""
    context = replace(for_command(db, config), wake=lambda _: None)
    try:
        ordered = order(context, shell_user.who(), what)
    except ActionError:
        return None
    return send(db, config, ordered.id)


def preview(db: Database, config: Settings, plan: Plan | None = None) -> str:
    """Build the workbook and the mail that a digest claimed now would have, claim nothing, and say what is in them."""
    plan, moment = plan or schedules.named(config), now()
    path = digests.preview_path(config.data_dir, plan.name, ".xlsx")
    with db.read() as session:
        before = digests.latest(session, plan.name)
        rows = digest_members.pending(session, plan.name, plan.chosen, moment)
        summary = workbook.build(
            path, rows, moment, _look(config, plan.name, plan), digest_members.counts(session, before)
        )
        soonest = digest_members.pending_soonest(session, plan.name, plan.chosen, moment, _NAMED_IN_DIGEST)
    content = Content(summary, soonest, before.tickets if before else None)
    # A digest that is nowhere in the record.
    receivers, message_id = list(plan.recipients), f"<preview@{config.envelope.domain}>"
    sketch = Digest(id=0, name=plan.name, created_at=moment, recipients=receivers, message_id=message_id)
    message = mail.compose(config, sketch, content, Attachment(path, config.report_filename))
    mail.keep(mail.without_attachments(message), digests.preview_path(config.data_dir, plan.name, ".eml"))
    whom = ", ".join(receivers) or "the outbox"
    return (
        f"A digest sent now would go to {whom} with {summary.total} tickets, {summary.needs_review} of them to "
        f"review.\nIts workbook is {path}; nothing is sent."
    )


def preview_job(name: str) -> None:
    """The job that previews the digest `name` for its page. Safe to run twice: it claims and sends nothing."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        preview(db, config, schedules.of(config, name))
