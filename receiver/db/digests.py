"""Digests: claiming a period once, its exact membership, and the way from claimed to sent.

The row of a digest says what; while it is `claimed` or `sending`, the row of its work says when it is sent and by whom
(`receiver.db.work`). Whoever changes both begins with the digest, so that no two of them wait for each other.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import make_msgid
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, func, insert, literal, select, update
from sqlalchemy.orm import Session

from receiver.db import alarms, counters, recipients, work
from receiver.db.database import PARAMETERS
from receiver.db.digest_filters import EVERYTHING, Filter, members, untold_at_risk
from receiver.db.models import (
    SEND_DIGEST,
    Classification,
    CounterRow,
    Digest,
    DigestRecipient,
    DigestTicket,
    Moment,
    Ticket,
    TimetableEntry,
    Work,
)
from receiver.lib.mail_addresses import Envelope, once

ALERTS_APART = timedelta(minutes=10)
SCHEDULED, RUN, ALERT = "digest", "run", "alert"
ALARM = "digest"
SKIPPED, REPLACED = "skipped", "replaced"  # Why a mail was cancelled.
NO_PROBLEM: dict[str, Any] = {"error": None, "cancel_code": None, "replaced_by": None}
_UNSYNCHRONIZED = {"synchronize_session": False}


class Taken(NamedTuple):
    """A digest under its owner's lease, and how often it has been tried, with this time, since it was last ordered."""

    digest: Digest
    owner: str
    attempts: int


def workbook_path(data_dir: Path, digest_id: int) -> Path:
    """Where the workbook of a digest is kept."""
    return data_dir / "digests" / f"digest-{digest_id}.xlsx"


def mail_path(data_dir: Path, digest_id: int) -> Path:
    """Where the mail of a digest is kept, without its workbook."""
    return data_dir / "digests" / f"digest-{digest_id}.eml"


def sending_path(data_dir: Path, digest_id: int) -> Path:
    """Where a mail that is not settled yet is kept as it went over the line, so that each recipient gets the same."""
    return data_dir / "digests" / f"digest-{digest_id}.sending"


def preview_path(data_dir: Path, name: str, suffix: str) -> Path:
    """Where the workbook (.xlsx) or the mail (.eml) is that the digest `name` would have had when somebody asked."""
    return data_dir / "digests" / f"preview-{name}{suffix}"


def claim(
    session: Session,
    period: str,
    envelope: Envelope,
    now: datetime,
    *,
    name: str = SCHEDULED,
    chosen: Filter = EVERYTHING,
    even_empty: bool = False,
) -> Digest | None:
    """The digest `name` of everything `chosen` that was settled since its last one.

    None where the period is taken, or where nothing was; `even_empty`, a digest without tickets says so.
    """
    # The counter's lock lets one claim at a time see what the last one took.
    until = counters.add(session, "settled", 0)
    if session.scalar(select(Digest.id).where(Digest.name == name, Digest.period == period)):
        return None
    after = last_settled(session, name)
    digest = _new(name, period, envelope, now)
    digest.settled_after, digest.settled_until = after, until
    found = _fill(session, digest, [members(name, chosen, (after, until), now)], even_empty=even_empty)
    if found is None:
        # What does not match now is not looked at again.
        counters.put(session, _position(name), until)
    return found


def claim_batch(
    session: Session, ticket_ids: Sequence[int], envelope: Envelope, now: datetime, name: str = RUN
) -> Digest | None:
    """The digest of one run of the pipeline, or an alert: these tickets and no others. No other digest is affected."""
    chunks = [ticket_ids[start : start + PARAMETERS] for start in range(0, len(ticket_ids), PARAMETERS)]
    return _fill(session, _new(name, now.isoformat(), envelope, now), [Ticket.id.in_(chunk) for chunk in chunks])


def claim_alert(session: Session, envelope: Envelope, now: datetime) -> Digest | None:
    """The alert about every ticket at risk that no alert has told of; None where none is, or another was just now.

    While one waits for a mail server, none is added: the next tells of all. What is past due since the last is in it.
    One that waits for some recipients only keeps no other from going out.
    """
    # The counter's lock keeps two claims from telling of the same tickets.
    counters.add(session, "settled", 0)
    query = select(func.max(Digest.created_at)).where(Digest.name == ALERT)
    last = session.scalar(query)
    if last and last <= now < last + ALERTS_APART:
        return None
    reached = select(DigestRecipient.address).where(
        DigestRecipient.digest_id == Digest.id, DigestRecipient.state == recipients.SENT
    )
    if session.scalar(query.where(Digest.status.in_(["claimed", "sending"]), ~reached.exists())):
        return None
    since = last if last and now - timedelta(days=1) < last <= now else now - 2 * ALERTS_APART
    return _fill(session, _new(ALERT, now.isoformat(), envelope, now), [untold_at_risk(ALERT, now, since)])


