"""Reviews: a person confirms or corrects what a ticket was attributed to, and engines learn from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from receiver.catalog import Catalog, RequestType
from receiver.db import classifications, counters, examples, review_outcomes, review_undo
from receiver.db.models import CLASSIFIED, NEEDS_REVIEW, REVIEWED, Classification, Ticket
from receiver.lib.sla import Clock

PERSON = "person"
_ATTRIBUTED = (CLASSIFIED, NEEDS_REVIEW, REVIEWED)


class NothingToConfirmError(Exception):
    """The ticket has no answer that could be confirmed; the text says why, and what to do."""


class UnknownEntryError(Exception):
    """What the person chose is not in the catalog; the text names what is near."""


class ChangedMeanwhileError(Exception):
    """The ticket is not what the person saw when they decided; the text says what it is now."""


@dataclass(frozen=True, slots=True)
class Review:
    """A ticket as a person left it; `learned` says whether it became an example, `before` what it was taken for."""

    ticket: Ticket
    classification: Classification
    learned: bool
    before: tuple[str, str] | None


def review(
    session: Session,
    ticket_id: int,
    choice: tuple[str, str] | None,
    catalog: Catalog,
    reviewer: str,
    now: datetime,
    writes: Mapping[str, bool] | None = None,
    clock: Clock | None = None,
    seen: int | None = None,
) -> Review | None:
    """Make the ticket `reviewed`, as `choice` (category, request type) or, without one, as it is attributed.

    The catalog is the one in force. Whoever classifies the ticket meanwhile loses the lease. A ticket whose attribution
    a digest may have told already, and which stays what it is, keeps its `settled`; any other will be told of again.
    The helpdesk is told of it where its source is among `writes`, see `classifications.save`. `clock` is
    that of the SLAs, and `seen` is the classification that the person had before them, 0 for none.
    None where there is no such ticket. Raises NothingToConfirmError, UnknownEntryError and ChangedMeanwhileError.
    """
    # The lock of this number comes before a ticket's everywhere, or two writers could wait for each other.
    settled = counters.add(session, "settled", 1)
    ticket = session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        return None
    before = classifications.current(session, ticket_id)
    if seen is not None and seen != (before.id if before else 0):
        raise ChangedMeanwhileError(_now_it_is(before))
    kind = _chosen(catalog, choice) if choice else _confirmed(catalog, ticket, before)
    kept = review_undo.kept(session, ticket, before)
    if not _stays(ticket, before, kind):
        ticket.settled = settled
    _settle(ticket, kind, clock or Clock())
    kept["answers"] = _unlearn_answers(session, ticket_id, kind)
    decision = _decision(ticket, before, kind, catalog.version, reviewer, now)
    decision.before = kept
    classifications.replace_current(session, ticket.source, decision, writes)
    review_outcomes.settle(session, ticket)
    if decision.steers:
        examples.forget(session, ticket_id)
    else:
        examples.remember(session, ticket_id, kind.category, kind.name, now)
    was = (before.category, before.request_type) if before else None
    return Review(ticket, decision, learned=not decision.steers, before=was)


def _chosen(catalog: Catalog, choice: tuple[str, str]) -> RequestType:
    kind = catalog.find(*choice)
    if kind is None:
        raise UnknownEntryError(f"{' / '.join(choice)} is not in the catalog. {near(catalog, choice)}")
    return kind


def near(catalog: Catalog, choice: tuple[str, str]) -> str:
    """A sentence that names the entries most like `choice`."""
    names = {f"{kind.category} / {kind.name}".casefold(): kind for kind in catalog.request_types}
    same = [name for name, kind in names.items() if kind.name.casefold() == choice[1].casefold()]
    found = same or get_close_matches(" / ".join(choice).casefold(), names, n=3)
    listed = "; ".join(f"{names[name].category} / {names[name].name}" for name in found)
    return f"Near it: {listed}." if listed else "GET /api/catalog lists its entries."


def _confirmed(catalog: Catalog, ticket: Ticket, before: Classification | None) -> RequestType:
    if before is None or ticket.status not in _ATTRIBUTED:
        raise NothingToConfirmError(
            f"The ticket is {ticket.status}, so there is no answer to confirm; send category and request_type to say"
            " what it is, or wait until it is classified."
        )
    kind = catalog.find(before.category, before.request_type)
    if kind is None:
        raise NothingToConfirmError(
            f"{before.category} / {before.request_type} has left the catalog; send category and request_type."
        )
    return kind


def _stays(ticket: Ticket, before: Classification | None, kind: RequestType) -> bool:
    """Whether the ticket was attributed to this very entry before."""
    known = (before.category, before.request_type) if before else None
    return ticket.status in _ATTRIBUTED and known == (kind.category, kind.name)


def _settle(ticket: Ticket, kind: RequestType, clock: Clock) -> None:
    ticket.status, ticket.category, ticket.request_type = REVIEWED, kind.category, kind.name
    start = clock.start(ticket.source_created_at, ticket.received_at)
    ticket.at_risk_at, ticket.due_at = kind.sla.promise(start, clock.hours)
    ticket.lease, ticket.error, ticket.crashes = None, None, 0


def _unlearn_answers(session: Session, ticket_id: int, kind: RequestType) -> list[tuple[int, str | None]]:
    """An answer that a person found wrong is not given again to identical tickets; returns what was unlearned."""
    wrong = or_(Classification.category != kind.category, Classification.request_type != kind.name)
    mine = (Classification.ticket_id == ticket_id, Classification.cache_key.is_not(None), wrong)
    keys = set(session.scalars(select(Classification.cache_key).where(*mine)))
    found = Classification.cache_key.in_(keys)
    rows = session.execute(select(Classification.id, Classification.cache_key).where(found)).all() if keys else []
    if rows:
        unlearn = update(Classification).where(found).values(cache_key=None)
        session.execute(unlearn.execution_options(synchronize_session=False))
    return [(row.id, row.cache_key) for row in rows]


def _now_it_is(found: Classification | None) -> str:
    if found is None:
        return "This ticket waits to be classified again."
    who = (
        f"{found.reviewer} has reviewed this ticket meanwhile" if found.reviewer else "This ticket was classified again"
    )
    return f"{who}: it is {found.category} / {found.request_type}."


def _decision(
    ticket: Ticket,
    before: Classification | None,
    kind: RequestType,
    catalog_version: str,
    reviewer: str,
    now: datetime,
) -> Classification:
    same = before is not None and (before.category, before.request_type) == (kind.category, kind.name)
    earlier = f", instead of {before.category} / {before.request_type}" if before and not same else ""
    return Classification(
        ticket_id=ticket.id,
        current=True,
        created_at=now,
        category=kind.category,
        request_type=kind.name,
        sla_value=kind.sla.value,
        sla_unit=kind.sla.unit,
        sla_is_default=kind.sla.is_default,
        confidence=1.0,
        reasoning=f"{'confirmed' if same else 'chosen'} by {reviewer}{earlier}",
        alternatives=[],
        review_reason=None,
        review_detail=None,
        engine=PERSON,
        model="",
        fallback=False,
        fuzzy_matched=False,
        catalog_version=catalog_version,
        prompt_version=None,
        prompt_tokens=0,
        completion_tokens=0,
        latency_ms=0,
        # The text tries to command whatever reads it, whoever has reviewed it meanwhile.
        steers=before is not None and before.steers,
        reviewer=reviewer,
    )
