"""Real worker processes, asked to stop, killed, and fed poison."""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rq import Queue
from sqlalchemy import select

from jobs.classification import classify
from jobs.operations import maintenance
from jobs.operations.supervisor import STOP_SECONDS
from receiver import queue
from receiver.db.database import Database
from receiver.db.models import Classification, Ticket
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import ROOT, wait_until
from tests.factories import deliver, incoming, outrun_leases, queued
from tests.factories import held as under_lease
from tests.peers import http, llm
from tests.peers.http import Answer, Peer, Request

pytestmark = pytest.mark.durable

CATALOG = "categories: [{name: Network, requests: [{name: VPN Issue}, {name: Wi-Fi Issue}, {name: Other misc}]}]"
CONCURRENCY = 4
PATIENCE = 4 * STOP_SECONDS  # A busy machine takes its time.
HELD_SECONDS = 200  # For how long the model answers nothing, and is waited for: longer than any worker here lives.

Process = subprocess.Popen[bytes]


@pytest.fixture
def config(redis_url: str, environment: pytest.MonkeyPatch, model: Peer, tmp_path: Path) -> Settings:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    for name, value in {
        "SERVICE_CATALOG_URL": str(tmp_path / "catalog.yaml"), "OPENAI_BASE_URL": f"{model.url}/v1",
        "LLM_CONCURRENCY": str(CONCURRENCY), "LLM_TIMEOUT": str(HELD_SECONDS),
        "LOG_LEVEL": "DEBUG", "PYTHONPATH": str(ROOT),
    }.items():  # fmt: skip
        environment.setenv(name, value)
    return settings.load()


