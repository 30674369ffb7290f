"""Claim what is due, ask the engine about many tickets at once, decide, save each."""

import logging
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta

from rq import get_current_job
from sqlalchemy.orm import Session

from jobs.classification import learning, outcome, retry_fallbacks
from jobs.classification.current_catalog import current_catalog
from jobs.classification.decide import decide
from jobs.classification.engines import choose, local
from jobs.classification.engines.base import Engine, EngineError, Proposal, TicketText
from receiver import queue
from receiver.catalog import Catalog, CatalogError
from receiver.db import circuit_breaker, classifications, due_tickets, pauses
from receiver.db.circuit_breaker import ENGINE
from receiver.db.database import Database, opened
from receiver.db.due_tickets import POLICY, DueTicket
from receiver.db.models import Classification, Ticket
from receiver.intake import sources
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure
from receiver.lib.retry_policy import Cause, Verdict
from receiver.lib.settings import Settings
from receiver.lib.sla import Promise

BUDGET_SECONDS = 60.0
GRACE_SECONDS = 6.0
PATIENCE = timedelta(hours=1)
_POLL_SECONDS = 0.5
# While the local engine computes, dozens of threads want to read their answers; by default each would wait 5 ms for it.
_SWITCH_SECONDS = 0.0005
_CRASHED_WAIT_SECONDS = 3.0

log = logging.getLogger(__name__)

# Set when this process is asked to end: what is in hand is then finished or given back.
stopping = threading.Event()


