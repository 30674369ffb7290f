"""No query of the daily work reads a whole table that grows, or more of it the longer the record is kept."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from jobs.classification import classify
from jobs.digests import send
from jobs.operations import maintenance
from receiver.db import (
    classifications,
    counters,
    database,
    deliveries,
    digests,
    due_tickets,
    outbox,
    sign_in,
    ticket_query,
    tickets,
)
from receiver.db import work as queue
from receiver.db.database import Database
from receiver.db.digest_filters import Filter
from receiver.db.models import CLASSIFIED, CLASSIFY, WRITE_BACK, OutgoingCall, Ticket, TimetableEntry, Work
from receiver.db.ticket_query import TicketQuery
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings
from tests import databases
from tests.factories import classification, deliver, incoming, promise, signed, ticket_json, use_link
from tests.peers.http import Peer

pytestmark = [pytest.mark.sqlite, pytest.mark.full]

ENVELOPE = Envelope((), "localhost")
RISKY = Filter(source=("standard",), status=("classified",), at_risk=True)
SETTLED, DUE, CRASHED = 1500, 60, 20
# The index of conflicts holds nothing but conflicts, so reading all of it is reading what was asked for.
WHOLE_TABLE = re.compile(
    r"SCAN (tickets|deliveries|classifications|digest_tickets|review_outcomes|outgoing_calls|work)\b"
    r"(?! USING INDEX ix_deliveries_conflict)"
)
# The first page of a list takes the newest rows in the order of their ids, and a search no more than the newest.
NEWEST_FIRST = re.compile(
    r"FROM (?P<table>tickets|deliveries)( LEFT OUTER JOIN classifications ON [\w. =]+ AND classifications.current = 1)?"
    r" ORDER BY (?P=table).id (DESC )?LIMIT "
)

Statement = tuple[str, Any]


def _fill(db: Database, settled: int) -> None:
    """So many tickets that were classified and sent; what else is due stays due."""
    at = now() - timedelta(days=1)
    for _ in range(settled // 50):
        deliver(db, *(incoming() for _ in range(50)), at=at)
    with db.write() as session:
        last = counters.add(session, "settled", settled)
        for due in due_tickets.claim(session, "past", settled, at):
            ticket = due.ticket
            assert queue.ack(session, CLASSIFY, ticket.id, "past")
            ticket.status, ticket.settled = CLASSIFIED, last
            ticket.category, ticket.request_type = "Network & Connectivity", "VPN Connection Issue"
            ticket.at_risk_at, ticket.due_at = at + timedelta(hours=3), at + timedelta(hours=4)
            session.add(classification(ticket.id))
            last -= 1
        session.flush()
        assert digests.claim(session, f"after {settled}", ENVELOPE, at)


@pytest.fixture(scope="module")
def migrated(migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.made(databases.new_url(tmp_path_factory.mktemp("full")), migrated) as url:
        with database.opened(url) as db:
            _fill_all(db)
        yield url


def _fill_all(db: Database) -> None:
    _fill(db, SETTLED)
    deliver(db, *(incoming() for _ in range(CRASHED)))
    with db.write() as session:
        due_tickets.claim(session, "dead", CRASHED, now())
        due_tickets.expire(session, now() + timedelta(hours=1))
        session.add(TimetableEntry(name=digests.SCHEDULED, last_slot=now() - timedelta(days=9)))
    deliver(db, *(incoming(short_description=f"VPN {number}") for number in range(DUE)))


@contextmanager
def _captured() -> Iterator[list[Statement]]:
    """Every statement that any engine of this process executes in the block, with its parameters."""
    found: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            found.append((" ".join(statement.split()), parameters[0] if many else parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _plan(db: Database, statement: Statement) -> list[str]:
    with db.engine.connect() as connection:
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])]


def _plans(db: Database, work: Callable[[], object]) -> dict[str, list[str]]:
    """The statements that `work` executes, each with its plan."""
    with _captured() as statements:
        work()
    return {statement[0]: _plan(db, statement) for statement in statements}


def _whole_tables(plans: dict[str, list[str]]) -> list[str]:
    """The statements that read a whole table that grows."""
    return [
        f"{step}: {statement}"
        for statement, plan in plans.items()
        for step in plan
        if WHOLE_TABLE.match(step) and not NEWEST_FIRST.search(statement)
    ]


def _touched(plans: dict[str, list[str]]) -> set[str]:
    return {statement.split()[0] for statement in plans if re.search(r" (tickets|work) ", statement)}


def test_the_sweep_reads_no_whole_table(db: Database) -> None:
    plans = _plans(db, maintenance.sweep)
    assert _touched(plans) == {"UPDATE", "SELECT"}
    assert _whole_tables(plans) == []


def test_the_classify_job_reads_no_whole_table(db: Database, model: Peer, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
    plans = _plans(db, classify.classify_due)
    assert len(model.requests) >= DUE
    assert any(statement.startswith("INSERT INTO classifications") for statement in plans)
    assert _whole_tables(plans) == []


def test_renewing_releasing_and_giving_up_read_no_whole_table(db: Database) -> None:
    def work() -> None:
        with db.write() as session:
            [first, *rest] = due_tickets.claim(session, "mine", 9, now(), "standard")
            due_tickets.renew(session, "mine", now())
            second = rest.pop()
            due_tickets.give_back(session, [due.ticket.id for due in rest], "mine", now())
            due_tickets.retry(session, second, "mine", now(), "away", "no answer")
            due_tickets.fail(session, first.ticket.id, "other", "gave up", 1, "mine")
            assert due_tickets.claim_crashed(session, "mine", now() + timedelta(hours=2))
            due_tickets.first_due(session, "standard")

    assert _whole_tables(_plans(db, work)) == []


def test_the_digest_job_reads_no_whole_table(db: Database, config: Settings) -> None:
    def work() -> None:
        with db.write() as session:
            for due in due_tickets.claim(session, "mine", 5, now()):
                classifications.save(session, "mine", classification(due.ticket.id), promise())
        send.preview(db, config)
        send.send_due()

    plans = _plans(db, work)
    assert any(statement.startswith("INSERT INTO digest_tickets") for statement in plans)
    assert any(statement.startswith("UPDATE digests SET status") for statement in plans)
    assert _whole_tables(plans) == []


def test_a_delivery_reads_no_whole_table(db: Database, client: FlaskClient, config: Settings) -> None:
    secret = secret_files.webhook_secrets(config)[0]
    batch = [ticket_json() for _ in range(9)]
    changed = [ticket | {"short_description": "other words"} for ticket in batch]

    def work() -> None:
        for body in (batch, batch, changed):
            assert client.post("/webhooks/standard", **signed(secret, body)).status_code == 200
        message = signed(secret, batch)
        assert [client.post("/webhooks/standard", **message).status_code for _ in range(2)] == [200, 200]

    plans = _plans(db, work)
    assert _touched(plans) == {"SELECT", "INSERT", "UPDATE"}
    assert _whole_tables(plans) == []


def test_asking_and_telling_helpdesks_reads_no_whole_table(db: Database) -> None:
    with db.write() as session:
        session.execute(
            text(
                "INSERT INTO outgoing_calls (kind, source, ticket_id, classification_id, steps, created_at,"
                " attempted_at, outcome) SELECT 'write_back', 'standard', ticket_id, id, 1, created_at,"
                " '2026-01-01 00:00:00', CASE WHEN id % 20 THEN 'done' END FROM classifications"
            )
        )
        waiting = session.scalars(select(OutgoingCall.id).where(OutgoingCall.outcome.is_(None))).all()
        queue.put(session, WRITE_BACK, waiting, "standard", now())

    def work() -> None:
        with db.write() as session:
            assert outbox.sources_due(session, now()) == ["standard"]
            claimed = outbox.claim(session, "standard", "mine", now(), 60)
            assert claimed
            outbox.note_steps(session, claimed.call, "mine", 1)
            queue.renew(session, WRITE_BACK, "mine", now())
            assert outbox.finish(session, claimed.call, "mine")
            assert outbox.about(session, claimed.call.ticket_id)
            told = classification(claimed.call.ticket_id)
            classifications.replace_current(session, "standard", told, {"standard": True})
            outbox.plan_completing(session, "standard", [claimed.call.ticket_id], [], now())
            assert outbox.take_back(session, told.id, claimed.call.classification_id, now()) is False
            assert outbox.claim(session, "standard", "dead", now(), 60)
            assert queue.expire(session, WRITE_BACK, now() + timedelta(hours=1))
            outbox.unsubscribe(session, "standard", "it wants no more")
            assert queue.any_dead(session, outbox.KINDS, Work.source == "standard")
            assert outbox.dead(session, "standard", 9)
            assert outbox.redrive(session, "standard", now())
            queue.recover_future(session, now())

    plans = _plans(db, work)
    assert any(statement.startswith("UPDATE outgoing_calls") for statement in plans)
    assert _whole_tables(plans) == []


FILTERS = [
    "status=classified", "category=Network %26 Connectivity", "request_type=VPN Connection Issue", "source=standard",
    "q=vpn", "cursor=300", "status=failed&cursor=300", "status=classified&source=standard&q=vpn&cursor=300",
    "category=none&request_type=none", "source=standard&cursor=300",
]  # fmt: skip


def _answers(get: Callable[[], TestResponse]) -> Callable[[], None]:
    def work() -> None:
        assert get().status_code == 200

    return work


def test_no_list_of_the_api_reads_a_whole_table(db: Database, client: FlaskClient, config: Settings) -> None:
    token = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    urls = [
        "/api/stats", "/api/tickets", "/api/tickets/300", "/api/deliveries", "/api/deliveries?status=accepted&cursor=9",
        "/api/deliveries?status=partial", "/api/deliveries/9", "/api/digests", "/api/digests?cursor=9", "/metrics",
        *(f"/api/tickets?{query}" for query in FILTERS),
    ]  # fmt: skip
    for url in urls:
        plans = _plans(db, _answers(lambda url=url: client.get(url, headers=token)))  # type: ignore[misc]
        assert plans
        assert _whole_tables(plans) == [], url


def test_no_page_reads_a_whole_table(db: Database, client: FlaskClient) -> None:
    with db.write() as session:
        link = sign_in.issue(session, now())
    assert _whole_tables(_plans(db, lambda: use_link(client, f"/sign-in/{link}"))) == []
    plans = _plans(db, _answers(lambda: client.get("/")))
    assert " FROM tickets " in " ".join(plans)
    assert _whole_tables(plans) == []
    for url in (
        "/deliveries",
        "/deliveries?source=standard&status=partial",
        "/deliveries?conflict=1",
        "/deliveries/9",
        "/quality?days=7",
        "/quality?days=90&source=standard&model=gpt-4o-mini",
        "/catalog?q=vpn",
        "/sources",
        "/sources/standard",
    ):
        assert _whole_tables(_plans(db, _answers(lambda url=url: client.get(url)))) == [], url  # type: ignore[misc]


def test_a_query_that_does_read_a_whole_table_would_be_found(db: Database) -> None:
    def work() -> None:
        with db.read() as session:
            session.query(Ticket).filter_by(priority="high").all()
            session.query(Ticket).order_by(Ticket.received_at).limit(1).all()

    assert len(_whole_tables(_plans(db, work))) == 2


def _steps(db: Database, work: Callable[[Session], object]) -> int:
    """How many hundreds of steps of SQLite's machine `work` takes."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    with db.write() as session:
        driver: Any = session.connection().connection.driver_connection
        driver.set_progress_handler(step, 100)
        try:
            work(session)
        finally:
            driver.set_progress_handler(None, 0)
        session.rollback()
    return count