@pytest.fixture(autouse=True)
def unchanged_log() -> Iterator[None]:
    """A job that runs in this process configures its root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@contextmanager
def running(*arguments: str) -> Iterator[Process]:
    """A process of this project, in the test's environment; neither it nor its children survive the block."""
    with Path("log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *arguments], stderr=log, stdout=log)
    try:
        yield process
    finally:
        for pid in (*children(process), process.pid):
            if process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        process.wait()


def children(process: Process) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


@pytest.fixture
def worker(db: Database) -> Iterator[Process]:
    with running("-m", "jobs", "worker", "classify") as process:
        yield process


@pytest.fixture
def held(model: Peer) -> Iterator[threading.Event]:
    """While it is not set, the model answers only to tickets that say they are quick."""
    go_on = threading.Event()

    def respond(request: Request) -> Answer:
        if "quick" not in request.json["messages"][1]["content"]:
            go_on.wait(HELD_SECONDS)
        return llm.first_label(request)

    model.respond = respond
    yield go_on
    go_on.set()


def wake(config: Settings) -> None:
    with queue.connect(config.redis_url) as connection:
        queue.wake(queue.CLASSIFY, connection)


def waiting(config: Settings) -> int:
    with queue.connect(config.redis_url) as connection:
        return queue.depths(connection)[queue.CLASSIFY]


def tickets(db: Database) -> list[Ticket]:
    with db.read() as session:
        return list(session.scalars(select(Ticket).order_by(Ticket.id)))


def statuses(db: Database) -> Counter[str]:
    return Counter(found.status for found in tickets(db))


def count(db: Database) -> int:
    with db.read() as session:
        return session.query(Classification).count()


def not_due(db: Database) -> list[dict[str, Any]]:
    """The tickets that are not settled and cannot be claimed at once as if nobody had tried them, and why."""
    moment, of_ticket = now(), {found.id: found for found in tickets(db)}
    return [
        {
            "id": ticket_id,
            "owner": row.lease_owner,
            "crashes": row.crashes,
            "attempts": row.attempts,
            "due in": row.run_at - moment,
            "error": of_ticket[ticket_id].error,
        }
        for ticket_id, row in queued(db).items()
        if (row.lease_owner, row.crashes, row.attempts) != (None, 0, 0) or row.run_at > moment
    ]


def crashed(db: Database) -> set[int]:
    return {ticket_id for ticket_id, row in queued(db).items() if row.crashes == 1}


def sweep_later(db: Database) -> None:
    """The sweep, as if every lease were over."""
    with db.write() as session:
        outrun_leases(session)
    maintenance.sweep()


def test_a_worker_classifies_what_it_is_woken_for_and_logs_no_text(
    db: Database, config: Settings, worker: Process
) -> None:
    deliver(db, *(incoming(short_description="Zebra", long_description="Hunter2") for _ in range(20)))
    wake(config)
    wait_until(lambda: statuses(db) == {"classified": 20})
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    assert count(db) == 20
    log = Path("log").read_text()
    assert "Zebra" not in log
    assert "Hunter2" not in log


@pytest.mark.full
def test_a_worker_that_is_asked_to_stop_ends_in_time_and_every_ticket_is_classified_or_due(
    db: Database, config: Settings, model: Peer, held: threading.Event, worker: Process
) -> None:
    deliver(db, *(incoming(short_description="quick") for _ in range(6)), *(incoming() for _ in range(20)))
    wake(config)
    wait_until(lambda: statuses(db)["classified"] == 6 and len(model.requests) == 6 + CONCURRENCY)
    worker.terminate()
    ends: set[datetime] = set()
    wait_until(lambda: worker.poll() is not None or note_leases(db, ends), seconds=PATIENCE)
    assert worker.returncode == 0
    assert statuses(db) == {"classified": 6, "received": 20}
    assert not_due(db) == []
    assert max(ends) - min(ends) > timedelta(seconds=2), "a lease is renewed while its holder lives"
    assert waiting(config) == 0


def note_leases(db: Database, ends: set[datetime]) -> bool:
    ends |= {row.lease_until for row in queued(db).values() if row.lease_until}
    return False


@pytest.mark.full
def test_a_worker_that_is_asked_to_stop_before_its_job_runs_claims_nothing(
    db: Database, config: Settings, environment: pytest.MonkeyPatch, model: Peer, held: threading.Event
) -> None:
    loaded = threading.Event()
    answer = Answer(200, CATALOG.encode())
    with http.serve(Peer(lambda _request: answer if loaded.wait(120) else Answer(500))) as site:
        environment.setenv("SERVICE_CATALOG_URL", f"{site.url}/catalog.yaml")
        deliver(db, *(incoming() for _ in range(10)))
        wake(config)
        with running("-m", "jobs", "worker", "classify") as worker:
            wait_until(lambda: site.requests)
            worker.terminate()
            loaded.set()
            assert worker.wait(PATIENCE) == 0
    assert statuses(db) == {"received": 10}
    assert not_due(db) == []
    assert model.requests == []


@pytest.mark.full
def test_the_tickets_of_a_killed_worker_are_due_again_after_the_lease_and_a_sweep(
    db: Database, config: Settings, model: Peer, held: threading.Event, worker: Process
) -> None:
    deliver(db, *(incoming(short_description="quick") for _ in range(6)), *(incoming() for _ in range(20)))
    wake(config)
    wait_until(lambda: statuses(db)["classified"] == 6 and len(model.requests) == 6 + CONCURRENCY)
    (horse,) = children(worker)
    os.kill(worker.pid, signal.SIGKILL)
    os.kill(horse, signal.SIGKILL)
    worker.wait()
    in_hand = under_lease(db)
    assert len(in_hand) >= CONCURRENCY
    maintenance.sweep()
    assert under_lease(db) == in_hand
    sweep_later(db)
    assert crashed(db) == in_hand
    assert under_lease(db) == set()
    assert waiting(config) == 1
    held.set()
    classify.classify_due()
    assert statuses(db) == {"classified": 26}
    assert count(db) == 26


@pytest.mark.full
def test_the_tickets_of_a_job_that_died_are_due_again_at_once_where_its_worker_lives(
    db: Database, config: Settings, model: Peer, held: threading.Event, worker: Process
) -> None:
    deliver(db, *(incoming() for _ in range(20)))
    wake(config)
    wait_until(lambda: len(model.requests) == CONCURRENCY)
    (horse,) = children(worker)
    in_hand = under_lease(db)
    os.kill(horse, signal.SIGKILL)
    wait_until(lambda: crashed(db) == in_hand)
    held.set()
    wait_until(lambda: statuses(db) == {"classified": 20})


POISONED = """
import os, signal
from jobs.classification.engines.base import Proposal
from jobs.classification.current_catalog import current_catalog
from jobs.classification.classify import ClassificationRun
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.db import due_tickets
from receiver.db.database import opened

class Fragile:
    name, model, parallel = "fragile", "fragile-1", 1

    def propose(self, ticket):
        if ticket.short_description == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        return Proposal("VPN Issue", 0.9, "", self.name, self.model)

def due(db):
    with db.read() as session:
        return due_tickets.any_due(session, now())

config = settings.load()
with opened(config.database_url) as db:
    while due(db):
        ClassificationRun(db, Fragile(), current_catalog(db, config), config).run(10)
"""


@pytest.mark.full
def test_a_ticket_that_kills_its_process_fails_with_the_reason_and_the_others_are_classified(
    db: Database, config: Settings
) -> None:
    deliver(db, *(incoming(short_description="poison" if number == 4 else "fine") for number in range(20)))
    codes = []
    while statuses(db)["received"]:
        with running("-c", POISONED) as process:
            codes.append(process.wait(90))
        sweep_later(db)
        assert len(codes) <= 4
    assert codes in ([-signal.SIGKILL] * 3, [-signal.SIGKILL] * 3 + [0])
    assert statuses(db) == {"classified": 19, "failed": 1}
    (poison,) = [found for found in tickets(db) if found.status == "failed"]
    assert (poison.short_description, poison.attempts) == ("poison", 3)
    assert (queued(db)[poison.id].state, queued(db)[poison.id].crashes) == ("dead", 3)
    assert "died 3 times" in (poison.error or "")


class Payload:
    """What runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._path,)


@pytest.mark.full
def test_a_pickled_payload_runs_nothing(db: Database, config: Settings, worker: Process, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with queue.connect(config.redis_url) as connection:
        pickled = Queue(queue.CLASSIFY, connection=connection)
        job = pickled.enqueue("jobs.classification.classify.classify_due", Payload(touched), result_ttl=-1)
        wait_until(lambda: job.id in pickled.failed_job_registry.get_job_ids())
        data: Any = connection.hget(job.key, "data")
    assert not touched.exists()
    deliver(db, incoming())
    wake(config)
    wait_until(lambda: statuses(db) == {"classified": 1})
    pickle.loads(zlib.decompress(data))  # noqa: S301 - it would have run, had anybody unpickled it.
    assert touched.exists()


@pytest.mark.full
def test_a_foreign_job_written_as_json_is_not_run(config: Settings, worker: Process, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with queue.connect(config.redis_url) as connection:
        target = queue.queue(queue.CLASSIFY, connection)
        job = target.enqueue("os.mkdir", str(made))
        wait_until(lambda: job.id in target.failed_job_registry.get_job_ids())
    assert not made.exists()


EVIL = "from pathlib import Path\nPath('imported').touch()\ndef called(*_words): pass\n"


def test_what_somebody_writes_into_a_job_is_not_called_imported_or_followed(
    db: Database, config: Settings, tmp_path: Path
) -> None:
    (tmp_path / "evil.py").write_text(EVIL)  # The worker would find it: it runs in this folder.
    with http.serve(Peer(lambda _request: Answer(200))) as stranger, queue.connect(config.redis_url) as connection:
        target = queue.queue(queue.MAINTENANCE, connection)
        good, bad, follower = (
            target.enqueue(name) for name in ("jobs.operations.maintenance.sweep", "os.getpid", "os.getpid")
        )
        target.remove(follower)
        webhooks = [{"url": f"{stranger.url}/{ended}", "job_status": ended} for ended in ("finished", "failed")]
        written = {f"{kind}_callback_name": "evil.called" for kind in ("success", "failure", "stopped")}
        written |= {"webhooks": json.dumps(webhooks), "retries_left": "3", "repeats_left": "3", "group_id": "evil"}
        for job in (good, bad):
            connection.hset(job.key, mapping=written)
            connection.sadd(job.dependents_key, follower.id)
            connection.hset(follower.key, "dependency_ids", json.dumps([job.id]))
        connection.hset(good.key, "meta", pickle.dumps(Payload(tmp_path / "unpickled")))
        with running("-m", "jobs", "worker", "maintenance"):
            wait_until(lambda: bad.id in target.failed_job_registry.get_job_ids() and not target.count)
        assert target.finished_job_registry.get_job_ids() == [good.id]
        assert target.failed_job_registry.get_job_ids() == [bad.id]
    assert stranger.requests == []
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.full
def test_of_a_timed_job_that_keeps_failing_one_failure_is_remembered(config: Settings) -> None:
    with queue.connect(config.redis_url) as connection:  # There is no record, so each run fails.
        target = queue.queue(queue.MAINTENANCE, connection)
        foreign = target.enqueue("os.getpid")
        jobs = [
            target.enqueue("jobs.operations.maintenance.sweep", description="jobs.operations.maintenance.sweep")
            for _ in range(4)
        ]
        with running("-m", "jobs", "worker", "maintenance"):
            wait_until(lambda: jobs[-1].id in target.failed_job_registry.get_job_ids() and not target.count)
            wait_until(lambda: len(target.failed_job_registry.get_job_ids()) == 2)
        assert set(target.failed_job_registry.get_job_ids()) == {foreign.id, jobs[-1].id}
        assert len(list(connection.scan_iter("rq:job:*"))) == 2
