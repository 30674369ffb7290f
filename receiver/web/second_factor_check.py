"""Asking for a second factor: whose is required, and how often a wrong code may be tried."""

from dataclasses import dataclass
from datetime import timedelta

from flask import request

from receiver.db import audit, refusals, second_factors, sign_in_tries
from receiver.db.database import Database
from receiver.db.models import Person
from receiver.lib.clock import now
from receiver.lib.roles import ROLES
from receiver.lib.settings import Settings
from receiver.web import login_throttle
from receiver.web.state import context, count_refusal


@dataclass(frozen=True)
class Answer:
    """What became of a code: `kind` is "code" or "recovery code", None where it was refused; `wait` until the next."""

    kind: str | None
    wait: timedelta


def is_required(role: str) -> bool:
    """Whether REQUIRE_SECOND_FACTOR asks people of this role to have one."""
    config: Settings = context().settings
    lowest = config.require_second_factor
    return lowest != "none" and ROLES.index(role) >= ROLES.index(lowest)


def check(person: Person, code: str) -> Answer:
    """Spend a person's code. Wrong ones are slowed as wrong passwords are, counted, and in the audit."""
    db: Database = context().db
    moment, keys = now(), login_throttle.factor_keys(person)
    with db.read() as session:
        wait = sign_in_tries.wait(session, keys, moment)
    # A try is counted before it is judged, so that many at once cannot all pass the limit. Whoever must wait anyway
    # is turned away without a write, which would make senders wait.
    if not wait:
        with db.write() as session:
            wait = sign_in_tries.begin(session, keys, moment)
    if wait:
        count_refusal(refusals.THROTTLED)
        return Answer(None, wait)
    with db.write() as session:
        kind = second_factors.accept(session, person.id, code, context().factor_cipher, moment)
        if kind:
            sign_in_tries.forgive(session, keys)
        else:
            details = {"address": request.remote_addr or "unknown"}
            audit.note(session, person.email, "wrong second factor", f"person {person.id}", moment, details)
    if kind is None:
        count_refusal(refusals.SECOND_FACTOR)
    return Answer(kind, timedelta(0))
