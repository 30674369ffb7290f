"""From a decision to the row that is kept, and what an engine's failure means for all tickets."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from jobs.classification.decide import Decision
from jobs.classification.engines.base import EngineError, Proposal
from receiver.catalog import Catalog
from receiver.db import alarms, circuit_breaker, classifications, latencies
from receiver.db.circuit_breaker import ENGINE
from receiver.db.models import Classification, Ticket
from receiver.lib.clock import now
from receiver.lib.retry_policy import Cause, Verdict

log = logging.getLogger(__name__)

BUDGET_ALARM, STAND_INS_ALARM = "budget", "stand_ins"
# So many tickets in a row whose engine gave no answer are told, however few there are. That texts are refused for what
# they say may be true of some in a row.
_STAND_INS, _REFUSED_TEXTS = 3, 5


def classification(
    ticket_id: int,
    proposal: Proposal,
    decision: Decision,
    catalog: Catalog,
    *,
    latency_ms: int,
    from_fallback_engine: bool,
    cause: Cause | None = None,
) -> Classification:
    """The row for a decision.

    `from_fallback_engine` says that the engine shall be asked again, `cause` why it did not answer.
    """
    kind = decision.request_type
    return Classification(
        ticket_id=ticket_id,
        current=True,
        created_at=now(),
        category=kind.category,
        request_type=kind.name,
        sla_value=kind.sla.value,
        sla_unit=kind.sla.unit,
        sla_is_default=kind.sla.is_default,
        confidence=decision.confidence,
        reasoning=proposal.reasoning,
        alternatives=list(proposal.alternatives),
        review_reason=decision.review_reason,
        review_detail=decision.review_detail,
        engine=proposal.engine,
        model=proposal.model,
        fallback=decision.fallback,
        fuzzy_matched=decision.fuzzy_matched,
        catalog_version=catalog.version,
        prompt_version=proposal.prompt_version,
        prompt_tokens=proposal.prompt_tokens,
        completion_tokens=proposal.completion_tokens,
        latency_ms=latency_ms,
        second_opinion=proposal.second_opinion,
        agreement=decision.agreement,
        steers=proposal.steers,
        from_fallback_engine=from_fallback_engine,
        stand_in_cause=cause,
        from_cache=proposal.from_cache,
        cache_key=proposal.cache_key,
        cost_micros=proposal.cost_micros,
        example_ids=list(proposal.example_ids) or None,
    )


def note_latencies(session: Session, saved: Sequence[tuple[Ticket, Classification]]) -> None:
    """Count how long the engine took, and for a ticket that is classified for the first time its whole way."""
    moment = now()
    keys = [
        latencies.key(latencies.MODEL, row.latency_ms, moment)
        for _, row in saved
        if not row.from_cache and (row.latency_ms or not row.fallback)  # A stand-in takes no time.
    ]
    keys += [
        latencies.key(latencies.WHOLE, (moment - ticket.received_at) / timedelta(milliseconds=1), moment)
        for ticket, _ in saved
        if ticket.category is None
    ]
    latencies.add(session, Counter(keys))


def note_answer(session: Session, proposal: Proposal) -> None:
    """The engine works: an outage is over, and there is money."""
    if proposal.from_cache:
        return
    alarms.clear(session, BUDGET_ALARM)
    if proposal.stands_in_for:
        circuit_breaker.close(session, ENGINE)
    else:
        alarms.clear(session, STAND_INS_ALARM)
        circuit_breaker.record_success(session, ENGINE, now())


def note_stand_in(session: Session, error: EngineError) -> None:
    """Another engine has answered, and quietly: raise the alarm where that is so for several tickets in a row."""
    if error.verdict is Verdict.BUDGET:
        return  # Which has an alarm of its own.
    count = classifications.stand_ins_in_a_row(session, Cause.BUDGET, _REFUSED_TEXTS)
    if count < (_REFUSED_TEXTS if error.cause in (Cause.REFUSED, Cause.FILTERED) else _STAND_INS):
        return
    if told := alarms.raise_(session, STAND_INS_ALARM, now(), count=count, error=str(error)):
        log.error("Alarm: %s", told)


def note_failure(session: Session, error: EngineError) -> bool:
    """Whether this failure belongs to an outage, in which tickets wait."""
    if error.verdict is Verdict.BUDGET:
        alarms.raise_(session, BUDGET_ALARM, now(), error=str(error))
        return False
    if error.verdict in (Verdict.ABOUT_TICKET, Verdict.OUTAGE):
        return error.verdict is Verdict.OUTAGE
    pause = timedelta(seconds=min(error.retry_after or 0, circuit_breaker.LONGEST_PAUSE.total_seconds()))
    opens = error.verdict is Verdict.PERMANENT or pause > circuit_breaker.PROBE_EVERY
    return circuit_breaker.record_failure(session, ENGINE, error.failure, now(), pause if opens else None)
