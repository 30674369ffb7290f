"""Erasing a requester from the tables."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from receiver.record.models import Classification, Delivery, DigestTicket, Ticket


@dataclass(frozen=True)
class Erasure:
    """How many rows were erased, and the digests whose files held the tickets."""

    tickets: int
    deliveries: int
    digest_ids: tuple[int, ...]


def erase_requester(session: Session, requester: str) -> Erasure:
    """Delete the tickets of this address with all that hangs on them, and empty every raw delivery that names it.

    The deliveries' rows stay without their bytes, so that a redelivery does not bring the tickets back. Digests keep
    their counts. This reads every raw body: it is an operator's rare act and not bound to be fast.
    """
    address = requester.lower()
    ticket_ids = select(Ticket.id).where(func.lower(Ticket.requester_email) == address)
    digest_ids = session.scalars(
        select(DigestTicket.digest_id).where(DigestTicket.ticket_id.in_(ticket_ids)).distinct()
    ).all()
    holding = [
        delivery_id
        for delivery_id, body in session.execute(
            select(Delivery.id, Delivery.body).where(Delivery.body.is_not(None)).execution_options(yield_per=100)
        )
        if body and address.encode() in body.lower()
    ]
    sources = session.scalars(select(Ticket.delivery_id).where(Ticket.id.in_(ticket_ids)).distinct()).all()
    emptied = {*holding, *sources}
    for delivery_id in emptied:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(body=None, rejected=[]))
    session.execute(delete(DigestTicket).where(DigestTicket.ticket_id.in_(ticket_ids)))
    session.execute(delete(Classification).where(Classification.ticket_id.in_(ticket_ids)))
    erased = session.execute(
        delete(Ticket).where(func.lower(Ticket.requester_email) == address).returning(Ticket.id),
        execution_options={"synchronize_session": False},
    ).all()
    return Erasure(len(erased), len(emptied), tuple(digest_ids))
