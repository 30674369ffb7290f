"""Asking the engine again about the tickets that a fallback engine has classified, now that it is back.

A ticket keeps its classification, its status and its place in the digest until there is a better answer. What fails is
tried again later, so that all others have their turn first, and is never given up.
"""

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from jobs.classification import outcome
from jobs.classification.decide import decide
from jobs.classification.engines.base import Engine, EngineError, Proposal, TicketText
from receiver.catalog import Catalog
from receiver.db import circuit_breaker, classifications, work
from receiver.db.circuit_breaker import ENGINE
from receiver.db.database import Database
from receiver.db.models import RETRY_FALLBACK, Ticket
from receiver.intake import sources
from receiver.lib.clock import now
from receiver.lib.retry_policy import WORK, Verdict
from receiver.lib.settings import Settings

AT_ONCE = 32
_POLICY = WORK[RETRY_FALLBACK]


@dataclass(frozen=True, slots=True)
class _Fallback:
    """A ticket, the classification by the fallback engine that is to be replaced, and how often that was tried."""

    ticket: Ticket
    classification_id: int
    attempts: int


def is_due(session: Session) -> bool:
    """Whether there is a ticket to ask about again, and the engine may be asked."""
    return circuit_breaker.may_call(session, ENGINE, now()) and work.any_due(session, [RETRY_FALLBACK], now())


def recover(session: Session) -> None:
    """Free what a dead worker held; what has killed too many keeps the fallback engine's answer."""
    for classification_id, crashes in work.expire(session, RETRY_FALLBACK, now()):
        if crashes >= _POLICY.most_crashes:
            classifications.keep(session, classification_id)
            work.cancel(session, RETRY_FALLBACK, [classification_id])


def ask_again(db: Database, engine: Engine, catalog: Catalog, config: Settings) -> int:
    """Ask about a few tickets; returns how many have a new answer."""
    owner = secrets.token_hex(8)
    with db.write() as session:
        fallbacks = _claim(session, owner, min(engine.parallel, AT_ONCE))
    if not fallbacks:
        return 0
    with ThreadPoolExecutor(len(fallbacks), thread_name_prefix="again") as pool:
        answers = list(pool.map(lambda fallback: _ask(engine, fallback.ticket), fallbacks))
    writes = sources.writing_back(sources.configured(config))
    with db.write() as session:
        return sum(
            _save(session, owner, fallback, answer, catalog, config, writes)
            for fallback, answer in zip(fallbacks, answers, strict=True)
        )


def _claim(session: Session, owner: str, limit: int) -> list[_Fallback]:
    """Up to `limit` tickets; one, to see, where the engine has not answered of late."""
    if not is_due(session) or not circuit_breaker.take_probe(session, ENGINE, now()):
        return []
    limit = limit if circuit_breaker.answered_lately(session, ENGINE, now()) else 1
    # What a person has reviewed meanwhile, or its source has changed, needs no other answer: the next ones are claimed.
    while claimed := work.claim(session, RETRY_FALLBACK, owner, limit, now()):
        attempts = {each.subject_id: each.attempts for each in claimed}
        found = classifications.from_fallback_engine(session, list(attempts))
        work.cancel(session, RETRY_FALLBACK, sorted(attempts.keys() - {wanted for _, wanted in found}))
        if found:
            return [_Fallback(ticket, wanted, attempts[wanted]) for ticket, wanted in found]
    return []


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
    owner: str,
    fallback: _Fallback,
    answer: tuple[Proposal, int] | EngineError,
    catalog: Catalog,
    config: Settings,
    writes: Mapping[str, bool],
) -> bool:
    if isinstance(answer, EngineError):
        is_outage = outcome.note_failure(session, answer)
        if answer.verdict is Verdict.ABOUT_TICKET:
            classifications.keep(session, fallback.classification_id)
            work.ack(session, RETRY_FALLBACK, fallback.classification_id, owner)
        else:
            _put_off(session, owner, fallback, answer.cause, str(answer), counts=not is_outage)
        return False
    proposal, latency = answer
    outcome.note_answer(session, proposal)
    if failure := proposal.stands_in_for:  # Again not the model that should answer.
        _put_off(session, owner, fallback, failure.cause, str(failure))
        return False
    decision = decide(proposal, catalog, config.review_threshold)
    ticket = fallback.ticket
    row = outcome.classification(ticket.id, proposal, decision, catalog, latency_ms=latency, from_fallback_engine=False)
    clock = config.sla_clock
    start = clock.start(ticket.source_created_at, ticket.received_at)
    promise = decision.request_type.sla.promise(start, clock.hours)
    work.ack(session, RETRY_FALLBACK, fallback.classification_id, owner)
    return classifications.replace(session, fallback.classification_id, row, promise, writes)


def _put_off(
    session: Session, owner: str, fallback: _Fallback, error_code: str, error: str, *, counts: bool = True
) -> None:
    """Try it again later; while the engine is away, as soon as it may be back."""
    waits = _POLICY.waits
    wait = waits[min(fallback.attempts, len(waits)) - 1] if counts else waits[0]
    again = now() + timedelta(seconds=wait)
    work.retry(session, RETRY_FALLBACK, [fallback.classification_id], owner, again, error_code, error, counts=counts)
