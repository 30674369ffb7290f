"""Draining what is due: nothing is lost, nothing is done twice, whatever the engine does meanwhile."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import DBAPIError

from jobs.classification import classify
from jobs.classification.classify import ClassificationRun
from jobs.classification.engines import local
from jobs.classification.engines.base import Engine, EngineError, Example, Proposal, TicketText
from jobs.operations import maintenance
from receiver import catalog as catalogs
from receiver import queue
from receiver.actions.review import decide
from receiver.db import alarms, due_tickets, review_reasons
from receiver.db.database import Database
from receiver.db.models import CLASSIFY, DUE, Circuit, Classification, Moment, Ticket, Work
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.retry_policy import Cause
from receiver.lib.settings import Settings
from receiver.lib.sla import Clock
from tests.conftest import wait_until
from tests.factories import deliver, due_ticket, held, incoming, outrun_leases, queued
from tests.peers import llm
from tests.peers.http import Answer, Peer, Request

CATALOG = """
fallback: Uncategorized
categories:
  - name: Network
    requests: [{name: VPN Issue, sla: {unit: hours, value: 4}}, {name: Wi-Fi Issue}]
  - {name: Other, requests: [{name: Uncategorized, sla: {unit: days, value: 2}}]}
"""
KEY = "sk-planted-0123456789"
AT_ONCE = {"Content-Type": "application/json", "retry-after-ms": "1"}
DOWN = Answer(503, b"{}", AT_ONCE)
CONCURRENCY = 4


@pytest.fixture
def config(redis_url: str, environment: pytest.MonkeyPatch, model: Peer, tmp_path: Path) -> Settings:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    environment.setenv("SERVICE_CATALOG_URL", str(tmp_path / "catalog.yaml"))
    environment.setenv("OPENAI_API_KEY", KEY)
    environment.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
    environment.setenv("LLM_CONCURRENCY", str(CONCURRENCY))
    environment.setenv("LOG_LEVEL", "DEBUG")
    model.respond = vpn
    return settings.load()


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """A job configures the root logger, as its own process; and no test leaves the wish to stop behind."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    classify.stopping.clear()


class Told:
    """An engine that does what a test says, in this process."""

    name, model = "told", "told-1"

    def __init__(self, propose: Callable[[TicketText], str], parallel: int = 1) -> None:
        self._propose, self.parallel = propose, parallel

    def learn(self, examples: Sequence[Example]) -> None:
        pass

    def propose(self, ticket: TicketText) -> Proposal:
        return Proposal(self._propose(ticket), 0.9, "told", self.name, self.model)


def vpn(_request: Request) -> Answer:
    return llm.proposal("VPN Issue")


def asked(request: Request) -> str:
    """The ticket's text as the model saw it."""
    return str(request.json["messages"][1]["content"])


def drain(db: Database, config: Settings, engine: Engine, **options: Any) -> ClassificationRun:
    return ClassificationRun(db, engine, catalogs.parse(CATALOG), config, **options)


def crash(db: Database, times: int, *ticket_ids: int) -> None:
    """As if the workers of these tickets had died so often."""
    with db.write() as session:
        session.execute(update(Work).where(Work.subject_id.in_(ticket_ids)).values(crashes=times))


def tickets(db: Database) -> list[Ticket]:
    with db.read() as session:
        return list(session.scalars(select(Ticket).order_by(Ticket.id)))


def ticket(db: Database, ticket_id: int) -> Ticket:
    return next(found for found in tickets(db) if found.id == ticket_id)


def classifications(db: Database) -> list[Classification]:
    with db.read() as session:
        return list(session.scalars(select(Classification).order_by(Classification.id)))


def statuses(db: Database) -> Counter[str]:
    return Counter(found.status for found in tickets(db))


def alarm(db: Database) -> str | None:
    with db.read() as session:
        return next((found.message for found in alarms.current(session)), None)


def change(db: Database, **values: Any) -> None:
    """Change what is to be classified."""
    with db.write() as session:
        session.execute(update(Work).where(Work.kind == CLASSIFY).values(**values))


def pass_time(db: Database) -> None:
    """As if every pause were over."""
    change(db, run_at=now())
    let_probe(db)


def let_probe(db: Database) -> None:
    """As if an outage's last probe were long ago."""
    with db.write() as session:
        session.execute(update(Moment).values(at=now()))
        session.execute(update(Circuit).values(probe_at=now()))


def woken(config: Settings) -> int:
    with queue.connect(config.redis_url) as connection:
        return queue.depths(connection)[queue.CLASSIFY]


