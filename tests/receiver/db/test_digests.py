"""Digests: exactly what was settled since the last one, claimed once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from receiver.db import digest_members, digests, due_tickets, recipients, tickets, work
from receiver.db.database import PARAMETERS, Database
from receiver.db.digests import Taken
from receiver.db.models import SEND_DIGEST, Digest, DigestTicket
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.retry_policy import WORK
from tests.factories import deliver, due_ticket, incoming, settle
from tests.properties import tries

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENVELOPE = Envelope(("ops@example.com",), "example.com")


def _claim(db: Database, period: str) -> Digest | None:
    with db.write() as session:
        return digests.claim(session, period, ENVELOPE, NOON)


def _claimed(db: Database, period: str = "today") -> Digest:
    digest = _claim(db, period)
    assert digest is not None
    return digest


def _members(db: Database, digest: Digest | None) -> list[int]:
    if digest is None:
        return []
    with db.read() as session:
        ids = [ticket.id for ticket, _ in digest_members.rows(session, digest.id)]
    assert digest.tickets == len(ids)
    return sorted(ids)


def _pending(db: Database) -> list[int]:
    with db.read() as session:
        return sorted(ticket.id for ticket, _ in digest_members.pending(session))


def _fail(db: Database, ticket_id: int) -> None:
    with db.write() as session:
        tickets.make_due(session, ticket_id, now())
        due_tickets.fail(session, ticket_id, "other", "gave up", 1, None)


def _reopen(db: Database, ticket_id: int) -> None:
    with db.write() as session:
        assert tickets.make_due(session, ticket_id, now())


def _settle_again(db: Database, ticket_id: int, **fields: str) -> None:
    _reopen(db, ticket_id)
    settle(db, ticket_id, None, **fields)


def _status(db: Database, digest_id: int) -> str:
    with db.read() as session:
        return session.get_one(Digest, digest_id).status


steps = st.lists(
    st.tuples(st.sampled_from(["settle", "fail", "reopen", "digest", "run"]), st.integers(0, 3)), max_size=25
)


@settings(deadline=None, max_examples=tries(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_a_digest_holds_exactly_what_was_settled_since_the_last_one(db: Database, steps: list[tuple[str, int]]) -> None:
    ids = [due_ticket(db) for _ in range(4)]
    _claim(db, f"everything before {ids}")
    settled: set[int] = set()
    for number, (step, which) in enumerate([*steps, ("digest", 0)]):
        match step:
            case "settle":
                _settle_again(db, ids[which])
                settled.add(ids[which])
            case "fail":
                _fail(db, ids[which])
                settled.add(ids[which])
            case "reopen":
                _reopen(db, ids[which])
                settled.discard(ids[which])
            case "run":
                with db.write() as session:
                    assert digests.claim_batch(session, ids, ENVELOPE, now())
            case "digest":
                assert _pending(db) == sorted(settled)
                assert _members(db, _claim(db, f"{ids}-{number}")) == sorted(settled)
                settled.clear()


def test_nothing_settled_gives_no_digest_and_leaves_no_row(db: Database) -> None:
    due_ticket(db)
    assert _claim(db, "today") is None
    with db.read() as session:
        assert session.query(Digest).count() == 0


def test_a_period_without_anything_can_be_claimed_when_there_is_something(db: Database) -> None:
    ticket = due_ticket(db)
    assert _claim(db, "today") is None
    settle(db, ticket)
    assert _members(db, _claim(db, "today")) == [ticket]


def test_a_failed_ticket_is_in_the_digest_without_a_classification(db: Database) -> None:
    ticket = due_ticket(db)
    _fail(db, ticket)
    digest = _claimed(db)
    with db.read() as session:
        [(found, classification)] = digest_members.rows(session, digest.id)
    assert (found.id, found.status, classification) == (ticket, "failed", None)


def test_the_same_period_twice_gives_one_digest(db: Database) -> None:
    settle(db, due_ticket(db))
    assert _claim(db, "today") is not None
    settle(db, due_ticket(db))
    assert _claim(db, "today") is None
    assert len(_pending(db)) == 1


def test_the_same_period_claimed_by_many_at_once_gives_one_digest(db: Database) -> None:
    settle(db, due_ticket(db))
    with ThreadPoolExecutor(8) as pool:
        found = [digest for digest in pool.map(lambda _: _claim(db, "today"), range(8)) if digest]
    assert len(found) == 1


def test_digests_claimed_at_once_share_no_ticket_and_leave_none(db: Database) -> None:
    ids = [due_ticket(db) for _ in range(24)]

    def settle_and_claim(number: int) -> None:
        for ticket in ids[number::4]:
            settle(db, ticket)
            _claim(db, f"period-{number}-{ticket}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(settle_and_claim, range(4)))
    with db.read() as session:
        assert sorted(row.ticket_id for row in session.query(DigestTicket)) == ids


def test_the_digest_of_a_run_has_its_tickets_and_leaves_the_scheduled_one_alone(db: Database) -> None:
    mine, other, unsettled = (due_ticket(db) for _ in range(3))
    settle(db, mine)
    settle(db, other)
    with db.write() as session:
        run = digests.claim_batch(session, [mine, unsettled], ENVELOPE, NOON)
    assert _members(db, run) == [mine, unsettled]
    assert _members(db, _claim(db, "today")) == [mine, other]
    with db.write() as session:
        assert digests.claim_batch(session, [mine], ENVELOPE, NOON + SECOND)
        assert digests.claim_batch(session, [], ENVELOPE, NOON + 2 * SECOND) is None
    assert _claim(db, "tomorrow") is None


def test_a_run_of_more_tickets_than_one_statement_takes_is_whole(db: Database) -> None:
    deliver(db, *(incoming() for _ in range(PARAMETERS + 1)))
    with db.write() as session:
        run = digests.claim_batch(session, range(1, PARAMETERS + 2), ENVELOPE, NOON)
    assert run is not None
    assert run.tickets == PARAMETERS + 1


def test_rows_keep_the_classification_of_the_moment_of_the_claim(db: Database) -> None:
    ticket = due_ticket(db)
    settle(db, ticket, category="Hardware", request_type="Laptop")
    digest = _claimed(db)
    _settle_again(db, ticket, category="Software", request_type="Licence")
    with db.read() as session:
        [(_, then)] = digest_members.rows(session, digest.id)
        [(_, later)] = digest_members.pending(session)
    assert then is not None
    assert later is not None
    assert (then.category, later.category) == ("Hardware", "Software")


def test_rows_are_sorted_by_category_request_type_and_subject_whatever_their_case(db: Database) -> None:
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
        settle(db, due_ticket(db, short_description=subject), None, category=category, request_type=request_type)
    with db.read() as session:
        before = list(digest_members.pending(session))
    digest = _claimed(db)
    with db.read() as session:
        rows = list(digest_members.rows(session, digest.id))
    assert [(c and c.category, c and c.request_type, t.short_description) for t, c in rows] == expected
    assert [ticket.id for ticket, _ in before] == [ticket.id for ticket, _ in rows]


def _waiting(session: Session, at: datetime) -> list[int]:
    return list(work.subjects_due(session, SEND_DIGEST, at))


def test_only_one_of_many_takes_a_digest(db: Database) -> None:
    settle(db, due_ticket(db))
    digest = _claimed(db)

    def take(_: int) -> Taken | None:
        with db.write() as session:
            return digests.take(session, digest.id, NOON)

    with ThreadPoolExecutor(8) as pool:
        [taken] = [found for found in pool.map(take, range(8)) if found]
    assert (taken.attempts, taken.digest.attempts, taken.digest.message_id) == (1, 1, digest.message_id)


def test_a_digest_whose_taker_died_can_be_taken_again_and_keeps_its_message_id(db: Database) -> None:
    settle(db, due_ticket(db))
    digest, later = _claimed(db), NOON + WORK[SEND_DIGEST].lease
    with db.write() as session:
        first = digests.take(session, digest.id, NOON)
        digests.expire(session, later - SECOND)
        assert digests.take(session, digest.id, later - SECOND) is None
        assert _waiting(session, later - SECOND) == []
        digests.expire(session, later)
        assert _waiting(session, later) == [digest.id]
        again = digests.take(session, digest.id, later)
    assert first is not None
    assert again is not None
    assert (again.attempts, again.digest.attempts, again.digest.message_id) == (2, 2, digest.message_id)
    with db.write() as session:
        assert not digests.begin_sending(session, first, later)
        assert digests.begin_sending(session, again, later)
    assert digest.message_id.endswith("@example.com>")


def test_what_is_being_sent_is_nobodys_to_take_and_is_known_when_its_sender_died(db: Database) -> None:
    settle(db, due_ticket(db))
    digest, later = _claimed(db), NOON + WORK[SEND_DIGEST].lease
    with db.write() as session:
        taken = digests.take(session, digest.id, NOON)
        assert taken
        assert digests.begin_sending(session, taken, NOON)
        assert list(digests.interrupted(session, later - SECOND)) == []
    with db.write() as session:
        digests.expire(session, later)
        assert digests.take(session, digest.id, later) is None
        assert _waiting(session, later) == []
        assert list(digests.interrupted(session, later)) == [digest.id]


def test_a_digest_that_is_done_is_not_touched_again(db: Database) -> None:
    for number, status in enumerate(("sent", "failed", "held")):
        settle(db, due_ticket(db))
        digest, never = _claimed(db, f"period {number}"), NOON + timedelta(days=9)
        with db.write() as session:
            digests.mark(session, digest.id, status, NOON, error="why")
            assert digests.take(session, digest.id, never) is None
            assert _waiting(session, never) == list(digests.interrupted(session, never)) == []
            assert work.of(session, SEND_DIGEST, digest.id) is None
        assert _status(db, digest.id) == status


def test_a_digest_that_is_set_back_waits_until_its_time(db: Database) -> None:
    settle(db, due_ticket(db))
    digest, later = _claimed(db), NOON + timedelta(hours=1)
    with db.write() as session:
        assert digests.take(session, digest.id, NOON)
        due = {"ops@example.com": recipients.Outcome(recipients.DUE, "later", "450")}
        recipients.settle(session, digest.id, due, NOON, retry_at=later, resends=False)
        assert digests.conclude(session, digest.id, NOON).status == "claimed"
        assert digests.take(session, digest.id, later - SECOND) is None
        assert digests.take(session, digest.id, later)


def test_the_oldest_digest_waits_first(db: Database) -> None:
    claimed = []
    for number in range(3):
        settle(db, due_ticket(db))
        claimed.append(_claimed(db, f"period {number}").id)
    with db.read() as session:
        assert _waiting(session, NOON) == claimed
        assert [digest.id for digest in digests.page(session, 2)] == claimed[:0:-1]
        assert [digest.id for digest in digests.page(session, 9, before=claimed[1])] == claimed[:1]


def test_a_slot_is_taken_once_and_the_first_one_counts_as_done(db: Database) -> None:
    def take(slot: datetime) -> bool:
        with db.write() as session:
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
