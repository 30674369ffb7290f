"""Which tickets a digest tells of: what was settled since the last one of its name, and what is due soon."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, true
from sqlalchemy.orm import Session

from receiver.db.models import RECEIVED, Digest, DigestTicket, Ticket


@dataclass(frozen=True)
class Filter:
    """What a ticket must be to come into a digest; an empty line lets everything pass, and all lines must hold."""

    category: tuple[str, ...] = ()
    request_type: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    at_risk: bool = False

    @property
    def lines(self) -> Sequence[str]:
        """What it asks for, a line each, as a person reads it."""
        asked = [("category", self.category), ("request type", self.request_type), ("source", self.source)]
        asked.append(("status", tuple(name.replace("_", " ") for name in self.status)))
        lines = [f"{name} {' or '.join(names)}" for name, names in asked if names]
        return [*lines, "at risk"] if self.at_risk else lines

    def condition(self) -> ColumnElement[bool]:
        """What SQL can say of it; the case of letters does not matter.

        Which also keeps the database from looking for all there ever was of a source, instead of for what is new.
        """
        lines = (
            (Ticket.category, self.category),
            (Ticket.request_type, self.request_type),
            (Ticket.source, self.source),
            (Ticket.status, self.status),
        )
        return and_(true(), *(func.lower(column).in_(map(str.lower, names)) for column, names in lines if names))


EVERYTHING = Filter()


def members(name: str, chosen: Filter, settled: tuple[int, int], now: datetime) -> ColumnElement[bool]:
    """What makes a ticket a member of the digest `name`.

    `settled` is the range of what no digest of this name has seen. Where only tickets at risk are wanted, that range
    says nothing: a ticket may become so long after it was settled, and is told of when it is.
    """
    if chosen.at_risk:
        return and_(untold_at_risk(name, now), chosen.condition())
    after, until = settled
    return and_(Ticket.settled > after, Ticket.settled <= until, chosen.condition())


def at_risk(now: datetime, since: datetime | None = None) -> ColumnElement[bool]:
    """Three quarters of the ticket's promised time are used, and some of it is left, or was `since`."""
    return and_(Ticket.due_at > (since or now), Ticket.at_risk_at <= now, Ticket.status != RECEIVED)


def untold_at_risk(name: str, now: datetime, since: datetime | None = None) -> ColumnElement[bool]:
    """The ticket is at risk, and no digest of this name has told of it."""
    told = select(DigestTicket.ticket_id).join(Digest, Digest.id == DigestTicket.digest_id)
    return and_(at_risk(now, since), ~told.where(DigestTicket.ticket_id == Ticket.id, Digest.name == name).exists())


def in_digest(digest_id: int) -> ColumnElement[bool]:
    """The ticket is a member of this digest."""
    return Ticket.id.in_(select(DigestTicket.ticket_id).where(DigestTicket.digest_id == digest_id))


def soonest_due(session: Session, which: ColumnElement[bool], limit: int) -> Sequence[Ticket]:
    """Up to `limit` of these tickets, the soonest due first."""
    return session.scalars(select(Ticket).where(which).order_by(Ticket.due_at, Ticket.id).limit(limit)).all()
