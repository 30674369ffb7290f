"""What the files of deploy/ name: the series in the board and the alerts, and the environment in the chart."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
ALERTS, ALERTS_TEST = DEPLOY / "prometheus/alerts.yml", DEPLOY / "prometheus/alerts_test.yml"
ADAPTER, PROMETHEUS = DEPLOY / "prometheus/adapter.yml", DEPLOY / "prometheus/prometheus.yml"
BOARD = DEPLOY / "grafana/ticket-attribution.json"
CHART = DEPLOY / "helm/ticket-attribution"

_SERIES = re.compile(r"\b(ticket_attribution_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


class Series(NamedTuple):
    """A series that an expression asks for; the matchers are those of labels of ours, as name, operator and value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the matchers choose a series with these labels."""
        return all(_chooses(operator, value, labels.get(name, "")) for name, operator, value in self.matchers)


def _chooses(operator: str, value: str, label: str) -> bool:
    is_equal = bool(re.fullmatch(value, label)) if "~" in operator else value == label
    return is_equal is (operator[0] == "=")


def series(expression: str) -> list[Series]:
    """Every series that a PromQL expression names. What the scraper adds, the label `job`, is left out."""
    return [
        Series(name, tuple(matcher for matcher in _MATCHER.findall(matchers) if matcher[0] != "job"))
        for name, matchers in _SERIES.findall(expression)
    ]


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel of the board."""
    found: list[dict[str, Any]] = json.loads(BOARD.read_text())["panels"]
    return found


def board_expressions() -> list[str]:
    """Every expression of the board, as Grafana asks it when all jobs are chosen."""
    written = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [expression.replace("$__rate_interval", "5m").replace("$job", ".*") for expression in written]


def chart_values() -> dict[str, Any]:
    """The chart's values.yaml."""
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def environment_names() -> Iterator[tuple[Path, str]]:
    """Each name in capitals by which the chart, its examples included, sets or mentions an environment variable."""
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    for names in (schema["settings"]["propertyNames"], schema["secret"]["properties"]["values"]["propertyNames"]):
        yield from ((CHART / "values.schema.json", name) for name in names["not"]["enum"])
    for path in (CHART / "values.yaml", *sorted((CHART / "templates").iterdir())):
        for line in path.read_text().splitlines():
            yield from ((path, name) for name in re.findall(r"\bname: ([A-Z][A-Z0-9_]+)\b", line))
            yield from ((path, name) for name in re.findall(r"^\W*([A-Z][A-Z0-9]*_[A-Z0-9_]+): ", line))
            yield from ((path, name) for name in re.findall(r'"([A-Z][A-Z0-9]*_[A-Z0-9_]+)"', line))
