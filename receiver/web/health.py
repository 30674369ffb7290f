"""For supervisors and monitoring: is the process up, can it work, and its numbers."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import redis
from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from receiver import queue
from receiver.actions import watch
from receiver.db import alarms, database, latencies, moments, overview, processes, refusals
from receiver.db.database import Database
from receiver.db.heartbeat import SCHEDULER
from receiver.lib.clock import now
from receiver.web.state import context, web_state

blueprint = Blueprint("health", __name__)
metrics_blueprint = Blueprint("metrics", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """The database can be used; Redis and the kinds of alarms that are up are reported but not required."""
    try:
        evicts = queue.eviction(web_state().redis)
        transport = f"up, but {evicts}" if evicts else "up"
    except (redis.RedisError, OSError) as error:
        transport = f"away: {queue.reason(error)}; tickets wait safely in the database"
    kinds: list[str] = []
    try:
        wrong = database.describe(database.schema(context().db))
        ready, state = wrong is None, wrong or "up"
        if ready:
            with context().db.read() as session:
                # Only the kind of an alarm: this address is open to all, and a message may name a source.
                kinds = sorted({alarm.kind for alarm in alarms.current(session)})
    except SQLAlchemyError as error:
        ready, state = False, f"away: {type(error).__name__}"
    status = "ok" if ready else "not ready"
    return jsonify(status=status, database=state, redis=transport, alarms=kinds), 200 if ready else 503


@metrics_blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """The database's numbers for Prometheus; whichever process is asked, they are the same."""
    # A registry for each request: the default one holds the counters of this process alone.
    registry = CollectorRegistry()
    registry.register(_DatabaseCollector(context().db))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _DatabaseCollector(Collector):
    def __init__(self, db: Database) -> None:
        self._db = db

    def collect(self) -> Iterator[Metric]:
        with self._db.read() as session:
            counts = overview.counts(session, now())
            stages = latencies.of_all_time(session)
            refused = refusals.totals(session)
            backed_up = moments.noted(session, moments.BACKED_UP)
            living = processes.living(session, now() - timedelta(seconds=watch.SILENT_SECONDS))
        for noun in ("tickets", "deliveries"):
            family = GaugeMetricFamily(f"ticket_attribution_{noun}", f"{noun} by status", labels=["status"])
            for status, count in counts[noun].items():
                family.add_metric([status], count)
            yield family
        due = counts["due"]
        yield GaugeMetricFamily("ticket_attribution_due_tickets", "tickets that wait", value=due["tickets"])
        yield GaugeMetricFamily(
            "ticket_attribution_oldest_due_seconds", "how long the first of them waits", value=due["oldest_seconds"]
        )
        yield GaugeMetricFamily("ticket_attribution_alarms", "alarms that are up", value=len(counts["alarms"]))
        up = GaugeMetricFamily("ticket_attribution_alarm", "an alarm that is up", labels=["name"])
        for alarm in counts["alarms"]:
            up.add_metric([alarm["name"]], 1)
        yield up
        turned_away = CounterMetricFamily(
            "ticket_attribution_refused", "requests that were turned away", labels=["kind", "source"]
        )
        # Kinds that never happened are there with 0: Prometheus cannot see a rise to the first value of a series.
        for (kind, source), count in sorted(({(kind, ""): 0 for kind in refusals.KINDS} | refused).items()):
            turned_away.add_metric([kind, source], count)
        yield turned_away
        alive = GaugeMetricFamily("ticket_attribution_processes", "workers and schedulers that live", labels=["role"])
        for role in sorted({SCHEDULER, *watch.WORKERS, *living}):
            alive.add_metric([role], living.get(role, 0))
        yield alive
        if backed_up:
            yield GaugeMetricFamily(
                "ticket_attribution_last_backup_timestamp_seconds",
                "when the last backup was made",
                value=backed_up.timestamp(),
            )
        times = HistogramMetricFamily("ticket_attribution_stage_seconds", "how long a stage takes", labels=["stage"])
        for stage in latencies.STAGES:
            times.add_metric([stage], **_prometheus_histogram(stages.get(stage, {})))
        yield times


def _prometheus_histogram(histogram: Mapping[int, int]) -> dict[str, Any]:
    """The arguments of `add_metric`: cumulative buckets in seconds, and the sum."""
    # Every seventh of our buckets, each about twice as long as the one before: Prometheus keeps a series for each.
    bounds = {latencies.GROWTH**number / 1000: number for number in range(0, 200, 7)}
    buckets = [
        (f"{bound:.6g}", sum(many for at, many in histogram.items() if at < number)) for bound, number in bounds.items()
    ]
    total = sum(many * latencies.middle(number) / 1000 for number, many in histogram.items())
    return {"buckets": [*buckets, ("+Inf", sum(histogram.values()))], "sum_value": total}