def in_thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def ended(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_every_due_ticket_is_classified(db: Database, config: Settings) -> None:
    arrived = now() - timedelta(hours=1)
    deliver(db, *(incoming() for _ in range(30)), at=arrived)
    classify.classify_due()
    assert statuses(db) == {"classified": 30}
    assert queued(db) == {}
    for found in tickets(db):
        assert (found.category, found.request_type) == ("Network", "VPN Issue")
        assert (found.due_at, found.error) == (arrived + timedelta(hours=4), None)
    for saved in classifications(db):
        assert (saved.sla_value, saved.sla_unit, saved.sla_is_default) == (4, "hours", False)
        assert (saved.engine, saved.fallback, saved.fuzzy_matched, saved.current) == ("llm", False, False, True)
        assert saved.catalog_version == catalogs.parse(CATALOG).version
    assert (woken(config), alarm(db)) == (0, None)


@pytest.mark.parametrize(
    ("starts", "created", "counted_from"), [("created", -5, -5), ("received", -5, -1), ("created", 2, -1)]
)
def test_the_sla_clock_starts_when_the_helpdesk_created_the_ticket(
    db: Database, config: Settings, starts: str, created: int, counted_from: int
) -> None:
    moment, hour = now(), timedelta(hours=1)
    deliver(db, incoming(source_created_at=moment + created * hour), at=moment - hour)
    drain(db, replace(config, sla_starts=starts), Told(lambda _ticket: "VPN Issue")).run(10)
    [found] = tickets(db)
    assert found.due_at == moment + (counted_from + 4) * hour
    assert found.at_risk_at == moment + (counted_from + 3) * hour
    with db.write() as session:
        clock = Clock(starts=starts)
        assert decide(session, found.id, None, catalogs.parse(CATALOG), "Ada", moment, clock=clock)
    assert tickets(db)[0].due_at == found.due_at


def test_a_label_without_a_promise_gets_the_default_marked_as_such(db: Database, model: Peer) -> None:
    model.respond = lambda _request: llm.proposal("wi-fi issue!")
    due_ticket(db)
    classify.classify_due()
    (saved,) = classifications(db)
    assert (saved.request_type, saved.fuzzy_matched) == ("Wi-Fi Issue", True)
    assert (saved.sla_value, saved.sla_unit, saved.sla_is_default) == (24, "hours", True)


def test_an_answer_outside_the_catalog_goes_to_review_as_the_fallback(db: Database, model: Peer) -> None:
    model.respond = lambda _request: llm.proposal("Make coffee", 1.0)
    due_ticket(db)
    classify.classify_due()
    (saved,) = classifications(db)
    assert (saved.request_type, saved.fallback, saved.sla_value, saved.sla_unit) == ("Uncategorized", True, 2, "days")
    assert statuses(db) == {"needs_review": 1}


def test_the_oldest_tickets_are_claimed_first(db: Database, config: Settings) -> None:
    for hours in range(20):
        due_ticket(db, short_description=f"{hours}", at=now() - timedelta(hours=hours))
    order: list[int] = []

    def propose(ticket: TicketText) -> str:
        order.append(int(ticket.short_description))
        return "VPN Issue"

    drain(db, config, Told(propose)).run(10)
    assert set(order[:8]) == set(range(12, 20))
    assert sorted(order) == list(range(20))


def test_results_are_saved_as_they_come(db: Database, model: Peer) -> None:
    others_may_end = threading.Event()

    def respond(request: Request) -> Answer:
        assert "quick" in asked(request) or others_may_end.wait(30)
        return llm.proposal("VPN Issue")

    model.respond = respond
    deliver(db, *(incoming() for _ in range(3)), incoming(short_description="quick"))
    job = in_thread(classify.classify_due)
    wait_until(lambda: statuses(db)["classified"] == 1)
    assert statuses(db) == {"classified": 1, "received": 3}
    others_may_end.set()
    ended(job)
    assert statuses(db) == {"classified": 4}


def test_as_many_calls_as_allowed_are_in_flight_and_never_more(db: Database, model: Peer) -> None:
    full = threading.Barrier(CONCURRENCY)
    lock, running, seen = threading.Lock(), 0, []

    def respond(_request: Request) -> Answer:
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        full.wait(30)
        time.sleep(0.02)
        with lock:
            running -= 1
        return llm.proposal("VPN Issue")

    model.respond = respond
    deliver(db, *(incoming(short_description=f"ticket {n}") for n in range(CONCURRENCY * 5)))
    classify.classify_due()
    assert max(seen) == CONCURRENCY
    assert statuses(db) == {"classified": CONCURRENCY * 5}


@pytest.mark.parametrize("size", [1, 3])
def test_the_batch_size_bounds_what_one_transaction_saves(db: Database, config: Settings, size: int) -> None:
    all_at_once = threading.Barrier(12)
    engine = Told(lambda _ticket: "VPN Issue" if all_at_once.wait(30) >= 0 else "", parallel=12)
    deliver(db, *(incoming() for _ in range(12)))
    inserts, sizes = [0], []

    def note(_c: Any, _u: Any, statement: str, *_rest: Any) -> None:
        inserts[0] += statement.startswith("INSERT INTO classifications")

    def close(_connection: Any) -> None:
        sizes.append(inserts[0])
        inserts[0] = 0

    event.listen(db.engine, "before_cursor_execute", note)
    event.listen(db.engine, "commit", close)
    drain(db, replace(config, classification_batch_size=size), engine).run(10)
    assert (max(sizes), sum(sizes)) == (size, 12)


def test_a_passing_fault_is_tried_again_later_and_later(db: Database, model: Peer) -> None:
    model.respond = lambda _request: DOWN
    due_ticket(db)
    pauses = []
    for attempt in (1, 2):
        classify.classify_due()
        (found,) = tickets(db)
        [row] = queued(db).values()
        assert (found.status, row.attempts, found.attempts, row.state) == ("received", attempt, attempt, "due")
        assert "503" in (found.error or "")
        pauses.append(row.run_at - now())
        requests = len(model.requests)
        classify.classify_due()
        assert len(model.requests) == requests
        pass_time(db)
    assert timedelta(seconds=1) < pauses[0] < pauses[1] < timedelta(minutes=2)
    model.respond = vpn
    classify.classify_due()
    assert statuses(db) == {"classified": 1}
    (saved,) = classifications(db)
    assert (saved.engine, saved.fallback) == ("llm", False)


@pytest.mark.parametrize(
    "fault",
    [DOWN, Answer(200, b"<html>guest network</html>", {"Content-Type": "text/html"}), Answer(400), Answer(200, b"")],
    ids=["down", "web page", "bad request", "empty"],
)
def test_after_three_passing_faults_the_local_engine_stands_in_marked_and_reviewed(
    db: Database, model: Peer, fault: Answer
) -> None:
    model.respond = lambda _request: fault
    due_ticket(db, short_description="VPN Issue", long_description="the vpn does not connect")
    for _ in range(3):
        classify.classify_due()
        pass_time(db)
    (found,) = tickets(db)
    assert (found.status, found.request_type, found.error) == ("needs_review", "VPN Issue", None)
    (saved,) = classifications(db)
    assert (saved.engine, saved.fallback) == ("local", True)
    assert "model" in (review_reasons.sentence(saved) or "")
    assert len(model.requests) <= 9
    assert alarm(db) is None


def test_a_stand_in_that_takes_its_time_holds_up_no_other_result(db: Database, model: Peer) -> None:
    model.respond = lambda request: DOWN if "hard" in asked(request) else llm.proposal("VPN Issue")
    hard = due_ticket(db, short_description="hard")
    change(db, attempts=2)
    with local._building:  # As if the local engine were still being made.
        job = in_thread(classify.classify_due)
        wait_until(lambda: len(model.requests) == 3)
        deliver(db, *(incoming() for _ in range(9)))
        wait_until(lambda: statuses(db)["classified"] == 9)
        assert ticket(db, hard).status == "received"
    ended(job)
    assert ticket(db, hard).status == "needs_review"


def test_a_refusal_gives_every_ticket_back_uncounted_and_raises_the_alarm(db: Database, model: Peer) -> None:
    model.respond = lambda _request: Answer.of({"error": {"message": f"bad key {KEY}"}}, 401)
    deliver(db, *(incoming() for _ in range(10)))
    classify.classify_due()
    assert statuses(db) == {"received": 10}
    assert {(row.attempts, row.lease_owner, row.crashes) for row in queued(db).values()} == {(0, None, 0)}
    message = alarm(db) or ""
    assert "401" in message
    assert KEY not in message


def test_a_refusing_endpoint_is_left_alone_for_a_while(db: Database, config: Settings, model: Peer) -> None:
    model.respond = lambda _request: Answer(403)
    deliver(db, *(incoming() for _ in range(50)))
    classify.classify_due()
    assert 0 < len(model.requests) <= 10
    assert woken(config) == 0


def test_when_the_engine_is_back_the_tickets_are_classified_and_the_alarm_is_gone(db: Database, model: Peer) -> None:
    model.respond = lambda _request: Answer(404)
    deliver(db, *(incoming() for _ in range(5)))
    for _ in range(4):
        classify.classify_due()
        pass_time(db)
    assert alarm(db)
    model.respond = vpn
    classify.classify_due()
    assert statuses(db) == {"classified": 5}
    assert alarm(db) is None


def test_neither_a_passing_fault_nor_a_stand_in_silences_the_alarm(db: Database, model: Peer) -> None:
    model.respond = lambda _request: Answer(401)
    due_ticket(db)
    classify.classify_due()
    model.respond = lambda _request: DOWN
    for _ in range(3):
        pass_time(db)
        classify.classify_due()
    (found,) = tickets(db)
    assert (found.status, found.attempts) == ("received", 0)
    assert "503" in (alarm(db) or "")
    an_hour_ago(db)
    classify.classify_due()
    assert statuses(db) == {"received": 1}  # Waiting for its pause.
    change(db, run_at=now())
    classify.classify_due()
    assert statuses(db) == {"needs_review": 1}
    assert alarm(db)


def an_hour_ago(db: Database) -> None:
    """As if the outage had begun an hour ago, and had just been probed."""
    with db.write() as session:
        session.execute(
            update(Circuit).values(opened_at=now() - classify.PATIENCE, probe_at=now() + timedelta(seconds=9))
        )


def broken_down(db: Database, model: Peer, count: int) -> None:
    """Ten tickets in a row have failed, of so many."""
    model.respond = lambda _request: DOWN
    deliver(db, *(incoming() for _ in range(count)))
    classify.classify_due()
    pass_time(db)
    classify.classify_due()
    assert alarm(db)
    pass_time(db)


def test_failures_in_a_row_begin_an_outage_in_which_tickets_wait_with_the_reason(
    db: Database, config: Settings, model: Peer
) -> None:
    broken_down(db, model, 50)
    for _ in range(5):
        classify.classify_due()
        pass_time(db)
    assert statuses(db) == {"received": 50}
    assert max(found.attempts for found in tickets(db)) <= 2
    assert sum(found.attempts for found in tickets(db)) < 10
    assert {found.error for found in tickets(db) if found.error} == {alarm(db)}
    assert woken(config) == 0


def test_in_an_outage_one_ticket_at_a_time_asks_and_no_more_than_once_in_ten_seconds(db: Database, model: Peer) -> None:
    broken_down(db, model, 50)
    requests = len(model.requests)
    for _ in range(5):
        classify.classify_due()
    assert len(model.requests) == requests + 3  # One call and its two retries.


def test_workers_at_once_share_one_probe(db: Database, model: Peer) -> None:
    broken_down(db, model, 50)
    requests = len(model.requests)
    ended(*[in_thread(classify.classify_due) for _ in range(4)])
    assert len(model.requests) == requests + 3


def test_the_first_answer_ends_the_outage_and_everything_is_classified_in_that_run(db: Database, model: Peer) -> None:
    broken_down(db, model, 50)
    model.respond = vpn
    classify.classify_due()
    assert statuses(db) == {"classified": 50}
    assert alarm(db) is None
    assert {saved.fallback for saved in classifications(db)} == {False}


def test_after_an_hour_of_outage_the_local_engine_stands_in_until_the_model_is_back(db: Database, model: Peer) -> None:
    broken_down(db, model, 12)
    requests = len(model.requests)
    an_hour_ago(db)
    classify.classify_due()
    assert statuses(db) == {"needs_review": 12}
    assert {(saved.engine, saved.fallback) for saved in classifications(db)} == {("local", True)}
    assert len(model.requests) == requests
    model.respond = vpn
    due_ticket(db)
    for _ in range(4):  # The new one, and then all for which the local engine had stood in, a few at a time.
        pass_time(db)
        classify.classify_due()
    assert statuses(db) == {"classified": 13}
    assert alarm(db) is None


def test_an_answer_between_failures_begins_the_count_anew(db: Database, model: Peer) -> None:
    for number in range(15):
        model.respond = vpn if number % 5 == 4 else lambda _request: DOWN
        due_ticket(db)
        classify.classify_due()
    assert alarm(db) is None


def test_an_endpoint_that_asks_for_a_pause_gets_it(db: Database, model: Peer) -> None:
    model.respond = lambda _request: Answer(429, b"{}", {"Retry-After": "600"})
    due_ticket(db)
    started = now()
    classify.classify_due()
    with db.read() as session:
        probe_at = session.get_one(Circuit, "engine").probe_at
    assert probe_at
    assert timedelta(seconds=590) < probe_at - started < timedelta(seconds=620)
    assert len(model.requests) == 1
    change(db, run_at=now())
    classify.classify_due()
    assert len(model.requests) == 1


def test_a_clock_that_was_wrong_does_not_put_the_next_probe_off(db: Database, model: Peer) -> None:
    broken_down(db, model, 12)
    with db.write() as session:
        session.execute(update(Circuit).values(probe_at=now() + timedelta(days=3)))
    model.respond = vpn
    classify.classify_due()
    assert statuses(db) == {"classified": 12}


def test_a_bug_on_one_ticket_stops_no_other_and_fails_it_after_three_attempts(
    db: Database, config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def propose(asked: TicketText) -> str:
        return str({"harmless": "VPN Issue"}[asked.short_description])

    caplog.set_level(logging.DEBUG)
    bad = due_ticket(db, short_description="Zebra", long_description="Hunter2")
    deliver(db, *(incoming(short_description="harmless") for _ in range(20)))
    for attempt in (1, 2, 3):
        drain(db, config, Told(propose)).run(10)
        assert statuses(db)["classified"] == 20
        assert ticket(db, bad).attempts == attempt
        pass_time(db)
    failed = ticket(db, bad)
    assert (failed.status, queued(db)[bad].state, queued(db)[bad].error_code) == ("failed", "dead", "other")
    assert "KeyError" in (failed.error or "")
    assert failed.settled
    told = caplog.text + str(failed.error)
    assert "Zebra" not in told
    assert "Hunter2" not in told
    assert "KeyError" in caplog.text


def test_no_log_line_holds_ticket_text_or_the_key(db: Database, model: Peer, capfd: pytest.CaptureFixture[str]) -> None:
    answers = iter([vpn, lambda _r: DOWN, lambda _r: Answer(401), lambda _r: Answer(200, b"Zebra"), vpn])
    for number, respond in enumerate(answers):
        model.respond = respond
        due_ticket(
            db, short_description=f"Zebra {number}", long_description="Hunter2", requester_email="zebra@example.com"
        )
        classify.classify_due()
        pass_time(db)
    logged = capfd.readouterr().err
    assert "pauses" in logged
    assert [secret for secret in ("Zebra", "Hunter2", "zebra@", KEY) if secret in logged] == []


def test_the_time_budget_ends_the_claiming_and_what_is_left_stays_due(
    db: Database, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(db, *(incoming() for _ in range(200)))
    seconds = [0.0]
    monkeypatch.setattr(classify, "time", SimpleNamespace(monotonic=lambda: seconds[0]))

    def slow(_ticket: TicketText) -> str:
        seconds[0] += 0.05
        return "VPN Issue"

    drain(db, config, Told(slow)).run(0.3)
    found = statuses(db)
    assert 0 < found["classified"] < 200
    assert found["classified"] + found["received"] == 200
    assert {(row.lease_owner, row.attempts) for row in queued(db).values()} == {(None, 0)}


def test_no_time_means_no_claim(db: Database, config: Settings) -> None:
    due_ticket(db)
    drain(db, config, Told(lambda _ticket: "VPN Issue")).run(0)
    assert statuses(db) == {"received": 1}


def test_a_job_wakes_the_next_while_more_is_due(db: Database, config: Settings) -> None:
    deliver(db, *(incoming() for _ in range(10)))
    change(db, crashes=1)
    classify.classify_due()
    assert statuses(db) == {"classified": 8, "received": 2}
    assert woken(config) == 1
    classify.classify_due()
    assert statuses(db) == {"classified": 10}


def test_two_drains_at_once_never_ask_twice_about_a_ticket(db: Database, model: Peer) -> None:
    model.respond = llm.after(0.005, vpn)
    deliver(db, *(incoming(short_description=f"number {number}.") for number in range(60)))
    ended(*(in_thread(classify.classify_due) for _ in range(3)))
    assert statuses(db) == {"classified": 60}
    assert len({asked(request) for request in model.requests}) == len(model.requests) == 60
    assert len(classifications(db)) == 60


@pytest.mark.parametrize("first", [vpn, lambda _request: DOWN, lambda _request: Answer(401)])
def test_a_ticket_that_is_updated_meanwhile_is_classified_by_its_newer_text(
    db: Database, model: Peer, first: Callable[[Request], Answer]
) -> None:
    updated = threading.Event()

    def respond(request: Request) -> Answer:
        if "now it is wifi" in asked(request):
            return llm.proposal("Wi-Fi Issue")
        assert updated.wait(30)
        return first(request)

    model.respond = respond
    name = "T-changing"
    deliver(db, incoming(external_id=name))
    job = in_thread(classify.classify_due)
    wait_until(lambda: model.requests)
    deliver(db, incoming(external_id=name, short_description="now it is wifi"))
    updated.set()
    ended(job)
    let_probe(db)
    classify.classify_due()
    (found,) = tickets(db)
    assert (found.status, found.short_description) == ("classified", "now it is wifi")
    assert (found.request_type, found.attempts, found.error) == ("Wi-Fi Issue", 1, None)
    assert [saved.request_type for saved in classifications(db)] == ["Wi-Fi Issue"]


def test_a_ticket_that_is_updated_during_its_last_attempt_does_not_fail_for_its_old_text(
    db: Database, config: Settings
) -> None:
    name = "T-changing"
    deliver(db, incoming(external_id=name))
    change(db, attempts=2)

    def propose(asked: TicketText) -> str:
        if asked.short_description == "new":
            return "Wi-Fi Issue"
        deliver(db, incoming(external_id=name, short_description="new"))
        raise ZeroDivisionError

    drain(db, config, Told(propose)).run(10)
    (found,) = tickets(db)
    assert (found.status, found.request_type, found.error) == ("classified", "Wi-Fi Issue", None)


def test_a_ticket_that_was_taken_over_meanwhile_is_not_failed_by_its_first_holder(
    db: Database, config: Settings
) -> None:
    due_ticket(db)
    change(db, attempts=2)

    def propose(_ticket: TicketText) -> str:
        change(db, state=DUE, lease_owner=None, run_at=now())
        drain(db, config, Told(lambda _ticket: "VPN Issue")).run(10)
        raise ZeroDivisionError

    drain(db, config, Told(propose)).run(10)
    assert statuses(db) == {"classified": 1}


def test_one_that_is_asked_to_stop_claims_nothing_and_wakes_nobody(db: Database, config: Settings) -> None:
    deliver(db, *(incoming() for _ in range(3)))
    crash(db, 1, *queued(db))
    classify.stopping.set()
    classify.classify_due()
    assert {(row.state, row.attempts) for row in queued(db).values()} == {("due", 0)}
    assert woken(config) == 0


def test_one_that_is_asked_to_stop_finishes_what_is_in_hand(db: Database, config: Settings, model: Peer) -> None:
    may_end = threading.Event()
    model.respond = lambda _request: llm.proposal("VPN Issue" if may_end.wait(30) else "")
    deliver(db, *(incoming() for _ in range(40)))
    job = in_thread(classify.classify_due)
    wait_until(lambda: len(model.requests) == CONCURRENCY)
    classify.stopping.set()
    may_end.set()
    ended(job)
    found = statuses(db)
    assert CONCURRENCY <= found["classified"] <= 40 - CONCURRENCY
    assert {(row.lease_owner, row.attempts) for row in queued(db).values()} == {(None, 0)}
    assert woken(config) == 0


def test_a_drain_can_be_run_again_for_what_was_set_back(db: Database, config: Settings) -> None:
    broken = [True]

    def propose(_ticket: TicketText) -> str:
        if broken.pop() if broken else False:
            raise EngineError(Cause.AWAY)
        return "VPN Issue"

    counted: list[int] = []
    deliver(db, incoming(), incoming())
    again = drain(db, config, Told(propose), on_finished=counted.append)
    again.run(10)
    assert statuses(db) == {"classified": 1, "received": 1}
    pass_time(db)
    again.run(10)
    assert statuses(db) == {"classified": 2}
    assert sum(counted) == 2


def test_a_drain_of_one_source_leaves_the_others_alone(db: Database, config: Settings) -> None:
    for source in ("ours", "theirs"):
        due_ticket(db, source=source)
        due_ticket(db, source=source)
    crash(db, 1, 1, 3)
    drain(db, config, Told(lambda _ticket: "VPN Issue"), source="ours").run(10)
    assert {(found.source, found.status) for found in tickets(db)} == {
        ("ours", "classified"),
        ("theirs", "received"),
    }


def test_tickets_whose_worker_died_go_first_and_apart_from_the_others(db: Database, config: Settings) -> None:
    companies: list[int] = []

    def propose(_ticket: TicketText) -> str:
        companies.append(len(held(db)))
        return "VPN Issue"

    deliver(db, *(incoming() for _ in range(6)))
    crash(db, 2, 4, 5)
    drain(db, config, Told(propose)).run(10)
    assert companies[0] == 1
    assert max(companies) > 1
    assert statuses(db) == {"classified": 5, "received": 1}
    companies.clear()
    drain(db, config, Told(propose)).run(10)
    assert companies == [1]
    assert sorted(found.settled or 0 for found in tickets(db) if found.id in (4, 5)) == [1, 6]


def test_a_long_run_ends_for_tickets_whose_worker_died(
    db: Database, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "_CRASHED_WAIT_SECONDS", 0.0)
    deliver(db, *(incoming() for _ in range(30)))

    def propose(_ticket: TicketText) -> str:
        with db.write() as session:  # A sweep finds meanwhile that another worker died over the last ticket.
            last = (Work.kind == CLASSIFY, Work.subject_id == 30, Work.state == DUE)
            session.execute(update(Work).where(*last).values(crashes=1))
        return "VPN Issue"

    drain(db, config, Told(propose)).run(60)
    waiting = statuses(db)["received"]
    assert waiting > 1, "the run went on although a suspect waited"
    drain(db, config, Told(propose)).run(60)
    assert statuses(db) == {"classified": 30}
    assert sorted(tickets(db), key=lambda found: found.settled or 0)[30 - waiting].id == 30


def test_an_answer_of_half_characters_harms_nobody(db: Database, model: Peer) -> None:
    broken = '{"reasoning": "\\ud83d\\u0000", "request_type": "VPN Issue", "confidence": 1, "alternatives": 7}'
    model.respond = lambda _request: llm.completion(broken, prompt_tokens=10**30)
    deliver(db, *(incoming() for _ in range(6)))
    classify.classify_due()
    assert statuses(db) == {"classified": 6}


@pytest.mark.sqlite
def test_a_record_that_cannot_be_written_loses_nothing_and_tells_no_text(db: Database, config: Settings) -> None:
    deliver(db, *(incoming(short_description="Zebra") for _ in range(12)))
    with db.write() as session:
        session.execute(
            text("CREATE TRIGGER full BEFORE INSERT ON classifications BEGIN SELECT RAISE(ABORT, 'x'); END")
        )
    with pytest.raises(DBAPIError) as caught:
        drain(db, config, Told(lambda _ticket: "VPN Issue")).run(10)
    assert "told" not in str(caught.value)
    assert statuses(db) == {"received": 12}
    with db.write() as session:
        session.execute(text("DROP TRIGGER full"))
        outrun_leases(session)
    maintenance.sweep()
    classify.classify_due()
    assert statuses(db) == {"classified": 12}


def test_a_ticket_that_a_person_changed_back_and_forth_keeps_one_current_classification(
    db: Database, model: Peer
) -> None:
    for words in ("one", "two", "one"):
        deliver(db, incoming(external_id="T-same", short_description=words))
        classify.classify_due()
    saved = classifications(db)
    assert [found.current for found in saved] == [False, False, True]
    assert [found.from_cache for found in saved] == [False, False, True]
    assert [asked(request) for request in model.requests] == [f"<ticket>\n{w}\n\n\n</ticket>" for w in ("one", "two")]


def told(db: Database, name: str) -> str | None:
    """What the alarm of this name says."""
    with db.read() as session:
        return alarms.message(session, name)


GOOGLE = [
    {
        "error": {
            "code": 400,
            "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
        }
    }
]
BALANCE = {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}}
QUOTA = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": None}}
NO_MODEL = {"error": {"message": "The model `gpt-9` does not exist", "code": "model_not_found"}}
REGION = {"error": {"message": "User location is not supported for the API use.", "status": "FAILED_PRECONDITION"}}


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Answer.of(GOOGLE, 400), "check OPENAI_API_KEY"),
        (Answer.of({"error": "Invalid API key"}, 200), "check OPENAI_API_KEY"),
        (
            Answer.of({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, 500),
            "OPENAI_API_KEY",
        ),
        (Answer.of({"message": "Unauthorized"}, 403), "check OPENAI_API_KEY"),
        (Answer.of(BALANCE, 402), "check billing"),
        (Answer.of(QUOTA, 429), "check billing"),
        (Answer.of({"error": {"message": "Your credit balance is too low to access the API."}}, 400), "check billing"),
        (Answer.of(NO_MODEL, 400), "check LLM_MODEL"),
        (Answer.of({"detail": "Not Found"}, 404), "check LLM_MODEL"),
        (Answer.of(REGION, 400), "region"),
    ],
)
def test_what_only_an_operator_can_mend_pauses_at_once_and_names_the_setting(
    db: Database, model: Peer, answer: Answer, advice: str
) -> None:
    model.respond = lambda _request: answer
    deliver(db, *(incoming() for _ in range(3)))
    classify.classify_due()
    assert statuses(db) == {"received": 3}
    assert {found.attempts for found in tickets(db)} == {0}
    assert advice in (told(db, "engine") or "")
    assert len(model.requests) <= 3
    model.respond = vpn
    pass_time(db)
    classify.classify_due()
    assert statuses(db) == {"classified": 3}
    assert told(db, "engine") is None


