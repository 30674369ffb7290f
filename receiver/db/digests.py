"""Digests: claiming a period once, its exact membership, and the way from claimed to sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import make_msgid
from pathlib import Path
from secrets import token_hex
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, literal, select, update
from sqlalchemy.orm import Session

from receiver.db import alarms, counters, recipients
from receiver.db.database import PARAMETERS
from receiver.db.digest_filters import EVERYTHING, Filter, members, untold_at_risk
from receiver.db.models import (
    Classification,
    CounterRow,
    Digest,
    DigestRecipient,
    DigestTicket,
    Moment,
    Ticket,
    TimetableEntry,
)
from receiver.lib.mail_addresses import Envelope, once

SENDING_LEASE = timedelta(seconds=120)  # Renewed while its holder lives, so only that of a dead one runs out.
RENEW_SECONDS = 20.0
ALERTS_APART = timedelta(minutes=10)
SCHEDULED, RUN, ALERT = "digest", "run", "alert"
ALARM = "digest"
SKIPPED, REPLACED = "skipped", "replaced"  # Why a mail was cancelled.
NO_PROBLEM: dict[str, Any] = {"error": None, "cancel_code": None, "replaced_by": None}


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
    until = counters.add(session, "settled", 0)  # Its lock lets one claim at a time see what the last one took.
    if session.scalar(select(Digest.id).where(Digest.name == name, Digest.period == period)):
        return None
    after = last_settled(session, name)
    digest = _new(name, period, envelope, now)
    digest.settled_after, digest.settled_until = after, until
    found = _fill(session, digest, [members(name, chosen, (after, until), now)], even_empty=even_empty)
    if found is None:
        counters.put(session, _position(name), until)  # What does not match now is not looked at again.
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
    counters.add(session, "settled", 0)  # Its lock keeps two claims from telling of the same tickets.
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
    recipients.add(session, made)
    session.flush()
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
        claimable_at=now,
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
    recipients.add(session, digest)
    session.flush()
    return digest


def _count(session: Session, digest: Digest) -> int:
    return session.scalar(select(func.count()).where(DigestTicket.digest_id == digest.id)) or 0


def take(session: Session, digest_id: int, now: datetime) -> Digest | None:
    """The digest, if it is this caller's to build and send now, under a lease of its own; an attempt is counted."""
    return session.scalar(
        update(Digest)
        .where(Digest.id == digest_id, Digest.status == "claimed", Digest.claimable_at <= now)
        .values(claimable_at=now + SENDING_LEASE, attempts=Digest.attempts + 1, lease=token_hex(8))
        .returning(Digest),
        execution_options={"synchronize_session": False},
    )


def begin_sending(session: Session, digest: Digest, now: datetime) -> bool:
    """Move a digest that was taken, and whom it is for now, to `sending`; False where it has been taken again since."""
    if not _hold(session, digest, ["claimed"], status="sending", claimable_at=now + SENDING_LEASE):
        return False
    recipients.begin(session, digest.id, now)
    return True


def renew(session: Session, digest: Digest, now: datetime) -> bool:
    """Hold on to a digest that is being built or sent; False where it is not this caller's any more."""
    return _hold(session, digest, ["claimed", "sending"], claimable_at=now + SENDING_LEASE)


def _hold(session: Session, digest: Digest, statuses: Sequence[str], **values: Any) -> bool:
    query = update(Digest).where(Digest.id == digest.id, Digest.status.in_(statuses), Digest.lease == digest.lease)
    held = session.scalar(query.values(**values).returning(Digest.id), execution_options={"synchronize_session": False})
    return held is not None


def is_ours(session: Session, digest: Digest) -> bool:
    """Whether nobody has taken the digest since this caller did; who comes back late still knows what became of it."""
    return session.scalar(select(Digest.lease).where(Digest.id == digest.id)) == digest.lease


def conclude(session: Session, digest_id: int, now: datetime) -> Digest:
    """Make of what became of its recipients what becomes of the digest, and sound or clear its alarm."""
    digest = session.get_one(Digest, digest_id, populate_existing=True)
    rows = recipients.of(session, digest_id)
    states = {row.state for row in rows}
    digest.error = recipients.problems(rows)
    if recipients.DUE in states:
        digest.status = "claimed"
        digest.claimable_at = min(row.run_at for row in rows if row.state == recipients.DUE)
    elif recipients.HELD in states:
        digest.status = "held"
    elif states <= {recipients.SENT, recipients.KEPT}:
        digest.status = "sent"
    else:
        digest.status = "partly_sent" if recipients.SENT in states else "failed"
    if digest.status in ("sent", "partly_sent"):
        digest.sent_at = max((row.sent_at for row in rows if row.sent_at), default=now)
    session.flush()
    _alarm(session, digest, rows, now)
    return digest


def _alarm(session: Session, digest: Digest, rows: Sequence[DigestRecipient], now: datetime) -> None:
    """An alarm is over only when everybody was reached, and no other digest of its name waits for a decision."""
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


def mark(session: Session, digest_id: int, status: str, now: datetime, **columns: Any) -> None:
    """Move a digest and its recipients to `status`; while it is `sending`, nobody else touches it for two minutes."""
    values = {"status": status, "claimable_at": now + SENDING_LEASE} | columns
    session.execute(update(Digest).where(Digest.id == digest_id).values(**values))
    states = {"sent": recipients.SENT, "failed": recipients.FAILED, "held": recipients.HELD, "claimed": recipients.DUE}
    if status in states:
        open_ones = [recipients.DUE, recipients.SENDING, recipients.KEPT]
        recipients.move(session, digest_id, open_ones, states[status], now)
    if status == "sending":
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
    if not _settled_by_hand(session, digest_id, unsent, status="claimed", attempts=0, claimable_at=now, lease=None):
        return False
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
    return session.scalar(query.returning(Digest.id), execution_options={"synchronize_session": False}) is not None


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


def waiting(session: Session, now: datetime) -> Sequence[int]:
    """The ids of the digests that are claimed and can be taken, oldest first."""
    query = select(Digest.id).where(Digest.status == "claimed", Digest.claimable_at <= now).order_by(Digest.id)
    return session.scalars(query).all()


def interrupted(session: Session, now: datetime) -> Sequence[int]:
    """The ids of the digests whose sender died while sending, so that nobody knows whether the mail went out."""
    return session.scalars(select(Digest.id).where(Digest.status == "sending", Digest.claimable_at <= now)).all()


def recover_future(session: Session, now: datetime) -> None:
    """Bring back to the present what a clock that has since been set back put far into the future.

    Slots that it took too early count as done until now; a period that was claimed stays claimed.
    """
    far = now + timedelta(hours=1)
    session.execute(
        update(Digest)
        .where(Digest.status.in_(["claimed", "sending"]), Digest.claimable_at > far)
        .values(claimable_at=now + SENDING_LEASE)  # Whoever is sending it has the usual time to end.
    )
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
