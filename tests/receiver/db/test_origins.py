"""Where deliveries come from and how they proved themselves, and what 0.1.0 wrote of that into keys and headers."""

import json

from sqlalchemy import select, text

from receiver.db.database import Database, migrate
from receiver.db.models import Delivery

SHA = "b1946ac92492d2347c6235b4d2611184"
OLD = {
    "msg-1": {"user-agent": "Zammad"},
    "msg-2": {"unsigned": "from 127.0.0.1", "user-agent": "curl"},
    f"reconcile-{SHA}": {"content-type": "application/json", "own shape": "by reconcile: fields"},
    f"{SHA}-2026-03-01T08:00:00+00:00": {},
}


def test_keys_and_headers_of_old_become_columns(empty: Database) -> None:
    migrate(empty, "0031")
    with empty.write() as session:
        insert = text(
            "INSERT INTO deliveries (source, key, received_at, status, headers, body_sha256, accepted, updated,"
            " duplicates, rejected, conflict)"
            " VALUES ('s', :key, '2026-01-01', 'accepted', :headers, :sha, 1, 0, 0, '[]', FALSE)"
        )
        rows = [{"key": key, "headers": json.dumps(headers), "sha": SHA} for key, headers in OLD.items()]
        session.execute(insert, rows)
    migrate(empty)
    with empty.read() as session:
        found = session.scalars(select(Delivery).order_by(Delivery.id)).all()
        said = [(row.origin, row.verification, row.peer, row.own_shape, row.headers) for row in found]
    assert said == [
        ("webhook", "verified", None, False, {"user-agent": "Zammad"}),
        ("webhook", "unsigned", "127.0.0.1", False, {"user-agent": "curl"}),
        ("reconcile", None, None, True, {"content-type": "application/json"}),
        ("run", None, None, False, {}),
    ]
