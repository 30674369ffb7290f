"""Erasing a requester from the tables."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from receiver.record import linear_models, tombstones, traces
from receiver.record.models import Classification, Delivery, DigestTicket, Errand, ExampleRow, Ticket, Verdict


@dataclass(frozen=True)
class Erasure:
    """How many rows were erased, and the digests whose files held the tickets."""

    tickets: int
    deliveries: int
    digest_ids: tuple[int, ...]


def erase_requester(session: Session, requester: str) -> Erasure:
    """Delete the tickets of this address with all that hangs on them, and empty every raw delivery that names it.

    The deliveries' rows stay without their bytes, and the tickets' names as digests, so that neither a redelivery nor a
    replay, a later event or a look at the helpdesk brings them back. Digests keep their counts. Where a ticket was
    reviewed, a linear model may have been trained with its text: then every model goes, and the next training makes one
    without it. This reads every raw body: it is an operator's rare act and not bound to be fast.
    """
    address = requester.lower()
    ticket_ids = select(Ticket.id).where(func.lower(Ticket.requester_email) == address)
    digest_ids = session.scalars(
        select(DigestTicket.digest_id).where(DigestTicket.ticket_id.in_(ticket_ids)).distinct()
    ).all()
    named = session.execute(select(Ticket.source, Ticket.external_id).where(Ticket.id.in_(ticket_ids))).all()
    tombstones.put(session, [(source, name) for source, name in named])
    sources = session.scalars(select(Ticket.delivery_id).where(Ticket.id.in_(ticket_ids)).distinct()).all()
    emptied = {*holding(session, requester), *sources}
    for delivery_id in emptied:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(body=None, rejected=[]))
    reviewed = Classification.ticket_id.in_(ticket_ids) & Classification.reviewer.is_not(None)
    if session.scalar(select(Classification.id).where(reviewed).limit(1)):
        linear_models.forget_all(session)
    session.execute(delete(ExampleRow).where(ExampleRow.ticket_id.in_(ticket_ids)))
    session.execute(delete(DigestTicket).where(DigestTicket.ticket_id.in_(ticket_ids)))
    session.execute(delete(Errand).where(Errand.ticket_id.in_(ticket_ids)))
    session.execute(delete(Verdict).where(Verdict.ticket_id.in_(ticket_ids)))
    session.execute(delete(Classification).where(Classification.ticket_id.in_(ticket_ids)))
    erased = session.execute(
        delete(Ticket).where(func.lower(Ticket.requester_email) == address).returning(Ticket.id),
        execution_options={"synchronize_session": False},
    ).all()
    return Erasure(len(erased), len(emptied), tuple(digest_ids))


def holding(session: Session, requester: str) -> list[int]:
    """The ids of the deliveries whose raw bytes hold the address, in any of the ways that `traces` knows."""
    bodies = select(Delivery.id, Delivery.body).where(Delivery.body.is_not(None)).execution_options(yield_per=100)
    return [delivery_id for delivery_id, body in session.execute(bodies) if body and traces.holds(body, requester)]
