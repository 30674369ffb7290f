"""Latencies: the arithmetic of the histograms, what is kept how long, and who counts what."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from jobs.classification import classify
from jobs.operations import retention
from receiver.db import due_tickets, latencies, tickets
from receiver.db.database import Database
from receiver.db.latencies import ACCEPT, MODEL, WAIT, WHOLE
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import state
from tests.factories import deliver, incoming, signed, ticket_json
from tests.peers.http import Peer

AT = datetime(2026, 3, 1, 12, 30, 20, tzinfo=UTC)
_TEN_DAYS = 864_000_000.0


@given(st.lists(st.floats(0.1, _TEN_DAYS), min_size=1, max_size=200))
def test_a_quantile_is_the_exact_one_within_five_percent(durations: list[float]) -> None:
    found = latencies.quantiles(Counter(map(latencies.bucket, durations)))
    assert found
    assert found.count == len(durations)
    ordered = sorted(durations)
    for share, guess in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = ordered[math.ceil(share * len(durations)) - 1]
        assert guess == pytest.approx(exact, rel=0.05)


@given(st.lists(st.floats(-1, 1e15), min_size=1), st.lists(st.floats(-1, 1e15), min_size=1))
def test_histograms_add_up_and_no_duration_is_out_of_their_range(some: list[float], more: list[float]) -> None:
    one, other = Counter(map(latencies.bucket, some)), Counter(map(latencies.bucket, more))
    assert latencies.quantiles(one + other) == latencies.quantiles(Counter(map(latencies.bucket, some + more)))
    assert len({*one, *other}) < 300


def test_nothing_has_no_quantiles() -> None:
    assert latencies.quantiles({}) is None


@pytest.mark.full
def test_minutes_become_hours_and_hours_all_time_and_no_count_is_lost(db: Database) -> None:
    with db.write() as session:
        for minutes in range(0, 60 * 24 * 40, 97):
            latencies.note(session, WAIT, [5, 5, 700], AT - timedelta(minutes=minutes))
    with db.read() as session:
        before = latencies.of_all_time(session)
        minute_by_minute = latencies.throughput(session, AT - timedelta(hours=2), latencies.MINUTE)
        last_day = latencies.throughput(session, AT - timedelta(days=1), latencies.HOUR)
    with db.write() as session:
        while latencies.merge(session, AT):
            pass
    with db.read() as session:
        assert latencies.of_all_time(session) == before
        assert latencies.throughput(session, AT - timedelta(hours=2), latencies.MINUTE) == minute_by_minute
        kept = latencies.throughput(session, AT - timedelta(hours=23, minutes=30), latencies.HOUR)
        assert kept == {slot: count for slot, count in last_day.items() if slot in kept}
        slots = {at for at, _ in latencies.throughput(session, datetime.fromtimestamp(0, UTC), latencies.MINUTE)}
    assert min(slots) == 0
    assert min(slots - {0}) >= (AT - latencies.HOURS_KEPT).timestamp() - latencies.HOUR
    assert all(at % latencies.HOUR == 0 for at in slots if at < (AT - timedelta(hours=4)).timestamp())


def _counts(db: Database) -> dict[str, int]:
    with db.read() as session:
        return {stage: sum(found.values()) for stage, found in latencies.of_all_time(session).items()}


def test_a_delivery_is_counted_once_for_each_new_ticket(
    client: FlaskClient, app: Flask, config: Settings, db: Database
) -> None:
    message = signed(secret_files.webhook_secrets(config)[0], [ticket_json(), ticket_json()])
    for _ in range(2):
        assert client.post("/webhooks/standard", **message).status_code == 200
    state.of(app).latencies.flush()
    assert _counts(db) == {ACCEPT: 2}


def test_a_ticket_is_counted_from_due_to_claimed(db: Database) -> None:
    deliver(db, incoming(), at=now() - timedelta(seconds=90))
    with db.write() as session:
        due_tickets.claim(session, "mine", 5, now())
        due_tickets.claim(session, "mine", 5, now())
    with db.read() as session:
        found = latencies.quantiles(latencies.since(session, now() - timedelta(minutes=2))[WAIT])
    assert found
    assert found.count == 1
    assert found.p50 == pytest.approx(90_000, rel=0.05)


def test_the_engines_call_and_the_whole_way_are_counted(
    db: Database, model: Peer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
    environment.setenv("OUTGOING_ALLOW", "127.0.0.1")
    deliver(db, *(incoming(short_description=f"VPN {number}") for number in range(7)))
    classify.classify_due()
    assert _counts(db) == {WAIT: 7, MODEL: 7, WHOLE: 7}
    with db.write() as session:
        tickets.make_due(session, 1, now())
    classify.classify_due()
    counts = _counts(db)
    assert (counts[WAIT], counts[WHOLE]) == (8, 7)


def test_the_hourly_job_merges(db: Database) -> None:
    with db.write() as session:
        latencies.note(session, WAIT, [5], now() - timedelta(days=50))
    retention.retain()
    with db.read() as session:
        assert list(latencies.throughput(session, datetime.fromtimestamp(0, UTC), 60)) == [(0, WAIT)]
