"""Merging what deliveries bring, and reading tickets."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from receiver.db import due_tickets, tickets
from receiver.db.database import PARAMETERS, Database
from receiver.db.models import RECEIVED, REVIEWED, Delivery, Ticket
from receiver.db.tickets import IncomingTicket
from receiver.lib.clock import now
from tests.factories import deliver, due_ticket, incoming, queued, settle
from tests.properties import tries

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)
_sources = (f"helpdesk-{number}" for number in itertools.count())
# The record stays from example to example; each has a source of its own.
hypothetical = settings(
    deadline=None, max_examples=tries(40), suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # fmt: skip


def _version(name: str, minute: int | None, words: str) -> IncomingTicket:
    at = None if minute is None else NOON + timedelta(minutes=minute)
    return incoming(external_id=name, short_description=words, source_updated_at=at)


def _tickets(db: Database, source: str) -> dict[str, Ticket]:
    with db.read() as session:
        rows = session.query(Ticket).filter_by(source=source).all()
    found = {row.external_id: row for row in rows}
    assert len(found) == len(rows)
    return found


def _check_counts(deliveries: Sequence[Delivery], batches: Sequence[Sequence[object]], known: int) -> None:
    for delivery, batch in zip(deliveries, batches, strict=True):
        assert delivery.accepted + delivery.updated + delivery.duplicates == len(batch)
    assert sum(delivery.accepted for delivery in deliveries) == known


def _split(items: list[IncomingTicket], cuts: list[int]) -> list[list[IncomingTicket]]:
    """The items in batches that end where `cuts` say."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(items)), len(items)]
    return [items[start:end] for start, end in itertools.pairwise(edges) if end > start]


names, words = st.sampled_from(["A", "B"]), st.sampled_from(["one", "two", "three"])
dated_versions = st.dictionaries(st.tuples(names, st.integers(0, 9)), words, min_size=1)
cuts = st.lists(st.integers(1, 12), unique=True)


@hypothetical
@given(versions=dated_versions, cuts=cuts, random=st.randoms(use_true_random=False))
def test_the_newest_version_wins_in_whatever_order_and_company_versions_come(
    db: Database, versions: dict[tuple[str, int], str], cuts: list[int], random: Random
) -> None:
    shuffled = [_version(name, minute, said) for (name, minute), said in versions.items()]
    random.shuffle(shuffled)
    source, batches = next(_sources), _split(shuffled, cuts)
    _check_counts(
        [deliver(db, *batch, source=source) for batch in batches], batches, len({name for name, _ in versions})
    )
    found = _tickets(db, source)
    for name in {name for name, _ in versions}:
        newest = max(minute for known, minute in versions if known == name)
        assert found[name].short_description == versions[name, newest]
        assert found[name].source_updated_at == NOON + timedelta(minutes=newest)


undated_versions = st.lists(
    st.builds(_version, name=names, minute=st.none() | st.integers(0, 9), words=words), min_size=1, max_size=12
)


@hypothetical
@given(arrivals=undated_versions, cuts=cuts)
def test_no_version_overwrites_what_came_after_one_that_was_newer(
    db: Database, arrivals: list[IncomingTicket], cuts: list[int]
) -> None:
    source, batches = next(_sources), _split(arrivals, cuts)
    expected: dict[str, str] = {}
    newest: dict[str, datetime] = {}
    for ticket in arrivals:
        at = ticket.source_updated_at
        if at and at < newest.get(ticket.external_id, at):
            continue
        expected[ticket.external_id] = ticket.short_description
        newest |= {ticket.external_id: at} if at else {}
    _check_counts([deliver(db, *batch, source=source) for batch in batches], batches, len(expected))
    found = _tickets(db, source)
    assert {name: ticket.short_description for name, ticket in found.items()} == expected


