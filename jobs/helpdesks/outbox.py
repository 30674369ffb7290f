"""The job that does the errands that are due: every source by itself, each errand in the order it came."""

import logging
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from jobs.classification.classify import stopping
from jobs.helpdesks import complete, write_back
from jobs.helpdesks.api import CallError, HopelessError
from receiver import queue
from receiver.db import alarms, outbox, tickets
from receiver.db.database import Database, opened
from receiver.db.models import COMPLETE, DONE, FAILED, RECEIVED, SUPERSEDED, WRITE_BACK, Classification, Errand, Ticket
from receiver.intake import sources
from receiver.intake.sources import Source
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure
from receiver.lib.retry_policy import Cause
from receiver.lib.settings import Settings

ALARM = "outgoing"
BUDGET_SECONDS = 45.0
_AT_ONCE = 16
_PER_MINUTE = 60
# Standard Webhooks, section "Deliverability and reliability": after the first attempt, in seconds.
_SCHEDULE = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
# A thin ticket is not classified meanwhile, so its pauses end within errands.PATIENCE.
_COMPLETING_SCHEDULE = (5, 30, 120, 480)
_JITTER = 0.1
_MOST_ATTEMPTS = 15
_UNSUBSCRIBED = "unsubscribed"
_GONE = "the webhook's receiver answered 410 and wants no more; change its write_back, then redrive what failed"

log = logging.getLogger(__name__)
_random = secrets.SystemRandom()


def run_due() -> None:
    """The job of the queue `outgoing`. Safe to run twice, and at once: an errand is taken by one run only."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        do_due(db, config, sources.configured(config))


def do_due(db: Database, config: Settings, known: Mapping[str, Source]) -> None:
    """Do what is due, so many sources at once; one that is slow or away keeps no other waiting."""
    with db.write() as session:
        outbox.recover_future(session, now())
        names = outbox.sources_due(session, now())
    if not names:
        return
    with ThreadPoolExecutor(min(len(names), _AT_ONCE), thread_name_prefix="source") as pool:
        list(pool.map(lambda name: _Round(db, config, name, known.get(name)).run(), names))


class _Round:
    """One source's turn."""

    def __init__(self, db: Database, config: Settings, name: str, source: Source | None) -> None:
        self._db, self._config, self._name, self._source = db, config, name, source
        self._held = False

    def run(self) -> None:
        """Until nothing is due, the source's minute or this round's time is used up, or it must be left alone."""
        ends = time.monotonic() + BUDGET_SECONDS
        while not (self._held or stopping.is_set()) and time.monotonic() < ends:
            with self._db.write() as session:
                errand = outbox.take(session, self._name, now(), self._per_minute())
            if errand is None:
                return
            self._do(errand)

    def _per_minute(self) -> int:
        if self._source is None:
            return _PER_MINUTE
        limit = (self._source.write_back or {}).get("per_minute")
        return int(limit or (self._source.profile.api or {}).get("per_minute", _PER_MINUTE))

    def _do(self, errand: Errand) -> None:
        with self._db.read() as session:
            ticket = session.get_one(Ticket, errand.ticket_id)
            classification = session.get(Classification, errand.classification_id) if errand.classification_id else None
        try:
            if errand.attempts > _MOST_ATTEMPTS:  # Whoever took it never came to an end with it.
                raise HopelessError(f"not done in {_MOST_ATTEMPTS} attempts; see the worker's log")
            if errand.kind == COMPLETE:
                self._complete(errand, ticket)
            elif classification is not None:
                self._write(errand, ticket, classification)
        except CallError as error:
            with self._db.write() as session:
                self._note_failure(session, errand, error)

    def _complete(self, errand: Errand, ticket: Ticket) -> None:
        values = complete.fetch(self._config, self._configured(), ticket)
        with self._db.write() as session:
            # Where the ticket came again meanwhile, this errand is superseded, and so is what it found.
            if outbox.mark(session, errand, DONE):
                tickets.complete(session, ticket, values, now())
                self._note_success(session)
        queue.try_wake(queue.CLASSIFY, self._config.redis_url)

    def _write(self, errand: Errand, ticket: Ticket, classification: Classification) -> None:
        if not classification.current:
            with self._db.write() as session:
                outbox.mark(session, errand, SUPERSEDED)
            return
        self._stop_where_gone()
        write_back.write(
            self._config, self._configured(), errand, ticket, classification, lambda steps: self._note(errand, steps)
        )
        with self._db.write() as session:
            if outbox.mark(session, errand, DONE):
                self._note_success(session)
            else:
                outbox.overtaken(session, errand)

    def _stop_where_gone(self) -> None:
        with self._db.read() as session:
            if outbox.any_failed(session, self._name, _UNSUBSCRIBED):
                raise HopelessError(_GONE)

    def _configured(self) -> Source:
        if self._source is None:
            raise HopelessError(f"the source {self._name} is no longer in SOURCES_FILE")
        if self._source.write_back is None and self._source.api is None:
            raise HopelessError(f"the source {self._name} has neither api nor write_back any more")
        return self._source

    def _note(self, errand: Errand, steps: int) -> None:
        with self._db.write() as session:
            outbox.note_steps(session, errand, steps, now())

    def _note_success(self, session: Session) -> None:
        if not outbox.any_failed(session, self._name):
            alarms.clear(session, ALARM, self._name)

    def _note_failure(self, session: Session, errand: Errand, error: CallError) -> None:
        """A passing fault is tried again, later; a hopeless one, or the last of the schedule, is a dead letter."""
        schedule = _COMPLETING_SCHEDULE if errand.kind == COMPLETE else _SCHEDULE
        if error.cause is Cause.GONE and "webhook" in ((self._source and self._source.write_back) or {}):
            self._unsubscribe(session)
        elif error.permanent or errand.attempts > len(schedule):
            self._bury(session, errand, error)
        else:
            wait = schedule[errand.attempts - 1] * _random.uniform(1, 1 + _JITTER)
            outbox.set_back(
                session,
                errand,
                now() + timedelta(seconds=max(wait, error.pause)),
                str(error),
                error.cause,
                counts=error.policy.counts,
            )
            if error.policy.alarms:
                self._alert(session, ALARM, error=str(error))
        if error.pause:
            outbox.hold_source(session, self._name, now() + timedelta(seconds=error.pause))
            self._held = True

    def _bury(self, session: Session, errand: Errand, error: CallError) -> None:
        if not outbox.mark(session, errand, FAILED, str(error), error.cause):
            return
        code = "incomplete" if errand.kind == COMPLETE else "untold"
        self._alert(session, code, ticket=errand.ticket_id, error=str(error))
        if errand.kind == COMPLETE and session.get_one(Ticket, errand.ticket_id).status == RECEIVED:
            # It is classified with what is there.
            tickets.make_due(session, errand.ticket_id, now())
            queue.try_wake(queue.CLASSIFY, self._config.redis_url)

    def _unsubscribe(self, session: Session) -> None:
        outbox.give_up(session, self._name, WRITE_BACK, _GONE, _UNSUBSCRIBED)
        self._alert(session, "gone", error=_GONE)

    def _alert(self, session: Session, code: str, **detail: Any) -> None:
        if told := alarms.raise_(session, ALARM, now(), code, self._name, source=self._name, **detail):
            log.error("Alarm: %s", told)
