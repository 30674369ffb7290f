"""Whoever is turned away again and again is seen: in the numbers, in the log and as an alarm."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from receiver.actions.watch import Watch
from receiver.db import alarms, refusals
from receiver.db.database import Database
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import state
from tests.conftest import ADMIN
from tests.factories import csrf


def _attack(client: FlaskClient) -> None:
    """One wrong password, bearer token and webhook each."""
    client.post("/sign-in", data={"csrf_token": csrf(client, "/sign-in"), "email": ADMIN, "password": "guess"})
    client.get("/api/tickets", headers={"Authorization": "Bearer guess"})
    client.post("/webhooks/standard", json={}, headers={"webhook-id": "1", "webhook-signature": "v1,x"})


def test_each_kind_is_counted_in_the_metrics_and_told_in_the_log(
    app: Flask, client: FlaskClient, config: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    _attack(client)
    _attack(client)
    state.of(app).refusals.flush()
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {secret_files.api_token(config)}"})
    found = {
        (sample.labels["kind"], sample.labels["source"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "ticket_attribution_refused_total"
    }
    assert found[refusals.PASSWORD, ""] == 2
    assert found[refusals.TOKEN, ""] == 2
    assert found[refusals.SIGNATURE, "standard"] == 2
    assert found[refusals.LINK, ""] == 0
    lines = [line.getMessage() for line in caplog.records if line.name == "receiver.web.refusal_counter"]
    assert "Refused: signature for the source standard, 2 times, last from 127.0.0.1" in lines
    assert not any("guess" in line for line in lines)


def test_an_attack_raises_an_alarm_that_ends_with_it(app: Flask, db: Database, config: Settings) -> None:
    refused, watch = state.of(app).refusals, Watch(db, replace(config, backlog_alarm_minutes=10_000))
    for _ in range(refusals.MANY - 1):
        refused.note(refusals.SIGNATURE, "zendesk", "203.0.113.9")
    refused.flush()
    watch.look()
    with db.read() as session:
        assert alarms.message(session, "refused") is None
    refused.note(refusals.SIGNATURE, "zendesk", "203.0.113.7")
    refused.flush()
    watch.look()
    with db.read() as session:
        assert alarms.message(session, "refused") == (
            f"{refusals.MANY} webhooks with a wrong proof for the source zendesk in 10 minutes, last from 203.0.113.7"
        )
        assert refusals.recent(session, now() + refusals.WINDOW + timedelta(minutes=1)) == []


def test_old_minutes_are_forgotten_and_totals_stay(db: Database) -> None:
    key = (refusals.PASSWORD, "")
    with db.write() as session:
        refusals.add(session, {key: 3}, {key: "203.0.113.9"}, now() - timedelta(days=2))
        refusals.add(session, {key: 4}, {key: "203.0.113.9"}, now())
    with db.read() as session:
        assert [found.count for found in refusals.recent(session, now())] == [4]
        assert refusals.recent(session, now() - timedelta(days=2)) == refusals.recent(session, now())
        assert refusals.totals(session) == {key: 7}
