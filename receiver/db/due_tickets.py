"""The tickets that wait to be classified, as work in the queue, and what becomes of those whose worker died."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from receiver.db import counters, latencies, work
from receiver.db.models import CLASSIFY, FAILED, Ticket, Work
from receiver.lib.retry_policy import WORK, Cause

POLICY = WORK[CLASSIFY]
CRASHED = "crashed"  # The error code of what was given up because its worker died too often.


@dataclass(frozen=True, slots=True)
class DueTicket:
    """A ticket that was claimed, and how often that has happened since it is due, this time included."""

    ticket: Ticket
    attempts: int


def claim(
    session: Session,
    owner: str,
    limit: int,
    now: datetime,
    source: str | None = None,
    but_not: Sequence[int] = (),
) -> list[DueTicket]:
    """Up to `limit` due tickets, the longest due first, now under `owner`'s lease; of one `source` where it is named.

    Whoever still waits for an answer to an earlier text of a ticket names it in `but_not`: under the same lease that
    answer would be saved for the newer text.
    """
    others = [Work.subject_id.not_in(but_not)] if but_not else []
    return _loaded(session, work.claim(session, CLASSIFY, owner, limit, now, *_of(source), *others), now)


def claim_crashed(
    session: Session, owner: str, now: datetime, source: str | None = None, limit: int = 8
) -> list[DueTicket]:
    """A few due tickets whose worker died; they must be settled before anything else is claimed."""
    return _loaded(session, work.claim_crashed(session, CLASSIFY, owner, limit, now, *_of(source)), now)


def _loaded(session: Session, claimed: Sequence[work.Claimed], now: datetime) -> list[DueTicket]:
    waits = ((now - each.due_since) / timedelta(milliseconds=1) for each in claimed)
    latencies.note(session, latencies.WAIT, waits, now)
    wanted = Ticket.id.in_([each.subject_id for each in claimed])
    found = {ticket.id: ticket for ticket in session.scalars(select(Ticket).where(wanted))} if claimed else {}
    return [DueTicket(found[each.subject_id], each.attempts) for each in claimed]


def _of(source: str | None) -> list[ColumnElement[bool]]:
    return [Work.source == source] if source else []


def renew(session: Session, owner: str, now: datetime) -> None:
    """Hold on to every ticket that `owner` has."""
    work.renew(session, CLASSIFY, owner, now)


def give_back(session: Session, ticket_ids: Sequence[int], owner: str, now: datetime) -> None:
    """Have tickets be due at once that nobody was asked about; the attempt does not count."""
    work.retry(session, CLASSIFY, ticket_ids, owner, now, counts=False)


def retry(
    session: Session,
    due: DueTicket,
    owner: str,
    run_at: datetime,
    error_code: str,
    error: str,
    *,
    counts: bool = True,
) -> None:
    """Have a ticket be due again at `run_at`, after a failure that says `error`."""
    ticket_id = due.ticket.id
    if work.retry(session, CLASSIFY, [ticket_id], owner, run_at, error_code, counts=counts):
        attempts = due.attempts if counts else due.attempts - 1
        session.execute(update(Ticket).where(Ticket.id == ticket_id).values(attempts=attempts, error=error))


def fail(session: Session, ticket_id: int, error_code: str, error: str, attempts: int, owner: str | None) -> None:
    """Give a ticket up: it is `failed`, with the reason, until somebody redrives it.

    Nothing happens where the ticket is no longer under this owner's lease; without an `owner`, where somebody holds it.
    """
    if work.bury(session, CLASSIFY, ticket_id, owner, error_code):
        values = {"status": FAILED, "error": error, "attempts": attempts}
        settled = counters.add(session, "settled", 1)
        session.execute(update(Ticket).where(Ticket.id == ticket_id).values(**values, settled=settled))


def expire(session: Session, now: datetime) -> int:
    """Free the tickets whose lease ran out because its owner died; returns how many there were.

    A ticket that has seen its worker die too often becomes `failed`.
    """
    return _settle_deaths(session, work.expire(session, CLASSIFY, now))


def end(session: Session, owner: str, now: datetime) -> int:
    """Free the tickets of an owner who is known to have died, as `expire` does."""
    return _settle_deaths(session, work.end(session, CLASSIFY, owner, now))


def _settle_deaths(session: Session, freed: Sequence[tuple[int, int]]) -> int:
    for ticket_id, crashes in freed:
        queued = work.of(session, CLASSIFY, ticket_id) if crashes >= POLICY.most_crashes else None
        if queued:
            reason = f"the worker died {crashes} times while classifying this ticket; redrive it to try again"
            fail(session, ticket_id, CRASHED, reason, queued.attempts, owner=None)
    return len(freed)


def any_due(session: Session, now: datetime) -> bool:
    """Whether anything can be claimed at once."""
    return work.any_due(session, [CLASSIFY], now)


def any_crashed(session: Session, now: datetime, source: str | None = None) -> bool:
    """Whether a ticket whose worker died can be claimed."""
    return work.any_crashed(session, CLASSIFY, now, *_of(source))


def first_due(session: Session, source: str | None = None) -> datetime | None:
    """From when the first waiting ticket can be claimed, of one `source` where it is named; None where none waits."""
    return work.first_due(session, CLASSIFY, *_of(source))


def put_back(session: Session, ticket: Ticket, crashes: int, error_code: str | None, now: datetime) -> None:
    """Queue a ticket whose review was undone as its status says: to be classified, or as a dead letter.

    What killed workers before is suspected still.
    """
    work.put(session, CLASSIFY, [ticket.id], ticket.source, now)
    suspected = update(Work).where(Work.kind == CLASSIFY, Work.subject_id == ticket.id).values(crashes=crashes)
    session.execute(suspected, execution_options={"synchronize_session": False})
    if ticket.status == FAILED:
        work.bury(session, CLASSIFY, ticket.id, None, error_code or Cause.OTHER)
