"""Which engine answers."""

import pytest

from jobs.classification import engines
from jobs.classification.engines import base
from receiver.catalog import Catalog, parse
from receiver.lib import settings

TINY = parse("categories: [{name: A, requests: [{name: VPN}, {name: Printer}]}]")


def chosen(catalog: Catalog = TINY, /, **environment: str) -> base.Engine:
    return engines.choose(settings.load(environment), catalog)


def test_without_a_key_and_an_address_the_local_engine_answers() -> None:
    engine = chosen()
    assert (engine.name, engine.parallel) == ("local", 1)
    assert engine.propose(base.TicketText("vpn", "")).label == "VPN"


@pytest.mark.parametrize("blank", ["", "  "])
def test_empty_values_count_as_unset(blank: str) -> None:
    assert chosen(OPENAI_API_KEY=blank, OPENAI_BASE_URL=blank, OPENAI_API_BASE=blank).name == "local"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "sk-1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
        ("OPENAI_API_BASE", "http://127.0.0.1:1/v1"),
    ],
)
def test_a_key_or_an_address_alone_asks_for_the_model(name: str, value: str) -> None:
    engine = chosen(LLM_MODEL="m-1", LLM_CONCURRENCY="3", **{name: value})
    assert (engine.name, engine.model, engine.parallel) == ("llm", "m-1", 3)


def test_the_local_engine_is_built_once_for_a_catalog() -> None:
    assert chosen() is chosen()
    assert chosen(parse("categories: [{name: A, requests: [{name: Mouse}]}]")) is not chosen()
