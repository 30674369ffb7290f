"""Classifications: saving a decision, and a ticket's history of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.record import tallies
from receiver.record.models import CLASSIFIED, NEEDS_REVIEW, Classification, Ticket


def save(session: Session, lease: str, classification: Classification, due_at: datetime) -> bool:
    """Make `classification` the current one of its ticket, which is then settled and promised for `due_at`.

    False, and nothing is written, where `lease` is no longer the ticket's: it was changed or taken over meanwhile.
    """
    ticket_id = classification.ticket_id
    settled = session.execute(
        update(Ticket)
        .where(Ticket.id == ticket_id, Ticket.lease == lease)
        .values(
            status=NEEDS_REVIEW if classification.review_reason else CLASSIFIED,
            category=classification.category,
            request_type=classification.request_type,
            due_at=due_at,
            lease=None,
            crashes=0,
            error=None,
            settled=tallies.add(session, "settled", 1),
        )
        .returning(Ticket.id),
        execution_options={"synchronize_session": False},
    ).first()
    if settled is None:
        return False
    session.execute(
        update(Classification)
        .where(Classification.ticket_id == ticket_id, Classification.current)
        .values(current=False)
    )
    session.add(classification)
    session.flush()
    tallies.add(session, "tokens.prompt", classification.prompt_tokens)
    tallies.add(session, "tokens.completion", classification.completion_tokens)
    return True


def history(session: Session, ticket_id: int) -> Sequence[Classification]:
    """Every classification of a ticket, newest first."""
    query = select(Classification).where(Classification.ticket_id == ticket_id).order_by(Classification.id.desc())
    return session.scalars(query).all()
