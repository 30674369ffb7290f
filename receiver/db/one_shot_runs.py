"""The digest of a run of the one-shot pipeline: while the run has not ended, the next one goes on with its digest."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from receiver.db import digests, recipients, work
from receiver.db.database import PARAMETERS
from receiver.db.digests import RUN
from receiver.db.models import SEND_DIGEST, Classification, Digest, DigestTicket, Ticket
from receiver.lib.mail_addresses import Envelope
from receiver.lib.retry_policy import WORK

# The run that made a digest is to build and send it itself, so a running stack takes it only after this.
_HEAD_START = WORK[SEND_DIGEST].lease
_UNSYNCHRONIZED = {"synchronize_session": False}


def claim(session: Session, ticket_ids: Sequence[int], envelope: Envelope, now: datetime) -> Digest | None:
    """The digest of these tickets: that of a run which did not end, where it would be the same, else a new one.

    It is the same for the same people, of the same tickets as they are classified now. Nobody else takes it for two
    minutes. None where none of the tickets is in the record any more.
    """
    # The key names everything that would make it another digest.
    key = hashlib.sha256(repr(sorted(envelope.recipients)).encode())
    current = and_(Classification.ticket_id == Ticket.id, Classification.current)
    query = select(Ticket.id, Classification.id).outerjoin(Classification, current).order_by(Ticket.id)
    ordered = sorted(ticket_ids)
    for start in range(0, len(ordered), PARAMETERS):
        for row in session.execute(query.where(Ticket.id.in_(ordered[start : start + PARAMETERS]))):
            key.update(repr(tuple(row)).encode())
    found = session.scalar(select(Digest).where(Digest.name == RUN, Digest.run_key == key.hexdigest()))
    if found is None and (found := digests.claim_batch(session, ticket_ids, envelope, now)):
        found.run_key = key.hexdigest()
        session.flush()
        work.put(session, SEND_DIGEST, [found.id], None, now + _HEAD_START)
    return found


def skip_mail(session: Session, digest: Digest, now: datetime) -> None:
    """Cancel the mail of a digest that nobody got yet and that is not on its way, so that nobody sends it."""
    if not recipients.mailed(recipients.of(session, digest.id)):
        _cancel(session, Digest.id == digest.id, now, cancel_code=digests.SKIPPED)


def want_mail(session: Session, digest: Digest, now: datetime) -> None:
    """Have a digest sent whose mail was skipped or refused before; those that it makes needless are not sent any more.

    Those are digests of earlier runs that wait to be sent and tell of no ticket that this one does not tell of.
    """
    unsent = Digest.status.in_(["failed", "partly_sent", "cancelled"])
    again = update(Digest).where(Digest.id == digest.id, unsent).values(status="claimed", **digests.NO_PROBLEM)
    if session.scalar(again.returning(Digest.id), execution_options=_UNSYNCHRONIZED):
        work.put(session, SEND_DIGEST, [digest.id], None, now + _HEAD_START)
        undone = [recipients.REFUSED, recipients.FAILED, recipients.CANCELLED]
        recipients.move(session, digest.id, undone, recipients.DUE, now)
    ours = select(DigestTicket.ticket_id).where(DigestTicket.digest_id == digest.id)
    others = select(DigestTicket.ticket_id).where(
        DigestTicket.digest_id == Digest.id, DigestTicket.ticket_id.not_in(ours)
    )
    needless = (Digest.name == RUN) & (Digest.id < digest.id) & ~others.exists()
    _cancel(session, needless, now, cancel_code=digests.REPLACED, replaced_by=digest.id)


def _cancel(session: Session, which: ColumnElement[bool], now: datetime, **why: Any) -> None:
    waiting = update(Digest).where(which, Digest.status == "claimed").values(status="cancelled", error=None, **why)
    found = session.scalars(waiting.returning(Digest.id), execution_options=_UNSYNCHRONIZED).all()
    work.cancel(session, SEND_DIGEST, found)
    for digest_id in found:
        recipients.move(session, digest_id, [recipients.DUE], recipients.CANCELLED, now)


def release(session: Session, digest_id: int, now: datetime) -> None:
    """Let whoever comes first take a digest that waits; one who is building it already will find that it is taken."""
    query = select(Digest.id).where(Digest.id == digest_id, Digest.status == "claimed").with_for_update()
    if session.scalar(query):
        work.reschedule(session, SEND_DIGEST, digest_id, now)


def finish(session: Session, digest_id: int) -> None:
    """The run has ended; the next one of the same tickets is another."""
    session.execute(update(Digest).where(Digest.id == digest_id).values(run_key=None))


def unsent(session: Session) -> Sequence[int]:
    """The ids of the digests of runs that wait to be sent, oldest first."""
    query = select(Digest.id).where(Digest.name == RUN, Digest.status == "claimed").order_by(Digest.id)
    return session.scalars(query).all()