def _digest_of_few(session: Session) -> None:
    for due in due_tickets.claim(session, "mine", 5, now()):
        classifications.save(session, "mine", classification(due.ticket.id), promise())
    assert digests.claim(session, "today", ENVELOPE, now())


WORK: dict[str, Callable[[Session], object]] = {
    "claim": lambda session: due_tickets.claim(session, "mine", 9, now()),
    "claim of a source": lambda session: due_tickets.claim(session, "mine", 9, now(), "standard"),
    "no suspects": lambda session: due_tickets.claim_crashed(session, "mine", now()),
    "any suspect": lambda session: due_tickets.any_crashed(session, now()),
    "any suspect of a source": lambda session: due_tickets.any_crashed(session, now(), "standard"),
    "expire": lambda session: due_tickets.expire(session, now()),
    "set the clock right": lambda session: queue.recover_future(session, now()),
    "any due": lambda session: due_tickets.any_due(session, now()),
    "first due": lambda session: due_tickets.first_due(session, "standard"),
    "digest": _digest_of_few,
    "at risk": lambda session: digests.claim(session, "late", ENVELOPE, now(), name="risk", chosen=RISKY),
    "newest tickets": lambda session: tickets.page(session, {}, 20),
    "classified tickets": lambda session: tickets.page(session, {"status": "classified"}, 20),
    "tickets of a source": lambda session: tickets.page(session, {"source": "standard"}, 20, before=200),
    "failed tickets": lambda session: tickets.page(session, {"status": "failed"}, 20),
    "search": lambda session: ticket_query.page(session, TicketQuery(q="vpn connec"), 20, now()),
    "best match": lambda session: ticket_query.page(session, TicketQuery(q="vpn", order=ticket_query.BEST), 20, now()),
    "search in a source": lambda session: ticket_query.page(
        session, TicketQuery(q="vpn", source="standard"), 20, now()
    ),
    "received since": lambda session: ticket_query.page(
        session, TicketQuery(since=now() - timedelta(hours=1)), 20, now()
    ),
    "what is due next": lambda session: ticket_query.page(session, TicketQuery(order=ticket_query.DUE), 20, now()),
    "deliveries": lambda session: deliveries.page(session, 20, status="accepted"),
    "deliveries of a source": lambda session: deliveries.page(session, 20, 30, source="standard", status="partial"),
    "conflicts": lambda session: deliveries.page(session, 20, conflict=True),
    "redeliveries": lambda session: deliveries.redeliveries(session, 9, 50),
    "tickets of a delivery": lambda session: tickets.of_delivery(session, 9, 50),
}


def test_the_daily_work_is_the_same_when_three_times_as_much_was_done_and_ten_times_waits(db: Database) -> None:
    before = {name: _steps(db, work) for name, work in WORK.items()}
    _fill(db, 2 * SETTLED)
    deliver(db, *(incoming() for _ in range(10 * DUE)))
    after = {name: _steps(db, work) for name, work in WORK.items()}
    grown = {name: (before[name], after[name]) for name in WORK if after[name] > 1.5 * before[name] + 5}
    assert grown == {}