def copy(session: Session, digest_id: int, now: datetime) -> Digest | None:
    """A digest with the content of another, to be sent to the same people; None where that is on its way itself.

    It claims nothing: what it covers stays the other's.
    """
    found = session.get(Digest, digest_id)
    if found is None or found.status in ("claimed", "sending"):
        return None
    first = session.get_one(Digest, found.copy_of) if found.copy_of else found
    domain = first.message_id.rpartition("@")[2].rstrip(">")
    made = _new(first.name, f"copy-{first.id}-{now.isoformat()}", Envelope(tuple(first.recipients), domain), now)
    made.copy_of = first.id
    session.add(made)
    session.flush()
    rows = select(literal(made.id), DigestTicket.ticket_id, DigestTicket.classification_id)
    rows = rows.where(DigestTicket.digest_id == first.id)
    session.execute(insert(DigestTicket).from_select(["digest_id", "ticket_id", "classification_id"], rows))
    made.tickets = _count(session, made)
    _plan(session, made)
    return made


def _new(name: str, period: str, envelope: Envelope, now: datetime) -> Digest:
    return Digest(
        name=name,
        period=period,
        status="claimed",
        created_at=now,
        settled_after=0,
        settled_until=0,
        tickets=0,
        recipients=once(envelope.recipients),
        message_id=make_msgid("digest", envelope.domain),
    )


def _fill(
    session: Session, digest: Digest, conditions: Sequence[ColumnElement[bool]], *, even_empty: bool = False
) -> Digest | None:
    """Write the digest and its exact membership; None, and nothing is written, where it has no members."""
    session.add(digest)
    session.flush()
    current = and_(Classification.ticket_id == Ticket.id, Classification.current)
    for condition in conditions:
        rows = select(literal(digest.id), Ticket.id, Classification.id).outerjoin_from(Ticket, Classification, current)
        columns = ["digest_id", "ticket_id", "classification_id"]
        session.execute(insert(DigestTicket).from_select(columns, rows.where(condition)))
    digest.tickets = _count(session, digest)
    if not digest.tickets and not even_empty:
        session.delete(digest)
        return None
    _plan(session, digest)
    return digest


def _plan(session: Session, digest: Digest) -> None:
    """Have a new digest sent, at once, to everybody it is for."""
    recipients.add(session, digest)
    session.flush()
    work.put(session, SEND_DIGEST, [digest.id], None, digest.created_at)


def _count(session: Session, digest: Digest) -> int:
    return session.scalar(select(func.count()).where(DigestTicket.digest_id == digest.id)) or 0


def take(session: Session, digest_id: int, now: datetime) -> Taken | None:
    """The digest, if it is this caller's to build and send now, under a lease of its own; an attempt is counted."""
    query = select(Digest).where(Digest.id == digest_id, Digest.status == "claimed").with_for_update()
    if (digest := session.scalar(query)) is None:
        return None
    owner = token_hex(8)
    for claimed in work.claim(session, SEND_DIGEST, owner, 1, now, Work.subject_id == digest_id):
        digest.attempts += 1
        session.flush()
        return Taken(digest, owner, claimed.attempts)
    return None


def begin_sending(session: Session, taken: Taken, now: datetime) -> bool:
    """Move a digest that was taken, and whom it is for now, to `sending`; False where the lease on it is lost."""
    query = select(Digest.id).where(Digest.id == taken.digest.id, Digest.status == "claimed").with_for_update()
    if session.scalar(query) is None or not work.renew(session, SEND_DIGEST, taken.owner, now):
        return False
    session.execute(update(Digest).where(Digest.id == taken.digest.id).values(status="sending"))
    recipients.begin(session, taken.digest.id, now)
    return True


def is_last_taken(session: Session, taken: Taken) -> bool:
    """Whether nobody has taken the digest since: who comes back after the lease still knows what became of it."""
    query = select(Digest.attempts).where(Digest.id == taken.digest.id).with_for_update()
    return session.scalar(query) == taken.digest.attempts


