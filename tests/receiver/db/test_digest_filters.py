"""Whom a digest tells of: by its own name, by its filter, and by what is left of the SLA."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from receiver.db import digest_members, digests
from receiver.db.database import Database
from receiver.db.digest_filters import EVERYTHING, Filter, at_risk, in_digest, soonest_due, untold_at_risk
from receiver.db.models import Digest, Ticket
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from tests.factories import due_ticket, settle

ENVELOPE = Envelope(("ops@example.com",), "example.com")
HOUR = timedelta(hours=1)


def ticket(db: Database, name: str, source: str = "standard", due: timedelta = 9 * HOUR, **decided: str) -> None:
    """A settled ticket that arrived ten hours ago and is due so long from now."""
    ticket_id = due_ticket(db, external_id=name, source=source, at=now() - 10 * HOUR)
    settle(db, ticket_id, now() + due, **decided)


def claim(
    db: Database, name: str = "digest", chosen: Filter = EVERYTHING, *, even_empty: bool = False
) -> Digest | None:
    with db.write() as session:
        return digests.claim(
            session, now().isoformat(), ENVELOPE, now(), name=name, chosen=chosen, even_empty=even_empty
        )


def told(db: Database, name: str = "digest", chosen: Filter = EVERYTHING) -> list[str]:
    with db.read() as session:
        promised = sorted(ticket.external_id for ticket, _ in digest_members.pending(session, name, chosen, now()))
        counted = sum(count for _, count, _ in digest_members.pending_counts(session, name, chosen, now()))
    claimed = claim(db, name, chosen)
    if claimed is None:
        assert promised == []
        return []
    with db.read() as session:
        found = sorted(ticket.external_id for ticket, _ in digest_members.rows(session, claimed.id))
    assert found == promised
    assert len(found) == counted == claimed.tickets
    return found


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (EVERYTHING, ["T-1", "T-2", "T-3"]),
        (Filter(category=("hardware",)), ["T-1"]),
        (Filter(category=("Hardware", "Software")), ["T-1", "T-2"]),
        (Filter(request_type=("licence",)), ["T-2"]),
        (Filter(source=("zendesk",)), ["T-2", "T-3"]),
        (Filter(status=("needs_review",)), ["T-3"]),
        (Filter(category=("Software",), source=("zendesk",)), ["T-2"]),
        (Filter(category=("Software",), status=("needs_review",)), []),
    ],
)
def test_every_line_of_a_filter_must_hold(db: Database, chosen: Filter, expected: list[str]) -> None:
    ticket(db, "T-1", category="Hardware", request_type="Laptop")
    ticket(db, "T-2", "zendesk", category="Software", request_type="Licence")
    ticket(db, "T-3", "zendesk", category="Network", request_type="VPN", review_reason="low_confidence")
    assert told(db, chosen=chosen) == expected


def test_every_digest_has_its_own_membership(db: Database) -> None:
    only = Filter(category=("Hardware",))
    ticket(db, "T-1", category="Hardware")
    assert told(db, "a") == ["T-1"]
    assert told(db, "b") == []  # New among others: it begins where the newest of them ended.
    ticket(db, "T-2", category="Hardware")
    ticket(db, "T-3", category="Software")
    assert told(db, "b", only) == ["T-2"]
    assert told(db, "a") == ["T-2", "T-3"]
    assert told(db, "b", only) == told(db, "a") == []


def test_where_no_digest_ever_was_the_first_one_tells_of_everything(db: Database) -> None:
    ticket(db, "T-1")
    assert told(db, "a") == ["T-1"]


def test_a_digest_begins_where_it_was_first_seen(db: Database) -> None:
    ticket(db, "T-1")
    claim(db)
    with db.write() as session:
        assert not digests.take_slot(session, "late", now())
    ticket(db, "T-2")
    assert told(db) == ["T-2"]
    assert told(db, "late") == ["T-2"]


def test_what_did_not_match_is_not_told_later(db: Database) -> None:
    ticket(db, "T-1", category="Hardware")
    assert told(db, "digest", Filter(category=("Software",))) == []
    assert told(db, "digest") == []


def test_an_empty_digest_is_only_claimed_where_that_is_wanted(db: Database) -> None:
    assert claim(db) is None
    empty = claim(db, even_empty=True)
    assert empty
    assert (empty.tickets, empty.status) == (0, "claimed")


def test_what_is_at_risk_is_told_of_when_it_is_and_once(db: Database) -> None:
    ticket(db, "soon", due=2 * HOUR)
    ticket(db, "later", due=9 * HOUR)
    ticket(db, "past due", due=-HOUR)
    claim(db, "digest")
    risky = Filter(at_risk=True)
    assert told(db, "risk", risky) == ["soon"]
    assert told(db, "risk", risky) == []
    assert told(db, "other", Filter(category=("nothing",), at_risk=True)) == []
    with db.read() as session:
        later = now() + 8 * HOUR
        for name in ("risk", "other"):
            assert session.scalars(select(Ticket.external_id).where(untold_at_risk(name, later))).all() == ["later"]
        assert [found.external_id for found in soonest_due(session, in_digest(1) & at_risk(now()), 5)] == ["soon"]


def test_a_copy_has_the_members_of_the_first_and_claims_nothing(db: Database) -> None:
    ticket(db, "T-1")
    first = claim(db)
    assert first
    with db.write() as session:
        assert digests.copy(session, first.id, now()) is None  # It is on its way itself.
        assert digests.copy(session, 99, now()) is None
        digests.mark(session, first.id, "sent", now())
        copied = digests.copy(session, first.id, now())
        assert copied
        digests.mark(session, copied.id, "sent", now())
        again = digests.copy(session, copied.id, now() + HOUR)
    assert again
    assert len({found.message_id for found in (first, copied, again)}) == 3
    assert [(found.copy_of, found.tickets, found.settled_until) for found in (copied, again)] == [(first.id, 1, 0)] * 2
    ticket(db, "T-2")
    assert told(db) == ["T-2"]
    with db.read() as session:
        assert [found.external_id for found, _ in digest_members.rows(session, again.id)] == ["T-1"]
        before = digests.previous(session, session.get_one(Digest, again.id + 1))
        assert before
        assert before.id == first.id
        assert digests.previous(session, again) is None
