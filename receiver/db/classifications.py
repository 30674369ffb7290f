"""Classifications: saving a decision, and a ticket's history of them."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Executable, and_, bindparam, exists, func, insert, select, text, update
from sqlalchemy.orm import Session

from receiver.db import counters, outbox, work
from receiver.db.models import CLASSIFIED, CLASSIFY, NEEDS_REVIEW, RETRY_FALLBACK, Classification, Ticket, table_of
from receiver.lib.sla import Promise

_is_settled = Ticket.status.in_([CLASSIFIED, NEEDS_REVIEW])
# The ticket has a fallback engine's answer, and the engine that should have answered is asked again.
waits_for_engine = and_(
    _is_settled,
    # In the words of the partial index of stand-ins, or it is not used.
    Ticket.id.in_(
        select(Classification.ticket_id).where(
            text("classifications.current AND classifications.from_fallback_engine"), Classification.ticket_id > 0
        )
    ),
)
_is_still_current = exists().where(Classification.id == bindparam("replaced_id"), Classification.current)

# Built once, because every classification executes them.
_SETTLE = update(table_of(Ticket)).where(Ticket.id == bindparam("settled_id")).returning(Ticket.source)
_REPLACE = _SETTLE.where(_is_settled, _is_still_current)
_END = (
    update(table_of(Classification))
    .where(Classification.ticket_id == bindparam("settled_id"), Classification.current)
    .values(current=False)
)
_INSERT = insert(table_of(Classification)).returning(Classification.id)
_ANSWERED = (
    select(Classification.id)
    .where(Classification.cache_key == bindparam("asked_key"), Classification.reviewer.is_(None))
    .where(~Classification.fallback, ~Classification.from_fallback_engine, ~Classification.steers)
    .order_by(Classification.id.desc())
    .limit(1)
)


def save(
    session: Session,
    owner: str,
    classification: Classification,
    promise: Promise,
    writes: Mapping[str, bool] | None = None,
    *,
    attempts: int = 1,
) -> bool:
    """Make `classification` the current one of its ticket, which is then settled under this `promise`.

    The helpdesk is told of it where its source is among `writes`; see `outbox.plan_write_back`. `attempts` is how often
    it was tried. False, and nothing is written, where the ticket is no longer under this owner's lease: it was changed
    or taken over meanwhile.
    """
    if not work.ack(session, CLASSIFY, classification.ticket_id, owner):
        return False
    return _settle(session, classification, promise, writes, _SETTLE, attempts=attempts)


def replace(
    session: Session,
    replaced_id: int,
    classification: Classification,
    promise: Promise,
    writes: Mapping[str, bool] | None = None,
) -> bool:
    """Make `classification` the current one in the place of one that stood in; the ticket is settled anew, see `save`.

    False, and nothing is written, where that one is no longer current, or the ticket was changed or reviewed since.
    """
    return _settle(session, classification, promise, writes, _REPLACE, replaced_id=replaced_id)


def _settle(
    session: Session,
    classification: Classification,
    promise: Promise,
    writes: Mapping[str, bool] | None,
    statement: Executable,
    **values: int,
) -> bool:
    connection, of_ticket = session.connection(), {"settled_id": classification.ticket_id}
    settled = {
        "status": NEEDS_REVIEW if classification.review_reason else CLASSIFIED,
        "category": classification.category,
        "request_type": classification.request_type,
        "at_risk_at": promise.at_risk_at,
        "due_at": promise.due_at,
        "error": None,
        "settled": counters.add(session, "settled", 1),
    }
    source = connection.execute(statement, settled | of_ticket | values).scalar()
    if source is None:
        return False
    connection.execute(_END, of_ticket)
    columns = table_of(Classification).columns
    values = {name: value for name, value in vars(classification).items() if name in columns}
    classification.id = connection.execute(_INSERT, values).scalar_one()
    outbox.plan_write_back(session, source, classification, writes or {}, classification.created_at)
    if classification.from_fallback_engine:
        work.put(session, RETRY_FALLBACK, [classification.id], source, classification.created_at)
    counters.add(session, "tokens.prompt", classification.prompt_tokens)
    counters.add(session, "tokens.completion", classification.completion_tokens)
    return True


def replace_current(
    session: Session, source: str, classification: Classification, writes: Mapping[str, bool] | None
) -> None:
    """Make `classification` the current one of its ticket; the one before becomes history. `writes` as in `save`."""
    session.execute(
        update(Classification)
        .where(Classification.ticket_id == classification.ticket_id, Classification.current)
        .values(current=False)
    )
    session.add(classification)
    session.flush()
    outbox.plan_write_back(session, source, classification, writes or {}, classification.created_at)


def current(session: Session, ticket_id: int) -> Classification | None:
    """What a ticket is attributed to now."""
    return session.scalar(select(Classification).where(Classification.ticket_id == ticket_id, Classification.current))


def stand_ins_in_a_row(session: Session, apart_from: str, most: int) -> int:
    """In how many of the latest classifications by engines, up to `most`, the engine gave no answer itself.

    Those whose cause is `apart_from` do not count, nor do answers that were known already.
    """
    cause = func.coalesce(Classification.stand_in_cause, "")
    query = (
        select(cause)
        .where(Classification.reviewer.is_(None), ~Classification.from_cache, cause != apart_from)
        .order_by(Classification.id.desc())
        .limit(most)
    )
    return sum(1 for _ in itertools.takewhile(bool, session.scalars(query)))


def from_fallback_engine(session: Session, classification_ids: Sequence[int]) -> list[tuple[Ticket, int]]:
    """Those of these classifications that the engine may replace, each with its ticket before it.

    Not those of tickets that a person has reviewed, or that wait to be classified anyway.
    """
    query = (
        select(Ticket, Classification.id)
        .join(Classification, Classification.ticket_id == Ticket.id)
        .where(Classification.id.in_(classification_ids))
        .where(Classification.current, Classification.from_fallback_engine, _is_settled)
    )
    return [(ticket, classification_id) for ticket, classification_id in session.execute(query)]


def waiting_for_engine(session: Session, limit: int) -> int:
    """How many tickets have an answer of the fallback engine alone, counted up to `limit`."""
    found = select(Ticket.id).where(waits_for_engine).limit(limit).subquery()
    return session.scalar(select(func.count()).select_from(found)) or 0


def ask_again(session: Session, classification_id: int, now: datetime) -> None:
    """Have the engine asked again where the fallback engine made this classification, which has become current."""
    made = select(Classification.id, Ticket.source).join(Ticket, Ticket.id == Classification.ticket_id)
    for found in session.execute(made.where(Classification.id == classification_id, waits_for_engine)):
        work.put(session, RETRY_FALLBACK, [found.id], found.source, now)


def keep(session: Session, classification_id: int) -> None:
    """No other engine will answer: what stood in stays."""
    session.execute(
        update(Classification).where(Classification.id == classification_id).values(from_fallback_engine=False)
    )


def answered(session: Session, cache_key: str) -> Classification | None:
    """The latest answer of a model to an identical ticket, where it may be used again.

    Not what stood in for it, nor what it said to a text that tries to command it.
    """
    found = session.connection().execute(_ANSWERED, {"asked_key": cache_key}).scalar()
    return session.get_one(Classification, found) if found else None


def history(session: Session, ticket_id: int) -> Sequence[Classification]:
    """Every classification of a ticket, newest first."""
    query = select(Classification).where(Classification.ticket_id == ticket_id).order_by(Classification.id.desc())
    return session.scalars(query).all()
