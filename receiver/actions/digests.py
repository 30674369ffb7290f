"""What is done to digests by hand: send one now, send one again, send it after all, or take it for sent.

Each leaves a claimed digest and wakes the queue. A command that sends it itself gives a context that wakes nothing.
"""

import redis
from sqlalchemy.orm import Session

from receiver import queue
from receiver.actions.context import Context
from receiver.actions.errors import ConflictError, NotFoundError, QueueAwayError
from receiver.db import audit, digests
from receiver.db.models import Digest
from receiver.digests import schedules
from receiver.digests.schedules import Plan
from receiver.queue import admin


def plan_named(context: Context, name: str | None) -> Plan:
    """The digest of this name, or without one the first there is. Raises NotFoundError."""
    try:
        return schedules.choose(schedules.current(context.settings).plans, name)
    except LookupError as error:
        raise NotFoundError(str(error)) from None


def send_now(context: Context, who: str, plan: Plan) -> Digest:
    """Claim a digest of everything settled since the last one of this plan. Raises ConflictError if nothing was."""
    moment = context.clock()
    envelope = plan.envelope(context.settings)
    with context.db.write() as session:
        # The period holds the moment, so that two people who send at once do not collide on its unique key.
        made = digests.claim(session, f"now-{moment.isoformat()}", envelope, moment, name=plan.name, chosen=plan.chosen)
        if made is None:
            raise ConflictError("Nothing was settled since the last digest.")
        audit.note(session, who, "send", f"digest {made.id}", moment, {"name": plan.name})
    context.wake(queue.DIGEST)
    return made


def resend(context: Context, who: str, digest_id: int) -> Digest:
    """Make a copy of a digest for the same people. Raises NotFoundError, and ConflictError while it is on its way."""
    moment = context.clock()
    with context.db.write() as session:
        get(session, digest_id)
        made = digests.copy(session, digest_id, moment)
        if made is None:
            raise ConflictError("It is on its way itself; a copy can be sent when it has arrived.")
        audit.note(session, who, "resend", f"digest {digest_id}", moment, {"copy": made.id})
    context.wake(queue.DIGEST)
    return made


def redrive(context: Context, who: str, digest_id: int) -> Digest:
    """Send a digest again to those whom it did not reach.

    Raises NotFoundError, and ConflictError where it has neither failed for anybody nor is it held or cancelled.
    """
    moment = context.clock()
    with context.db.write() as session:
        found = get(session, digest_id)
        # Under the same Message-ID, so that a mail that did arrive is not shown twice.
        if not digests.redrive(session, digest_id, moment):
            raise ConflictError(
                "It has neither failed for anybody nor is it held or cancelled, so there is nothing to try again."
            )
        audit.note(session, who, "redrive", f"digest {digest_id}", moment)
    context.wake(queue.DIGEST)
    return found


def accept(context: Context, who: str, digest_id: int) -> Digest:
    """Take a held digest for sent: somebody has seen the mail. Raises NotFoundError, and ConflictError for others."""
    moment = context.clock()
    with context.db.write() as session:
        found = get(session, digest_id)
        if not digests.accept(session, digest_id, moment):
            raise ConflictError("It is not held, so there is nothing to decide.")
        audit.note(session, who, "mark as sent", f"digest {digest_id}", moment)
    return found


def get(session: Session, digest_id: int) -> Digest:
    """The digest with this id. Raises NotFoundError."""
    found = session.get(Digest, digest_id)
    if found is None:
        raise NotFoundError("There is no digest with this id.")
    return found


def order_preview(context: Context, plan: Plan) -> None:
    """Have a worker build what this digest would be if it were sent now. Raises QueueAwayError."""
    # Nothing is claimed or sent, so there is nothing for the audit to say.
    try:
        admin.preview(context.redis, plan.name)
    except (redis.RedisError, OSError):
        raise QueueAwayError("Redis does not answer, so nothing can be built now. Try again when it is back.") from None
