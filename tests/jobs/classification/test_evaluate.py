"""The evaluation: labelled tickets in, figures out, on standard output alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.__main__ import main
from jobs.classification.decide import Decision
from jobs.classification.engines.base import Engine, Proposal, TicketText
from jobs.classification.engines.local import LocalEngine
from jobs.classification.evaluate.metrics import Labelled, Outcome, measure
from jobs.classification.evaluate.report import describe
from receiver import catalog as catalogs
from receiver.lib import accuracy
from tests.peers import llm
from tests.peers.http import Answer, Peer, Request

CATALOG = """
categories:
  - {name: Network, requests: [{name: VPN}, {name: Wi-Fi}]}
  - {name: Hardware, requests: [{name: Printer}, {name: Mouse}]}
"""
TINY = catalogs.parse(CATALOG)
KINDS = {kind.name: kind for kind in TINY.request_types}
LINES = {
    "VPN": ["vpn does not connect", "the vpn tunnel drops", "no vpn from home"],
    "Printer": ["printer is jammed", "the printer has no toner", "printing gives blank pages"],
}


@pytest.fixture
def labelled(tmp_path: Path, environment: pytest.MonkeyPatch) -> Path:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    environment.setenv("SERVICE_CATALOG_URL", str(tmp_path / "catalog.yaml"))
    rows = [ticket(name, line) for name, lines in LINES.items() for line in lines]
    return written(tmp_path / "tickets.jsonl", rows)


def ticket(name: str, line: str) -> dict[str, str]:
    category = KINDS[name].category if name in KINDS else "Nowhere"
    return {"id": line, "short_description": line, "long_description": "", "category": category, "request_type": name}


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluate(path: Path, *options: str, engine: str = "local") -> Result:
    return CliRunner().invoke(main, ["evaluate", str(path), "--engine", engine, *options])


def test_the_figures_of_the_contract_stand_alone_on_standard_output(labelled: Path) -> None:
    figures = json.loads(evaluate(labelled, "--json").stdout)
    assert (figures["n"], figures["engine"]) == (6, "local")
    for key in ("category", "request_type"):
        assert {"accuracy", "macro_f1", "interval_95", "per_class", "confusion"} <= set(figures[key])
    assert {"p50", "p95"} == set(figures["latency_ms"])
    promised = {"coverage_at_5_percent_error", "coverage_at_2_percent_error", "ece", "ece_by_chance", "agreement"}
    assert promised <= set(figures)
    assert figures["request_type"]["accuracy"] == 1.0
    assert figures["agreement"] is None
    assert figures["cost_per_1000"] == 0


def test_the_table_names_every_class(labelled: Path) -> None:
    shown = evaluate(labelled).stdout
    for word in ("Network / VPN", "Hardware / Printer", "95 % interval", "top 3", "5 % error", "p95"):
        assert word in shown


def test_learning_is_measured_on_tickets_that_were_not_taught(labelled: Path) -> None:
    figures = json.loads(evaluate(labelled, "--learn", "2", "--json").stdout)
    assert (figures["n"], figures["tickets"]) == (20, 6)


def test_nothing_left_to_test_with_is_said(labelled: Path) -> None:
    refused = evaluate(labelled, "--learn", "3")
    assert refused.exit_code == 1
    assert "none is left" in refused.stderr


def test_a_label_that_is_no_entry_is_named_with_its_ticket(labelled: Path, tmp_path: Path) -> None:
    wrong = written(tmp_path / "wrong.jsonl", [ticket("VPN", "vpn"), ticket("Typewriter", "secret words")])
    refused = evaluate(wrong, "--json")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "wrong.jsonl, ticket 2: Nowhere / Typewriter" in refused.stderr
    assert "secret words" not in refused.stderr


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("empty.jsonl", "", "empty.jsonl holds no tickets; evaluate reads a .jsonl file"),
        (
            "bare.jsonl",
            '{"id": 1, "short_description": "secret words"}',
            "ticket 1 has no category and no request_type",
        ),
        ("half.jsonl", '{"id": 1, "category": "Network"}', "ticket 1 has no request_type"),
        ("list.jsonl", '["secret words"]', "ticket 1 has no category"),
        ("table.csv", "id,short_description", "table.csv is another kind of file; evaluate reads a .jsonl file"),
        ("gone.jsonl", None, "cannot be read: No such file"),
        ("near.jsonl", '{"category": "Network", "request_type": "WiFi"}', "Near it: Network / Wi-Fi"),
    ],
)
def test_a_file_of_another_kind_is_told_what_is_read(
    labelled: Path, tmp_path: Path, name: str, written: str | None, said: str
) -> None:
    if written is not None:
        (tmp_path / name).write_text(written)
    refused = evaluate(tmp_path / name)
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert "secret words" not in refused.stderr


def outcome(number: int, truth: str, found: str, confidence: float, **proposal: Any) -> Outcome:
    answer = Proposal(found, confidence, "", "e", "m", **proposal)
    labelled = Labelled(number, TicketText("", ""), (KINDS[truth].category, truth))
    return Outcome(labelled, Decision(KINDS[found], confidence), answer, latency_ms=float(number))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return LocalEngine(TINY)


def test_classes_and_confusions_are_counted(engine: Engine) -> None:
    figures = measure(
        [
            outcome(1, "VPN", "VPN", 0.9, cost_micros=2_000, second_opinion="VPN"),
            outcome(2, "VPN", "Wi-Fi", 0.5, alternatives=("Mouse", "VPN"), second_opinion="VPN"),
            outcome(3, "Mouse", "VPN", 0.5, alternatives=("Wi-Fi", "Printer", "Mouse")),
        ],
        engine,
        threshold=0.6,
    )
    vpn = figures["request_type"]["per_class"]["Network / VPN"]
    assert vpn == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2}
    assert figures["request_type"]["confusion"]["Network / VPN"] == {"Network / VPN": 1, "Network / Wi-Fi": 1}
    assert figures["category"]["confusion"] == {"Hardware": {"Network": 1}, "Network": {"Network": 2}}
    assert figures["request_type"]["top_3_accuracy"] == pytest.approx(2 / 3)
    assert figures["agreement"] == 0.5
    assert figures["automatic"] == {"threshold": 0.6, "share": pytest.approx(1 / 3), "error": 0}
    assert (figures["coverage_at_5_percent_error"], figures["confidence_at_5_percent_error"]) == (
        pytest.approx(1 / 3),
        0.9,
    )
    assert figures["cost_per_1000"] == pytest.approx(0.666667)
    assert "Network / VPN <- Network / Wi-Fi 1" in describe(figures)


def test_a_name_of_two_categories_counts_among_the_three_under_its_label() -> None:
    twice = outcome(1, "VPN", "Wi-Fi", 0.5, alternatives=("Network: VPN",))
    assert twice.is_in_top_3


def test_the_interval_narrows_with_tickets_not_with_rounds(engine: Engine) -> None:
    low, high = accuracy.wilson(0.5, 10)
    assert (round(low, 3), round(high, 3)) == (0.237, 0.763)
    repeated = [outcome(number % 10, "VPN", "VPN" if number % 2 else "Mouse", 0.5) for number in range(100)]
    assert measure(repeated, engine, threshold=0.6)["request_type"]["interval_95"] == pytest.approx([low, high])


@pytest.fixture
def asked(model: Peer, environment: pytest.MonkeyPatch) -> Peer:
    """A model whose answer is right where it can be, and refuses one ticket's text."""
    environment.setenv("OPENAI_BASE_URL", f"{model.url}/v1")

    def respond(request: Request) -> Answer:
        if "no toner" in request.json["messages"][-1]["content"]:
            return llm.refusal("filtered", code="content_filter")
        return llm.first_label(request)

    model.respond = respond
    return model


