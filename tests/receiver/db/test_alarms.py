"""Alarms: codes and details in the rows, sentences for whoever reads; what 0.1.0 had up says the same as before."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from receiver.db import alarms, pauses
from receiver.db.database import Database, migrate

SINCE = datetime(2026, 3, 1, 8, tzinfo=UTC)
TAMPERED = "the audit was tampered with: entry 2 was edited; compare it with a backup"
OLD = {
    "digest": ("digest 6 is held: boss@example.com: the line\nbroke; the mail may have arrived", "digest_held"),
    "digest:daily": ("digest 7 does not reach everybody: bo@example.com: 550 no such user", "digest_partly"),
    "outgoing:acme": (
        "the helpdesk of ticket 32 (acme) is not told its classification: it answered 422; it does not take it",
        "untold",
    ),
    "outgoing:crm": ("crm: the webhook's receiver answered 410 and wants no more; change its write_back", "gone"),
    "reconcile:acme": ("the source acme cannot be reconciled: it answered 500", "reconcile"),
    "audit": (TAMPERED, "audit"),
    "silent:door": ("the source door has sent nothing for 3 hours", "other"),
    "paused": (
        "classification is paused by otto@example.com; tickets are accepted and wait in the record,"
        " until it is resumed on Jobs",
        "paused",
    ),
}


def test_alarms_of_old_say_the_same_by_their_codes(empty: Database) -> None:
    migrate(empty, "0028")
    with empty.write() as session:
        insert = text("INSERT INTO alarms (name, message, since) VALUES (:name, :message, '2026-03-01 08:00:00')")
        session.execute(insert, [{"name": name, "message": message} for name, (message, _) in OLD.items()])
    migrate(empty)
    with empty.read() as session:
        up = alarms.current(session)
    assert {alarm.name: (alarm.message, alarm.code) for alarm in up} == OLD
    assert {(alarm.kind, alarm.subject) for alarm in up} >= {("digest", ""), ("digest", "daily"), ("paused", "")}


def test_a_pause_is_an_alarm_while_it_lasts_and_nobody_raises_it(db: Database) -> None:
    with db.write() as session:
        alarms.raise_(session, "disk", SINCE + timedelta(hours=1), megabytes=3)
        assert pauses.begin(session, "Ada", SINCE)
    with db.read() as session:
        assert [alarm.name for alarm in alarms.current(session)] == ["paused", "disk"]
    with db.write() as session:
        assert pauses.end(session)
    with db.read() as session:
        assert [alarm.name for alarm in alarms.current(session)] == ["disk"]


def test_details_are_no_templates(db: Database) -> None:
    with db.write() as session:
        told = alarms.raise_(session, "reconcile", SINCE, subject="{a}", source="{a}", error="{error.__class__}")
        assert told == "the source {a} cannot be reconciled: {error.__class__}"
        assert alarms.message(session, "reconcile", "{a}") == told
