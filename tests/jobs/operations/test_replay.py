"""Replaying from the command line."""

import json
from datetime import timedelta

import pytest
import redis
from click.testing import CliRunner, Result

from jobs.__main__ import main
from receiver import queue
from receiver.db import deliveries
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.models import Ticket
from receiver.lib.clock import now
from tests.factories import arrival, ticket_json


@pytest.fixture
def kept(db: Database) -> list[int]:
    """Deliveries of the last three hours, oldest first, that yesterday's mapping did not understand."""
    bodies = [json.dumps(ticket_json(id=f"R-{n}")).encode() for n in range(3)]
    with db.write() as session:
        return [
            deliveries.record(session, arrival(body=body, at=now() - timedelta(hours=3 - n)), Content(error="no id")).id
            for n, body in enumerate(bodies)
        ]


def _run(*options: str) -> Result:
    return CliRunner().invoke(main, ["replay", *options])


def _tickets(db: Database) -> list[str]:
    with db.read() as session:
        return [ticket.external_id for ticket in session.query(Ticket).order_by(Ticket.id)]


def test_all_of_a_source_since_a_time_are_replayed_and_a_worker_is_woken(
    db: Database, kept: list[int], redis_url: str
) -> None:
    finished = _run("--source", "standard", "--since", (now() - timedelta(hours=2.5)).isoformat())
    assert finished.exit_code == 0, finished.output
    told = f"{kept[1]}: quarantined (no id) -> replayed (1 accepted)"
    assert finished.output.splitlines() == [
        told,
        told.replace(str(kept[1]), str(kept[2]), 1),
        "Replayed 2 of 2 deliveries.",
    ]
    assert _tickets(db) == ["R-1", "R-2"]
    with redis.Redis.from_url(redis_url) as connection:
        assert queue.depths(connection)[queue.CLASSIFY] == 1


def test_a_second_replay_changes_nothing(db: Database, kept: list[int]) -> None:
    options = ("--source", "standard", "--since", "2020-01-01", "--status", "quarantined")
    assert "Replayed 3 of 3" in _run(*options).output
    assert _run(*options).output == "Replayed 0 of 0 deliveries.\n"
    assert "replayed (1 accepted) -> replayed (1 duplicates)" in _run("--ids", str(kept[0])).output
    assert _tickets(db) == ["R-0", "R-1", "R-2"]


def test_one_that_cannot_be_replayed_costs_no_other(db: Database, kept: list[int]) -> None:
    finished = _run("--ids", f"999,{kept[0]}")
    assert finished.exit_code == 1
    assert "999: not replayed: There is no delivery" in finished.output
    assert "Replayed 1 of 2" in finished.output
    assert _tickets(db) == ["R-0"]


@pytest.mark.parametrize(
    "options",
    [(), ("--source", "standard"), ("--since", "2026-01-01"), ("--ids", "x"), ("--ids", ""),
     ("--source", "standard", "--since", "soon"), ("--source", "standard", "--since", "")],
)  # fmt: skip
def test_an_unclear_selection_is_explained(db: Database, options: tuple[str, ...]) -> None:
    finished = _run(*options)
    assert finished.exit_code == 2
    assert "--" in finished.output


def test_a_source_that_is_not_there_is_no_success(db: Database) -> None:
    result = _run("--source", "standrad", "--since", "2020-01-01")
    assert result.exit_code == 2
    assert "there is no source 'standrad'; there are standard" in result.output