TOO_LARGE = {
    "error": {
        "message": "Request too large for model `m-1.1` on tokens per minute (TPM): Limit 6000, Requested 6294, please "
        "reduce your message size and try again.",
        "type": "tokens",
        "code": "rate_limit_exceeded",
    }
}
CONTEXT = {
    "error": {"message": "This model's maximum context length is 2048 tokens.", "code": "context_length_exceeded"}
}


@pytest.mark.parametrize(
    ("answer", "advice", "cause", "enough"),
    [
        (Answer.of(TOO_LARGE, 413), "tokens per minute", "plan", 3),
        (Answer.of(TOO_LARGE, 429), "tokens per minute", "plan", 3),
        (Answer.of(CONTEXT, 400), "context is too small for the catalog", "too_long", 3),
        (llm.completion("", "content_filter"), "refused to answer", "refused", 5),
    ],
)
def test_stand_ins_for_every_ticket_raise_an_alarm_that_ends_with_an_answer(
    db: Database, model: Peer, answer: Answer, advice: str, cause: str, enough: int
) -> None:
    model.respond = lambda _request: answer
    deliver(db, *(incoming() for _ in range(enough - 1)))
    classify.classify_due()
    assert statuses(db) == {"needs_review": enough - 1}
    assert told(db, "stand_ins") is None  # So many such texts in a row there may be.
    deliver(db, incoming())
    classify.classify_due()
    assert advice in (told(db, "stand_ins") or "")
    assert {saved.stand_in_cause for saved in classifications(db)} == {cause}
    assert len(model.requests) == enough
    assert told(db, "engine") is None
    model.respond = vpn
    deliver(db, incoming())
    classify.classify_due()
    assert told(db, "stand_ins") is None


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Answer(200, b"<html>guest network</html>", {"Content-Type": "text/html"}), "OPENAI_BASE_URL"),
        (llm.completion("I am not sure."), "no readable answer"),
        (llm.completion("", "length"), "LLM_MAX_TOKENS"),
    ],
)
def test_three_tickets_without_an_answer_are_told_though_they_are_few(
    db: Database, model: Peer, answer: Answer, advice: str
) -> None:
    model.respond = lambda _request: answer
    deliver(db, *(incoming() for _ in range(3)))
    for _ in range(due_tickets.POLICY.most_attempts):
        classify.classify_due()
        pass_time(db)
    assert statuses(db) == {"needs_review": 3}
    assert advice in (told(db, "stand_ins") or "")


