"""What a failed call means, by its cause: whether, when and by whom it is tried again.

There are two layers. Inside one call the same request may be sent a few times more (`repeats`), while the caller's
deadline lasts. After that the work queue decides: its row says how often a kind of work is tried, and how far apart.
No library below retries.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Cause(StrEnum):
    """Why a call brought no answer: the code that is kept and counted."""

    AWAY = "away"
    TIMEOUT = "timeout"
    BUSY = "busy"
    UNREADABLE = "unreadable"
    NO_ROOM = "no_room"
    REQUEST = "request"
    PARAMETER = "parameter"
    SLIP = "slip"
    SPARED = "spared"
    OUTAGE = "outage"
    BUDGET = "budget"
    KEY = "key"
    BILLING = "billing"
    MODEL = "model"
    REGION = "region"
    REDIRECT = "redirect"
    ADDRESS = "address"
    REFUSED = "refused"
    FILTERED = "filtered"
    TOO_LONG = "too_long"
    PLAN = "plan"
    # Of helpdesks only.
    SERVER = "server"
    GONE = "gone"
    SETUP = "setup"
    OTHER = "other"


class Verdict(StrEnum):
    """What becomes of the work whose call has failed."""

    RETRY = "retry"  # It may pass: an attempt is used up, and the peer is counted as failing.
    OUTAGE = "outage"  # The peer was not asked; the work waits until it is, and no attempt is used up.
    PERMANENT = "permanent"  # It fails until an operator mends something.
    ABOUT_TICKET = "about_ticket"  # It fails for this ticket alone.
    BUDGET = "budget"  # There is no money for the call today.


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do about a cause.

    `repeats` is how often the same request may be sent again within one call, `pause` for how many seconds the peer is
    left alone by everybody where it names no time itself, `counts` whether an attempt was used up, `alarms` whether an
    operator is told although it is tried again.
    """

    verdict: Verdict
    repeats: int = 0
    pause: float = 0
    counts: bool = True
    alarms: bool = False


# Between the repeats within one call, where the peer names no time: each pause is twice the one before. In seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0

_retry, _permanent, _about_ticket = Policy(Verdict.RETRY), Policy(Verdict.PERMANENT), Policy(Verdict.ABOUT_TICKET)

MODEL = {
    Cause.AWAY: Policy(Verdict.RETRY, repeats=2),
    Cause.BUSY: Policy(Verdict.RETRY, repeats=2),
    Cause.SLIP: Policy(Verdict.RETRY, repeats=1),
    Cause.REQUEST: Policy(Verdict.RETRY, repeats=1),
    Cause.TIMEOUT: _retry,
    Cause.UNREADABLE: _retry,
    Cause.NO_ROOM: _retry,
    Cause.PARAMETER: _retry,
    Cause.SPARED: Policy(Verdict.OUTAGE, counts=False),
    Cause.OUTAGE: Policy(Verdict.OUTAGE, counts=False),
    Cause.BUDGET: Policy(Verdict.BUDGET, counts=False),
    Cause.KEY: _permanent,
    Cause.BILLING: _permanent,
    Cause.MODEL: _permanent,
    Cause.REGION: _permanent,
    Cause.REDIRECT: _permanent,
    Cause.ADDRESS: _permanent,
    Cause.REFUSED: _about_ticket,
    Cause.FILTERED: _about_ticket,
    Cause.TOO_LONG: _about_ticket,
    Cause.PLAN: _about_ticket,
}

HELPDESK = {
    Cause.AWAY: Policy(Verdict.RETRY, pause=30),
    Cause.SERVER: Policy(Verdict.RETRY, pause=30),
    Cause.BUSY: Policy(Verdict.RETRY, pause=30, counts=False),
    Cause.REDIRECT: Policy(Verdict.RETRY, pause=30, alarms=True),
    Cause.ADDRESS: Policy(Verdict.RETRY, pause=60, alarms=True),
    Cause.KEY: Policy(Verdict.RETRY, pause=300, alarms=True),
    Cause.OTHER: _retry,
    Cause.REQUEST: _permanent,
    Cause.GONE: _permanent,
    Cause.SETUP: Policy(Verdict.PERMANENT, alarms=True),
}

# Standard Webhooks, "Deliverability and reliability": only 410 says that a receiver wants no more.
WEBHOOK = HELPDESK | {Cause.REQUEST: _retry}


_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class WorkPolicy:
    """How a kind of work in the queue is held and tried again.

    A lease lasts `lease` and is renewed every `renew_seconds` while its owner lives, so the work of a dead owner is
    free again soon. After attempt n that failed, `waits[n - 1]` seconds pass, or up to the share `jitter` more; when
    they are used up it is a dead letter. `company_after_crash` says with how many others work is claimed whose owner
    has died so many times, and after `most_crashes` it is a dead letter. Nothing is ever put off longer than
    `longest_wait`.
    """

    lease: timedelta
    renew_seconds: float
    waits: tuple[float, ...]
    most_crashes: int
    company_after_crash: Mapping[int, int] = field(default_factory=dict)
    longest_wait: timedelta = timedelta(hours=1)
    jitter: float = 0.0

    def wait_after(self, attempts: int) -> timedelta | None:
        """How long work rests after so many failed attempts, at least one; None where it is a dead letter."""
        if attempts > len(self.waits):
            return None
        return timedelta(seconds=self.waits[attempts - 1] * _random.uniform(1, 1 + self.jitter))

    @property
    def most_attempts(self) -> int:
        """After how many failed attempts work is a dead letter."""
        return len(self.waits) + 1


_MINUTE, _HOUR = 60, 3_600
# So that what failed at the same moment is not tried again at the same moment.
_JITTER = 0.1

# By kind of work, as receiver/db/models/work.py names them.
WORK = {
    "classify": WorkPolicy(timedelta(seconds=10), 3, waits=(5, 10), most_crashes=3, company_after_crash={1: 8}),
    # A ticket without a requester is not classified meanwhile, so this ends within half an hour.
    "complete": WorkPolicy(timedelta(minutes=3), 60, waits=(5, 30, 120, 480), most_crashes=10, jitter=_JITTER),
    # Standard Webhooks, "Deliverability and reliability".
    "write_back": WorkPolicy(
        timedelta(minutes=3),
        60,
        waits=(5, 5 * _MINUTE, 30 * _MINUTE, *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24))),
        most_crashes=10,
        longest_wait=timedelta(hours=30),
        jitter=_JITTER,
    ),
    # With the waits between them, a day.
    "send_digest": WorkPolicy(
        timedelta(seconds=120),
        20,
        waits=tuple(min(30 * 2.0**attempt, _HOUR) for attempt in range(30)),
        most_crashes=31,
    ),
    # Never a dead letter: the last wait repeats. A call has ended, one way or the other, well within the lease.
    "retry_fallback": WorkPolicy(
        timedelta(minutes=10), 60, waits=tuple(min(10 * 2.0**attempt, _HOUR) for attempt in range(10)), most_crashes=3
    ),
}
