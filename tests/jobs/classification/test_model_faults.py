"""Every misbehaviour of a model's endpoint ends as the table in docs/explanation/attribution.md says."""

from collections.abc import Iterator

import pytest

from chaos.model_table import FAULTS, Fault, engine_for, outcome
from receiver.catalog import Catalog
from tests.conftest import ROOT
from tests.peers import http, llm
from tests.peers.http import Peer


@pytest.fixture(scope="module")
def model() -> Iterator[Peer]:
    with http.serve(llm.endpoint()) as peer:
        yield peer


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_makes_so_many_calls_and_ends_so(fault: Fault, model: Peer, shipped: Catalog) -> None:
    model.respond = fault.respond
    model.requests.clear()
    assert outcome(engine_for(model, shipped), shipped) == fault.outcome
    assert len(model.requests) == fault.calls


def test_the_documented_table_is_this_one() -> None:
    text = (ROOT / "docs" / "explanation" / "attribution.md").read_text(encoding="utf-8")
    assert [f.name for f in FAULTS if f"| {f.name} | {f.calls} | {f.outcome} |" not in text] == []
