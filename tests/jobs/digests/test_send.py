"""The digest: sent once a period, to the right people, with exactly its tickets, whatever goes wrong on the way."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from openpyxl import load_workbook

from jobs.digests import send
from receiver.db import alarms, digests, due_tickets, work
from receiver.db.database import Database
from receiver.db.digests import Taken
from receiver.db.models import CLASSIFY, SEND_DIGEST, Digest, Ticket, TimetableEntry, Work
from receiver.digests import schedules
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.retry_policy import WORK
from receiver.lib.settings import Settings, SettingsError
from tests.conftest import ROOT
from tests.factories import due_ticket, settle, waits_until
from tests.peers.smtp import MailServer

MONDAY = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
EIGHT = MONDAY.replace(hour=8, second=5)


def at(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=False)


def send_due_at(moment: datetime) -> None:
    with at(moment):
        send.send_due()


def settled(db: Database, *names: str, **decided: Any) -> None:
    for name in names:
        settle(db, due_ticket(db, external_id=name), **decided)


def all_digests(db: Database) -> list[Digest]:
    with db.read() as session:
        return session.query(Digest).order_by(Digest.id).all()


def statuses(db: Database) -> list[str]:
    return [found.status for found in all_digests(db)]


def alarm_messages(db: Database) -> list[str]:
    with db.read() as session:
        return [alarm.message for alarm in alarms.current(session)]


def tickets_in(message: Any) -> list[str]:
    [attached] = message.iter_attachments()
    sheet = load_workbook(BytesIO(attached.get_content()))["Tickets"]
    return sorted(str(row[0]) for row in sheet.iter_rows(min_row=2, values_only=True))


def outbox(config: Settings) -> list[Any]:
    paths = sorted((config.data_dir / "outbox").glob("*"))
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]


@pytest.fixture
def started(db: Database) -> Database:
    """A record whose first timetable run is over, on Monday at seven."""
    send_due_at(MONDAY)
    return db


@pytest.fixture
def by_mail(environment: pytest.MonkeyPatch, mail_server: MailServer) -> MailServer:
    for name, value in {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail_server.port), "SMTP_USE_TLS": "false",
        "FROM_EMAIL": "desk@example.com", "RECIPIENT_EMAIL": "ada@example.com, bo@example.com",
    }.items():  # fmt: skip
        environment.setenv(name, value)
    return mail_server


def test_a_due_digest_without_a_mail_server_lands_in_the_outbox(started: Database, config: Settings) -> None:
    settled(started, "T-1", "T-2")
    send_due_at(EIGHT)
    [message] = outbox(config)
    assert tickets_in(message) == ["T-1", "T-2"]
    [sent] = all_digests(started)
    assert (sent.status, sent.tickets, sent.sent_at) == ("sent", 2, EIGHT)
    assert message["Message-ID"] == sent.message_id


def test_a_due_digest_reaches_every_recipient_by_smtp(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    send_due_at(EIGHT)
    assert by_mail.recipients == [["ada@example.com", "bo@example.com"]]
    assert tickets_in(by_mail.messages[0]) == ["T-1"]
    assert statuses(started) == ["sent"]


def test_where_nothing_was_settled_nothing_is_sent(started: Database, config: Settings) -> None:
    due_ticket(started)
    send_due_at(EIGHT)
    assert all_digests(started) == []
    assert outbox(config) == []


def test_a_passing_fault_is_tried_again_ever_later_under_the_same_message_id(
    started: Database, by_mail: MailServer
) -> None:
    settled(started, "T-1")
    by_mail.replies["DATA"] = "451 greylisted"
    send_due_at(EIGHT)
    [first] = all_digests(started)
    assert (first.status, first.attempts) == ("claimed", 1)
    send_due_at(EIGHT + timedelta(seconds=1))
    assert all_digests(started)[0].attempts == 1
    again = waits_until(started, SEND_DIGEST, first.id)
    send_due_at(again)
    assert all_digests(started)[0].attempts == 2
    later = waits_until(started, SEND_DIGEST, first.id)
    assert later - again > again - EIGHT
    by_mail.replies.clear()
    send_due_at(later)
    send_due_at(later + timedelta(hours=1))
    assert [message["Message-ID"] for message in by_mail.messages] == [first.message_id]
    assert statuses(started) == ["sent"]


def test_a_fault_that_never_passes_ends_in_failed_and_an_alarm(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    by_mail.replies["MAIL"] = "451 later"
    send_due_at(EIGHT)
    with started.write() as session:
        session.query(Work).update({"attempts": WORK[SEND_DIGEST].most_attempts - 2})
    send_due_at(EIGHT + timedelta(hours=2))
    assert statuses(started) == ["claimed"]
    assert alarm_messages(started) == []
    send_due_at(EIGHT + timedelta(hours=4))
    assert statuses(started) == ["failed"]
    assert len(alarm_messages(started)) == 1


@pytest.mark.full
def test_the_attempts_last_for_a_day(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    by_mail.replies["MAIL"] = "451 later"
    moment = ended = EIGHT
    while statuses(started) != ["failed"]:
        send_due_at(moment)
        ended = moment
        assert ended < EIGHT + timedelta(hours=30)
        if statuses(started) == ["claimed"]:
            moment = waits_until(started, SEND_DIGEST, 1)
    assert timedelta(hours=23) < ended - EIGHT < timedelta(hours=25)


def test_a_refusal_is_final_and_alarms_until_the_next_success(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    by_mail.replies["DATA"] = "554 spam"
    send_due_at(EIGHT)
    assert statuses(started) == ["failed"]
    [alarm] = alarm_messages(started)
    assert "554" in alarm
    by_mail.replies.clear()
    send_due_at(EIGHT + timedelta(hours=2))
    assert by_mail.messages == []
    settled(started, "T-2")
    send_due_at(EIGHT + timedelta(days=1))
    assert statuses(started) == ["failed", "sent"]
    assert alarm_messages(started) == []


def test_a_mail_of_which_nobody_knows_is_held_and_not_sent_again(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    by_mail.replies["DATA"] = "drop"
    send_due_at(EIGHT)
    by_mail.replies.clear()
    send_due_at(EIGHT + timedelta(hours=1))
    assert len(by_mail.messages) == 1
    assert statuses(started) == ["held"]
    assert len(alarm_messages(started)) == 1


def test_a_mail_of_which_nobody_knows_is_sent_once_more_where_that_is_wanted(
    started: Database, by_mail: MailServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("DIGEST_AFTER_UNKNOWN", "resend")
    settled(started, "T-1")
    by_mail.replies["DATA"] = "drop"
    send_due_at(EIGHT)
    by_mail.replies.clear()
    send_due_at(EIGHT + timedelta(minutes=1))
    first, second = by_mail.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert statuses(started) == ["sent"]


def test_a_server_that_always_drops_the_line_gets_no_third_copy(
    started: Database, by_mail: MailServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("DIGEST_AFTER_UNKNOWN", "resend")
    settled(started, "T-1")
    by_mail.replies["DATA"] = "drop"
    for minutes in range(0, 50, 10):
        send_due_at(EIGHT + timedelta(minutes=minutes))
    assert len(by_mail.messages) == 2
    assert statuses(started) == ["held"]


def claimed_now(db: Database) -> int:
    with db.write() as session:
        claimed = digests.claim(session, f"now-{now()}", settings.load().envelope, now())
    assert claimed
    return claimed.id


def taken_now(db: Database, digest_id: int) -> Taken:
    with db.write() as session:
        taken = digests.take(session, digest_id, now())
    assert taken
    return taken


def begins_sending(db: Database, taken: Taken) -> bool:
    with db.write() as session:
        return digests.begin_sending(session, taken, now())


@pytest.mark.parametrize(("setting", "copies", "status"), [("hold", 0, "held"), ("resend", 1, "sent")])
def test_a_sender_that_died_while_sending_counts_as_unknown(
    started: Database, by_mail: MailServer, environment: pytest.MonkeyPatch, setting: str, copies: int, status: str
) -> None:
    environment.setenv("DIGEST_AFTER_UNKNOWN", setting)
    settled(started, "T-1")
    with at(MONDAY + timedelta(minutes=1)):
        assert begins_sending(started, taken_now(started, claimed_now(started)))
    send_due_at(MONDAY + timedelta(minutes=2))
    assert statuses(started) == ["sending"]  # It might live.
    send_due_at(MONDAY + timedelta(minutes=5))
    assert statuses(started) == [status]
    assert [message["Message-ID"] for message in by_mail.messages] == [all_digests(started)[0].message_id] * copies


def test_a_sender_that_died_before_sending_costs_only_time(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    with at(MONDAY + timedelta(minutes=1)):
        taken_now(started, claimed_now(started))
    send_due_at(MONDAY + timedelta(minutes=5))
    assert len(by_mail.messages) == 1
    assert statuses(started) == ["sent"]


def test_a_sender_that_was_overtaken_while_building_does_not_send(started: Database) -> None:
    settled(started, "T-1")
    digest_id = claimed_now(started)
    slow = taken_now(started, digest_id)
    with at(now() + timedelta(minutes=5)):
        with started.write() as session:
            digests.expire(session, now())
        quick = taken_now(started, digest_id)
        assert not begins_sending(started, slow)
        assert begins_sending(started, quick)


def test_one_refused_recipient_is_named_in_an_alarm_and_the_others_are_mailed(
    started: Database, by_mail: MailServer
) -> None:
    by_mail.refused["bo@example.com"] = "550 no such user"
    settled(started, "T-1")
    send_due_at(EIGHT)
    [sent] = all_digests(started)
    assert sent.status == "partly_sent"
    assert "bo@example.com" in (sent.error or "")
    assert by_mail.recipients == [["ada@example.com"]]
    [alarm] = alarm_messages(started)
    assert "bo@example.com" in alarm
    assert "550 no such user" in alarm


def test_a_digest_that_cannot_be_built_does_not_stop_the_next(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1")
    broken = digests.workbook_path(settings.load().data_dir, 1)
    broken.mkdir(parents=True)
    with suppress(OSError):
        send_due_at(EIGHT)
    settled(started, "T-2")
    with at(EIGHT):
        claimed_now(started)
    send_due_at(EIGHT + timedelta(seconds=30))
    assert tickets_in(by_mail.messages[0]) == ["T-2"]
    broken.rmdir()
    send_due_at(EIGHT + timedelta(minutes=5))
    assert tickets_in(by_mail.messages[1]) == ["T-1"]


def test_each_ticket_is_in_exactly_one_digest(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1", "T-2")
    by_mail.replies["MAIL"] = "451 later"
    send_due_at(EIGHT)
    settled(started, "T-3")
    by_mail.replies.clear()
    send_due_at(EIGHT + timedelta(minutes=30))
    settled(started, "T-4")
    send_due_at(EIGHT + timedelta(days=1))
    send_due_at(EIGHT + timedelta(days=2))
    assert [tickets_in(message) for message in by_mail.messages] == [["T-1", "T-2"], ["T-3", "T-4"]]


def test_a_late_digest_shows_what_was_decided_when_it_was_claimed(started: Database, by_mail: MailServer) -> None:
    settled(started, "T-1", category="Hardware")
    by_mail.replies["MAIL"] = "451 later"
    send_due_at(EIGHT)
    with started.write() as session:
        session.query(Ticket).update({"status": "received"})
        work.put(session, CLASSIFY, [1], "standard", MONDAY)
    settle(started, 1, category="Software")
    by_mail.replies.clear()
    send_due_at(EIGHT + timedelta(hours=1))
    send_due_at(EIGHT + timedelta(days=1))
    categories = []
    for message in by_mail.messages:
        [attached] = list(message.iter_attachments())
        categories.append(load_workbook(BytesIO(attached.get_content()))["Tickets"]["E2"].value)
    assert categories == ["Hardware", "Software"]


def test_a_failed_ticket_is_reported_too(started: Database, config: Settings) -> None:
    ticket_id = due_ticket(started, external_id="T-dead")
    with started.write() as session:
        due_tickets.fail(session, ticket_id, "other", "the worker died 3 times", 1, None)
    send_due_at(EIGHT)
    assert tickets_in(outbox(config)[0]) == ["T-dead"]


def test_a_run_of_the_pipeline_takes_nothing_from_the_schedule(started: Database, config: Settings) -> None:
    settled(started, "T-1")
    with started.write() as session:
        claimed = digests.claim_batch(session, [1], config.envelope, MONDAY)
        assert claimed
        digests.mark(session, claimed.id, "sent", MONDAY)
    send_due_at(EIGHT)
    assert [found.name for found in all_digests(started)] == ["run", "digest"]
    assert len(outbox(config)) == 1


def test_the_preview_claims_nothing(started: Database, config: Settings) -> None:
    settled(started, "T-1")
    text = send.preview(started, config)
    assert "1 tickets" in text
    assert all_digests(started) == []
    assert outbox(config) == []
    send_due_at(EIGHT)
    assert tickets_in(outbox(config)[0]) == ["T-1"]


def test_send_now_takes_what_the_schedule_would_have_sent(started: Database, config: Settings) -> None:
    settled(started, "T-1")
    with at(MONDAY + timedelta(minutes=1)):
        assert send.send_now(started, config)
        assert send.send_now(started, config) is None
    send_due_at(EIGHT)
    assert len(outbox(config)) == 1


def test_the_first_start_sends_nothing_late(db: Database, config: Settings) -> None:
    settled(db, "T-1")
    send_due_at(EIGHT + timedelta(hours=1))
    assert all_digests(db) == []
    send_due_at(EIGHT + timedelta(days=1))
    assert len(outbox(config)) == 1


@pytest.mark.parametrize("away", [timedelta(hours=1), timedelta(days=3), timedelta(days=40)])
def test_what_was_missed_while_away_is_sent_late_and_once(started: Database, config: Settings, away: timedelta) -> None:
    settled(started, "T-1")
    for seconds in (0, 30, 60):
        send_due_at(EIGHT + away + timedelta(seconds=seconds))
    assert len(outbox(config)) == 1


def test_a_clock_set_back_two_hours_sends_nothing_twice(started: Database, config: Settings) -> None:
    settled(started, "T-1")
    send_due_at(EIGHT)
    settled(started, "T-2")
    for minutes in range(-120, 30, 10):
        send_due_at(EIGHT + timedelta(minutes=minutes))
    assert len(outbox(config)) == 1


CHILD = "import sys; from jobs.digests.send import send_due; print(flush=True); sys.stdin.readline(); send_due()"


@pytest.fixture
def two_senders(environment: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    environment.setenv("PYTHONPATH", str(ROOT))
    environment.setenv("DIGEST_CRON", "* * * * *")
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in "12"
    ]
    yield children
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.full
def test_two_processes_at_once_send_once(
    db: Database, by_mail: MailServer, two_senders: list[subprocess.Popen[str]]
) -> None:
    settled(db, "T-1")
    with db.write() as session:
        session.add(TimetableEntry(name=digests.SCHEDULED, last_slot=now() - timedelta(days=7)))
    for child in two_senders:
        assert child.stdout
        assert child.stdout.readline()
    for child in two_senders:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    for child in two_senders:
        _, errors = child.communicate(timeout=200)
        assert child.returncode == 0, errors
    assert len(by_mail.messages) == 1
    assert statuses(db) == ["sent"]


def slots(cron: str, zone: str, start: str, hours: int) -> list[str]:
    """The slots that a check every five minutes finds to be new, in local time."""
    plan = schedules.scheduled(settings.load({"DIGEST_CRON": cron, "DIGEST_TIMEZONE": zone}))
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    last = plan.latest_slot(begin)
    found = []
    for minutes in range(5, hours * 60, 5):
        moment = begin + timedelta(minutes=minutes)
        slot = plan.latest_slot(moment)
        assert slot <= moment
        if slot > last:
            found.append(f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M}")
            last = slot
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        ("0 8 * * *", "Europe/Berlin", "2026-03-28", ["28 08:00", "29 08:00", "30 08:00"]),
        ("0 8 * * *", "Europe/Berlin", "2026-10-24", ["24 08:00", "25 08:00", "26 08:00"]),
        ("0 8 * * *", "America/New_York", "2026-03-07T12:00", ["07 08:00", "08 08:00", "09 08:00"]),
        ("0 8 * * *", "America/New_York", "2026-10-31T11:00", ["31 08:00", "01 08:00", "02 08:00"]),
        # A time that is skipped comes when the clock has jumped over it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["28 02:30", "29 03:00", "30 02:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T06:00", ["07 02:30", "08 03:00", "09 02:30"]),
        # A time that is shown twice comes once.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24", ["24 02:30", "25 02:30", "26 02:30"]),
        ("30 1 * * *", "America/New_York", "2026-10-31", ["31 01:30", "01 01:30", "02 01:30"]),
        ("0 0 * * *", "America/New_York", "2026-10-31T02:00", ["31 00:00", "01 00:00", "02 00:00"]),
        ("0 8 * * 1-5", "Europe/Berlin", "2026-03-27", ["27 08:00"]),
        ("0 8 * * 1-5", "Asia/Kathmandu", "2026-03-30", ["30 08:00", "31 08:00", "01 08:00"]),
    ],
)
def test_the_schedule_follows_the_wall_clock(cron: str, zone: str, start: str, expected: list[str]) -> None:
    assert slots(cron, zone, start, 72) == expected


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28T23:00", 23), ("2026-10-24T22:00", 24)])
def test_an_hourly_digest_comes_once_for_every_hour_the_clock_shows(day: str, hours: int) -> None:
    real_hours = 23 if hours == 23 else 25
    assert len(slots("0 * * * *", "Europe/Berlin", day, real_hours)) == hours - 1


def test_a_slot_never_begins_early() -> None:
    plan = schedules.scheduled(settings.load({"DIGEST_CRON": "0 8 * * *"}))
    eight = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    assert plan.latest_slot(eight - timedelta(microseconds=1)) == eight - timedelta(days=1)
    assert plan.latest_slot(eight) == eight
    assert plan.latest_slot(eight + timedelta(seconds=59, microseconds=5)) == eight


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6 *", "every day", "* * * * * *", "61 * * * *"])
def test_a_schedule_that_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(SettingsError, match="DIGEST_CRON"):
        settings.load({"DIGEST_CRON": cron})


def test_no_half_written_workbook_or_mail_is_left_behind(started: Database, config: Settings) -> None:
    settled(started, "T-1")
    send_due_at(EIGHT)
    left: list[Path] = [*(config.data_dir / "outbox").iterdir(), *(config.data_dir / "digests").iterdir()]
    assert sorted(path.name for path in left) == ["digest-1.eml", "digest-1.eml", "digest-1.xlsx"]
