"""The sweep: what the queue forgot, what dead workers held, and what a wrong clock put away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
import time_machine
from sqlalchemy import update

from jobs.operations import maintenance, retention
from receiver import queue
from receiver.db import due_tickets, pauses
from receiver.db.database import Database
from receiver.db.digests import begin_sending, claim, mark, take, take_slot
from receiver.db.models import SEND_DIGEST, Delivery, Digest, Ticket, Work
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.retry_policy import WORK
from receiver.lib.settings import Settings
from tests.factories import deliver, due_ticket, held, incoming, queued, settle

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as moment:
        yield moment


def waiting(config: Settings) -> dict[str, list[str]]:
    """The jobs that wait in each queue."""
    with queue.connect(config.redis_url) as connection:
        jobs = {name: queue.queue(name, connection).get_jobs() for name in queue.QUEUES}
    return {name: [str(job.func_name) for job in found] for name, found in jobs.items() if found}


def ticket(db: Database, ticket_id: int) -> Ticket:
    with db.read() as session:
        found = session.get(Ticket, ticket_id)
    assert found is not None
    return found


def delay(db: Database, ticket_id: int, by: timedelta) -> None:
    with db.write() as session:
        session.execute(update(Work).where(Work.subject_id == ticket_id).values(run_at=now() + by))


def hold(db: Database, lease: str = "dead-worker") -> None:
    with db.write() as session:
        due_tickets.claim(session, lease, 100, now())


def claimed_digest(db: Database) -> int:
    settle(db, due_ticket(db))
    with db.write() as session:
        digest = claim(session, now().isoformat(), Envelope(("boss@example.com",), "example.com"), now())
    assert digest is not None
    return digest.id


def test_where_nothing_is_due_nobody_is_woken(db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    delay(db, due_ticket(db), timedelta(seconds=30))
    maintenance.sweep()
    assert waiting(config) == {}


def test_a_forgotten_wake_up_is_made_up_for_once(db: Database, config: Settings) -> None:
    due_ticket(db)
    for _ in range(5):
        maintenance.sweep()
    assert waiting(config) == {"classify": [queue.CLASSIFY_JOB]}
    with queue.connect(config.redis_url) as connection:
        connection.flushall()
    maintenance.sweep()
    assert waiting(config) == {"classify": [queue.CLASSIFY_JOB]}


def test_while_classification_is_paused_nobody_is_woken_for_it(db: Database, config: Settings) -> None:
    due_ticket(db)
    with db.write() as session:
        pauses.begin(session, "Ada", now())
    maintenance.sweep()
    assert waiting(config) == {}
    with db.write() as session:
        pauses.end(session)
    maintenance.sweep()
    assert waiting(config) == {"classify": ["jobs.classification.classify.classify_due"]}


def test_every_worker_is_woken_where_there_are_several(
    db: Database, config: Settings, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("WORKERS", "3")
    due_ticket(db)
    for _ in range(5):
        maintenance.sweep()
    assert waiting(config) == {"classify": [queue.CLASSIFY_JOB] * 3}


def test_what_a_dead_worker_held_is_due_again_when_its_lease_is_over(
    db: Database, config: Settings, clock: time_machine.Traveller
) -> None:
    ticket_id = due_ticket(db)
    hold(db)
    clock.shift(due_tickets.POLICY.lease - timedelta(seconds=1))
    maintenance.sweep()
    assert queued(db)[ticket_id].lease_owner == "dead-worker"
    assert waiting(config) == {}
    clock.shift(2)
    maintenance.sweep()
    freed = queued(db)[ticket_id]
    assert (ticket(db, ticket_id).status, ticket(db, ticket_id).error) == ("received", None)
    assert (freed.lease_owner, freed.crashes) == (None, 1)
    assert freed.run_at <= now()
    assert waiting(config) == {"classify": [queue.CLASSIFY_JOB]}


def test_a_lease_that_is_renewed_is_left_alone(db: Database, clock: time_machine.Traveller) -> None:
    ticket_id = due_ticket(db)
    hold(db, "alive")
    for _ in range(10):
        clock.shift(due_tickets.POLICY.renew_seconds + 5)
        with db.write() as session:
            due_tickets.renew(session, "alive", now())
        maintenance.sweep()
    assert (queued(db)[ticket_id].lease_owner, queued(db)[ticket_id].crashes) == ("alive", 0)


def test_a_ticket_whose_worker_dies_three_times_fails_with_the_reason_and_nothing_else_does(
    db: Database, clock: time_machine.Traveller
) -> None:
    poison, bystander = due_ticket(db), due_ticket(db)
    delay(db, bystander, timedelta(minutes=5))
    for _ in range(2):
        with db.write() as session:
            assert due_tickets.claim(session, "w", 9, now()) or due_tickets.claim_crashed(session, "w", now())
        clock.shift(11)
        maintenance.sweep()
        assert ticket(db, poison).status == "received"
    with db.write() as session:
        assert [found.ticket.id for found in due_tickets.claim_crashed(session, "w", now())] == [poison]
    clock.shift(11)
    maintenance.sweep()
    dead = ticket(db, poison)
    assert (dead.status, dead.attempts) == ("failed", 3)
    assert (queued(db)[poison].state, queued(db)[poison].error_code) == ("dead", "crashed")
    assert "3 times" in (dead.error or "")
    assert dead.settled is not None
    assert ticket(db, bystander).status == "received"
    maintenance.sweep()
    assert ticket(db, poison).settled == dead.settled


def test_a_ticket_that_a_wrong_clock_put_into_the_future_is_due_again(db: Database, config: Settings) -> None:
    with time_machine.travel(START + timedelta(days=3), tick=False):
        far = due_ticket(db)
    soon = due_ticket(db)
    delay(db, soon, timedelta(seconds=20))
    maintenance.sweep()
    assert queued(db)[far].run_at <= now()
    assert queued(db)[soon].run_at == now() + timedelta(seconds=20)
    assert waiting(config) == {"classify": [queue.CLASSIFY_JOB]}


def test_a_lease_that_a_wrong_clock_put_into_the_future_ends_too(db: Database, config: Settings) -> None:
    with time_machine.travel(START + timedelta(days=3), tick=False):
        ticket_id = due_ticket(db)
        hold(db)
    maintenance.sweep()
    with time_machine.travel(now() + due_tickets.POLICY.lease, tick=False):
        maintenance.sweep()
    assert (held(db), ticket(db, ticket_id).status) == (set(), "received")
    assert waiting(config) == {"classify": [queue.CLASSIFY_JOB]}


@pytest.mark.parametrize("status", ["claimed", "sending"])
def test_a_digest_that_a_wrong_clock_put_into_the_future_goes_on(
    db: Database, config: Settings, clock: time_machine.Traveller, status: str
) -> None:
    with time_machine.travel(START + timedelta(days=3), tick=False):
        digest_id = claimed_digest(db)
        with db.write() as session:
            taken = take(session, digest_id, now())
            assert taken
            assert status == "claimed" or begin_sending(session, taken, now())
    maintenance.sweep()
    assert waiting(config) == {}
    clock.shift(WORK[SEND_DIGEST].lease + timedelta(seconds=1))
    maintenance.sweep()
    assert waiting(config) == {"digest": [queue.DIGEST_JOB]}


def test_a_digest_that_waits_for_what_a_wrong_clock_called_tomorrow_is_due(db: Database, config: Settings) -> None:
    with time_machine.travel(START + timedelta(days=3), tick=False):
        claimed_digest(db)
    maintenance.sweep()
    assert waiting(config) == {"digest": [queue.DIGEST_JOB]}


def test_a_slot_that_a_wrong_clock_took_early_does_not_hide_the_next(db: Database) -> None:
    with db.write() as session:
        assert not take_slot(session, "digest", START + timedelta(days=3))
    maintenance.sweep()
    with db.write() as session:
        assert not take_slot(session, "digest", START - timedelta(hours=1))
        assert take_slot(session, "digest", START + timedelta(hours=1))


def test_a_digest_that_waits_is_woken_once(db: Database, config: Settings, clock: time_machine.Traveller) -> None:
    digest_id = claimed_digest(db)
    for _ in range(3):
        maintenance.sweep()
    assert waiting(config) == {"digest": [queue.DIGEST_JOB]}
    with queue.connect(config.redis_url) as connection, db.write() as session:
        connection.flushall()
        assert take(session, digest_id, now())
    maintenance.sweep()
    assert waiting(config) == {}
    clock.shift(WORK[SEND_DIGEST].lease + timedelta(seconds=1))
    maintenance.sweep()
    assert waiting(config) == {"digest": [queue.DIGEST_JOB]}


@pytest.mark.parametrize(("status", "woken"), [("sending", True), ("sent", False), ("held", False), ("failed", False)])
def test_an_interrupted_digest_is_woken_and_a_finished_one_is_not(
    db: Database, config: Settings, clock: time_machine.Traveller, status: str, woken: bool
) -> None:
    digest_id = claimed_digest(db)
    with db.write() as session:
        mark(session, digest_id, status, now())
    maintenance.sweep()
    assert waiting(config) == {}
    clock.shift(WORK[SEND_DIGEST].lease + timedelta(seconds=1))
    maintenance.sweep()
    assert waiting(config) == ({"digest": [queue.DIGEST_JOB]} if woken else {})
    with db.read() as session:
        assert session.get_one(Digest, digest_id).status == status


def test_what_the_sweep_freed_stays_free_while_redis_is_away(
    db: Database, environment: pytest.MonkeyPatch, clock: time_machine.Traveller
) -> None:
    ticket_id = due_ticket(db)
    hold(db)
    clock.shift(11)
    environment.setenv("REDIS_URL", "unix:///nowhere/redis.sock")
    with pytest.raises(redis.RedisError):
        maintenance.sweep()
    assert (held(db), ticket(db, ticket_id).status) == (set(), "received")


def test_raw_bodies_are_dropped_after_their_time_and_the_rest_stays(db: Database) -> None:
    old = deliver(db, incoming(), at=now() - timedelta(days=31))
    fresh = deliver(db, incoming(), at=now() - timedelta(days=29))
    retention.retain()
    retention.retain()
    with db.read() as session:
        assert session.get_one(Delivery, old.id).body is None
        assert session.get_one(Delivery, old.id).accepted == 1
        assert session.get_one(Delivery, fresh.id).body is not None
