"""Lists of tickets: filters, a search and an order. However many there are, a page looks at a bounded number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from receiver.db import classifications, search_index, tickets
from receiver.db.models import NEEDS_REVIEW, Ticket
from receiver.db.tickets import Pair
from receiver.lib import sla

NEWEST, OLDEST, DUE, BEST = ORDERS = ("newest", "oldest", "due", "best")
LOOKED_AT = 10_000
_AT_ONCE = 500

# Each has an index; the one named first, the most telling, is walked along, and the others are compared on the way.
_EXACT = ("requester_email", "request_type", "category", "status", "source")


@dataclass(frozen=True)
class TicketQuery:
    """Which tickets, in which order; what is empty does not matter. `waits` are those with a stand-in's answer."""

    q: str = ""
    status: str = ""
    category: str = ""
    request_type: str = ""
    source: str = ""
    requester_email: str = ""
    sla: str = ""
    waits: bool = False
    since: datetime | None = None
    order: str = NEWEST

    @property
    def exact(self) -> dict[str, str]:
        """The filters that name a column's value, the most telling first."""
        return {name: getattr(self, name) for name in _EXACT if getattr(self, name)}


@dataclass(frozen=True)
class Page:
    """Up to so many tickets with their classifications; `after` is where the next page begins, None on the last.

    A page that is not full and has a next one has looked at LOOKED_AT tickets, and more may match beyond. Where it is
    `cut`, only the newest words.RANKED tickets with the words were ranked.
    """

    pairs: list[Pair]
    after: int | None
    cut: bool = False


def page(
    session: Session, wanted: TicketQuery, limit: int, now: datetime, after: int | None = None, *, whole: bool = False
) -> Page:
    """The `limit` tickets that come behind the ticket `after`, or the first ones; with their texts where `whole`.

    The best match first is an order only of what `words.can_rank`; anything else is the newest first then.
    """
    if wanted.order == BEST and search_index.can_rank(session, wanted.q):
        return _best_page(session, wanted, limit, now, after, whole=whole)
    candidates, rest = _plan(session, wanted, now, after)
    found: list[int] = []
    looked_at, last = 0, None
    query = candidates.limit(LOOKED_AT if rest else limit + 1).execution_options(yield_per=_AT_ONCE)
    with session.scalars(query) as ids:
        for chunk in ids.partitions():
            found += _kept(session, chunk, rest)
            looked_at, last = looked_at + len(chunk), chunk[-1]
            if len(found) > limit:
                return Page(_pairs(session, found[:limit], whole=whole), found[limit - 1])
    return Page(_pairs(session, found, whole=whole), last if looked_at == LOOKED_AT else None)


def _best_page(
    session: Session, wanted: TicketQuery, limit: int, now: datetime, after: int | None, *, whole: bool
) -> Page:
    ids = search_index.best(session, wanted.q)
    cut = len(ids) == search_index.RANKED
    behind = ids if after is None else ids[ids.index(after) + 1 :] if after in ids else []
    rest = [*_promised(wanted.sla, now), *_waiting(wanted), *_since(wanted.since), *_equal(wanted.exact)]
    found = _kept(session, behind, rest)
    pairs = _pairs(session, found[:limit], whole=whole)
    return Page(pairs, found[limit - 1] if len(found) > limit else None, cut)


def _kept(session: Session, ids: Sequence[int], rest: Sequence[ColumnElement[bool]]) -> Sequence[int]:
    """Those of the tickets to which the rest of the conditions applies too, in their order."""
    if not rest:
        return ids
    kept = set(session.scalars(select(Ticket.id).where(Ticket.id.in_(ids), *rest)))
    return [ticket_id for ticket_id in ids if ticket_id in kept]


def _pairs(session: Session, ids: Sequence[int], *, whole: bool) -> list[Pair]:
    query = tickets.joined().where(Ticket.id.in_(ids))
    rows = session.execute(query) if whole else tickets.as_listed(session, query)
    pairs = {ticket.id: (ticket, classification) for ticket, classification in rows}
    return [pairs[ticket_id] for ticket_id in ids if ticket_id in pairs]


def _plan(
    session: Session, wanted: TicketQuery, now: datetime, after: int | None
) -> tuple[Select[int], list[ColumnElement[bool]]]:
    """The ids along one index, in order, and what else must hold of them."""
    exact = wanted.exact
    rest = [*_promised(wanted.sla, now), *_waiting(wanted)]
    asked = search_index.holding(session, wanted.q)
    if wanted.q and asked is None:
        rest.append(_contains(search_index.plain(wanted.q)))
    if wanted.order == DUE and asked is None:
        return _by_due(session, wanted, now, after), [*rest, *_equal(exact), *_since(wanted.since)]
    where: list[ColumnElement[bool]] = []
    key: Any = Ticket.id
    if asked is not None:
        key = search_index.INDEX.c.rowid
        where = [asked]
    elif exact:
        name = next(iter(exact))
        where = _equal({name: exact.pop(name)})
    where += _beyond(session, key, wanted, after)
    return select(key).where(*where).order_by(key if wanted.order == OLDEST else key.desc()), [*rest, *_equal(exact)]


def _beyond(session: Session, key: Any, wanted: TicketQuery, after: int | None) -> list[ColumnElement[bool]]:
    """From where to where along the ids, which are given out in the order in which tickets are received."""
    found: list[ColumnElement[bool]] = []
    if after is not None:
        found.append(key > after if wanted.order == OLDEST else key < after)
    if wanted.since:
        first = select(Ticket.id).where(Ticket.received_at >= wanted.since).order_by(Ticket.received_at).limit(1)
        ticket_id = session.scalar(first)
        found.append(key >= ticket_id if ticket_id is not None else literal(value=False))
    return found


def _by_due(session: Session, wanted: TicketQuery, now: datetime, after: int | None) -> Select[int]:
    """What is due next; of what is past due, the latest first."""
    late = wanted.sla == sla.PAST_DUE
    query = select(Ticket.id).where(Ticket.due_at <= now if late else Ticket.due_at > now)
    if wanted.status == NEEDS_REVIEW:
        query = query.where(needs_review)
    if after is not None:
        due_at = session.scalar(select(Ticket.due_at).where(Ticket.id == after)) or now
        place, behind = tuple_(Ticket.due_at, Ticket.id), tuple_(literal(due_at, Ticket.due_at.type), literal(after))
        query = query.where(place < behind if late else place > behind)
    order = (Ticket.due_at.desc(), Ticket.id.desc()) if late else (Ticket.due_at, Ticket.id)
    return query.order_by(*order)


# The partial index of what waits for review is used only where the query spells out the same constant.
needs_review = Ticket.status == literal(NEEDS_REVIEW, literal_execute=True)


def _promised(promised: str, now: datetime) -> list[ColumnElement[bool]]:
    if promised == sla.PAST_DUE:
        return [Ticket.due_at <= now]
    return [Ticket.at_risk_at <= now, Ticket.due_at > now] if promised == sla.AT_RISK else []


def _waiting(wanted: TicketQuery) -> list[ColumnElement[bool]]:
    return [classifications.waits_for_engine] if wanted.waits else []


def _since(moment: datetime | None) -> list[ColumnElement[bool]]:
    return [Ticket.received_at >= moment] if moment else []


def _equal(exact: dict[str, str]) -> list[ColumnElement[bool]]:
    return [getattr(Ticket, name) == value for name, value in exact.items()]


def _contains(text: str) -> ColumnElement[bool]:
    columns = (Ticket.external_id, Ticket.short_description, Ticket.long_description, Ticket.requester_email)
    return or_(*(column.icontains(text, autoescape=True) for column in columns))