def test_the_same_id_at_two_sources_is_two_tickets(db: Database) -> None:
    deliver(db, incoming(external_id="7", short_description="ours"), source="ours")
    second = deliver(db, incoming(external_id="7", short_description="theirs"), source="theirs")
    assert second.accepted == 1
    assert _tickets(db, "ours")["7"].short_description == "ours"


def test_ids_that_differ_in_case_or_form_are_different_tickets(db: Database) -> None:
    spellings = ["inc-1", "INC-1", "\N{FULLWIDTH DIGIT ONE}", "1", "\u00e9", "e\u0301"]
    assert deliver(db, *(incoming(external_id=name) for name in spellings)).accepted == len(spellings)


def test_a_changed_ticket_is_classified_again_and_keeps_when_it_came(db: Database) -> None:
    earlier, later = NOON, NOON + timedelta(hours=1)
    ticket_id = due_ticket(db, external_id="A", at=earlier)
    settle(db, ticket_id)
    changed = deliver(db, _version("A", 5, "now the mail is down, too"), at=later)
    ticket = _tickets(db, "standard")["A"]
    assert changed.updated == 1
    assert (ticket.id, ticket.status, ticket.delivery_id) == (ticket_id, RECEIVED, changed.id)
    assert (ticket.received_at, queued(db)[ticket_id].run_at, ticket.settled) == (earlier, later, None)


@pytest.mark.parametrize("minute", [None, 5])
def test_the_same_text_again_changes_nothing_that_was_decided(db: Database, minute: int | None) -> None:
    deliver(db, _version("A", 1, "the same"))
    settle(db, _tickets(db, "standard")["A"].id)
    before = _tickets(db, "standard")["A"]
    again = deliver(db, _version("A", minute, "the same"))
    after = _tickets(db, "standard")["A"]
    assert (again.status, again.duplicates) == ("duplicate", 1)
    assert (after.status, after.settled, after.delivery_id) == (before.status, before.settled, before.delivery_id)


def test_a_ticket_that_a_person_reviewed_takes_new_text_and_keeps_their_decision(db: Database) -> None:
    ticket_id = due_ticket(db, external_id="A")
    settle(db, ticket_id)
    with db.write() as session:
        session.get_one(Ticket, ticket_id).status = REVIEWED
    deliver(db, _version("A", 5, "new words"))
    ticket = _tickets(db, "standard")["A"]
    assert (ticket.status, ticket.short_description) == (REVIEWED, "new words")
    assert ticket.settled is not None


def test_a_delivery_of_more_tickets_than_one_statement_takes_is_merged_whole(db: Database) -> None:
    batch = [incoming() for _ in range(PARAMETERS + 1)]
    assert deliver(db, *batch).accepted == len(batch)
    assert deliver(db, *batch).duplicates == len(batch)
    with db.read() as session:
        assert len(tickets.ids(session, "standard", [ticket.external_id for ticket in batch])) == len(batch)


def test_what_waits_is_counted_with_the_moment_since_when(db: Database) -> None:
    with db.read() as session:
        assert tickets.due(session) == (0, None)
    settle(db, due_ticket(db, at=NOON - timedelta(hours=5)))
    due_ticket(db, at=NOON)
    due_ticket(db, at=NOON - timedelta(hours=1))
    with db.read() as session:
        assert tickets.due(session) == (2, NOON - timedelta(hours=1))


def test_the_next_claimable_moment_is_that_of_one_source(db: Database) -> None:
    due_ticket(db, at=NOON, source="one")
    due_ticket(db, at=NOON - timedelta(hours=1), source="two")
    with db.read() as session:
        assert due_tickets.first_due(session, "one") == NOON
        assert due_tickets.first_due(session, "three") is None


def test_a_ticket_that_is_unknown_cannot_be_made_due(db: Database) -> None:
    with db.write() as session:
        assert not tickets.make_due(session, 1, now())
        assert session.execute(text("SELECT count(*) FROM tickets")).scalar() == 0
