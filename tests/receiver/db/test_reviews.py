"""Reviews: what becomes of the ticket, of its history, of digests, and of whoever classifies it meanwhile."""

from dataclasses import replace

import pytest

from receiver.actions.review import NothingToConfirmError, UnknownEntryError, decide
from receiver.catalog import Catalog
from receiver.db import classifications, digest_members, digests, due_tickets, tickets
from receiver.db.database import Database
from receiver.db.models import REVIEWED, Classification, Ticket
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from tests.factories import classification, due_ticket, promise, queued, review, settle

VPN = ("Network & Connectivity", "VPN Connection Issue")
ENVELOPE = Envelope(("boss@example.com",), "example.com")


@pytest.fixture
def other(shipped: Catalog) -> tuple[str, str]:
    """An entry that is not the one the factories attribute to."""
    kind = next(kind for kind in shipped.request_types if kind.category != VPN[0])
    return kind.category, kind.name


def _ticket(db: Database, ticket_id: int) -> Ticket:
    with db.read() as session:
        return session.get_one(Ticket, ticket_id)


def _history(db: Database, ticket_id: int) -> list[Classification]:
    with db.read() as session:
        return list(classifications.history(session, ticket_id))


def test_a_correction_counts_and_what_the_engine_said_stays_as_history(
    db: Database, shipped: Catalog, other: tuple[str, str]
) -> None:
    ticket_id, kind = due_ticket(db), shipped.find(*other)
    assert kind is not None
    settle(db, ticket_id)
    review(db, ticket_id, shipped, *other)
    ticket, [new, old] = _ticket(db, ticket_id), _history(db, ticket_id)
    assert (ticket.status, ticket.category, ticket.request_type) == (REVIEWED, *other)
    assert (ticket.at_risk_at, ticket.due_at) == kind.sla.promise(ticket.received_at, None)
    assert (new.current, new.engine, new.model, new.confidence, new.reviewer) == (True, "person", "", 1.0, "Ada")
    assert (new.category, new.request_type, new.catalog_version) == (*other, shipped.version)
    assert (new.sla_value, new.sla_unit, new.sla_is_default) == (kind.sla.value, kind.sla.unit, kind.sla.is_default)
    assert (old.current, old.engine, (old.category, old.request_type)) == (False, "local", VPN)
    assert " / ".join(VPN) in new.reasoning


def test_a_confirmation_keeps_the_entry(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id, review_reason="low_confidence")
    found = review(db, ticket_id, shipped)
    assert (found.ticket.status, found.ticket.category, found.ticket.request_type) == (REVIEWED, *VPN)
    assert (found.classification.engine, found.learned) == ("person", True)


def test_reviewing_again_replaces(db: Database, shipped: Catalog, other: tuple[str, str]) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    for choice in (other, VPN, other):
        review(db, ticket_id, shipped, *choice)
    history = _history(db, ticket_id)
    assert [row.current for row in history] == [True, False, False, False]
    assert (history[0].category, history[0].request_type) == other


def test_the_late_answer_of_an_engine_does_not_overrule_the_person(
    db: Database, shipped: Catalog, other: tuple[str, str]
) -> None:
    ticket_id = due_ticket(db)
    with db.write() as session:
        due_tickets.claim(session, "engine", 1, now())
    review(db, ticket_id, shipped, *other)
    with db.write() as session:
        assert not classifications.save(session, "engine", classification(ticket_id), promise())
        due_tickets.give_back(session, [ticket_id], "engine", now())
        due_tickets.fail(session, ticket_id, "other", "too late", 1, "engine")
        due_tickets.expire(session, now() + 2 * due_tickets.POLICY.lease)
    ticket = _ticket(db, ticket_id)
    assert (ticket.status, ticket.category, ticket.error) == (REVIEWED, other[0], None)
    assert queued(db) == {}
    assert len(_history(db, ticket_id)) == 1


@pytest.mark.parametrize("was", ["received", "failed", "classified before its text changed"])
def test_without_an_answer_there_is_nothing_to_confirm_but_something_to_correct(
    db: Database, shipped: Catalog, was: str
) -> None:
    ticket_id = due_ticket(db)
    with db.write() as session:
        if was == "failed":
            due_tickets.fail(session, ticket_id, "other", "gave up", 1, None)
    if was.startswith("classified"):
        settle(db, ticket_id)
        with db.write() as session:
            tickets.make_due(session, ticket_id, now())
    with pytest.raises(NothingToConfirmError, match="send category and request_type"):
        review(db, ticket_id, shipped)
    assert review(db, ticket_id, shipped, *VPN).ticket.status == REVIEWED


