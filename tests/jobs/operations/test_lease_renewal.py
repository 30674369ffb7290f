"""A lease is renewed while a block runs, and ends soon after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from jobs.operations.lease_renewal import renewed
from receiver.db import work
from receiver.db.database import Database
from receiver.db.models import SEND_DIGEST
from receiver.lib.clock import now
from receiver.lib.retry_policy import WORK
from tests.conftest import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORK, SEND_DIGEST, replace(WORK[SEND_DIGEST], renew_seconds=0.02))


def _lease_until(db: Database) -> Any:
    with db.read() as session:
        found = work.of(session, SEND_DIGEST, 7)
    assert found
    return found.lease_until


@pytest.fixture
def begun(db: Database) -> None:
    """Work that "mine" holds, under a lease that ended an hour ago."""
    past = now() - timedelta(hours=1)
    with db.write() as session:
        work.put(session, SEND_DIGEST, [7], None, past)
        assert work.claim(session, SEND_DIGEST, "mine", 1, past)


def test_the_lease_is_renewed_as_long_as_the_block_runs_and_no_longer(db: Database, begun: None) -> None:
    with renewed(db, SEND_DIGEST, "mine"):
        wait_until(lambda: _lease_until(db) > now())
        first = _lease_until(db)
        wait_until(lambda: _lease_until(db) > first)
    with db.write() as session:
        assert work.expire(session, SEND_DIGEST, now()) == []
        assert work.expire(session, SEND_DIGEST, _lease_until(db)) == [(7, 1)]


def test_it_ends_with_a_block_that_fails(db: Database, begun: None) -> None:
    with pytest.raises(ZeroDivisionError), renewed(db, SEND_DIGEST, "mine"):
        raise ZeroDivisionError
    with db.write() as session:
        assert work.expire(session, SEND_DIGEST, now()) == [(7, 1)]


def test_what_another_has_is_not_renewed(db: Database, begun: None, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bool] = []
    renew = work.renew
    monkeypatch.setattr(work, "renew", lambda *given: heard.append(renew(*given)))
    with renewed(db, SEND_DIGEST, "mine"):
        wait_until(lambda: heard)
        with db.write() as session:
            work.put(session, SEND_DIGEST, [7], None, now())
            assert work.claim(session, SEND_DIGEST, "theirs", 1, now())
        until = _lease_until(db)
        heard.clear()
        wait_until(lambda: len(heard) > 2)
    assert (heard.count(True), _lease_until(db)) == (0, until)


def test_a_database_that_is_away_for_a_while_costs_nothing(db: Database, begun: None) -> None:
    failures, write = iter(range(3)), db.write

    @contextmanager
    def failing() -> Iterator[Any]:
        if next(failures, None) is not None:
            raise OperationalError("", {}, Exception("away"))
        with write() as session:
            yield session

    vars(db)["write"] = failing
    with renewed(db, SEND_DIGEST, "mine"):
        wait_until(lambda: _lease_until(db) > now())
    assert next(failures, None) is None