def classify_due() -> None:
    """The job of the queue `classify`. Safe to run twice, and at once: a ticket is claimed by one run only."""
    config = settings.load()
    configure(config.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with opened(config.database_url) as db:
        with db.read() as session:
            if pauses.current(session):
                return  # Whoever resumes wakes us.
        try:
            catalog = current_catalog(db, config)
        except CatalogError as error:
            log.warning("Classification waits: %s", error)
            return
        engine = choose(config, catalog, db)
        job = get_current_job()  # Its worker frees what the job held if it dies.
        run = ClassificationRun(db, engine, catalog, config, owner=job.id if job else None)
        try:
            run.run(BUDGET_SECONDS)
        except EngineError as error:
            log.error("Classification pauses: %s", error)
        if run.pauses:
            return  # The sweep wakes us; doing so here would go round and round until it is over.
        with db.read() as session:
            more = due_tickets.any_due(session, now())
        if not more and not run.failed and not stopping.is_set() and config.uses_llm:
            retry_fallbacks.ask_again(db, engine, catalog, config)
    if more and not stopping.is_set():
        queue.wake(queue.CLASSIFY, queue.connect(config.redis_url))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A proposal; `stand_in_for` is the error of the engine that should have made it, `error` a new one.

    `cause` is that of the error, old or new. `again` says that the engine shall be asked again when it is back.
    """

    proposal: Proposal
    latency_ms: int = 0
    stand_in_for: str | None = None
    error: EngineError | None = None
    cause: Cause | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Why a ticket has no classification yet and is to be tried again; `error` is what the engine said."""

    code: str
    message: str
    error: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Classified:
    """A ticket's new classification; `by_engine` is set where the engine itself has answered."""

    classification: Classification
    promise: Promise
    by_engine: Proposal | None
    error: EngineError | None


class ClassificationRun:
    """One run over what is due: keeps the engine busy, and saves each result as it comes.

    While the engine's circuit is open, a run that may probe claims one ticket, and goes on as usual once that is
    answered; any other run leaves the tickets waiting. After `patience` it lets the local engine stand in for them,
    each marked as a fallback and sent to review, until the engine is back.
    """

    def __init__(
        self,
        db: Database,
        engine: Engine,
        catalog: Catalog,
        config: Settings,
        source: str | None = None,
        on_finished: Callable[[int], None] = lambda _: None,
        patience: timedelta = PATIENCE,
        owner: str | None = None,
    ) -> None:
        self._db, self._engine, self._catalog, self._config = db, engine, catalog, config
        self._source, self._on_finished, self._patience = source, on_finished, patience
        self._owner = owner or secrets.token_hex(8)
        self._writes = sources.writing_back(sources.configured(config))
        self._in_flight: dict[Future[_Answer], DueTicket] = {}
        # As many again wait claimed, so that no thread of the engine idles while results are saved.
        self._slots = max(2 * engine.parallel, 8)
        self._renewed = time.monotonic()
        self._stops_at = float("inf")
        self._refusal: EngineError | None = None
        self._probes = False
        self._stands_in_for: str | None = None
        self.pauses = self.failed = False

    def run(self, budget: float) -> None:
        """Go on until nothing is due, `budget` seconds are over, or this process is asked to stop.

        Raises EngineError where the engine refuses to answer at all; the tickets stay due.
        """
        self._began = time.monotonic()
        learning.refresh(self._db, self._engine, self._catalog)
        ends = self._began + budget
        self._look_at_outage()
        self._pool = ThreadPoolExecutor(self._engine.parallel, thread_name_prefix="engine")
        try:
            self._settle_crashed()
            while (self._may_claim(ends) and self._claim()) or self._in_flight:
                if not self._wait():
                    break
        finally:
            self._give_back(list(self._in_flight))
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._refusal:
            raise self._refusal

    def _look_at_outage(self) -> None:
        """Whether this run asks the engine as usual, probes it, stands in for it, or leaves the tickets waiting."""
        self._refusal, self._stands_in_for = None, None
        self._probes = self.pauses = self.failed = False
        with self._db.read() as session:
            if circuit_breaker.current(session, ENGINE) is None:
                return
        with self._db.write() as session:
            outage = circuit_breaker.current(session, ENGINE)
            self._probes = outage is not None and circuit_breaker.take_probe(session, ENGINE, now())
            if outage is None or self._probes:
                return
            if now() - (outage.opened_at or now()) >= self._patience:
                self._stands_in_for = circuit_breaker.why(outage)
            else:
                self.pauses = True

    def _may_claim(self, ends: float) -> bool:
        return not stopping.is_set() and not self.pauses and time.monotonic() < ends

    def _free_slots(self) -> int:
        return (1 if self._probes else self._slots) - len(self._in_flight)

    def _settle_crashed(self) -> None:
        """Tickets whose worker died go first and by themselves, so that one of them cannot take others along."""
        if stopping.is_set() or self.pauses:
            return
        with self._db.write() as session:
            crashed = due_tickets.claim_crashed(session, self._owner, now(), self._source, self._free_slots())
        self._start(crashed)
        while self._in_flight and self._wait():
            pass

    def _claim(self) -> bool:
        """Fill the free slots; False where nothing was due."""
        free = self._free_slots()
        if free < 1:
            return True
        learning.refresh(self._db, self._engine, self._catalog)
        with self._db.write() as session:
            # A person may have paused classification since; a run over one source was asked for by one, and goes on.
            self.pauses = self.pauses or (self._source is None and pauses.current(session) is not None)
            if self.pauses:
                return False
            runs_for_long = time.monotonic() - self._began > _CRASHED_WAIT_SECONDS
            if runs_for_long and due_tickets.any_crashed(session, now(), self._source):
                return False  # They go first in the next run, and under steady load this one takes its whole budget.
            asked = [due.ticket.id for due in self._in_flight.values()]
            claimed = due_tickets.claim(session, self._owner, free, now(), self._source, asked)
        self._start(claimed)
        return bool(claimed)

    def _start(self, claimed: Sequence[DueTicket]) -> None:
        for due in claimed:
            self._in_flight[self._pool.submit(self._propose, due)] = due

    def _propose(self, due: DueTicket) -> _Answer:
        """The engine's answer; where it has failed for the last time, the local engine's, for a person to look at."""
        text = TicketText(due.ticket.short_description, due.ticket.long_description)
        if self._stands_in_for:
            return _Answer(self._stand_in(text), stand_in_for=self._stands_in_for, cause=Cause.OUTAGE, again=True)
        started = time.monotonic()
        try:
            proposal = self._engine.propose(text)
        except EngineError as error:
            # Neither a text that is refused nor a budget that is spent gets better by trying again.
            is_final = error.verdict in (Verdict.ABOUT_TICKET, Verdict.BUDGET)
            waits = error.verdict in (Verdict.PERMANENT, Verdict.OUTAGE)
            if waits or (error.verdict is Verdict.RETRY and due.attempts < POLICY.most_attempts):
                raise
            stand_in = self._stand_in(text)
            return _Answer(stand_in, stand_in_for=str(error), error=error, cause=error.cause, again=not is_final)
        failure = proposal.stands_in_for
        return _Answer(proposal, round((time.monotonic() - started) * 1000), cause=failure.cause if failure else None)

    def _stand_in(self, text: TicketText) -> Proposal:
        return local.for_catalog(self._catalog).propose(text)

    def _wait(self) -> bool:
        """Wait for results and save them, renewing the leases meanwhile; False when the time to stop is up."""
        done, _ = wait(self._in_flight, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        finished = [(self._in_flight.pop(future), future) for future in done]
        size = self._config.classification_batch_size
        for start in range(0, len(finished), size):
            self._save(finished[start : start + size])
        if self._in_flight and time.monotonic() - self._renewed > POLICY.renew_seconds:
            with self._db.write() as session:
                due_tickets.renew(session, self._owner, now())
            self._renewed = time.monotonic()
        if stopping.is_set() or self.pauses:
            self._give_back([future for future in self._in_flight if future.cancel()])
        if stopping.is_set():
            self._stops_at = min(self._stops_at, time.monotonic() + GRACE_SECONDS)
        return time.monotonic() < self._stops_at

    def _save(self, finished: list[tuple[DueTicket, Future[_Answer]]]) -> None:
        """Save these results in one transaction, and what they say of the engine."""
        results = [(due, self._outcome(due, future)) for due, future in finished]
        saved: list[tuple[Ticket, Classification]] = []
        fresh: list[Proposal] = []  # What the engine has answered just now; a cached answer says nothing of how it is.
        with self._db.write() as session:
            for due, result in results:
                is_outage = result.error is not None and self._note_failure(session, result.error)
                if isinstance(result, Retry):
                    self._put_off(session, due, result, is_outage)
                    continue
                if result.by_engine and not result.by_engine.from_cache:
                    fresh.append(result.by_engine)
                row, promise = result.classification, result.promise
                if classifications.save(session, self._owner, row, promise, self._writes, attempts=due.attempts):
                    saved.append((due.ticket, row))
                    if failure := result.error or (result.by_engine and result.by_engine.stands_in_for):
                        outcome.note_stand_in(session, failure)
            outcome.note_latencies(session, saved)
            if fresh:
                # One answer of the engine itself says that it works, whatever stood in for it meanwhile.
                best = next((proposal for proposal in fresh if proposal.stands_in_for is None), fresh[0])
                outcome.note_answer(session, best)
                self._probes = False
        self._on_finished(sum(isinstance(result, Classified) for _, result in results))

    def _note_failure(self, session: Session, error: EngineError) -> bool:
        """Whether this failure belongs to an outage; then this run claims nothing more."""
        self.failed = True
        if error.verdict is Verdict.PERMANENT:
            self._refusal = error
        is_outage = outcome.note_failure(session, error)
        self.pauses = self.pauses or is_outage
        return is_outage

    def _put_off(self, session: Session, due: DueTicket, why: Retry, is_outage: bool) -> None:
        """Have the ticket tried again later, or give it up; what waits for the end of an outage keeps its attempts."""
        if is_outage:
            again = now() + circuit_breaker.PROBE_EVERY
            due_tickets.retry(session, due, self._owner, again, why.code, why.message, counts=False)
        elif wait := POLICY.wait_after(due.attempts):
            due_tickets.retry(session, due, self._owner, now() + wait, why.code, why.message)
        else:
            due_tickets.fail(session, due.ticket.id, why.code, why.message, due.attempts, self._owner)

    def _outcome(self, due: DueTicket, future: Future[_Answer]) -> Classified | Retry:
        try:
            return self._classified(due.ticket, future.result())
        except EngineError as error:
            return Retry(error.cause, str(error), error)
        except Exception as error:  # noqa: BLE001 - the worker's edge: one ticket's bug must not stop the others.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error("Ticket %d: %s at %s:%d", due.ticket.id, type(error).__name__, where.filename, where.lineno or 0)
            what = f"{type(error).__name__} in the engine {self._engine.name}; see the worker's log"
            return Retry(Cause.OTHER, what)

    def _classified(self, ticket: Ticket, answer: _Answer) -> Classified:
        proposal = answer.proposal
        decision = decide(proposal, self._catalog, self._config.review_threshold, answer.stand_in_for)
        row = outcome.classification(
            ticket.id,
            proposal,
            decision,
            self._catalog,
            latency_ms=answer.latency_ms,
            from_fallback_engine=answer.again or proposal.stands_in_for is not None,
            cause=answer.cause,
        )
        clock = self._config.sla_clock
        start = clock.start(ticket.source_created_at, ticket.received_at)
        promise = decision.request_type.sla.promise(start, clock.hours)
        by_engine = proposal if answer.stand_in_for is None else None
        return Classified(row, promise, by_engine, answer.error)

    def _give_back(self, futures: list[Future[_Answer]]) -> None:
        """What could not be finished is due again at once, and its attempt does not count."""
        ticket_ids = [self._in_flight.pop(future).ticket.id for future in futures]
        if ticket_ids:
            with self._db.write() as session:
                due_tickets.give_back(session, ticket_ids, self._owner, now())
