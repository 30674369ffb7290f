"""Claiming tickets, and what becomes of those whose worker died."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.db import classifications, leases, tickets
from receiver.db.database import Record
from receiver.db.models import CLASSIFIED, FAILED, RECEIVED, Classification, Ticket
from receiver.lib.clock import now
from tests.factories import classification, deliver, due_ticket, incoming, promise

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DEAD = leases.LEASE + SECOND


def _claim(record: Record, lease: str, limit: int = 100, at: datetime = NOON, source: str | None = None) -> list[int]:
    with record.write() as session:
        return sorted(ticket.id for ticket in leases.claim(session, lease, limit, at, source))


def _suspects(record: Record, lease: str, at: datetime) -> list[int]:
    with record.write() as session:
        return sorted(ticket.id for ticket in leases.claim_suspects(session, lease, at))


def _expire(record: Record, at: datetime) -> int:
    with record.write() as session:
        return leases.expire(session, at)


def _save(record: Record, lease: str, ticket_id: int) -> bool:
    with record.write() as session:
        return classifications.save(session, lease, classification(ticket_id), promise(NOON))


def _ticket(record: Record, ticket_id: int) -> Ticket:
    with record.read() as session:
        return session.get_one(Ticket, ticket_id)


def _due(record: Record, count: int, **fields: Any) -> list[int]:
    return [due_ticket(record, at=NOON, **fields) for _ in range(count)]


def test_what_has_been_due_longest_is_claimed_first(record: Record) -> None:
    minutes = [3, 1, 4, 0, 2]
    ids = {minute: due_ticket(record, at=NOON - timedelta(minutes=minute)) for minute in minutes}
    assert [_claim(record, f"lease-{n}", limit=1) for n in range(5)] == [[ids[m]] for m in (4, 3, 2, 1, 0)]


def test_what_is_not_due_yet_is_not_claimed(record: Record) -> None:
    [ticket] = _due(record, 1)
    assert _claim(record, "early", at=NOON - SECOND) == []
    assert _claim(record, "due") == [ticket]
    assert _claim(record, "late") == []


def test_a_claim_counts_an_attempt_and_returns_the_ticket_as_it_is_now(record: Record) -> None:
    _due(record, 1)
    with record.write() as session:
        [ticket] = leases.claim(session, "mine", 9, NOON)
    assert (ticket.lease, ticket.attempts, ticket.claimable_at) == ("mine", 1, NOON + leases.LEASE)


def test_a_claim_of_one_source_leaves_the_others(record: Record) -> None:
    [theirs], [ours] = _due(record, 1, source="theirs"), _due(record, 1, source="ours")
    assert _claim(record, "ours", source="ours") == [ours]
    assert _claim(record, "rest") == [theirs]


def test_claimers_at_once_never_share_a_ticket_and_leave_none(record: Record) -> None:
    deliver(record, *(incoming() for _ in range(300)), at=NOON)

    def drain(name: int) -> list[int]:
        mine: list[int] = []
        while claimed := _claim(record, f"lease-{name}", limit=7):
            mine += claimed
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [ticket for mine in pool.map(drain, range(8)) for ticket in mine]
    assert len(claimed) == len(set(claimed)) == 300


def test_a_renewed_lease_outlives_its_first_end(record: Record) -> None:
    kept, left = _due(record, 2)
    assert (_claim(record, "living", limit=1), _claim(record, "dead", limit=1)) == ([kept], [left])
    with record.write() as session:
        leases.renew(session, "living", NOON + 5 * SECOND)
    assert _expire(record, NOON + DEAD) == 1
    assert _ticket(record, kept).lease == "living"
    assert _ticket(record, left).lease is None


@pytest.mark.parametrize(("error", "attempts"), [(None, 0), ("the model answered 500", 1)])
def test_a_released_ticket_is_due_again_when_told_and_counts_only_its_own_faults(
    record: Record, error: str | None, attempts: int
) -> None:
    [ticket] = _due(record, 1)
    _claim(record, "mine")
    with record.write() as session:
        leases.release(session, [ticket], "mine", NOON + 5 * SECOND, error)
    assert (_ticket(record, ticket).attempts, _ticket(record, ticket).error) == (attempts, error)
    assert _claim(record, "next", at=NOON + 4 * SECOND) == []
    assert _claim(record, "next", at=NOON + 5 * SECOND) == [ticket]


def test_nobody_releases_what_another_holds(record: Record) -> None:
    [ticket] = _due(record, 1)
    _claim(record, "mine")
    with record.write() as session:
        leases.release(session, [ticket], "not mine", NOON, "an error of another")
    found = _ticket(record, ticket)
    assert (found.lease, found.attempts, found.error) == ("mine", 1, None)


def test_a_lease_that_holds_is_not_expired(record: Record) -> None:
    _due(record, 2)
    _claim(record, "mine", limit=1)
    assert _expire(record, NOON + leases.LEASE - SECOND) == 0


def test_a_lease_that_ran_out_is_nobodys_to_take_before_the_death_is_counted(record: Record) -> None:
    [ticket] = _due(record, 1)
    _claim(record, "dead")
    later = NOON + DEAD
    assert (_claim(record, "next", at=later), _suspects(record, "next", later)) == ([], [])
    assert _expire(record, later) == 1
    assert _suspects(record, "next", later) == [ticket]


def test_suspects_are_not_claimed_with_the_others(record: Record) -> None:
    _due(record, 3)
    _claim(record, "dead")
    assert _expire(record, NOON + DEAD) == 3
    [fresh] = _due(record, 1)
    assert _claim(record, "next", at=NOON + DEAD) == [fresh]


def test_suspects_come_alone_in_eights_and_then_one_by_one(record: Record) -> None:
    _due(record, 20)
    _claim(record, "first")
    moment = NOON + DEAD
    assert _expire(record, moment) == 20
    groups = [_suspects(record, f"second-{n}", moment) for n in range(4)]
    assert [len(group) for group in groups] == [8, 8, 4, 0]
    moment += DEAD
    assert _expire(record, moment) == 20
    alone = [_suspects(record, f"third-{n}", moment) for n in range(21)]
    assert [len(group) for group in alone] == [1] * 20 + [0]


def _work(record: Record, poison: int, moment: datetime) -> Sequence[int]:
    """What a worker does that dies of the ticket `poison`; returns what it held when it died."""
    for claim in (_suspects, lambda r, lease, at: _claim(r, lease, 12, at)):
        held = claim(record, f"worker-{moment}", moment)
        if poison in held:
            return held
        for ticket in held:
            assert _save(record, f"worker-{moment}", ticket)
    return []


def test_a_ticket_that_kills_its_worker_is_given_up_and_takes_no_other_along(record: Record) -> None:
    ids = _due(record, 40)
    poison, moment, company = ids[17], NOON, []
    while _ticket(record, poison).status == RECEIVED:
        held = _work(record, poison, moment)
        company += [len(held)] if held else []
        moment += DEAD
        _expire(record, moment)
        assert moment < NOON + 60 * DEAD
    for _ in range(40):
        _work(record, poison, moment)
    assert company == [12, 8, 1]
    states = {ticket: _ticket(record, ticket).status for ticket in ids}
    assert states.pop(poison) == FAILED
    assert set(states.values()) == {CLASSIFIED}
    given_up = _ticket(record, poison)
    assert "died 3 times" in (given_up.error or "")
    assert (given_up.lease, given_up.settled is not None) == (None, True)


def test_a_failed_ticket_is_neither_claimed_nor_expired_until_it_is_made_due(record: Record) -> None:
    [ticket] = _due(record, 1)
    for death in range(3):
        moment = NOON + death * DEAD
        assert _claim(record, "w", at=moment) + _suspects(record, "w", moment) == [ticket]
        assert _expire(record, moment + DEAD) == 1
    later = NOON + 9 * DEAD
    assert (_claim(record, "w", at=later), _suspects(record, "w", later), _expire(record, later)) == ([], [], 0)
    with record.write() as session:
        assert tickets.make_due(session, ticket, later)
    assert _claim(record, "w", at=later) == [ticket]
    assert _ticket(record, ticket).attempts == 1


def test_a_save_under_a_lost_lease_writes_nothing(record: Record) -> None:
    [ticket] = _due(record, 1)
    _claim(record, "slow")
    _expire(record, NOON + DEAD)
    assert _suspects(record, "quick", NOON + DEAD) == [ticket]
    before = _ticket(record, ticket)
    assert not _save(record, "slow", ticket)
    after = _ticket(record, ticket)
    assert (after.status, after.lease, after.settled) == (before.status, "quick", None)
    with record.read() as session:
        assert session.query(Classification).count() == 0
    assert _save(record, "quick", ticket)
    assert not _save(record, "quick", ticket)


def test_an_update_during_the_classification_wins_over_it(record: Record) -> None:
    deliver(record, incoming(external_id="A", short_description="old words"), at=NOON)
    [ticket] = _claim(record, "running")
    deliver(record, incoming(external_id="A", short_description="new words"), at=NOON + SECOND)
    assert not _save(record, "running", ticket)
    with record.write() as session:
        leases.release(session, [ticket], "running", NOON + timedelta(hours=1), "too late")
    assert _claim(record, "next", at=NOON + SECOND) == [ticket]
    assert (_ticket(record, ticket).short_description, _ticket(record, ticket).attempts) == ("new words", 1)


def test_giving_up_under_a_lost_lease_writes_nothing(record: Record) -> None:
    deliver(record, incoming(external_id="A", short_description="old words"), at=NOON)
    [ticket] = _claim(record, "running")
    deliver(record, incoming(external_id="A", short_description="new words"), at=NOON + SECOND)
    with record.write() as session:
        leases.fail(session, ticket, "the old words were too much", "running")
    assert _ticket(record, ticket).status == RECEIVED
    assert _claim(record, "next", at=NOON + SECOND) == [ticket]
    with record.write() as session:
        leases.fail(session, ticket, "the new words, too", "next")
    assert (_ticket(record, ticket).status, _ticket(record, ticket).error) == (FAILED, "the new words, too")


def test_what_is_due_is_seen_and_what_is_held_or_later_is_not(record: Record) -> None:
    def seen(at: datetime) -> bool:
        with record.read() as session:
            return leases.any_due(session, at)

    assert not seen(NOON)
    _due(record, 1)
    assert not seen(NOON - SECOND)
    assert seen(NOON)
    _claim(record, "mine")
    assert not seen(NOON + DEAD)
    _expire(record, NOON + DEAD)
    assert seen(NOON + DEAD)


def test_a_clock_that_was_set_back_does_not_make_tickets_wait(record: Record) -> None:
    [far] = [due_ticket(record, at=NOON + timedelta(days=3))]
    [soon] = [due_ticket(record, at=NOON + timedelta(minutes=30))]
    with record.write() as session:
        leases.recover_future(session, NOON)
    assert _claim(record, "now") == [far]
    assert _ticket(record, soon).claimable_at == NOON + timedelta(minutes=30)


def test_a_ticket_that_was_changed_is_not_claimed_by_who_still_asks_about_its_old_text(record: Record) -> None:
    deliver(record, incoming(external_id="changed"))
    with record.write() as session:
        [asked] = [ticket.id for ticket in leases.claim(session, "mine", 9, now())]
    deliver(record, incoming(external_id="changed", short_description="newer"), incoming(external_id="other"))
    with record.write() as session:
        assert [each.external_id for each in leases.claim(session, "mine", 9, now(), but_not=[asked])] == ["other"]
        assert [each.external_id for each in leases.claim(session, "mine", 9, now())] == ["changed"]
