"""The work queue: every kind of work is claimed, held, tried again and given up in the same way."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from receiver.db import work
from receiver.db.database import Database
from receiver.db.models import CLASSIFY, DEAD, DUE, LEASED, SEND_DIGEST, WORK_KINDS, Work
from receiver.lib.retry_policy import WORK
from tests.factories import deliver, incoming

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = WORK[CLASSIFY].lease


def _put(db: Database, *subjects: int, at: datetime = NOON, source: str | None = "desk", kind: str = CLASSIFY) -> None:
    with db.write() as session:
        work.put(session, kind, subjects, source, at)


def _claim(db: Database, owner: str, limit: int = 100, at: datetime = NOON, kind: str = CLASSIFY) -> list[int]:
    with db.write() as session:
        return [each.subject_id for each in work.claim(session, kind, owner, limit, at)]


def _row(db: Database, subject: int, kind: str = CLASSIFY) -> Work:
    with db.read() as session:
        found = work.of(session, kind, subject)
    assert found
    return found


def test_every_kind_has_a_policy_and_no_other_does() -> None:
    assert set(WORK) == set(WORK_KINDS)


def test_what_has_been_due_longest_is_claimed_first_and_nothing_before_its_time(db: Database) -> None:
    for subject, minutes in enumerate([3, 1, 4, 0, 2]):
        _put(db, subject, at=NOON - timedelta(minutes=minutes))
    _put(db, 99, at=NOON + SECOND)
    assert [_claim(db, f"owner-{n}", limit=1) for n in range(6)] == [[2], [0], [4], [1], [3], []]


def test_a_claim_counts_an_attempt_and_says_since_when_the_work_was_due(db: Database) -> None:
    _put(db, 7)
    with db.write() as session:
        [claimed] = work.claim(session, CLASSIFY, "mine", 9, NOON + SECOND)
    assert claimed == work.Claimed(7, 1, NOON)
    row = _row(db, 7)
    assert (row.state, row.lease_owner, row.lease_until, row.attempts) == (LEASED, "mine", NOON + SECOND + LEASE, 1)


def test_kinds_and_sources_are_claimed_apart(db: Database) -> None:
    _put(db, 1, source="ours")
    _put(db, 2, source="theirs")
    _put(db, 1, kind=SEND_DIGEST)
    with db.write() as session:
        assert [each.subject_id for each in work.claim(session, CLASSIFY, "a", 9, NOON, Work.source == "ours")] == [1]
    assert (_claim(db, "b"), _claim(db, "c", kind=SEND_DIGEST)) == ([2], [1])


def test_claimers_at_once_never_share_work_and_leave_none(db: Database) -> None:
    _put(db, *range(300))

    def drain(name: int) -> list[int]:
        mine: list[int] = []
        while claimed := _claim(db, f"owner-{name}", limit=7):
            mine += claimed
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [subject for mine in pool.map(drain, range(8)) for subject in mine]
    assert sorted(claimed) == list(range(300))


def test_what_is_put_again_is_new_and_its_holder_has_lost_it(db: Database) -> None:
    _put(db, 7)
    _claim(db, "mine")
    _put(db, 7, at=NOON + SECOND)
    row = _row(db, 7)
    assert (row.state, row.lease_owner, row.attempts, row.run_at) == (DUE, None, 0, NOON + SECOND)
    with db.write() as session:
        assert not work.is_held(session, CLASSIFY, 7, "mine")
        assert not work.ack(session, CLASSIFY, 7, "mine")
        assert not work.retry(session, CLASSIFY, [7], "mine", NOON)
        assert not work.bury(session, CLASSIFY, 7, "mine", "other", "in vain")
        assert not work.renew(session, CLASSIFY, "mine", NOON)
    assert _row(db, 7).state == DUE


def test_the_newest_tickets_are_put_together(db: Database) -> None:
    deliver(db, *(incoming() for _ in range(3)), at=NOON)
    with db.write() as session:
        work.put_newer_tickets(session, SEND_DIGEST, 1, NOON)
    assert _claim(db, "mine", kind=SEND_DIGEST) == [2, 3]


def test_what_is_acknowledged_is_gone(db: Database) -> None:
    _put(db, 7)
    _claim(db, "mine")
    with db.write() as session:
        assert work.ack(session, CLASSIFY, 7, "mine")
        assert work.of(session, CLASSIFY, 7) is None


@pytest.mark.parametrize(("counts", "attempts"), [(True, 1), (False, 0)])
def test_what_is_given_back_waits_and_an_attempt_that_was_not_made_does_not_count(
    db: Database, counts: bool, attempts: int
) -> None:
    _put(db, 7)
    _claim(db, "mine")
    with db.write() as session:
        assert work.retry(session, CLASSIFY, [7], "mine", NOON + 5 * SECOND, "away", "no answer", counts=counts)
    row = _row(db, 7)
    assert (row.state, row.attempts, row.error_code, row.error) == (DUE, attempts, "away", "no answer")
    assert _claim(db, "next", at=NOON + 4 * SECOND) == []
    assert _claim(db, "next", at=NOON + 5 * SECOND) == [7]


def test_a_dead_letter_waits_for_a_person(db: Database) -> None:
    _put(db, 7, 8)
    _claim(db, "mine")
    with db.write() as session:
        assert work.bury(session, CLASSIFY, 7, "mine", "refused", "in vain")
        work.ack(session, CLASSIFY, 8, "mine")
    assert (_row(db, 7).state, _row(db, 7).error_code) == (DEAD, "refused")
    assert _claim(db, "next", at=NOON + timedelta(days=9)) == []
    with db.write() as session:
        assert work.first_due(session, CLASSIFY) is None
        assert work.redrive(session, CLASSIFY, NOON, Work.source == "other") == []
        assert work.redrive(session, CLASSIFY, NOON, Work.source == "desk") == [7]
    row = _row(db, 7)
    assert (row.state, row.attempts, row.error_code, row.error) == (DUE, 0, None, None)


def test_a_lease_that_ran_out_is_free_once_the_death_is_counted_and_is_claimed_in_small_company(db: Database) -> None:
    _put(db, *range(20))
    _claim(db, "dead")
    _put(db, 50)
    later = NOON + LEASE
    with db.write() as session:
        assert work.expire(session, CLASSIFY, later - SECOND) == []
        assert work.claim_crashed(session, CLASSIFY, "next", 99, later) == []
        assert sorted(work.expire(session, CLASSIFY, later)) == [(subject, 1) for subject in range(20)]
        assert work.any_crashed(session, CLASSIFY, later)
        assert [each.subject_id for each in work.claim(session, CLASSIFY, "next", 99, later)] == [50]
        suspects = work.claim_crashed(session, CLASSIFY, "next", 99, later)
        assert len(suspects) == WORK[CLASSIFY].company_after_crash[1] == 8
        assert len(work.end(session, CLASSIFY, "next", later)) == 9  # With the one that had seen no death before.
        assert len(work.claim_crashed(session, CLASSIFY, "third", 1, later)) == 1


def test_crashed_work_is_claimed_like_any_other_where_its_kind_keeps_no_company(db: Database) -> None:
    _put(db, 1, kind=SEND_DIGEST)
    _claim(db, "dead", kind=SEND_DIGEST)
    later = NOON + WORK[SEND_DIGEST].lease
    with db.write() as session:
        assert work.expire(session, SEND_DIGEST, later) == [(1, 1)]
    assert _claim(db, "next", at=later, kind=SEND_DIGEST) == [1]


def test_a_renewed_lease_outlives_its_first_end(db: Database) -> None:
    _put(db, 1, 2)
    _claim(db, "living", limit=1)
    _claim(db, "dead", limit=1)
    with db.write() as session:
        assert work.renew(session, CLASSIFY, "living", NOON + 5 * SECOND)
        assert len(work.expire(session, CLASSIFY, NOON + LEASE)) == 1


def test_the_first_time_at_which_something_can_be_done_is_known(db: Database) -> None:
    with db.read() as session:
        assert work.first_due(session, CLASSIFY) is None
    _put(db, 1, at=NOON + 60 * SECOND)
    _put(db, 2, at=NOON)
    _claim(db, "mine", limit=1)
    with db.read() as session:
        assert work.first_due(session, CLASSIFY) == NOON + LEASE
        assert work.any_due(session, [CLASSIFY], NOON) is False
        assert work.any_due(session, [CLASSIFY], NOON + 60 * SECOND) is True


def test_a_clock_that_was_set_back_keeps_nothing_waiting_for_days(db: Database) -> None:
    _put(db, 1, 2, at=NOON + timedelta(days=9))
    _claim(db, "mine", limit=1, at=NOON + timedelta(days=9))
    _put(db, 3, at=NOON + timedelta(minutes=59))
    with db.write() as session:
        work.recover_future(session, NOON)
    states = {subject: _row(db, subject) for subject in (1, 2, 3)}
    [held] = [row for row in states.values() if row.state == LEASED]
    assert held.lease_until == NOON + LEASE
    assert sorted(row.run_at for row in states.values() if row is not held) == [NOON, NOON + timedelta(minutes=59)]


def test_what_nobody_needs_any_more_is_dropped_whoever_holds_it(db: Database) -> None:
    _put(db, 1, 2)
    _claim(db, "mine", limit=1)
    with db.write() as session:
        work.cancel(session, CLASSIFY, [1, 2])
        assert not work.renew(session, CLASSIFY, "mine", NOON)
    assert _claim(db, "next") == []


def test_all_of_a_source_is_given_up_at_once_whoever_holds_it(db: Database) -> None:
    _put(db, 1, 2, source="theirs")
    _put(db, 3, source="ours")
    assert _claim(db, "mine", limit=1) == [1]
    with db.write() as session:
        assert not work.any_dead(session, [CLASSIFY])
        assert sorted(work.give_up(session, CLASSIFY, "gone", "it wants no more", Work.source == "theirs")) == [1, 2]
        assert work.give_up(session, CLASSIFY, "late", "again", Work.source == "theirs") == []
        assert not work.ack(session, CLASSIFY, 1, "mine")
        assert work.any_dead(session, [CLASSIFY], Work.source == "theirs", Work.error_code == "gone")
        assert not work.any_dead(session, [CLASSIFY], Work.source == "ours")
    row = _row(db, 1)
    assert (row.state, row.lease_owner, row.lease_until, row.error_code) == (DEAD, None, None, "gone")
    assert _claim(db, "mine") == [3]


def test_whose_work_is_due_is_said_once_each(db: Database) -> None:
    _put(db, 1, 2, 3)
    _put(db, 4, source="ours", at=NOON + SECOND)
    _put(db, 5, source="dead")
    with db.write() as session:
        work.give_up(session, CLASSIFY, "gone", "it wants no more", Work.source == "dead")
        assert work.sources_due(session, [CLASSIFY, SEND_DIGEST], NOON) == ["desk"]
        assert sorted(map(str, work.sources_due(session, [CLASSIFY], NOON + SECOND))) == ["desk", "ours"]


def test_of_what_is_cancelled_it_is_said_what_that_was(db: Database) -> None:
    _put(db, 1, 2, 3)
    with db.write() as session:
        work.give_up(session, CLASSIFY, "gone", "it wants no more", Work.subject_id == 2)
        assert sorted(work.cancel(session, CLASSIFY, [1, 2, 7], Work.state != DEAD)) == [1]
        assert session.scalar(select(func.count()).select_from(Work)) == 2
