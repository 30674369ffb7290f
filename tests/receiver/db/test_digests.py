"""Digests: exactly what was settled since the last one, claimed once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.db import digest_members, digests, leases, tickets
from receiver.db.database import PARAMETERS, Record
from receiver.db.models import Digest, DigestTicket
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from tests.factories import deliver, due_ticket, incoming, settle

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENVELOPE = Envelope(("ops@example.com",), "example.com")


def _claim(record: Record, period: str) -> Digest | None:
    with record.write() as session:
        return digests.claim(session, period, ENVELOPE, NOON)


def _claimed(record: Record, period: str = "today") -> Digest:
    digest = _claim(record, period)
    assert digest is not None
    return digest


def _members(record: Record, digest: Digest | None) -> list[int]:
    if digest is None:
        return []
    with record.read() as session:
        ids = [ticket.id for ticket, _ in digest_members.rows(session, digest.id)]
    assert digest.tickets == len(ids)
    return sorted(ids)


def _pending(record: Record) -> list[int]:
    with record.read() as session:
        return sorted(ticket.id for ticket, _ in digest_members.pending(session))


def _fail(record: Record, ticket_id: int) -> None:
    with record.write() as session:
        tickets.make_due(session, ticket_id, now())
        leases.fail(session, ticket_id, "gave up")


def _reopen(record: Record, ticket_id: int) -> None:
    with record.write() as session:
        assert tickets.make_due(session, ticket_id, now())


def _settle_again(record: Record, ticket_id: int, **fields: str) -> None:
    _reopen(record, ticket_id)
    settle(record, ticket_id, None, **fields)


def _status(record: Record, digest_id: int) -> str:
    with record.read() as session:
        return session.get_one(Digest, digest_id).status


steps = st.lists(
    st.tuples(st.sampled_from(["settle", "fail", "reopen", "digest", "run"]), st.integers(0, 3)), max_size=25
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_a_digest_holds_exactly_what_was_settled_since_the_last_one(
    record: Record, steps: list[tuple[str, int]]
) -> None:
    ids = [due_ticket(record) for _ in range(4)]
    _claim(record, f"everything before {ids}")
    settled: set[int] = set()
    for number, (step, which) in enumerate([*steps, ("digest", 0)]):
        match step:
            case "settle":
                _settle_again(record, ids[which])
                settled.add(ids[which])
            case "fail":
                _fail(record, ids[which])
                settled.add(ids[which])
            case "reopen":
                _reopen(record, ids[which])
                settled.discard(ids[which])
            case "run":
                with record.write() as session:
                    assert digests.claim_batch(session, ids, ENVELOPE, now())
            case "digest":
                assert _pending(record) == sorted(settled)
                assert _members(record, _claim(record, f"{ids}-{number}")) == sorted(settled)
                settled.clear()


def test_nothing_settled_gives_no_digest_and_leaves_no_row(record: Record) -> None:
    due_ticket(record)
    assert _claim(record, "today") is None
    with record.read() as session:
        assert session.query(Digest).count() == 0


def test_a_period_without_anything_can_be_claimed_when_there_is_something(record: Record) -> None:
    ticket = due_ticket(record)
    assert _claim(record, "today") is None
    settle(record, ticket)
    assert _members(record, _claim(record, "today")) == [ticket]


def test_a_failed_ticket_is_in_the_digest_without_a_classification(record: Record) -> None:
    ticket = due_ticket(record)
    _fail(record, ticket)
    digest = _claimed(record)
    with record.read() as session:
        [(found, classification)] = digest_members.rows(session, digest.id)
    assert (found.id, found.status, classification) == (ticket, "failed", None)


def test_the_same_period_twice_gives_one_digest(record: Record) -> None:
    settle(record, due_ticket(record))
    assert _claim(record, "today") is not None
    settle(record, due_ticket(record))
    assert _claim(record, "today") is None
    assert len(_pending(record)) == 1


def test_the_same_period_claimed_by_many_at_once_gives_one_digest(record: Record) -> None:
    settle(record, due_ticket(record))
    with ThreadPoolExecutor(8) as pool:
        found = [digest for digest in pool.map(lambda _: _claim(record, "today"), range(8)) if digest]
    assert len(found) == 1


def test_digests_claimed_at_once_share_no_ticket_and_leave_none(record: Record) -> None:
    ids = [due_ticket(record) for _ in range(24)]

    def settle_and_claim(number: int) -> None:
        for ticket in ids[number::4]:
            settle(record, ticket)
            _claim(record, f"period-{number}-{ticket}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(settle_and_claim, range(4)))
    with record.read() as session:
        assert sorted(row.ticket_id for row in session.query(DigestTicket)) == ids


def test_the_digest_of_a_run_has_its_tickets_and_leaves_the_scheduled_one_alone(record: Record) -> None:
    mine, other, unsettled = (due_ticket(record) for _ in range(3))
    settle(record, mine)
    settle(record, other)
    with record.write() as session:
        run = digests.claim_batch(session, [mine, unsettled], ENVELOPE, NOON)
    assert _members(record, run) == [mine, unsettled]
    assert _members(record, _claim(record, "today")) == [mine, other]
    with record.write() as session:
        assert digests.claim_batch(session, [mine], ENVELOPE, NOON + SECOND)
        assert digests.claim_batch(session, [], ENVELOPE, NOON + 2 * SECOND) is None
    assert _claim(record, "tomorrow") is None


def test_a_run_of_more_tickets_than_one_statement_takes_is_whole(record: Record) -> None:
    deliver(record, *(incoming() for _ in range(PARAMETERS + 1)))
    with record.write() as session:
        run = digests.claim_batch(session, range(1, PARAMETERS + 2), ENVELOPE, NOON)
    assert run is not None
    assert run.tickets == PARAMETERS + 1


def test_rows_keep_the_classification_of_the_moment_of_the_claim(record: Record) -> None:
    ticket = due_ticket(record)
    settle(record, ticket, category="Hardware", request_type="Laptop")
    digest = _claimed(record)
    _settle_again(record, ticket, category="Software", request_type="Licence")
    with record.read() as session:
        [(_, then)] = digest_members.rows(session, digest.id)
        [(_, later)] = digest_members.pending(session)
    assert then is not None
    assert later is not None
    assert (then.category, later.category) == ("Hardware", "Software")


def test_rows_are_sorted_by_category_request_type_and_subject_whatever_their_case(record: Record) -> None:
    expected = [
        ("access", "Zugang", "a"),
        ("Hardware", "docking station", "anything"),
        ("hardware", "Laptop", "an old one"),
        ("HARDWARE", "laptop", "Älteres Gerät"),
        ("Hardware", "LAPTOP", "ältestes Gerät"),
        ("Hardware", "Laptop", "Éclairage"),
        ("Software", "A", "10"),
        ("Software", "A", "9"),
        ("software", "a", "_"),
        ("Überall", "A", "a"),
        ("überall", "b", "a"),
    ]
    shuffled = expected[1::2] + expected[::2]
    for category, request_type, subject in shuffled:
        settle(
            record, due_ticket(record, short_description=subject), None, category=category, request_type=request_type
        )
    with record.read() as session:
        before = list(digest_members.pending(session))
    digest = _claimed(record)
    with record.read() as session:
        rows = list(digest_members.rows(session, digest.id))
    assert [(c and c.category, c and c.request_type, t.short_description) for t, c in rows] == expected
    assert [ticket.id for ticket, _ in before] == [ticket.id for ticket, _ in rows]


def test_only_one_of_many_takes_a_digest(record: Record) -> None:
    settle(record, due_ticket(record))
    digest = _claimed(record)

    def take(_: int) -> Digest | None:
        with record.write() as session:
            return digests.take(session, digest.id, NOON)

    with ThreadPoolExecutor(8) as pool:
        [taken] = [found for found in pool.map(take, range(8)) if found]
    assert (taken.attempts, taken.message_id) == (1, digest.message_id)


def test_a_digest_whose_taker_died_can_be_taken_again_and_keeps_its_message_id(record: Record) -> None:
    settle(record, due_ticket(record))
    digest, later = _claimed(record), NOON + digests.SENDING_LEASE
    with record.write() as session:
        assert digests.take(session, digest.id, NOON)
        assert digests.take(session, digest.id, later - SECOND) is None
        assert list(digests.waiting(session, later - SECOND)) == []
        assert list(digests.waiting(session, later)) == [digest.id]
        again = digests.take(session, digest.id, later)
    assert again is not None
    assert (again.attempts, again.message_id) == (2, digest.message_id)
    assert digest.message_id.endswith("@example.com>")


def test_what_is_being_sent_is_nobodys_to_take_and_is_known_when_its_sender_died(record: Record) -> None:
    settle(record, due_ticket(record))
    digest, later = _claimed(record), NOON + digests.SENDING_LEASE
    with record.write() as session:
        assert digests.take(session, digest.id, NOON)
        digests.mark(session, digest.id, "sending", NOON)
        assert list(digests.interrupted(session, later - SECOND)) == []
    with record.write() as session:
        assert digests.take(session, digest.id, later) is None
        assert list(digests.waiting(session, later)) == []
        assert list(digests.interrupted(session, later)) == [digest.id]


def test_a_digest_that_is_done_is_not_touched_again(record: Record) -> None:
    for number, status in enumerate(("sent", "failed", "held")):
        settle(record, due_ticket(record))
        digest, never = _claimed(record, f"period {number}"), NOON + timedelta(days=9)
        with record.write() as session:
            digests.mark(session, digest.id, status, NOON, error="why")
            assert digests.take(session, digest.id, never) is None
            assert list(digests.waiting(session, never)) == list(digests.interrupted(session, never)) == []
        assert _status(record, digest.id) == status


def test_a_digest_that_is_set_back_waits_until_its_time(record: Record) -> None:
    settle(record, due_ticket(record))
    digest, later = _claimed(record), NOON + timedelta(hours=1)
    with record.write() as session:
        assert digests.take(session, digest.id, NOON)
        digests.mark(session, digest.id, "claimed", NOON, claimable_at=later)
        assert digests.take(session, digest.id, later - SECOND) is None
        assert digests.take(session, digest.id, later)


def test_the_oldest_digest_waits_first(record: Record) -> None:
    claimed = []
    for number in range(3):
        settle(record, due_ticket(record))
        claimed.append(_claimed(record, f"period {number}").id)
    with record.read() as session:
        assert list(digests.waiting(session, NOON)) == claimed
        assert [digest.id for digest in digests.page(session, 2)] == claimed[:0:-1]
        assert [digest.id for digest in digests.page(session, 9, before=claimed[1])] == claimed[:1]


def test_a_slot_is_taken_once_and_the_first_one_counts_as_done(record: Record) -> None:
    def take(slot: datetime) -> bool:
        with record.write() as session:
            return digests.take_slot(session, "digest", slot)

    day = timedelta(days=1)
    assert [take(NOON), take(NOON), take(NOON + day), take(NOON + day), take(NOON)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, [NOON + 2 * day] * 8)) == 1
