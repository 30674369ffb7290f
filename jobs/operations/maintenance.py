"""The sweep hands over what the queue forgot and frees what dead workers held."""

import logging

from jobs.classification import retry_fallbacks
from jobs.helpdesks import outbox as outgoing
from receiver import queue
from receiver.db import digests, due_tickets, outbox, pauses, work
from receiver.db.database import opened
from receiver.db.models import SEND_DIGEST
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure

log = logging.getLogger(__name__)


def sweep() -> None:
    """The job of the queue `maintenance`, every few seconds. Safe to run twice: it only makes due what is due."""
    config = settings.load()
    configure(config.log_level)
    moment = now()
    with opened(config.database_url) as db, db.write() as session:
        freed = due_tickets.expire(session, moment)
        digests.recover_future(session, moment)
        digests.expire(session, moment)
        retry_fallbacks.recover(session)
        outgoing.expire(session, moment)
        work.recover_future(session, moment)
        tickets_due = not pauses.current(session) and (
            due_tickets.any_due(session, moment) or (config.uses_llm and retry_fallbacks.is_due(session))
        )
        digest_due = work.any_due(session, [SEND_DIGEST], moment) or digests.interrupted(session, moment)
        call_due = bool(outbox.sources_due(session, moment))
    if freed:
        log.warning("%d tickets were held by a worker that died; they are due again", freed)
    connection = queue.connect(config.redis_url)
    if tickets_due:
        queue.wake(queue.CLASSIFY, connection, enough=config.workers)
    if digest_due:
        queue.wake(queue.DIGEST, connection)
    if call_due:
        queue.wake(queue.OUTGOING, connection)
