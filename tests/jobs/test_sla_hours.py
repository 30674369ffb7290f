"""The SLA clock from the settings to the tickets: who classifies and who reviews, reckon with the desk's hours."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from flask.testing import FlaskClient

from jobs.classification import classify
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.lib import secret_files
from receiver.lib.settings import Settings
from tests.factories import due_ticket

FRIDAY_EVENING = datetime(2026, 3, 6, 16, 0, tzinfo=UTC)  # Five o'clock in Berlin.
CATALOG = """
fallback: Uncategorized
categories:
  - name: Network
    requests: [{name: VPN Issue, sla: {unit: hours, value: 4}}, {name: Wi-Fi Issue, sla: {unit: days, value: 2}}]
  - {name: Other, requests: [{name: Uncategorized}]}
"""


@pytest.fixture
def desk(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("BUSINESS_HOURS", "mon-fri 09:00-17:30")
    environment.setenv("BUSINESS_TIMEZONE", "Europe/Berlin")
    environment.setenv("HOLIDAYS", "2026-03-09")
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    environment.setenv("SERVICE_CATALOG_URL", f"{tmp_path}/catalog.yaml")


@pytest.fixture
def api(desk: None, client: FlaskClient, config: Settings) -> FlaskClient:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret_files.api_token(config)}"
    return client


def test_a_promise_of_friday_evening_is_kept_on_tuesday(api: FlaskClient, db: Database) -> None:
    with time_machine.travel(FRIDAY_EVENING, tick=False):
        ticket_id = due_ticket(db, short_description="VPN Issue", long_description="VPN Issue")
        classify.classify_due()
        with db.read() as session:
            found = session.get_one(Ticket, ticket_id)
        assert found.request_type == "VPN Issue"
        # Half an hour is left of Friday, Monday is a holiday, and on Tuesday the desk opens at eight of UTC.
        assert found.at_risk_at == datetime(2026, 3, 10, 10, 30, tzinfo=UTC)
        assert found.due_at == datetime(2026, 3, 10, 11, 30, tzinfo=UTC)
        choice = {"category": "Network", "request_type": "Wi-Fi Issue"}
        reviewed = api.post(f"/api/tickets/{ticket_id}/review", json=choice).get_json()
    assert reviewed["due_at"] == "2026-03-11T16:00:00+00:00"  # Two working days: the same time on Wednesday.
    assert reviewed["sla_state"] == "on_track"