def test_a_second_model_that_answers_for_every_ticket_is_told(
    db: Database, environment: pytest.MonkeyPatch, model: Peer
) -> None:
    environment.setenv("LLM_FALLBACK_MODEL", "second")
    model.respond = lambda request: vpn(request) if request.json["model"] == "second" else llm.completion("Hm.")
    deliver(db, *(incoming() for _ in range(3)))
    classify.classify_due()
    assert statuses(db) == {"classified": 3}
    assert {saved.stand_in_cause for saved in classifications(db)} == {"unreadable"}
    assert "no readable answer" in (told(db, "stand_ins") or "")


def test_a_model_that_thinks_long_gets_its_room_once_and_keeps_it(db: Database, model: Peer) -> None:
    """2,600 tokens of thoughts, LLM_MAX_TOKENS at its default of 500."""

    def respond(request: Request) -> Answer:
        return (
            vpn(request) if request.json["max_tokens"] >= 2600 else llm.completion("", "length", completion_tokens=500)
        )

    model.respond = respond
    for number in range(3):
        due_ticket(db, short_description=f"ticket {number}")
        classify.classify_due()
    assert statuses(db) == {"classified": 3}
    assert [request.json["max_tokens"] for request in model.requests] == [500, 2000, 8000, 8000, 8000]
