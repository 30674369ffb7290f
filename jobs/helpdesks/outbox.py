"""The job that makes the outgoing calls that are due: every source by itself, each call in the order it came."""

import logging
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from jobs.classification.classify import stopping
from jobs.helpdesks import complete, write_back
from jobs.helpdesks.api import CallError, HopelessError
from jobs.operations.lease_renewal import renewed
from receiver import queue
from receiver.db import alarms, circuit_breaker, outbox, tickets, work
from receiver.db.database import Database, opened
from receiver.db.models import COMPLETE, RECEIVED, SUPERSEDED, Classification, OutgoingCall, Ticket, Work
from receiver.intake import sources
from receiver.intake.sources import Source
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.failures import Failure
from receiver.lib.log import configure
from receiver.lib.retry_policy import WORK, Cause
from receiver.lib.settings import Settings

ALARM = "outgoing"
BUDGET_SECONDS = 45.0
CRASHED = "crashed"
_AT_ONCE = 16
_PER_MINUTE = 60
_GONE = "the webhook's receiver answered 410 and wants no more; change its write_back, then redrive what failed"

log = logging.getLogger(__name__)


def run_due() -> None:
    """The job of the queue `outgoing`. Safe to run twice, and at once: a call is claimed by one run only."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        do_due(db, config, sources.configured(config))


def do_due(db: Database, config: Settings, known: Mapping[str, Source]) -> None:
    """Do what is due, so many sources at once; one that is slow or away keeps no other waiting."""
    with db.read() as session:
        names = outbox.sources_due(session, now())
    if names:
        with ThreadPoolExecutor(min(len(names), _AT_ONCE), thread_name_prefix="source") as pool:
            list(pool.map(lambda name: _Round(db, config, name, known.get(name)).run(), names))


def expire(session: Session, moment: datetime) -> None:
    """Free the calls that dead workers held; one that has seen too many of them die is a dead letter, with an alarm."""
    for kind in outbox.KINDS:
        for call_id, crashes in work.expire(session, kind, moment):
            if crashes >= WORK[kind].most_crashes:
                reason = f"its worker died {crashes} times while making this call; see the worker's log"
                work.give_up(session, kind, CRASHED, reason, Work.subject_id == call_id)
                _tell_of_dead(session, session.get_one(OutgoingCall, call_id), reason)


def _tell_of_dead(session: Session, call: OutgoingCall, reason: str) -> bool:
    """A call is a dead letter: an alarm says so, and a ticket that waits for it is classified with what is there.

    True where that ticket is due now.
    """
    code = "incomplete" if call.kind == COMPLETE else "untold"
    _alert(session, call.source, code, ticket=call.ticket_id, error=reason)
    waits = call.kind == COMPLETE and session.get_one(Ticket, call.ticket_id).status == RECEIVED
    return waits and tickets.make_due(session, call.ticket_id, now())


def _alert(session: Session, source: str, code: str, **detail: Any) -> None:
    if told := alarms.raise_(session, ALARM, now(), code, source, source=source, **detail):
        log.error("Alarm: %s", told)


class _Round:
    """One source's turn."""

    def __init__(self, db: Database, config: Settings, name: str, source: Source | None) -> None:
        self._db, self._config, self._name, self._source = db, config, name, source
        self._owner = secrets.token_hex(8)

    def run(self) -> None:
        """Until nothing is due, the source's minute or this round's time is used up, or it must be left alone."""
        per_minute = _PER_MINUTE
        if self._source is not None:
            usual = (self._source.profile.api or {}).get("per_minute", _PER_MINUTE)
            per_minute = int((self._source.write_back or {}).get("per_minute") or usual)
        ends = time.monotonic() + BUDGET_SECONDS
        while not stopping.is_set() and time.monotonic() < ends:
            with self._db.write() as session:
                claimed = outbox.claim(session, self._name, self._owner, now(), per_minute)
            if claimed is None:
                return
            try:
                with renewed(self._db, claimed.call.kind, self._owner):
                    self._make(claimed.call)
            except CallError as error:
                self._note_failure(claimed.call, claimed.attempts, error)

    def _make(self, call: OutgoingCall) -> None:
        """Make a call, and save what came of it. Raises CallError."""
        with self._db.read() as session:
            ticket = session.get_one(Ticket, call.ticket_id)
            told = session.get(Classification, call.classification_id) if call.classification_id else None
        if told is None:  # The ticket is to be completed.
            values = complete.fetch(self._config, self._configured(), ticket)
            with self._db.write() as session:
                # Where the ticket came again meanwhile, this call is superseded, and so is what it found.
                if outbox.finish(session, call, self._owner):
                    tickets.complete(session, ticket, values, now())
                    self._note_success(session)
            queue.try_wake(queue.CLASSIFY, self._config.redis_url)
            return

        if not told.current:
            with self._db.write() as session:
                outbox.finish(session, call, self._owner, SUPERSEDED)
            return
        with self._db.read() as session:
            # What was planned since its receiver wanted no more waits like the rest for a person who redrives it.
            of_source = (Work.source == self._name, Work.error_code == outbox.UNSUBSCRIBED)
            if work.any_dead(session, outbox.KINDS, *of_source):
                raise HopelessError(_GONE)
        write_back.write(
            self._config, self._configured(), call, ticket, told, lambda steps: self._note_steps(call, steps)
        )
        with self._db.write() as session:
            if outbox.finish(session, call, self._owner):
                self._note_success(session)
            else:
                outbox.overtaken(session, call, now())

    def _configured(self) -> Source:
        if self._source is None:
            raise HopelessError(f"the source {self._name} is no longer in SOURCES_FILE")
        if self._source.write_back is None and self._source.api is None:
            raise HopelessError(f"the source {self._name} has neither api nor write_back any more")
        return self._source

    def _note_steps(self, call: OutgoingCall, steps: int) -> None:
        with self._db.write() as session:
            outbox.note_steps(session, call, self._owner, steps)

    def _note_success(self, session: Session) -> None:
        circuit_breaker.close(session, outbox.circuit(self._name))
        if not work.any_dead(session, outbox.KINDS, Work.source == self._name):
            alarms.clear(session, ALARM, self._name)

    def _note_failure(self, call: OutgoingCall, attempts: int, error: CallError) -> None:
        """A passing fault is tried again, later; a hopeless one, or the last of the schedule, is a dead letter."""
        reason, wait = str(error), WORK[call.kind].wait_after(attempts)
        pause = timedelta(seconds=error.pause)
        waits_no_more = False
        has_webhook = self._source is not None and "webhook" in (self._source.write_back or {})
        with self._db.write() as session:
            if error.cause is Cause.GONE and has_webhook:
                outbox.unsubscribe(session, self._name, _GONE)
                _alert(session, self._name, "gone", error=_GONE)
            elif error.permanent or wait is None:
                if work.bury(session, call.kind, call.id, self._owner, error.cause, reason):
                    waits_no_more = _tell_of_dead(session, call, reason)
            else:
                run_at, counts = now() + max(wait, pause), error.policy.counts
                work.retry(session, call.kind, [call.id], self._owner, run_at, error.cause, reason, counts=counts)
                if error.policy.alarms:
                    _alert(session, self._name, ALARM, error=reason)
            if pause:
                circuit = outbox.circuit(self._name)
                circuit_breaker.record_failure(session, circuit, Failure(error.cause), now(), pause)
        if waits_no_more:
            queue.try_wake(queue.CLASSIFY, self._config.redis_url)