def conclude(session: Session, digest_id: int, now: datetime) -> Digest:
    """Make of what became of its recipients what becomes of the digest, and sound or clear its alarm."""
    digest = session.get_one(Digest, digest_id, populate_existing=True, with_for_update=True)
    rows = recipients.of(session, digest_id)
    states = {row.state for row in rows}
    digest.error = recipients.problems(rows)
    if recipients.DUE in states:
        digest.status = "claimed"
        first = min(row.run_at for row in rows if row.state == recipients.DUE)
        work.reschedule(session, SEND_DIGEST, digest_id, first)
    else:
        if recipients.HELD in states:
            digest.status = "held"
        elif states <= {recipients.SENT, recipients.KEPT}:
            digest.status = "sent"
        else:
            digest.status = "partly_sent" if recipients.SENT in states else "failed"
        work.cancel(session, SEND_DIGEST, [digest_id])
    if digest.status in ("sent", "partly_sent"):
        digest.sent_at = max((row.sent_at for row in rows if row.sent_at), default=now)
    session.flush()
    # The alarm is over only when everybody was reached, and no other digest of its name waits for a decision.
    name = alarm_subject(digest.name)
    if wrong := [row for row in rows if row.state in recipients.WRONG]:
        code = {"failed": "digest_failed", "held": "digest_held"}.get(digest.status, "digest_partly")
        why = recipients.problems(wrong, len(rows))
        alarms.raise_(session, ALARM, now, code, name, digest=digest.id, error=why)
    elif digest.status == "sent":
        undecided = select(Digest).where(Digest.name == digest.name, Digest.status == "held")
        if other := session.scalar(undecided.order_by(Digest.id.desc()).limit(1)):
            alarms.raise_(session, ALARM, now, "digest_held", name, digest=other.id, error=other.error)
        else:
            alarms.clear(session, ALARM, name)
    return digest


def mark(session: Session, digest_id: int, status: str, now: datetime, **columns: Any) -> None:
    """Move a digest, its recipients and its work to `status`, whoever has it; one that is `sending` has a new owner."""
    session.execute(update(Digest).where(Digest.id == digest_id).values(status=status, **columns))
    states = {"sent": recipients.SENT, "failed": recipients.FAILED, "held": recipients.HELD, "claimed": recipients.DUE}
    if status in states:
        open_ones = [recipients.DUE, recipients.SENDING, recipients.KEPT]
        recipients.move(session, digest_id, open_ones, states[status], now)
    if status not in ("claimed", "sending"):
        work.cancel(session, SEND_DIGEST, [digest_id])
        return
    work.put(session, SEND_DIGEST, [digest_id], None, now)
    if status == "sending":
        work.claim(session, SEND_DIGEST, token_hex(8), 1, now, Work.subject_id == digest_id)
        recipients.begin(session, digest_id, now)


def fail(session: Session, digest: Digest, error_code: str, error: str, now: datetime) -> None:
    """Give a digest up for everybody who is due, with an alarm."""
    outcome = recipients.Outcome(recipients.FAILED, error_code, error)
    due = recipients.to_try(session, digest.id, now)
    recipients.settle(session, digest.id, dict.fromkeys(due, outcome), now, retry_at=None, resends=False)
    if due:
        conclude(session, digest.id, now)
    else:
        mark(session, digest.id, "failed", now, error=error)
        subject = alarm_subject(digest.name)
        alarms.raise_(session, ALARM, now, "digest_failed", subject, digest=digest.id, error=error)


def redrive(session: Session, digest_id: int, now: datetime) -> bool:
    """Have a digest sent after all to whom it did not reach, under its own Message-ID.

    False where it has neither failed for anybody, nor is it held or cancelled.
    """
    unsent = ["failed", "held", "partly_sent", "cancelled"]
    if not _settled_by_hand(session, digest_id, unsent, status="claimed"):
        return False
    work.put(session, SEND_DIGEST, [digest_id], None, now)
    recipients.count_resend(session, digest_id)
    recipients.move(session, digest_id, [*recipients.WRONG, recipients.CANCELLED], recipients.DUE, now)
    return True


