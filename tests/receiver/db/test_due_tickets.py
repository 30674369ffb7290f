"""Claiming tickets, and what becomes of those whose worker died."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from receiver.db import classifications, due_tickets, tickets, work
from receiver.db.database import Database, migrate
from receiver.db.models import CLASSIFIED, FAILED, RECEIVED, Classification, Ticket
from receiver.lib.clock import now
from tests.factories import classification, deliver, due_ticket, held, incoming, promise, queued

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DEAD = due_tickets.POLICY.lease + SECOND


def _claim(db: Database, lease: str, limit: int = 100, at: datetime = NOON, source: str | None = None) -> list[int]:
    with db.write() as session:
        return sorted(due.ticket.id for due in due_tickets.claim(session, lease, limit, at, source))


def _suspects(db: Database, lease: str, at: datetime) -> list[int]:
    with db.write() as session:
        return sorted(due.ticket.id for due in due_tickets.claim_crashed(session, lease, at))


def _expire(db: Database, at: datetime) -> int:
    with db.write() as session:
        return due_tickets.expire(session, at)


def _save(db: Database, lease: str, ticket_id: int) -> bool:
    with db.write() as session:
        return classifications.save(session, lease, classification(ticket_id), promise(NOON))


def _ticket(db: Database, ticket_id: int) -> Ticket:
    with db.read() as session:
        return session.get_one(Ticket, ticket_id)


def _due(db: Database, count: int, **fields: Any) -> list[int]:
    return [due_ticket(db, at=NOON, **fields) for _ in range(count)]


def test_what_has_been_due_longest_is_claimed_first(db: Database) -> None:
    minutes = [3, 1, 4, 0, 2]
    ids = {minute: due_ticket(db, at=NOON - timedelta(minutes=minute)) for minute in minutes}
    assert [_claim(db, f"lease-{n}", limit=1) for n in range(5)] == [[ids[m]] for m in (4, 3, 2, 1, 0)]


def test_what_is_not_due_yet_is_not_claimed(db: Database) -> None:
    [ticket] = _due(db, 1)
    assert _claim(db, "early", at=NOON - SECOND) == []
    assert _claim(db, "due") == [ticket]
    assert _claim(db, "late") == []


def test_a_claim_counts_an_attempt_and_returns_the_ticket_as_it_is_now(db: Database) -> None:
    [ticket_id] = _due(db, 1)
    with db.write() as session:
        [due] = due_tickets.claim(session, "mine", 9, NOON)
    assert (due.ticket.id, due.attempts) == (ticket_id, 1)
    assert (queued(db)[ticket_id].lease_owner, queued(db)[ticket_id].lease_until) == (
        "mine",
        NOON + due_tickets.POLICY.lease,
    )


def test_a_claim_of_one_source_leaves_the_others(db: Database) -> None:
    [theirs], [ours] = _due(db, 1, source="theirs"), _due(db, 1, source="ours")
    assert _claim(db, "ours", source="ours") == [ours]
    assert _claim(db, "rest") == [theirs]


def test_claimers_at_once_never_share_a_ticket_and_leave_none(db: Database) -> None:
    deliver(db, *(incoming() for _ in range(300)), at=NOON)

    def drain(name: int) -> list[int]:
        mine: list[int] = []
        while claimed := _claim(db, f"lease-{name}", limit=7):
            mine += claimed
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [ticket for mine in pool.map(drain, range(8)) for ticket in mine]
    assert len(claimed) == len(set(claimed)) == 300


def test_a_renewed_lease_outlives_its_first_end(db: Database) -> None:
    kept, left = _due(db, 2)
    assert (_claim(db, "living", limit=1), _claim(db, "dead", limit=1)) == ([kept], [left])
    with db.write() as session:
        due_tickets.renew(session, "living", NOON + 5 * SECOND)
    assert _expire(db, NOON + DEAD) == 1
    assert held(db) == {kept}
    assert queued(db)[left].crashes == 1


@pytest.mark.parametrize(("counts", "attempts"), [(False, 0), (True, 1)])
def test_a_ticket_that_was_set_back_tells_why_and_counts_only_its_own_faults(
    db: Database, counts: bool, attempts: int
) -> None:
    _due(db, 1)
    with db.write() as session:
        [due] = due_tickets.claim(session, "mine", 9, NOON)
        again = NOON + 5 * SECOND
        due_tickets.retry(session, due, "mine", again, "busy", "the model answered 500", counts=counts)
    ticket_id = due.ticket.id
    assert (_ticket(db, ticket_id).attempts, _ticket(db, ticket_id).error) == (attempts, "the model answered 500")
    assert (queued(db)[ticket_id].attempts, queued(db)[ticket_id].error_code) == (attempts, "busy")
    assert _claim(db, "next", at=NOON + 4 * SECOND) == []
    assert _claim(db, "next", at=NOON + 5 * SECOND) == [ticket_id]


def test_nobody_sets_back_what_another_holds(db: Database) -> None:
    [ticket_id] = _due(db, 1)
    with db.write() as session:
        [due] = due_tickets.claim(session, "mine", 9, NOON)
        due_tickets.retry(session, due, "not mine", NOON, "busy", "an error of another")
        due_tickets.give_back(session, [ticket_id], "not mine", NOON)
    assert (held(db), queued(db)[ticket_id].attempts) == ({ticket_id}, 1)
    assert _ticket(db, ticket_id).error is None


def test_a_lease_that_holds_is_not_expired(db: Database) -> None:
    _due(db, 2)
    _claim(db, "mine", limit=1)
    assert _expire(db, NOON + due_tickets.POLICY.lease - SECOND) == 0


def test_a_lease_that_ran_out_is_nobodys_to_take_before_the_death_is_counted(db: Database) -> None:
    [ticket] = _due(db, 1)
    _claim(db, "dead")
    later = NOON + DEAD
    assert (_claim(db, "next", at=later), _suspects(db, "next", later)) == ([], [])
    assert _expire(db, later) == 1
    assert _suspects(db, "next", later) == [ticket]


def test_suspects_are_not_claimed_with_the_others(db: Database) -> None:
    _due(db, 3)
    _claim(db, "dead")
    assert _expire(db, NOON + DEAD) == 3
    [fresh] = _due(db, 1)
    assert _claim(db, "next", at=NOON + DEAD) == [fresh]


def test_suspects_come_alone_in_eights_and_then_one_by_one(db: Database) -> None:
    _due(db, 20)
    _claim(db, "first")
    moment = NOON + DEAD
    assert _expire(db, moment) == 20
    groups = [_suspects(db, f"second-{n}", moment) for n in range(4)]
    assert [len(group) for group in groups] == [8, 8, 4, 0]
    moment += DEAD
    assert _expire(db, moment) == 20
    alone = [_suspects(db, f"third-{n}", moment) for n in range(21)]
    assert [len(group) for group in alone] == [1] * 20 + [0]


def _work(db: Database, poison: int, moment: datetime) -> Sequence[int]:
    """What a worker does that dies of the ticket `poison`; returns what it held when it died."""
    for claim in (_suspects, lambda r, lease, at: _claim(r, lease, 12, at)):
        held = claim(db, f"worker-{moment}", moment)
        if poison in held:
            return held
        for ticket in held:
            assert _save(db, f"worker-{moment}", ticket)
    return []


def test_a_ticket_that_kills_its_worker_is_given_up_and_takes_no_other_along(db: Database) -> None:
    ids = _due(db, 40)
    poison, moment, company = ids[17], NOON, []
    while _ticket(db, poison).status == RECEIVED:
        held = _work(db, poison, moment)
        company += [len(held)] if held else []
        moment += DEAD
        _expire(db, moment)
        assert moment < NOON + 60 * DEAD
    for _ in range(40):
        _work(db, poison, moment)
    assert company == [12, 8, 1]
    states = {ticket: _ticket(db, ticket).status for ticket in ids}
    assert states.pop(poison) == FAILED
    assert set(states.values()) == {CLASSIFIED}
    given_up = _ticket(db, poison)
    assert "died 3 times" in (given_up.error or "")
    assert given_up.settled is not None
    assert (queued(db)[poison].state, queued(db)[poison].error_code) == ("dead", due_tickets.CRASHED)


def test_a_failed_ticket_is_neither_claimed_nor_expired_until_it_is_made_due(db: Database) -> None:
    [ticket] = _due(db, 1)
    for death in range(3):
        moment = NOON + death * DEAD
        assert _claim(db, "w", at=moment) + _suspects(db, "w", moment) == [ticket]
        assert _expire(db, moment + DEAD) == 1
    later = NOON + 9 * DEAD
    assert (_claim(db, "w", at=later), _suspects(db, "w", later), _expire(db, later)) == ([], [], 0)
    with db.write() as session:
        assert tickets.make_due(session, ticket, later)
    assert _claim(db, "w", at=later) == [ticket]
    assert queued(db)[ticket].attempts == 1


def test_a_save_under_a_lost_lease_writes_nothing(db: Database) -> None:
    [ticket] = _due(db, 1)
    _claim(db, "slow")
    _expire(db, NOON + DEAD)
    assert _suspects(db, "quick", NOON + DEAD) == [ticket]
    before = _ticket(db, ticket)
    assert not _save(db, "slow", ticket)
    after = _ticket(db, ticket)
    assert (after.status, queued(db)[ticket].lease_owner, after.settled) == (before.status, "quick", None)
    with db.read() as session:
        assert session.query(Classification).count() == 0
    assert _save(db, "quick", ticket)
    assert not _save(db, "quick", ticket)


def test_an_update_during_the_classification_wins_over_it(db: Database) -> None:
    deliver(db, incoming(external_id="A", short_description="old words"), at=NOON)
    [ticket] = _claim(db, "running")
    deliver(db, incoming(external_id="A", short_description="new words"), at=NOON + SECOND)
    assert not _save(db, "running", ticket)
    with db.write() as session:
        due_tickets.give_back(session, [ticket], "running", NOON + timedelta(hours=1))
    assert _claim(db, "next", at=NOON + SECOND) == [ticket]
    assert (_ticket(db, ticket).short_description, queued(db)[ticket].attempts) == ("new words", 1)


def test_giving_up_under_a_lost_lease_writes_nothing(db: Database) -> None:
    deliver(db, incoming(external_id="A", short_description="old words"), at=NOON)
    [ticket] = _claim(db, "running")
    deliver(db, incoming(external_id="A", short_description="new words"), at=NOON + SECOND)
    with db.write() as session:
        due_tickets.fail(session, ticket, "refused", "the old words were too much", 1, "running")
    assert _ticket(db, ticket).status == RECEIVED
    assert _claim(db, "next", at=NOON + SECOND) == [ticket]
    with db.write() as session:
        due_tickets.fail(session, ticket, "refused", "the new words, too", 1, "next")
    assert (_ticket(db, ticket).status, _ticket(db, ticket).error) == (FAILED, "the new words, too")


def test_what_is_due_is_seen_and_what_is_held_or_later_is_not(db: Database) -> None:
    def seen(at: datetime) -> bool:
        with db.read() as session:
            return due_tickets.any_due(session, at)

    assert not seen(NOON)
    _due(db, 1)
    assert not seen(NOON - SECOND)
    assert seen(NOON)
    _claim(db, "mine")
    assert not seen(NOON + DEAD)
    _expire(db, NOON + DEAD)
    assert seen(NOON + DEAD)


def test_a_clock_that_was_set_back_does_not_make_tickets_wait(db: Database) -> None:
    [far] = [due_ticket(db, at=NOON + timedelta(days=3))]
    [soon] = [due_ticket(db, at=NOON + timedelta(minutes=30))]
    with db.write() as session:
        work.recover_future(session, NOON)
    assert _claim(db, "now") == [far]
    assert queued(db)[soon].run_at == NOON + timedelta(minutes=30)


def test_a_ticket_that_was_changed_is_not_claimed_by_who_still_asks_about_its_old_text(db: Database) -> None:
    deliver(db, incoming(external_id="changed"))
    with db.write() as session:
        [asked] = [due.ticket.id for due in due_tickets.claim(session, "mine", 9, now())]
    deliver(db, incoming(external_id="changed", short_description="newer"), incoming(external_id="other"))
    with db.write() as session:
        [other] = due_tickets.claim(session, "mine", 9, now(), but_not=[asked])
        [changed] = due_tickets.claim(session, "mine", 9, now())
        assert (other.ticket.external_id, changed.ticket.external_id) == ("other", "changed")


# By status, claimable_at, lease, attempts and crashes: state, run_at, owner, end of the lease, attempts, crashes, code.
_BEFORE: dict[tuple[Any, ...], tuple[Any, ...] | None] = {
    ("received", "2025-12-05 12:00:00", None, 0, 0): ("due", NOON, None, None, 0, 0, None),
    ("received", "2025-12-05 12:00:00", None, 2, 1): ("due", NOON, None, None, 2, 1, None),
    ("received", "2025-12-05 12:00:00", "job-1", 1, 0): ("leased", NOON, "job-1", NOON, 1, 0, None),
    ("failed", "2025-12-05 12:00:00", None, 4, 3): ("dead", NOON, None, None, 4, 3, "crashed"),
    ("failed", "2025-12-05 12:00:00", None, 3, 0): ("dead", NOON, None, None, 3, 0, "other"),
    ("classified", "2025-12-05 12:00:00", None, 1, 0): None,
    ("reviewed", "2025-12-05 12:00:00", None, 0, 0): None,
}


def test_what_waited_under_an_older_release_waits_as_it_did(empty: Database) -> None:
    migrate(empty, "0036")
    with empty.write() as session:
        session.execute(
            text(
                "INSERT INTO deliveries (id, source, key, received_at, status, headers, body_sha256, accepted, updated,"
                " duplicates, rejected, conflict, own_shape)"
                " VALUES (1, 'desk', 'k', '2025-12-05', 'accepted', '{}', '', 0, 0, 0, '[]', FALSE, FALSE)"
            )
        )
        insert = text(
            "INSERT INTO tickets (id, source, external_id, delivery_id, short_description, long_description,"
            " received_at, status, claimable_at, lease, attempts, crashes)"
            " VALUES (:id, 'desk', :name, 1, '', '', '2025-12-05', :status, :claimable_at, :lease, :attempts, :crashes)"
        )
        names = ("status", "claimable_at", "lease", "attempts", "crashes")
        rows = [dict(zip(names, row, strict=True), id=id_, name=str(id_)) for id_, row in enumerate(_BEFORE, 1)]
        session.execute(insert, rows)
    migrate(empty)
    found = queued(empty)
    for id_, expected in enumerate(_BEFORE.values(), 1):
        row = found.get(id_)
        assert expected == (
            row and (row.state, row.run_at, row.lease_owner, row.lease_until, row.attempts, row.crashes, row.error_code)
        )
        assert row is None or row.source == "desk"
