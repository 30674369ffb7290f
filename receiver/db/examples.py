"""Examples: the reviewed tickets that engines learn from. The text stands in the ticket; here is what it is one of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import Session

from receiver.db.database import PARAMETERS
from receiver.db.models import ExampleRow, Ticket

Texts = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An example with its ticket's text."""

    id: int
    short_description: str
    long_description: str
    category: str
    request_type: str


def remember(session: Session, ticket_id: int, category: str, request_type: str, now: datetime) -> None:
    """Make the ticket an example of this entry, and of no other; the row is a new one, with an id never used before."""
    forget(session, ticket_id)
    session.add(ExampleRow(ticket_id=ticket_id, category=category, request_type=request_type, created_at=now))


def forget(session: Session, ticket_id: int) -> None:
    """The ticket is no example any more, if it was one."""
    session.execute(delete(ExampleRow).where(ExampleRow.ticket_id == ticket_id))


def forget_unlike(session: Session, texts: Mapping[int, Texts]) -> None:
    """Drop the examples among these tickets whose short and long description will be others: nobody reviewed those."""
    ids = list(texts)
    for start in range(0, len(ids), PARAMETERS):
        known = select(Ticket.id, Ticket.short_description, Ticket.long_description).join(ExampleRow)
        for row in session.execute(known.where(ExampleRow.ticket_id.in_(ids[start : start + PARAMETERS]))).all():
            if texts[row.id] != (row.short_description, row.long_description):
                forget(session, row.id)


def among(session: Session, ids: Collection[int]) -> Sequence[tuple[int, str, str, str]]:
    """Those of the examples that still are: the ticket, its short description, category and request type."""
    columns = (ExampleRow.ticket_id, Ticket.short_description, ExampleRow.category, ExampleRow.request_type)
    query = select(*columns).join(Ticket).where(ExampleRow.id.in_(list(ids)[:PARAMETERS]))
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(query.order_by(ExampleRow.id))]


def extent(session: Session) -> tuple[int, int]:
    """How many examples there are and the newest one's id, 0 without any; it changes with every change of them."""
    count, newest = session.execute(select(func.count(), func.max(ExampleRow.id))).one()
    return count, newest or 0


def are_still(session: Session, extent: tuple[int, int]) -> bool:
    """Whether all the examples of a `extent` taken earlier are examples still; new ones do not matter."""
    count, newest_id = extent
    return session.scalar(select(func.count()).where(ExampleRow.id <= newest_id)) == count


def newest(session: Session, entries: Collection[tuple[str, str]], limit: int) -> Sequence[Reviewed]:
    """Up to `limit` examples of these `entries` (category, request type).

    First come the newest of each entry, then the second newest of each, so that a limit never silences an entry.
    """
    entry = (ExampleRow.category, ExampleRow.request_type)
    rank = func.row_number().over(partition_by=entry, order_by=ExampleRow.id.desc())
    columns = (ExampleRow.id, Ticket.short_description, Ticket.long_description, *entry)
    query = select(*columns).join(Ticket).where(tuple_(*entry).in_(list(entries)))
    return [Reviewed(*row) for row in session.execute(query.order_by(rank, ExampleRow.id.desc()).limit(limit))]
