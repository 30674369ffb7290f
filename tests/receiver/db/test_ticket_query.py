"""Lists: what a search, a filter and an order find, page by page, and how little they look at for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.db import search_index, ticket_query
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.db.ticket_query import BEST, DUE, OLDEST, TicketQuery
from receiver.lib.clock import now
from tests.factories import deliver, due_ticket, incoming, settle

WELL = TicketQuery(q="vpn", order=BEST)


def _page(db: Database, wanted: TicketQuery, limit: int = 50, after: int | None = None) -> ticket_query.Page:
    with db.read() as session:
        return ticket_query.page(session, wanted, limit, now(), after)


def _names(page: ticket_query.Page) -> list[str]:
    return [ticket.external_id for ticket, _ in page.pairs]


def _found(db: Database, typed: str, **filters: Any) -> list[str]:
    return _names(_page(db, TicketQuery(q=typed, **filters)))


@pytest.fixture
def unicorn(db: Database) -> Database:
    deliver(
        db,
        incoming(external_id="plain", short_description="100 times of ab, un"),
        incoming(
            external_id="INC-9",
            short_description="90 % of A_B \\ 🔥",
            long_description="the printer ÜNÏCORN says: no route",
            requester_email="Ada@example.com",
        ),
    )
    return db


@pytest.mark.parametrize(
    "typed",
    [
        "90 %",
        "a_b",
        "\\",
        "🔥",
        "ünïc",
        "unico",
        "PRINTER",
        "inc-9",
        "ada@",
        "ada@example.com",
        '"no route"',
        "route no",
    ],
)
def test_a_search_finds_words_in_any_case_and_the_beginning_of_the_last(unicorn: Database, typed: str) -> None:
    assert _found(unicorn, typed) == ["INC-9"]


@pytest.mark.parametrize("typed", ["print er", '"route no"', "nico", "pri", '"unico"', "printer fax"])
def test_a_search_finds_no_less_than_all_words_and_no_middles(unicorn: Database, typed: str) -> None:
    assert _found(unicorn, typed) == []


@pytest.mark.parametrize(
    "typed",
    [
        '"', '""', "'", "*", "printer*", "(", "NEAR(a b)", "a OR b", "NOT a", "short_description:x", "^a", "a + b",
        "-a", "\x00", "a\x00b", '"a\x00', "\ud800", "{a}: b", "%", "_", "a" * 200, "🔥" * 200,
        '" OR rowid > 0 --', "٣", "½",
    ],
)  # fmt: skip
def test_nothing_that_can_be_typed_is_a_command(unicorn: Database, typed: str) -> None:
    for order in ticket_query.ORDERS:
        _page(unicorn, TicketQuery(q=typed, order=order))


def test_the_index_follows_the_tickets(unicorn: Database) -> None:
    deliver(unicorn, incoming(external_id="INC-9", short_description="fax is dead"))
    assert _found(unicorn, "printer") == []
    assert _found(unicorn, "fax") == ["INC-9"]
    with unicorn.write() as session:
        session.query(Ticket).filter_by(external_id="INC-9").delete()
    assert _found(unicorn, "fax") == []
    if unicorn.path:  # FTS5 compares its index with the tickets itself.
        with unicorn.engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO ticket_words (ticket_words, rank) VALUES ('integrity-check', 1)")


def test_filters_hold_together(db: Database) -> None:
    deliver(db, incoming(external_id="A"), source="one")
    deliver(db, incoming(external_id="B", requester_email="ada@example.com"), source="two")
    assert _found(db, "vpn") == ["B", "A"]
    assert _found(db, "vpn", source="one") == ["A"]
    assert _found(db, "vpn", source="one", status="failed") == []
    assert _found(db, "", source="two", requester_email="ada@example.com") == ["B"]
    assert _found(db, "", source="one", requester_email="ada@example.com") == []


def test_received_since_is_a_place_in_the_list(db: Database) -> None:
    moment = now()
    for hours in (30, 20, 10):
        due_ticket(db, external_id=str(hours), at=moment - timedelta(hours=hours))
    since = TicketQuery(since=moment - timedelta(hours=21))
    assert _names(_page(db, since)) == ["10", "20"]
    assert _names(_page(db, replace(since, order=OLDEST))) == ["20", "10"]
    assert _names(_page(db, replace(since, order=OLDEST), 50, 2)) == ["10"]
    assert _names(_page(db, TicketQuery(since=moment))) == []


def _settled(db: Database, name: str, hours: float, **fields: str) -> None:
    settle(db, due_ticket(db, external_id=name), now() + timedelta(hours=hours), **fields)


def test_what_is_due_next_comes_first_and_of_what_is_past_due_the_latest(db: Database) -> None:
    for name, hours in (("c", 3), ("a", 1), ("late", -1), ("later", -2), ("b", 2)):
        _settled(db, name, hours, review_reason="low_confidence" if name != "b" else None)  # type: ignore[arg-type]
    due_ticket(db, external_id="not promised")
    assert _names(_page(db, TicketQuery(order=DUE))) == ["a", "b", "c"]
    assert _names(_page(db, TicketQuery(order=DUE, status="needs_review"))) == ["a", "c"]
    assert _names(_page(db, TicketQuery(order=DUE, sla="past_due"))) == ["late", "later"]
    assert sorted(_names(_page(db, TicketQuery(sla="past_due")))) == ["late", "later"]


def test_at_risk_is_what_has_used_three_quarters_of_its_time(db: Database) -> None:
    moment = now()
    for name, hours in (("safe", 2), ("at risk", 9), ("past due", 11)):
        settle(
            db,
            due_ticket(db, external_id=name, at=moment - timedelta(hours=hours)),
            moment + timedelta(hours=10 - hours),
        )
    for order in ticket_query.ORDERS:
        assert _names(_page(db, TicketQuery(sla="at_risk", order=order))) == ["at risk"]


@pytest.mark.parametrize(
    "wanted", [TicketQuery(), TicketQuery(order=OLDEST), TicketQuery(order=DUE), TicketQuery(q="vpn"), WELL]
)
def test_pages_are_one_list_cut_in_pieces(db: Database, wanted: TicketQuery) -> None:
    same = now() + timedelta(hours=1)
    for number in range(7):
        settle(db, due_ticket(db, external_id=str(number)), same)
    whole = _names(_page(db, wanted))
    assert len(whole) == 7
    found, after = [], None
    while True:
        page = _page(db, wanted, 3, after)
        found += _names(page)
        if page.after is None:
            break
        after = page.after
    assert found == whole


def test_what_is_far_away_is_found_by_going_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticket_query, "LOOKED_AT", 10)
    deliver(db, incoming(external_id="far"), source="two")
    deliver(db, *(incoming() for _ in range(15)))
    wanted = TicketQuery(q="vpn", source="two")
    first = _page(db, wanted)
    assert (first.pairs, first.after is None) == ([], False)
    assert _names(_page(db, wanted, after=first.after)) == ["far"]


@pytest.mark.sqlite
def test_the_best_match_has_the_words_in_its_subject(db: Database) -> None:
    for name, subject, text in (
        ("id", "no", "nothing"),
        ("subject", "The badge reader", "is dark."),
        ("text", "No entry", "My badge is refused. " * 3),
        ("newest", "Help", "Where is a badge?"),
    ):
        settle(db, due_ticket(db, external_id=f"{name} badge" if name == "id" else name,
                                  short_description=subject, long_description=text))  # fmt: skip
    assert _found(db, "badge") == ["newest", "text", "subject", "id badge"]
    assert _found(db, "badge", order=BEST)[:2] == ["id badge", "subject"]
    assert _found(db, "badge", order=BEST, status="failed") == []


@pytest.mark.sqlite
def test_only_the_newest_are_ranked_and_many_words_are_not(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "RANKED", 2)
    deliver(db, *(incoming(external_id=str(number)) for number in range(3)))
    page = _page(db, TicketQuery(q="vpn", order=BEST))
    assert (sorted(_names(page)), page.cut, page.after) == (["1", "2"], True, None)
    many = _page(db, TicketQuery(q="VPN does not connect VPN does not", order=BEST))
    assert (_names(many), many.cut) == (["2", "1", "0"], False)


def test_a_question_is_bounded() -> None:
    assert search_index.plain("x" * 1000) == "x" * search_index.MOST
