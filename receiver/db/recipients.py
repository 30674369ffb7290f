"""What became of a digest for each of its recipients."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.db.models import Digest, DigestRecipient
from receiver.lib.mail_addresses import once

# `due` is tried (again) at its time, `sending` right now; `refused` was ruled out for this recipient by the server or
# the address, `failed` by something else; `held` may have arrived, `kept` lies in the outbox, `cancelled` is unwanted.
DUE, SENDING, SENT, KEPT, CANCELLED = "due", "sending", "sent", "kept", "cancelled"
REFUSED, FAILED, HELD = "refused", "failed", "held"
WRONG = (REFUSED, FAILED, HELD)  # Somebody is to look at these.
TOO_LARGE = "too_large"
_NAMED = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt to send a mail to a recipient: `sent`, `due`, `refused`, `failed` or `held`.

    `error_code` names the kind of fault in one word, `error` is a line for people with the server's own words.
    """

    state: str
    error_code: str | None = None
    error: str | None = None


def add(session: Session, digest: Digest) -> None:
    """Write down the recipients of a new digest; each is due."""
    session.add_all(
        DigestRecipient(digest_id=digest.id, address=address, state=DUE, run_at=digest.created_at)
        for address in once(digest.recipients)
    )


def of(session: Session, digest_id: int) -> Sequence[DigestRecipient]:
    """The recipients of a digest, by address."""
    query = select(DigestRecipient).where(DigestRecipient.digest_id == digest_id).order_by(DigestRecipient.address)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def of_each(session: Session, digest_ids: Iterable[int]) -> dict[int, list[DigestRecipient]]:
    """The recipients of several digests."""
    query = select(DigestRecipient).where(DigestRecipient.digest_id.in_(list(digest_ids)))
    rows = session.scalars(query.order_by(DigestRecipient.digest_id, DigestRecipient.address))
    return {digest_id: list(found) for digest_id, found in groupby(rows, key=lambda row: row.digest_id)}


def to_try(session: Session, digest_id: int, now: datetime) -> list[str]:
    """Whom an attempt that is made now is for: who is due, or where nobody is yet, who is due first."""
    due = [row for row in of(session, digest_id) if row.state == DUE]
    until = max([now, *[min(row.run_at for row in due)]]) if due else now
    return [row.address for row in due if row.run_at <= until]


def begin(session: Session, digest_id: int, now: datetime) -> None:
    """Whom an attempt that is made now is for is `sending` until it is known what became of it."""
    trying = DigestRecipient.address.in_(to_try(session, digest_id, now))
    rows = update(DigestRecipient).where(DigestRecipient.digest_id == digest_id, trying)
    session.execute(rows.values(state=SENDING))


def sending(session: Session, digest_id: int) -> list[str]:
    """Whom the attempt is for that is under way."""
    return [row.address for row in of(session, digest_id) if row.state == SENDING]


def settle(
    session: Session,
    digest_id: int,
    outcomes: Mapping[str, Outcome],
    now: datetime,
    *,
    retry_at: datetime | None,
    resends: bool,
    shrinks: bool = False,
) -> None:
    """Write down what became of an attempt for these recipients.

    Who is due is so again at `retry_at`, and has failed where that is None. With `resends`, what nobody knows is sent
    once more at once; a second time it is held. With `shrinks`, so is what was too large.
    """
    for row in of(session, digest_id):
        if (outcome := outcomes.get(row.address)) is None or row.state == SENT:
            continue
        row.attempts += 1
        row.state, row.error_code, row.error = outcome.state, outcome.error_code, outcome.error
        if outcome.state == SENT:
            row.sent_at = now
        elif outcome.state == DUE and retry_at:
            row.run_at = retry_at
        elif outcome.state == DUE:
            row.state = FAILED
        elif (outcome.state == HELD and resends and not row.resends) or (outcome.error_code == TOO_LARGE and shrinks):
            row.resends += outcome.state == HELD
            row.state, row.run_at = DUE, now
    session.flush()


def count_resend(session: Session, digest_id: int) -> None:
    """Count that a person has it sent again to those of whom nobody knows whether they have it."""
    rows = update(DigestRecipient).where(DigestRecipient.digest_id == digest_id, DigestRecipient.state == HELD)
    session.execute(rows.values(resends=DigestRecipient.resends + 1))


def move(session: Session, digest_id: int, states: Iterable[str], state: str, now: datetime) -> None:
    """Move the recipients in one of these states to another, as a person or a setting wants it."""
    new: dict[str, object] = {"state": state, "error_code": None, "error": None, "run_at": now}
    if state == SENT:
        new["sent_at"] = now
    rows = update(DigestRecipient).where(DigestRecipient.digest_id == digest_id)
    session.execute(rows.where(DigestRecipient.state.in_(list(states))).values(**new))


def problems(rows: Sequence[DigestRecipient], among: int | None = None) -> str | None:
    """What keeps the digest from whom, in a line; None where nothing does.

    Nobody is named where it is the same for everybody; `among` says how many there are, if more than these.
    """
    told: dict[str, list[DigestRecipient]] = {}
    for row in rows:
        if row.error and row.state != SENT:
            told.setdefault(row.error, []).append(row)
    for text, whose in told.items():
        if len(whose) == (among or len(rows)):
            return text
    return "; ".join(f"{named(whose)}: {text}" for text, whose in told.items()) or None


def named(rows: Sequence[DigestRecipient]) -> str:
    """The addresses of these recipients; of many, the first."""
    names = [row.address for row in rows[:_NAMED]]
    return ", ".join([*names, f"{len(rows) - _NAMED} more"] if len(rows) > _NAMED else names)


def mailed(rows: Sequence[DigestRecipient]) -> list[DigestRecipient]:
    """Those who were mailed for certain."""
    return [row for row in rows if row.state == SENT]
