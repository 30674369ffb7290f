"""The gate: the project's own labelled tickets, through the command line, with the catalog that is shipped.

The tickets were written by somebody who knew no more of the catalog than its names. The floors are a few points below
what was measured, so that chance alone does not fall through them.
"""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from jobs.__main__ import main
from tests.conftest import ROOT

pytestmark = pytest.mark.full

TICKETS = ROOT / "tests" / "gold" / "tickets.jsonl"


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATA_DIR", str(tmp_path_factory.mktemp("gold")))
        environment.setenv("SERVICE_CATALOG_URL", "")
        shown = CliRunner().invoke(main, ["evaluate", str(TICKETS), "--engine", "local", "--json"])
    assert shown.exit_code == 0, shown.stderr
    return dict(json.loads(shown.stdout))


def test_categories_and_request_types_are_found(figures: dict[str, Any]) -> None:
    assert figures["n"] == figures["tickets"] == 110
    assert figures["request_type"]["accuracy"] >= 0.78
    assert figures["category"]["accuracy"] >= 0.84
    assert figures["request_type"]["top_3_accuracy"] >= 0.93


def test_no_request_type_is_lost_altogether(figures: dict[str, Any]) -> None:
    classes = figures["request_type"]["per_class"]
    assert len(classes) == 22
    assert [name for name, score in classes.items() if score["recall"] < 0.2] == []


def test_the_confidence_means_what_it_says(figures: dict[str, Any]) -> None:
    assert figures["ece"] <= 0.1
    assert figures["coverage_at_5_percent_error"] >= 0.2
