"""What deploy/ names is there: the series of the board and the alerts, the settings and the queues of the chart."""

import re
from dataclasses import fields

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from receiver import queue
from receiver.db import alarms, moments
from receiver.db.database import Database
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.lib.version import newest_release
from tests.conftest import ROOT
from tests.deploy import named

_PAGE = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8").partition("## Alarms")[2]
# The kinds of alarms, as the page of them has them; tests/test_documents.py sees to it that it has all.
KINDS = {kind for row in re.findall(r"^\| (`.*?) \|", _PAGE, re.MULTILINE) for kind in re.findall(r"`(\w+)", row)}
SETTINGS = {field.name.upper() for field in fields(Settings)}
EXPRESSIONS = [*(rule["expr"] for rule in named.rules()), *named.board_expressions()]


@pytest.fixture
def exposed(site: str, config: Settings, db: Database) -> list[tuple[str, dict[str, str]]]:
    """Name and labels of every series in /metrics of a running application, with all kinds of alarms up."""
    with db.write() as session:
        moments.note(session, moments.BACKED_UP, now())
        for kind in KINDS:
            for subject in ("", "a-subject"):
                alarms.raise_(session, kind, now(), "other", subject, text="so that it is there")
    answer = requests.get(
        f"{site}/metrics", headers={"Authorization": f"Bearer {secret_files.api_token(config)}"}, timeout=10
    )
    assert answer.status_code == 200
    return [
        (sample.name, sample.labels)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]


def test_every_series_of_the_board_and_the_alerts_is_exposed(exposed: list[tuple[str, dict[str, str]]]) -> None:
    asked = {series for expression in EXPRESSIONS for series in named.series(expression)}
    assert len(asked) > 20
    missing = [
        series
        for series in asked
        if not any(series.name == name and series.matches(labels) for name, labels in exposed)
    ]
    assert missing == []


def test_a_series_or_a_label_that_is_not_there_would_be_found() -> None:
    (series,) = named.series('max(ticket_attribution_alarm{job=~"x", name=~"digest|digest:.+"})')
    assert series.name == "ticket_attribution_alarm"
    assert series.matchers == (("name", "=~", "digest|digest:.+"),)
    assert [series.matches({"name": name}) for name in ("digest", "digest:weekly", "digests_file", "")] == [
        True,
        True,
        False,
        False,
    ]


def test_the_board_shows_every_metric_and_every_kind_of_alarm_has_an_alert(
    exposed: list[tuple[str, dict[str, str]]],
) -> None:
    shown = {series.name for expression in named.board_expressions() for series in named.series(expression)}
    assert {re.sub("_(bucket|count|sum)$", "", name) for name, _ in exposed} == {
        re.sub("_(bucket|count|sum)$", "", name) for name in shown
    }
    asked = [series for rule in named.rules() for series in named.series(rule["expr"])]
    # The figures themselves say what these three tell.
    by_figures = {"backlog", "worker", "scheduler"}
    kinds = KINDS - by_figures
    heard = [series for series in asked if series.name == "ticket_attribution_alarm"]
    assert [
        kind for kind in kinds if not any(series.matches({"name": n}) for series in heard for n in (kind, f"{kind}:x"))
    ] == []


def test_the_autoscaler_asks_for_a_metric_that_is_exposed(exposed: list[tuple[str, dict[str, str]]]) -> None:
    scaling = named.chart_values()["workers"]["classify"]["autoscaling"]
    schema = yaml.safe_load((named.CHART / "values.schema.json").read_text())
    allowed = schema["definitions"]["scalingWorker"]["properties"]["autoscaling"]["properties"]["metric"]["enum"]
    names = {name for name, _ in exposed}
    assert scaling["metric"] in allowed
    (rule,) = yaml.safe_load(named.ADAPTER.read_text())["rules"]["external"]
    (pattern,) = re.findall(r'__name__=~"([^"]+)"', rule["seriesQuery"])
    assert {name for name in names if re.fullmatch(pattern, name)} == set(allowed)


def test_every_name_in_the_chart_is_a_setting() -> None:
    found = list(named.environment_names())
    assert {"DATA_DIR", "PORT", "DATABASE_URL", "PUBLIC_URL", "SMTP_HOST", "API_TOKEN"} <= {name for _, name in found}
    assert [f"{path.relative_to(ROOT)}: {name}" for path, name in found if name not in SETTINGS] == []


def test_the_chart_keeps_every_secret_out_of_the_settings() -> None:
    schema = yaml.safe_load((named.CHART / "values.schema.json").read_text())
    refused = set(schema["properties"]["settings"]["propertyNames"]["not"]["enum"])
    # A token's or a key's address, and the number of tokens of an answer, are no secrets.
    secrets = {name for name in SETTINGS if re.search(r"(_KEY|_SECRET|_PASSWORD|_TOKEN)$", name)}
    assert secrets <= refused


def test_the_chart_serves_every_queue_and_has_the_version_of_the_newest_release() -> None:
    assert set(named.chart_values()["workers"]) == set(queue.QUEUES)
    assert yaml.safe_load((named.CHART / "Chart.yaml").read_text())["appVersion"] == newest_release()
