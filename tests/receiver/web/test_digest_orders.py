"""What a person may have done with digests over the API, and that the audit knows who did."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.digests import send as digest_job
from receiver.db import alarms, audit, digests, work
from receiver.db.database import Database
from receiver.db.models import SEND_DIGEST
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings
from tests.factories import due_ticket, settle

FILE = """
digests:
  - {name: daily, recipients: boss@example.com, zone: Europe/Berlin}
  - {name: network, recipients: [noc@example.com], filter: {category: Network & Connectivity}}
"""


@pytest.fixture(autouse=True)
def several(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "digests.yaml").write_text(FILE)
    environment.setenv("DIGESTS_FILE", str(tmp_path / "digests.yaml"))


@pytest.fixture
def api(client: FlaskClient, config: Settings) -> FlaskClient:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret_files.api_token(config)}"
    return client


def audited(db: Database) -> list[tuple[str, str, str, dict[str, Any]]]:
    with db.read() as session:
        found = [(entry.who, entry.action, entry.subject, entry.details) for entry in audit.page(session, 9)]
    return [entry for entry in found if entry[1] not in ("sign in", "export")]


def marked(db: Database, status: str) -> int:
    """A digest that ended like this, with its alarm."""
    settle(db, due_ticket(db))
    with db.write() as session:
        claimed = digests.claim(session, "p", Envelope(("boss@example.com",), "x"), now(), name="daily")
        assert claimed
        digests.mark(session, claimed.id, status, now(), error="the mail server answered 554", attempts=31)
        alarms.raise_(session, "digest", now(), "other", subject="daily", text="digest 1 is not sent")
    return claimed.id


def alarmed(db: Database) -> list[str]:
    with db.read() as session:
        return [alarm.name for alarm in alarms.current(session)]


def test_a_digest_is_ordered_by_its_name(api: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db), category="Hardware")
    settle(db, due_ticket(db), review_reason="low_confidence")
    seen = api.post("/api/digests/preview", json={"name": "network"}).get_json()
    assert (seen["tickets"], seen["needs_review"], seen["recipients"]) == (1, 1, ["noc@example.com"])
    assert seen["categories"] == [{"category": "Network & Connectivity", "tickets": 1, "needs_review": 1}]
    assert api.post("/api/digests/preview").get_json()["tickets"] == 2
    ordered = api.post("/api/digests", json={"name": "network"})
    assert ordered.status_code == 202
    made = ordered.get_json()
    assert (made["name"], made["tickets"], made["recipients"]) == ("network", 1, ["noc@example.com"])
    assert api.post("/api/digests/preview", json={"name": "network"}).get_json()["tickets"] == 0
    assert api.post("/api/digests", json={"name": "network"}).status_code == 409
    assert audited(db) == [("API token", "send", "digest 1", {"name": "network"})]
    for url in ("/api/digests", "/api/digests/preview"):
        unknown = api.post(url, json={"name": "weekly"})
        assert unknown.status_code == 404
        assert "daily, network" in unknown.get_json()["message"]


def test_a_copy_is_sent_and_marked_as_one(api: FlaskClient, db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    first = api.post("/api/digests").get_json()["id"]
    assert api.post(f"/api/digests/{first}/resend").status_code == 409  # On its way itself.
    assert api.get(f"/api/digests/{first}/mail").status_code == 404
    digest_job.send_due()
    copied = api.post(f"/api/digests/{first}/resend")
    assert (copied.status_code, copied.get_json()["copy_of"]) == (202, first)
    digest_job.send_due()
    mail = api.get(f"/api/digests/{copied.get_json()['id']}/mail")
    assert mail.content_type == "message/rfc822"
    assert b"Subject: Copy: IT Service Desk (daily): 1 ticket" in mail.data
    assert b"spreadsheet" not in mail.data
    assert audited(db)[0] == ("API token", "resend", "digest 1", {"copy": 2})
    assert api.post("/api/digests/99/resend").status_code == 404


@pytest.mark.parametrize("status", ["failed", "held"])
def test_what_was_not_sent_is_tried_again_under_its_own_name(api: FlaskClient, db: Database, status: str) -> None:
    digest_id = marked(db, status)
    before = api.get(f"/api/digests/{digest_id}").get_json()
    again = api.post(f"/api/digests/{digest_id}/redrive").get_json()
    assert (again["status"], again["attempts"], again["error"]) == ("claimed", 31, None)
    with db.read() as session:
        waits = work.of(session, SEND_DIGEST, digest_id)
    assert waits
    assert (waits.state, waits.attempts) == ("due", 0)  # It has all its attempts again.
    digest_job.send_due()
    sent = api.get(f"/api/digests/{digest_id}").get_json()
    assert (sent["status"], sent["message_id"]) == ("sent", before["message_id"])
    assert alarmed(db) == []
    assert api.post(f"/api/digests/{digest_id}/redrive").status_code == 409
    assert audited(db) == [("API token", "redrive", "digest 1", {})]


def test_a_held_digest_that_did_arrive_counts_as_sent(api: FlaskClient, db: Database) -> None:
    digest_id = marked(db, "held")
    done = api.post(f"/api/digests/{digest_id}/mark-sent").get_json()
    assert (done["status"], done["error"]) == ("sent", None)
    assert alarmed(db) == []
    assert audited(db) == [("API token", "mark as sent", "digest 1", {})]
    assert api.post(f"/api/digests/{digest_id}/mark-sent").status_code == 409
    assert api.post("/api/digests/99/mark-sent").status_code == 404


def test_the_api_tells_what_became_of_each_recipient(api: FlaskClient, db: Database, config: Settings) -> None:
    digest_id = marked(db, "held")
    [state] = api.get(f"/api/digests/{digest_id}").get_json()["recipient_states"]
    assert (state["address"], state["state"], state["sent_at"]) == ("boss@example.com", "held", None)
    [listed] = api.get("/api/digests").get_json()["items"]
    assert listed["recipient_states"] == [state]
    [done] = api.post(f"/api/digests/{digest_id}/mark-sent").get_json()["recipient_states"]
    assert (done["state"], bool(done["sent_at"])) == ("sent", True)