def test_a_ticket_without_an_answer_is_counted_and_the_others_are_measured(labelled: Path, asked: Peer) -> None:
    result = evaluate(labelled, "--json", engine="llm")
    figures = json.loads(result.stdout)
    assert (result.exit_code, figures["n"], figures["unanswered"]) == (0, 5, 1)
    assert figures["request_type"]["accuracy"] == 3 / 5
    assert "1 not answered: the model's endpoint refuses" in result.stderr
    assert "1 more were not answered" in evaluate(labelled, engine="llm").stdout


def test_nothing_answered_is_a_failure(labelled: Path, asked: Peer) -> None:
    asked.respond = lambda _: llm.refusal("filtered", code="content_filter")
    result = evaluate(labelled, engine="llm")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no ticket was answered" in result.stderr


def test_the_days_budget_holds_and_no_answer_is_taken_from_the_record(
    labelled: Path, asked: Peer, environment: pytest.MonkeyPatch
) -> None:
    assert evaluate(labelled, engine="llm").exit_code == 0
    assert len(asked.requests) == 6
    assert evaluate(labelled, engine="llm").exit_code == 0
    assert len(asked.requests) == 12
    environment.setenv("LLM_PRICES", "gpt-4o-mini=100/100/100")
    environment.setenv("LLM_DAILY_BUDGET", "0.5")  # A call costs 0.094; before it, its bytes count as tokens.
    first = json.loads(evaluate(labelled, "--json", engine="llm").stdout)
    calls = len(asked.requests) - 12
    assert 0 < calls < 6
    assert first["n"] + first["unanswered"] == 6
    again = evaluate(labelled, engine="llm")
    assert "LLM_DAILY_BUDGET is spent" in again.stderr
    assert (len(asked.requests) - 12) * 0.094 <= 0.5
