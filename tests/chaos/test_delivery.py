"""Short versions: a mail server that fails, a sender killed after the 250, a model that is away, a power cut."""

import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from chaos import checks, delivery, digests_once, model_faults
from chaos.digests_once import Month
from chaos.ledger import Ledger
from chaos.world import World, running
from receiver import queue
from receiver.db.database import Database
from receiver.db.models import DUE, Circuit, Moment, Work
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import wait_until

pytestmark = [pytest.mark.durable, pytest.mark.full]

SEED = 20261122


def test_a_digest_arrives_once_whatever_the_mail_server_does_and_whenever_its_sender_dies(tmp_path: Path) -> None:
    cases = [("DATA", "drop"), ("RCPT", "4xx"), ("dot", "drop")]
    with (
        digests_once.faulty_mail() as mail,
        running(tmp_path, only=digests_once.SERVING, SMTP_PORT=str(mail.port), WEB_WORKERS="1") as world,
    ):
        assert digests_once.mail_faults(world, mail, cases, random.Random(SEED)) == []


def test_a_sender_that_dies_after_the_250_sends_no_second_digest(tmp_path: Path) -> None:
    with running(tmp_path, only=digests_once.SERVING, DIGEST_AFTER_UNKNOWN="resend", WEB_WORKERS="1") as world:
        copies, faults = digests_once.kill_after_250(world, tmp_path / "trap", 1)
    assert faults == []
    assert copies == 2


def test_while_the_model_is_away_tickets_wait_and_afterwards_none_is_lost(tmp_path: Path) -> None:
    ledger = Ledger()
    with running(tmp_path, only=("web", "redis", "classify0"), WEB_WORKERS="1") as world:
        _, faults = model_faults.outage(
            world, ledger, random.Random(SEED), 60, seconds=1, then=lambda: wait_until(lambda: _is_settled(world))
        )
        assert faults + checks.broken(world, ledger) == []
        assert world.counts() == {"classified": 60}


def _is_settled(world: World) -> bool:
    """Whether no ticket waits; until then the pauses are over, as if seconds were minutes, and the worker is woken."""
    with world.db.write() as session:
        session.execute(update(Moment).values(at=now()))
        session.execute(update(Circuit).values(probe_at=now()))
        session.execute(update(Work).where(Work.state == DUE).values(run_at=now()))
    with queue.connect(world.config.redis_url) as connection:
        queue.wake(queue.CLASSIFY, connection)
    return world.counts().get("received", 0) == 0


@pytest.mark.parametrize("name", ["drip", "hang"])
def test_a_bad_answer_holds_a_call_no_longer_than_its_time(name: str) -> None:
    assert model_faults.deadlines(1, [name], hang=60)[name] < 30


def test_every_commit_survives_a_power_cut(tmp_path: Path) -> None:
    assert delivery.write_under_power_cuts(tmp_path, random.Random(SEED), 1).faults() == []


def test_days_with_a_wrong_clock_has_one_digest_a_day(db: Database, config: Settings) -> None:
    ahead, back, asleep = (date(2026, 3, day) for day in (27, 28, 29))
    wrong = {ahead: timedelta(days=3), back: timedelta(hours=-2)}
    days = Month("Europe/Berlin", date(2026, 3, 27), 4, timedelta(hours=1), wrong=wrong, asleep={asleep})
    assert digests_once.simulate(config, days) == []