def accept(session: Session, digest_id: int, now: datetime) -> bool:
    """Take a held digest for sent, because somebody has seen the mail; False where it is not held."""
    if not _settled_by_hand(session, digest_id, ["held"], status="sent", sent_at=now):
        return False
    recipients.move(session, digest_id, [recipients.HELD], recipients.SENT, now)
    conclude(session, digest_id, now)
    return True


def _settled_by_hand(session: Session, digest_id: int, statuses: Sequence[str], **columns: Any) -> bool:
    query = update(Digest).where(Digest.id == digest_id, Digest.status.in_(statuses)).values(**NO_PROBLEM, **columns)
    return session.scalar(query.returning(Digest.id), execution_options=_UNSYNCHRONIZED) is not None


def problem(digest: Digest) -> str | None:
    """What kept the digest from its recipients, in words."""
    if digest.cancel_code == SKIPPED:
        return "the mail was skipped by --skip-email"
    if digest.cancel_code == REPLACED:
        return f"digest {digest.replaced_by} of a later run tells of its tickets"
    return digest.error


def alarm_subject(name: str) -> str:
    """Whose alarm it is: one for each digest, or the success of one would hide the failure of another."""
    return "" if name == SCHEDULED else name


def expire(session: Session, now: datetime) -> None:
    """Make due again what is held by those who died building it; what they were sending is `interrupted`."""
    claimed = select(Digest.id).where(Digest.status == "claimed")
    work.expire(session, SEND_DIGEST, now, Work.subject_id.in_(claimed))


def interrupted(session: Session, now: datetime) -> Sequence[int]:
    """The ids of the digests whose sender died while sending, so that nobody knows whether the mail went out.

    They are locked; those that another settles right now are left out.
    """
    lives = exists().where(Work.kind == SEND_DIGEST, Work.subject_id == Digest.id, Work.lease_until > now)
    query = select(Digest.id).where(Digest.status == "sending", ~lives)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def recover_future(session: Session, now: datetime) -> None:
    """Bring back to the present the slots and moments that a clock took too early that has since been set back.

    They count as done until now; a period that was claimed stays claimed.
    """
    far = now + timedelta(hours=1)
    session.execute(update(TimetableEntry).where(TimetableEntry.last_slot > far).values(last_slot=now))
    session.execute(update(Moment).where(Moment.at > far).values(at=now))


def previous(session: Session, digest: Digest) -> Digest | None:
    """The digest of the same name before this one; for a copy, before the one it is a copy of."""
    query = select(Digest).where(Digest.name == digest.name, Digest.id < (digest.copy_of or digest.id))
    return session.scalar(query.where(Digest.copy_of.is_(None)).order_by(Digest.id.desc()).limit(1))


def latest(session: Session, name: str) -> Digest | None:
    """The newest digest of this name."""
    query = select(Digest).where(Digest.name == name, Digest.copy_of.is_(None)).order_by(Digest.id.desc()).limit(1)
    return session.scalar(query)


def last_settled(session: Session, name: str) -> int:
    """The number up to which digests of this name have covered what was settled.

    A digest that is new among others begins where the newest of them ended, not with years of tickets.
    """
    until = session.scalar(select(func.max(Digest.settled_until)).where(Digest.name == name))
    position = session.scalar(select(CounterRow.value).where(CounterRow.name == _position(name)))
    if until is None and position is None and name != SCHEDULED:
        return session.scalar(select(func.max(Digest.settled_until))) or 0
    return max(until or 0, position or 0)


def _position(name: str) -> str:
    return f"digest_until:{name}"


def page(session: Session, limit: int, before: int | None = None, status: str | None = None) -> Sequence[Digest]:
    """Up to `limit` digests, newest first, with ids below `before`, of one `status` where it is named."""
    query = select(Digest).order_by(Digest.id.desc()).limit(limit)
    if status:
        query = query.where(Digest.status == status)
    if before is not None:
        query = query.where(Digest.id < before)
    return session.scalars(query).all()


def take_slot(session: Session, name: str, slot: datetime) -> bool:
    """Whether `slot` of the digest `name` is new and now this caller's.

    The first time a digest is seen its current slot counts as done: what was due before it existed is not sent late.
    """
    entry = session.get(TimetableEntry, name, with_for_update=True)
    if entry is None:
        session.add(TimetableEntry(name=name, last_slot=slot))
        counters.put(session, _position(name), last_settled(session, name))
        return False
    if slot <= entry.last_slot:
        return False
    entry.last_slot = slot
    return True
