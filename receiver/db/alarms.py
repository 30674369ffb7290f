"""Alarms: what an operator must know, for as long as it is true.

An alarm is kept as a code and the details that its sentence names; the sentence is made here, the same for pages, the
API and the log. That classification is paused, or that the engine is out, is no row of its own: it is read from the
pauses and the circuit breakers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from receiver.db import circuit_breaker, pauses
from receiver.db.models import Alarm, table_of

_COLUMNS = table_of(Alarm).columns
_IS_UP = select(_COLUMNS.kind).where(_COLUMNS.kind == bindparam("asked"), _COLUMNS.subject == bindparam("whose"))


def _catalog(detail: Mapping[str, Any]) -> str:
    mend = f"mend {detail['location']}; " if detail["location"] else ""
    return f"{detail['problem']}; {mend}" + (
        f"version {detail['version']}, read on {detail['loaded_at']} UTC, stays in force"
        if detail["version"]
        else "it has never given a good one, so tickets wait to be classified"
    )


def _dies(detail: Mapping[str, Any]) -> str:
    words = f"; its last words: {detail['last_words']}" if detail["last_words"] else ""
    return f"{detail['role']} has died {detail['deaths']} times in {detail['minutes']} minutes{words}"


_REFUSED = {
    "password": "wrong passwords",
    "throttled": "tries to sign in that came too soon",
    "link": "one-time links that do not work",
    "signature": "webhooks with a wrong proof",
    "token": "wrong API tokens",
    "second_factor": "wrong second factors",
}


def _refused(detail: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{found['count']} {_REFUSED[found['kind']]}{' for the source ' + found['source'] if found['source'] else ''}"
        f" in {detail['minutes']} minutes, last from {found['address']}"
        for found in detail["refused"]
    )


# By code: a text that the details fill in, or what makes one of them.
_SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "paused": (
        "classification is paused by {who}; tickets are accepted and wait in the record, until it is resumed on Jobs"
    ),
    "catalog": _catalog,
    "engine": "{error}",
    "budget": "{error}",
    "stand_ins": "another engine stood in for each of the last {count} tickets or more: {error}",
    "redis_away": "Redis is away: {reason}; tickets are accepted, and wait",
    "redis_unsuitable": "{problem}",
    "dies": _dies,
    "no_scheduler": "no scheduler runs, so nothing is done on time; start python -m jobs scheduler",
    "no_worker": "nobody serves the queue {queue}; start python -m jobs worker {queue}",
    "stuck": "no worker takes jobs from the queue {queues}; start python -m jobs worker",
    "backlog": "{tickets} tickets wait to be classified, the first of them for {minutes} minutes",
    "disk": "only {megabytes} MB are free where DATA_DIR is",
    "refused": _refused,
    "silent": "the source {source} has sent nothing for {hours} hours, which is not its habit; check its webhook",
    "reconcile": "the source {source} cannot be reconciled: {error}",
    "outgoing": "the source {source} cannot be told or asked: {error}",
    "incomplete": "the helpdesk of ticket {ticket} ({source}) is not complete: {error}",
    "untold": "the helpdesk of ticket {ticket} ({source}) is not told its classification: {error}",
    "gone": "{source}: {error}",
    "digest_failed": "digest {digest} failed: {error}",
    "digest_held": "digest {digest} is held: {error}",
    "digest_partly": "digest {digest} does not reach everybody: {error}",
    "digests_file": "{problem}",
    "backup": "no backup could be made: {error}",
    "audit": "the audit was tampered with: {problem}; compare it with a backup",
    "other": "{text}",  # A sentence of an earlier release.
}


@dataclass(frozen=True)
class Raised:
    """An alarm that is up: its kind, and whose it is where there may be one for each source, digest or queue."""

    kind: str
    subject: str
    code: str
    detail: Mapping[str, Any]
    since: datetime

    @property
    def name(self) -> str:
        """The kind and the subject in one word."""
        return f"{self.kind}:{self.subject}" if self.subject else self.kind

    @property
    def message(self) -> str:
        """What it says."""
        return sentence(self.code, self.detail)


def sentence(code: str, detail: Mapping[str, Any]) -> str:
    """What an alarm of this code says."""
    written = _SENTENCES[code]
    return written.format_map(detail) if isinstance(written, str) else written(detail)


def raise_(
    session: Session, kind: str, now: datetime, code: str | None = None, subject: str = "", **detail: Any
) -> str | None:
    """Keep this alarm up with this code, its kind's own where none is named, and these details.

    Returns what it says where it was silent before, else None.
    """
    code = code or kind
    alarm = session.get(Alarm, (kind, subject))
    if alarm is None:
        session.add(Alarm(kind=kind, subject=subject, code=code, detail=detail, since=now))
        return sentence(code, detail)
    alarm.code, alarm.detail = code, detail
    return None


def clear(session: Session, kind: str, subject: str = "") -> bool:
    """The cause of an alarm is gone; True where it was up. Most often it is silent, and only looked at."""
    if not session.scalar(_IS_UP, {"asked": kind, "whose": subject}):
        return False
    session.execute(delete(Alarm).where(Alarm.kind == kind, Alarm.subject == subject))
    return True


def current(session: Session) -> Sequence[Raised]:
    """Every alarm that is up, the oldest first."""
    found = [_raised(alarm) for alarm in session.scalars(select(Alarm))]
    if pause := pauses.current(session):
        found.append(Raised(pauses.ALARM, "", pauses.ALARM, {"who": pause.who}, pause.since))
    if outage := _outage(session):
        found.append(outage)
    return sorted(found, key=lambda alarm: alarm.since)


def _outage(session: Session) -> Raised | None:
    """The model's circuit is open; that of a helpdesk is no alarm of its own, for a call that fails brings one."""
    circuit = circuit_breaker.current(session, circuit_breaker.ENGINE)
    if circuit is None or circuit.opened_at is None:
        return None
    return Raised(circuit.name, "", "engine", {"error": circuit_breaker.why(circuit)}, circuit.opened_at)


def known(session: Session, kind: str, subject: str = "") -> Raised | None:
    """The alarm of this kind, where it is up."""
    alarm = session.get(Alarm, (kind, subject))
    if alarm:
        return _raised(alarm)
    return _outage(session) if (kind, subject) == (circuit_breaker.ENGINE, "") else None


def _raised(alarm: Alarm) -> Raised:
    return Raised(alarm.kind, alarm.subject, alarm.code, alarm.detail, alarm.since)


def message(session: Session, kind: str, subject: str = "") -> str | None:
    """What the alarm of this kind says; None while it is silent."""
    alarm = known(session, kind, subject)
    return alarm.message if alarm else None
