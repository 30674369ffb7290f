"""The journey of a delivery through the receiver."""

import pytest
from flask.testing import FlaskClient

from receiver import secrets
from receiver.record.database import Record
from receiver.record.models import Delivery, Ticket
from receiver.settings import Settings
from tests.factories import signed, ticket_json


@pytest.fixture
def secret(config: Settings) -> str:
    return secrets.webhook_secrets(config)[0]


def test_a_signed_ticket_is_stored_before_it_is_acknowledged(client: FlaskClient, record: Record, secret: str) -> None:
    answer = client.post("/webhooks/standard", **signed(secret, ticket_json(id=4711)))
    assert answer.status_code == 200
    assert answer.json == {
        "delivery": 1, "status": "accepted", "accepted": 1, "duplicates": 0, "updated": 0, "rejected": [],
    }  # fmt: skip
    with record.read() as session:
        ticket = session.query(Ticket).one()
        assert (ticket.external_id, ticket.status) == ("4711", "received")
        assert session.query(Delivery).one().body is not None
