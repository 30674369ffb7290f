"""Which tickets a digest tells of: what was settled since the last one of its name, and what is soon to breach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import ColumnElement, Select, and_, func, select, true
from sqlalchemy.orm import Session

from receiver.record.database import PARAMETERS
from receiver.record.models import RECEIVED, Digest, DigestTicket, Ticket

AT_RISK_FROM = 0.75


@dataclass(frozen=True)
class Filter:
    """What a ticket must be to come into a digest; an empty line lets everything pass, and all lines must hold."""

    category: tuple[str, ...] = ()
    request_type: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    at_risk: bool = False

    def condition(self) -> ColumnElement[bool]:
        """What SQL can say of it; the case of letters does not matter in what people have named."""
        held: list[ColumnElement[bool]] = [true()]
        for column, names in ((Ticket.category, self.category), (Ticket.request_type, self.request_type)):
            if names:
                held.append(func.lower(column).in_([name.lower() for name in names]))
        if self.source:
            held.append(Ticket.source.in_(self.source))
        if self.status:
            held.append(Ticket.status.in_(self.status))
        return and_(*held)


EVERYTHING = Filter()


def members(
    session: Session, name: str, chosen: Filter, settled: tuple[int, int], now: datetime
) -> Sequence[ColumnElement[bool]]:
    """The conditions, any of which makes a ticket a member of the digest `name`.

    `settled` is the range of what no digest of this name has seen. Where only tickets at risk are wanted, that range
    says nothing: a ticket may become so long after it was settled, and is told of when it is.
    """
    if not chosen.at_risk:
        after, until = settled
        return [and_(Ticket.settled > after, Ticket.settled <= until, chosen.condition())]
    return _chunks(untold_at_risk(session, name, now, chosen))


def _chunks(ids: Sequence[int]) -> Sequence[ColumnElement[bool]]:
    return [Ticket.id.in_(ids[start : start + PARAMETERS]) for start in range(0, len(ids), PARAMETERS)]


def untold_at_risk(session: Session, name: str, now: datetime, chosen: Filter = EVERYTHING) -> Sequence[int]:
    """The tickets at risk at `now` of which no digest of this name has told, the soonest due first."""
    found = list(_at_risk(session, select(Ticket.id, Ticket.received_at, Ticket.due_at).where(chosen.condition()), now))
    told: set[int] = set()
    for start in range(0, len(found), PARAMETERS):
        chunk = found[start : start + PARAMETERS]
        query = select(DigestTicket.ticket_id).join(Digest, Digest.id == DigestTicket.digest_id)
        told |= set(session.scalars(query.where(DigestTicket.ticket_id.in_(chunk), Digest.name == name)))
    return [ticket_id for ticket_id in found if ticket_id not in told]


def _at_risk(session: Session, query: Select[int, datetime, datetime | None], now: datetime) -> Iterator[int]:
    """What has used three quarters of its time and is not due yet; how time counts, only `is_at_risk` knows."""
    due = query.where(Ticket.due_at > now, Ticket.status != RECEIVED).order_by(Ticket.due_at, Ticket.id)
    for ticket_id, received_at, due_at in session.execute(due.execution_options(yield_per=1000)):
        if due_at and is_at_risk(received_at, due_at, now):
            yield ticket_id


def is_at_risk(received_at: datetime, due_at: datetime, now: datetime) -> bool:
    """Whether three quarters of the promised time are used, and some of it is left."""
    return now < due_at and now - received_at >= (due_at - received_at) * AT_RISK_FROM


def soonest_due(session: Session, digest_id: int, now: datetime, limit: int) -> Sequence[Ticket]:
    """Up to `limit` members of a digest that are at risk at `now`, the soonest due first."""
    query = select(Ticket.id, Ticket.received_at, Ticket.due_at)
    query = query.join(DigestTicket, DigestTicket.ticket_id == Ticket.id).where(DigestTicket.digest_id == digest_id)
    return [session.get_one(Ticket, ticket_id) for ticket_id in list(islice(_at_risk(session, query, now), limit))]