def test_what_has_left_the_catalog_cannot_be_confirmed(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id, category="Of old", request_type="Fax")
    with pytest.raises(NothingToConfirmError, match="Of old / Fax has left the catalog"):
        review(db, ticket_id, shipped)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (("Network & Connectivity", "vpn connection isue"), "Network & Connectivity / VPN Connection Issue"),
        (("Nonsense", "vpn connection issue"), "Near it: Network & Connectivity / VPN Connection Issue."),
        (("§§§", "§§§"), "GET /api/catalog"),
    ],
)
def test_an_entry_of_no_catalog_is_refused_with_what_is_near(
    db: Database, shipped: Catalog, choice: tuple[str, str], said: str
) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    with pytest.raises(UnknownEntryError, match=r"is not in the catalog\.") as refused:
        review(db, ticket_id, shipped, *choice)
    assert said in str(refused.value)
    assert _ticket(db, ticket_id).status == "classified"


def test_the_catalog_in_force_decides_and_not_the_one_of_the_first_answer(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id, sla_value=99, catalog_version="long gone")
    found = review(db, ticket_id, shipped).classification
    kind = shipped.find(*VPN)
    assert kind is not None
    assert (found.sla_value, found.catalog_version) == (kind.sla.value, shipped.version)


def _digest(db: Database, period: str) -> list[tuple[str, str]]:
    """The reviewed or classified entries that a digest of now tells of."""
    with db.write() as session:
        claimed = digests.claim(session, period, ENVELOPE, now())
    with db.read() as session:
        rows = digest_members.rows(session, claimed.id) if claimed else iter(())
        return [(row.category, row.request_type) for _, row in rows if row]


def test_a_digest_tells_a_correction_once_and_of_a_confirmation_nothing_new(
    db: Database, shipped: Catalog, other: tuple[str, str]
) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    assert _digest(db, "first") == [VPN]
    review(db, ticket_id, shipped)
    assert _digest(db, "confirmed") == []
    review(db, ticket_id, shipped, *other)
    assert _digest(db, "corrected") == [other]
    review(db, ticket_id, shipped, *other)
    assert _digest(db, "said again") == []


def test_what_is_reviewed_before_its_digest_is_in_it_once_as_reviewed(
    db: Database, shipped: Catalog, other: tuple[str, str]
) -> None:
    confirmed, corrected, early = (due_ticket(db) for _ in range(3))
    review(db, early, shipped, *VPN)
    for ticket_id in (confirmed, corrected):
        settle(db, ticket_id)
    review(db, confirmed, shipped)
    review(db, corrected, shipped, *other)
    assert sorted(_digest(db, "first")) == sorted([VPN, VPN, other])
    assert _digest(db, "second") == []


def test_a_failed_ticket_that_was_reported_is_reported_again_once_a_person_says_what_it_is(
    db: Database, shipped: Catalog
) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    with db.write() as session:
        tickets.make_due(session, ticket_id, now())
        due_tickets.fail(session, ticket_id, "other", "gave up", 1, None)
    assert _digest(db, "failed") == [VPN]
    review(db, ticket_id, shipped, *VPN)
    assert _digest(db, "reviewed") == [VPN]


def test_an_answer_found_wrong_is_not_given_again_to_identical_tickets(
    db: Database, shipped: Catalog, other: tuple[str, str]
) -> None:
    first, second, third = (due_ticket(db) for _ in range(3))
    for ticket_id, key in ((first, "same"), (second, "same"), (third, "else")):
        settle(db, ticket_id, cache_key=key)
    review(db, first, shipped)
    assert [_history(db, first)[1].cache_key, _history(db, second)[0].cache_key] == ["same", "same"]
    review(db, first, shipped, *other)
    keys = [_history(db, ticket_id)[-1].cache_key for ticket_id in (first, second, third)]
    assert keys == [None, None, "else"]


def test_an_unknown_ticket_is_none(db: Database, shipped: Catalog) -> None:
    with db.write() as session:
        assert decide(session, 4711, VPN, shipped, "Ada", now()) is None


def test_a_name_of_several_categories_is_near_in_each(shipped: Catalog) -> None:
    kind = shipped.find(*VPN)
    assert kind is not None
    doubled = replace(shipped, request_types=(*shipped.request_types, replace(kind, category="Home Office")))
    said = doubled.near("Nowhere", kind.name)
    assert f"Home Office / {kind.name}" in said
    assert " / ".join(VPN) in said
