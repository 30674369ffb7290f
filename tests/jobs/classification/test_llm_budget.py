"""What the model costs is counted, and a day's budget is a hard stop."""

import dataclasses
import json
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from jobs.classification.engines.base import BudgetError, EngineError, TicketText
from jobs.classification.engines.llm import LlmEngine
from receiver.catalog import Catalog
from receiver.db import overview, spending
from receiver.db.database import Database
from receiver.db.models import Spending
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.retry_policy import Cause
from receiver.lib.setting_kinds import Price
from receiver.lib.settings import Settings, SettingsError
from tests.peers import llm
from tests.peers.http import Answer, Peer, Request

LABEL = "VPN Connection Issue"
PRICES = {"gpt-4o-mini": Price(1.0, 0.5, 10.0)}
COST = 900 + 40 * 10  # Millionths, of one call of the peer.


def answer(_request: Request) -> Answer:
    return llm.proposal(LABEL)


def configured(model: Peer, **changes: Any) -> Settings:
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/v1", "LLM_CONCURRENCY": "16"})
    return dataclasses.replace(config, llm_prices=PRICES, **changes)


def spent(db: Database) -> list[Spending]:
    with db.read() as session:
        return list(spending.on(session, spending.day_of(now())))


def ask_many(engines: list[LlmEngine], count: int) -> list[EngineError]:
    """Ask about so many tickets, 16 at once with every engine; the errors."""
    errors: list[EngineError] = []
    numbers = iter(range(count))
    lock = threading.Lock()

    def ask(engine: LlmEngine) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                engine.propose(TicketText(f"ticket {number}", ""))
            except EngineError as error:
                errors.append(error)

    threads = [threading.Thread(target=ask, args=(engine,)) for engine in engines for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_every_call_is_counted_for_its_model_and_day(model: Peer, shipped: Catalog, db: Database) -> None:
    model.respond = lambda _: llm.proposal(LABEL)
    engine = LlmEngine(configured(model), shipped, db)
    assert engine.propose(TicketText("a", "")).cost_micros == COST
    assert ask_many([engine], 20) == []
    (row,) = spent(db)
    assert (row.model, row.calls, row.cost_micros) == ("gpt-4o-mini", 21, 21 * COST)
    with db.read() as session:
        today = overview.counts(session, now())["cost"]["today"]
    assert today["money"] == pytest.approx(21 * COST / 1e6)
    assert today["models"]["gpt-4o-mini"]["prompt_tokens"] == 21 * 900


def test_cached_tokens_cost_less(model: Peer, shipped: Catalog, db: Database) -> None:
    usage: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": 800}}
    content = '{"reasoning": "r", "request_type": "VPN Connection Issue", "confidence": 0.9, "alternatives": []}'
    model.respond = lambda _: llm.completion(content, **usage)
    proposal = LlmEngine(configured(model), shipped, db).propose(TicketText("a", ""))
    assert proposal.cost_micros == 100 + 800 * 0.5 + 400


@pytest.mark.full
def test_a_budget_is_never_passed_by_more_than_one_call_with_two_workers_at_full_speed(
    model: Peer, shipped: Catalog, db: Database
) -> None:
    budget = 200 * COST
    config = configured(model, llm_daily_budget=budget / 1e6)
    model.respond = llm.after(0.01, answer)
    errors = ask_many([LlmEngine(config, shipped, db) for _ in range(2)], 260)
    assert {type(error) for error in errors} == {BudgetError}
    assert not any(error.permanent for error in errors)
    assert len(model.requests) * COST <= budget + COST
    # What is reserved for a call is its highest cost, so some of the budget is left; not much of it.
    assert len(model.requests) >= 80
    assert sum(row.calls for row in spent(db)) == len(model.requests)


def test_the_next_day_has_its_own_budget(model: Peer, shipped: Catalog, db: Database) -> None:
    model.respond = answer
    engine = LlmEngine(configured(model, llm_daily_budget=0.05), shipped, db)
    errors = ask_many([engine], 60)
    assert errors
    with time_machine.travel(now() + timedelta(days=1), tick=True):
        assert engine.propose(TicketText("tomorrow", "")).label == LABEL


def test_a_budget_of_nothing_asks_nobody(model: Peer, shipped: Catalog, db: Database) -> None:
    with pytest.raises(BudgetError):
        LlmEngine(configured(model, llm_daily_budget=0.0), shipped, db).propose(TicketText("a", ""))
    assert model.requests == []


def test_a_call_of_which_nobody_knows_the_cost_counts_as_the_dearest(
    model: Peer, shipped: Catalog, db: Database
) -> None:
    over = threading.Event()
    model.respond = lambda request: answer(request) if over.wait(30) else Answer()
    config = configured(model, llm_daily_budget=0.04, llm_timeout=0.2)
    errors = ask_many([LlmEngine(config, shipped, db)], 4)
    over.set()
    assert len(errors) == 4
    assert len(model.requests) <= 3


@pytest.mark.parametrize(
    "written", ["gpt-4o-mini", "=1/2/3", "m=1/2", "m=1/2/x", "m=-1/2/3", "m=1/2/3,", "m=nan/1/1", "a=1/1/1;b=1/1/1"]
)
def test_prices_are_written_clearly_or_refused(written: str) -> None:
    try:
        assert settings.load({"LLM_PRICES": written}).llm_prices == {"m": Price(1, 2, 3)}
    except SettingsError as error:
        assert "LLM_PRICES" in str(error)


def test_prices_of_several_models_are_read() -> None:
    found = settings.load({"LLM_PRICES": "llama3:8b=0/0/0, org/model=1/0.5/2.5"}).llm_prices
    assert found == {"llama3:8b": Price(0, 0, 0), "org/model": Price(1, 0.5, 2.5)}


def test_a_budget_needs_the_price_of_every_model_that_is_asked() -> None:
    with pytest.raises(SettingsError, match="LLM_DAILY_BUDGET is set, so say what dear costs"):
        settings.load({"LLM_DAILY_BUDGET": "5", "LLM_FALLBACK_MODEL": "dear"})


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_where_nobody_says_what_a_call_used_what_was_held_for_it_is_spent(
    model: Peer, shipped: Catalog, db: Database, usage: Any
) -> None:
    body = json.loads(llm.proposal(LABEL).body) | {"usage": usage}
    model.respond = lambda _: Answer.of(body)
    budget = 0.05
    errors = ask_many([LlmEngine(configured(model, llm_daily_budget=budget), shipped, db)], 40)
    assert {type(error) for error in errors} == {BudgetError}
    assert 1 <= len(model.requests) < 10
    (row,) = spent(db)
    assert row.calls == len(model.requests)
    assert 0.5 * budget < row.cost_micros / 1e6 <= budget


def test_a_refusal_costs_nothing(model: Peer, shipped: Catalog, db: Database) -> None:
    model.respond = lambda _: Answer.of({"error": {"message": "no", "code": 401}}, 200)
    errors = ask_many([LlmEngine(configured(model, llm_daily_budget=0.05), shipped, db)], 3)
    assert {error.cause for error in errors} <= {Cause.KEY}
    assert sum(row.cost_micros for row in spent(db)) == 0
