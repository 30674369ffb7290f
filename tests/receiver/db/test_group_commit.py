"""Writing together: one transaction for all who wait, and each answered for its own part only."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from receiver.db import deliveries
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.group_commit import Group
from receiver.db.models import Delivery, Ticket
from tests.conftest import wait_until
from tests.factories import arrival, incoming

Work = Callable[[Session], str]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as threads:
        yield threads


def _delivers(name: str) -> Work:
    def work(session: Session) -> str:
        deliveries.record(session, arrival(key=name), Content([incoming(external_id=name)]))
        return name

    return work


def _breaks(session: Session) -> str:
    _delivers("broken")(session)
    raise ZeroDivisionError


def _ask_at_once(db: Database, pool: ThreadPoolExecutor, works: list[Work], size: int = 1) -> list[Future[str]]:
    """The works, all of which have asked, in this order, while another was written."""
    group, asked = Group(db), []
    begun, ends = threading.Event(), threading.Event()

    def holds_up(_: Session) -> None:
        begun.set()
        ends.wait(20)

    pool.submit(group.write, holds_up, 1)
    assert begun.wait(20)
    for work in works:
        asked.append(pool.submit(group.write, work, size))
        wait_until(lambda: len(group._waiting) == len(asked))
    ends.set()
    return asked


def _stored(db: Database) -> list[str]:
    with db.read() as session:
        keys = [key for (key,) in session.query(Delivery.key).order_by(Delivery.id)]
        assert [name for (name,) in session.query(Ticket.external_id).order_by(Ticket.id)] == keys
    return keys


def _count_commits(db: Database) -> list[object]:
    commits: list[object] = []
    event.listen(db.engine, "commit", commits.append)
    return commits


def test_what_waits_for_the_same_turn_is_one_transaction_in_the_order_of_asking(
    db: Database, pool: ThreadPoolExecutor
) -> None:
    commits, names = _count_commits(db), [f"T-{n}" for n in range(8)]
    asked = _ask_at_once(db, pool, [_delivers(name) for name in names])
    assert [one.result() for one in asked] == names
    assert _stored(db) == names
    assert len(commits) == 1 + 1


def test_who_fails_hears_it_and_takes_nobody_along(db: Database, pool: ThreadPoolExecutor) -> None:
    asked = _ask_at_once(db, pool, [_delivers("before"), _breaks, _delivers("after")])
    assert [asked[0].result(), asked[2].result()] == ["before", "after"]
    assert isinstance(asked[1].exception(), ZeroDivisionError)
    assert _stored(db) == ["before", "after"]


def test_who_is_alone_and_fails_is_heard_too_and_the_next_is_written(db: Database) -> None:
    group = Group(db)
    with pytest.raises(ZeroDivisionError):
        group.write(_breaks, 1)
    assert group.write(_delivers("next"), 1) == "next"
    assert _stored(db) == ["next"]


def test_large_parts_leave_others_a_turn_between_them(db: Database, pool: ThreadPoolExecutor) -> None:
    commits = _count_commits(db)
    asked = _ask_at_once(db, pool, [_delivers(f"T-{n}") for n in range(4)], size=250)
    assert len([one.result() for one in asked]) == 4
    assert len(commits) == 1 + 2


@pytest.mark.sqlite
def test_all_who_wait_for_a_stranger_give_up_together_and_nothing_of_theirs_comes_later(
    db: Database, pool: ThreadPoolExecutor
) -> None:
    impatient = Database(db.url, patience=0.5)
    with closing(impatient), closing(sqlite3.connect(str(db.path))) as stranger:
        group, began = Group(impatient), time.monotonic()
        stranger.execute("BEGIN IMMEDIATE")
        waiting = [pool.submit(group.write, _delivers(f"T-{n}"), 1) for n in range(20)]
        assert [type(one.exception()) for one in waiting] == [OperationalError] * 20
        assert time.monotonic() - began < 5, "one after the other they would have taken ten seconds"
        stranger.rollback()
        assert group.write(_delivers("next"), 1) == "next"
    assert _stored(db) == ["next"]
