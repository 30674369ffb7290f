"""Asking the engine again about the tickets for which another stood in, now that it is back.

A ticket keeps its classification, its status and its place in the digest until there is a better answer; what fails
is tried again when all others have had their turn.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy.orm import Session

from jobs.classification import outcome
from jobs.classification.decide import decide
from jobs.classification.engines.base import Engine, EngineError, Proposal, TicketText
from receiver.catalog import Catalog
from receiver.db import circuit_breaker, classifications, counters, moments
from receiver.db.circuit_breaker import ENGINE
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.intake import sources
from receiver.lib.clock import now
from receiver.lib.settings import Settings

EVERY = timedelta(seconds=10)
AT_ONCE = 32
_LAST = "engine.again"


def is_due(session: Session) -> bool:
    """Whether there is a ticket to ask about again, and it is time."""
    again = moments.noted(session, moments.NEXT_RETRY_OF_FALLBACKS)
    early = again is not None and now() < again <= now() + EVERY
    return not early and bool(classifications.from_fallback_engine(session, 0, 1))


def ask_again(db: Database, engine: Engine, catalog: Catalog, config: Settings) -> int:
    """Ask about a few tickets, by one worker at a time and at most every ten seconds; how many have a new answer."""
    with db.write() as session:
        waiting = _take(session, min(engine.parallel, AT_ONCE))
    if not waiting:
        return 0
    with ThreadPoolExecutor(len(waiting), thread_name_prefix="again") as pool:
        answers = list(pool.map(lambda pair: _ask(engine, pair[0]), waiting))
    writes = sources.writing_back(sources.configured(config))
    with db.write() as session:
        return sum(
            _save(session, ticket, classification_id, answer, catalog, config, writes)
            for (ticket, classification_id), answer in zip(waiting, answers, strict=True)
        )


def _take(session: Session, limit: int) -> list[tuple[Ticket, int]]:
    """Tickets and the classifications to replace. One, to see, where the engine has not answered of late."""
    if not is_due(session):
        return []
    if circuit_breaker.current(session, ENGINE) and not circuit_breaker.take_probe(session, ENGINE, now()):
        return []
    moments.note(session, moments.NEXT_RETRY_OF_FALLBACKS, now() + EVERY)
    limit = limit if circuit_breaker.answered_lately(session, ENGINE, now()) else 1
    last = counters.value(session, _LAST)
    found = classifications.from_fallback_engine(session, last, limit) or classifications.from_fallback_engine(
        session, 0, limit
    )
    if found:
        counters.add(session, _LAST, found[-1][0].id - last)
    return found


def _ask(engine: Engine, ticket: Ticket) -> tuple[Proposal, int] | EngineError:
    """The engine's proposal and the milliseconds it took, or its error."""
    started = time.monotonic()
    try:
        proposal = engine.propose(TicketText(ticket.short_description, ticket.long_description))
    except EngineError as error:
        return error
    return proposal, round((time.monotonic() - started) * 1000)


def _save(
    session: Session,
    ticket: Ticket,
    classification_id: int,
    answer: tuple[Proposal, int] | EngineError,
    catalog: Catalog,
    config: Settings,
    writes: Mapping[str, bool],
) -> bool:
    if isinstance(answer, EngineError):
        outcome.note_failure(session, answer)
        if answer.about_ticket:
            classifications.keep(session, classification_id)
        return False
    proposal, latency = answer
    outcome.note_answer(session, proposal)
    if proposal.stands_in_for:
        return False  # Again not the model that should answer.
    decision = decide(proposal, catalog, config.review_threshold)
    row = outcome.classification(ticket.id, proposal, decision, catalog, latency_ms=latency, from_fallback_engine=False)
    clock = config.sla_clock
    start = clock.start(ticket.source_created_at, ticket.received_at)
    promise = decision.request_type.sla.promise(start, clock.hours)
    return classifications.replace(session, classification_id, row, promise, writes)
