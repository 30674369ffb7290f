"""What supervisors and monitoring are told."""

import math
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from receiver.actions import watch
from receiver.db import due_tickets, latencies, overview, refusals
from receiver.db.database import Database, migrate, opened
from receiver.db.heartbeat import SCHEDULER
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web.app import create_app
from tests.factories import deliver, due_ticket, incoming, open_circuit, settle


@pytest.fixture
def monitor(client: FlaskClient, config: Settings) -> FlaskClient:
    """A client with the token."""
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret_files.api_token(config)}"
    return client


def _metrics(monitor: FlaskClient) -> dict[str, float]:
    answer = monitor.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_process_that_answers_is_healthy_whatever_else_is_away(config: Settings, tmp_path: Path) -> None:
    nowhere = f"sqlite:///{tmp_path}/missing/tickets.db"
    client = create_app(replace(config, database_url=nowhere, redis_url=f"unix://{tmp_path}/no.sock")).test_client()
    assert (client.get("/healthz").status_code, client.get("/healthz").json) == (200, {"status": "ok"})


def test_a_new_schema_and_a_redis_that_answers_are_ready(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "database": "up", "redis": "up", "alarms": []})


def test_a_redis_that_may_throw_jobs_away_is_told(client: FlaskClient, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        connection.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert client.get("/readyz").get_json()["redis"] == "up"  # Without a limit nothing is evicted.
            connection.config_set("maxmemory", "1gb")
            answer = client.get("/readyz")
        finally:
            connection.config_set("maxmemory", 0)
            connection.config_set("maxmemory-policy", "noeviction")
    assert answer.status_code == 200
    assert "evicts what waits in it (allkeys-lru); set its maxmemory-policy to noeviction" in answer.get_json()["redis"]
    assert client.get("/readyz").get_json()["redis"] == "up"


def test_an_old_schema_is_not_ready_until_it_is_migrated(client: FlaskClient, db: Database) -> None:
    def set_back(version: str) -> str:
        with db.write() as session:
            before: str = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        return before

    newest = set_back("0001")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "migrate" in answer.get_json()["database"]
    set_back(newest)
    assert client.get("/readyz").status_code == 200
    set_back("9999")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "newer version" in answer.get_json()["database"]


def test_an_empty_database_is_not_ready_until_it_is_migrated(config: Settings, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    client = create_app(replace(config, database_url=url)).test_client()
    assert client.get("/readyz").status_code == 503
    with opened(url) as db:
        migrate(db)
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("name", ["missing/tickets.db", "garbage.db", "folder"])
def test_a_database_that_is_away_is_not_ready_and_told_without_its_place(
    config: Settings, tmp_path: Path, name: str
) -> None:
    (tmp_path / "garbage.db").write_bytes(b"this is no database" * 100)
    (tmp_path / "folder").mkdir()
    client = create_app(replace(config, database_url=f"sqlite:///{tmp_path}/{name}")).test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["status"] == "not ready"
    assert answer.get_json()["database"].startswith("away")
    assert str(tmp_path) not in answer.text


@contextmanager
def _silent_server(path: Path) -> Iterator[str]:
    """Something that takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(100)
        yield f"unix://{path}"


def test_a_redis_that_is_away_or_silent_is_told_and_does_no_harm(
    config: Settings, db: Database, tmp_path: Path
) -> None:
    with _silent_server(tmp_path / "silent.sock") as silent:
        for url in (f"unix://{tmp_path}/no.sock", "redis://127.0.0.1:1", silent):
            answer = create_app(replace(config, redis_url=url)).test_client().get("/readyz")
            assert answer.status_code == 200
            assert answer.get_json()["status"] == answer.get_json()["database"].replace("up", "ok") == "ok"
            assert answer.get_json()["redis"].startswith("away")


def test_the_numbers_are_those_of_the_record(monitor: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db))
    settle(db, due_ticket(db), review_reason="low_confidence")
    failed = due_ticket(db)
    with db.write() as session:
        due_tickets.fail(session, failed, "other", "gave up", 1, None)
    open_circuit(db)
    deliver(db, *(incoming() for _ in range(5)))
    deliver(db, *(incoming(external_id="A") for _ in range(2)))
    numbers = _metrics(monitor)
    with db.read() as session:
        counts = overview.counts(session, now())
        rows = session.execute(text("SELECT status, count(*) FROM tickets GROUP BY status"))
        assert {status: count for status, count in counts["tickets"].items() if count} == {
            row[0]: row[1] for row in rows
        }
    for noun in ("tickets", "deliveries"):
        for status, count in counts[noun].items():
            assert numbers.pop(f"ticket_attribution_{noun}{status}") == count
    assert numbers.pop("ticket_attribution_oldest_due_seconds") >= 0
    assert numbers.pop("ticket_attribution_alarmengine") == 1
    assert {numbers.pop(f"ticket_attribution_processes{role}") for role in (SCHEDULER, *watch.WORKERS)} == {0}
    assert {numbers.pop(f"ticket_attribution_refused_total{kind}") for kind in refusals.KINDS} == {0}
    others = {name: value for name, value in numbers.items() if "_stage_seconds_" not in name}
    assert others == {"ticket_attribution_due_tickets": 6, "ticket_attribution_alarms": 1}


def test_every_state_has_a_number_even_in_an_empty_record(monitor: FlaskClient) -> None:
    numbers = _metrics(monitor)
    assert numbers["ticket_attribution_ticketsfailed"] == numbers["ticket_attribution_deliveriesquarantined"] == 0
    assert set(numbers.values()) == {0}


def test_no_number_carries_text_of_a_ticket(monitor: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db, external_id="PRIVATE", short_description="PRIVATE"), category="PRIVATE")
    assert "PRIVATE" not in monitor.get("/metrics").text


def test_numbers_that_cannot_be_read_are_refused_in_the_one_shape_of_errors(config: Settings, tmp_path: Path) -> None:
    client = create_app(replace(config, database_url=f"sqlite:///{tmp_path}/missing/tickets.db")).test_client()
    for url in ("/metrics", "/api/stats"):
        answer = client.get(url, headers={"Authorization": f"Bearer {secret_files.api_token(config)}"})
        assert (answer.status_code, answer.content_type) == (503, "application/json")
        assert int(answer.headers["Retry-After"]) > 0
        assert str(tmp_path) not in answer.text


def test_the_stages_are_histograms_whose_buckets_hold_what_was_noted(monitor: FlaskClient, db: Database) -> None:
    with db.write() as session:
        latencies.note(session, "wait", [5, 5, 2000], now())
    bucket = re.compile(r"ticket_attribution_stage_seconds_bucket(.+)wait")
    found = {
        float(name[1]): value for key, value in _metrics(monitor).items() if (name := bucket.fullmatch(key)) is not None
    }
    assert found[math.inf] == 3
    assert {value for bound, value in found.items() if bound < 0.0045} == {0}
    assert {value for bound, value in found.items() if 0.01 < bound < 1.9} == {2}
    assert {value for bound, value in found.items() if bound > 4.2} == {3}
