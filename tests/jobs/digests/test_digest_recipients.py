"""Each recipient of a digest has a fate of their own, and nobody is named as mailed who was not."""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from jobs.digests import send
from jobs.operations import pipeline
from receiver.db import database, digests, recipients, work
from receiver.db.database import Database
from receiver.db.models import SEND_DIGEST, Digest, DigestRecipient, Work
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.retry_policy import WORK
from receiver.lib.settings import Settings
from tests import databases
from tests.conftest import wait_until
from tests.factories import outrun_waits, ticket_json, waits_until
from tests.jobs.cli.test_command_line import invoke
from tests.jobs.digests.test_alert import MINUTE, NOON, promised
from tests.jobs.digests.test_send import (
    EIGHT,
    MONDAY,
    alarm_messages,
    all_digests,
    at,
    claimed_now,
    send_due_at,
    settled,
    statuses,
)
from tests.peers import smtp
from tests.peers.smtp import Relay


@pytest.fixture
def started(db: Database) -> Database:
    """A record whose first timetable run is over, on Monday at seven."""
    send_due_at(MONDAY)
    return db


@pytest.fixture
def relay(environment: pytest.MonkeyPatch) -> Iterator[Relay]:
    """The mail server of boss, carol and dan."""
    with smtp.relay(Relay()) as peer:
        for name, value in {
            "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(peer.port), "SMTP_TLS": "none",
            "FROM_EMAIL": "desk@example.com",
            "RECIPIENT_EMAIL": "boss@example.com, carol@example.com, dan@example.com",
        }.items():  # fmt: skip
            environment.setenv(name, value)
        yield peer


def fates(db: Database, digest_id: int = 1) -> dict[str, str]:
    with db.read() as session:
        return {row.address.partition("@")[0]: row.state for row in recipients.of(session, digest_id)}


def row_of(db: Database, name: str, digest_id: int = 1) -> DigestRecipient:
    with db.read() as session:
        return session.get_one(DigestRecipient, (digest_id, f"{name}@example.com"))


def one(db: Database) -> Digest:
    [found] = all_digests(db)
    return found


def test_who_was_put_off_is_tried_alone_and_gets_the_very_same_mail(
    started: Database, relay: Relay, config: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(started, "T-1")
    relay.answers = {"RCPT TO:<carol@": "450 4.2.0 Greylisted"}
    send_due_at(EIGHT)
    assert fates(started) == {"boss": "sent", "carol": "due", "dan": "sent"}
    waiting = one(started)
    assert (waiting.status, waiting.sent_at) == ("claimed", None)
    assert waiting.error == "carol@example.com: the mail server does not take it now: 450 4.2.0 Greylisted"
    logged = capsys.readouterr().err
    assert "is sent to boss@example.com, dan@example.com" in logged
    assert "sent to boss@example.com, carol" not in logged
    assert alarm_messages(started) == []
    again = waits_until(started, SEND_DIGEST, 1)
    assert again == row_of(started, "carol").run_at > EIGHT
    send_due_at(again)
    assert fates(started)["carol"] == "due"
    relay.answers = {}
    send_due_at(waits_until(started, SEND_DIGEST, 1))
    send_due_at(EIGHT + timedelta(hours=5))
    assert fates(started) == {"boss": "sent", "carol": "sent", "dan": "sent"}
    assert (one(started).status, one(started).error) == ("sent", None)
    first, second = relay.mails
    assert second.recipients == ["carol@example.com"]
    assert second.content == first.content
    assert row_of(started, "carol").attempts == 3
    assert not digests.sending_path(config.data_dir, 1).exists()


def test_a_recipient_who_is_never_taken_ends_in_failed_with_an_alarm(started: Database, relay: Relay) -> None:
    settled(started, "T-1")
    relay.answers = {"RCPT TO:<carol@": "450 4.2.0 Greylisted"}
    send_due_at(EIGHT)
    with started.write() as session:
        session.query(Work).update({"attempts": WORK[SEND_DIGEST].most_attempts - 1})
    send_due_at(EIGHT + timedelta(hours=2))
    assert fates(started) == {"boss": "sent", "carol": "failed", "dan": "sent"}
    assert one(started).status == "partly_sent"
    [alarm] = alarm_messages(started)
    assert "carol@example.com" in alarm
    assert "450 4.2.0 Greylisted" in alarm


def test_a_final_refusal_alarms_at_once_and_until_everybody_is_reached(started: Database, relay: Relay) -> None:
    settled(started, "T-1")
    relay.answers = {"RCPT TO:<carol@": "550 5.1.1 unknown", "RCPT TO:<dan@": "450 4.2.0 Greylisted"}
    send_due_at(EIGHT)
    assert fates(started) == {"boss": "sent", "carol": "refused", "dan": "due"}
    [alarm] = alarm_messages(started)  # Although dan is still waited for.
    assert "carol@example.com" in alarm
    assert "dan" not in alarm
    relay.answers = {"RCPT TO:<carol@": "550 5.1.1 unknown"}
    send_due_at(EIGHT + timedelta(hours=1))
    assert one(started).status == "partly_sent"
    settled(started, "T-2")
    relay.answers = {"RCPT TO:<dan@": "450 4.2.0 Greylisted"}
    send_due_at(EIGHT + timedelta(days=1))
    assert fates(started, 2) == {"boss": "sent", "carol": "sent", "dan": "due"}
    assert len(alarm_messages(started)) == 1  # It is not over yet.
    relay.answers = {}
    send_due_at(EIGHT + timedelta(days=1, hours=1))
    assert alarm_messages(started) == []


def test_a_digest_that_is_held_keeps_its_alarm_whatever_goes_well_after_it(started: Database, relay: Relay) -> None:
    settled(started, "T-1")
    relay.answers = {".": ""}
    send_due_at(EIGHT)
    assert set(fates(started).values()) == {"held"}
    relay.answers = {}
    settled(started, "T-2")
    send_due_at(EIGHT + timedelta(days=1))
    assert statuses(started) == ["held", "sent"]
    [alarm] = alarm_messages(started)
    assert "digest 1 is held" in alarm
    with started.write() as session:
        assert digests.accept(session, 1, now())
    assert alarm_messages(started) == []
    assert set(fates(started).values()) == {"sent"}


def test_a_digest_tried_again_goes_only_to_whom_it_did_not_reach(
    started: Database, relay: Relay, config: Settings
) -> None:
    settled(started, "T-1")
    relay.answers = {"RCPT TO:<carol@": "550 5.1.1 unknown"}
    send_due_at(EIGHT)
    relay.answers = {}
    assert send.redrive(started, settings.load(), 1)
    assert [each.recipients for each in relay.mails] == [["boss@example.com", "dan@example.com"], ["carol@example.com"]]
    assert one(started).status == "sent"
    assert alarm_messages(started) == []


def test_what_nobody_knows_is_sent_once_more_and_then_held_whatever_comes_between(
    started: Database, relay: Relay, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("DIGEST_AFTER_UNKNOWN", "resend")
    settled(started, "T-1")
    moment, answers = EIGHT, [{".": ""}, {"MAIL": "451 later"}, {"greeting": "421 busy"}, {".": ""}, {}, {}]
    for each in answers:
        relay.answers = each
        send_due_at(moment)
        again = waits_until(started, SEND_DIGEST, 1) if one(started).status == "claimed" else moment
        moment = max(moment, again) + timedelta(seconds=1)
    assert sum(line.upper() == "DATA" for line in relay.lines) == 2
    assert one(started).status == "held"
    assert row_of(started, "carol").resends == 1


def test_only_those_of_whom_nobody_knows_are_held(started: Database, relay: Relay) -> None:
    settled(started, "T-1")
    relay.most, relay.answers = 2, {".": ["250 OK", ""]}
    send_due_at(EIGHT)
    assert fates(started) == {"boss": "sent", "carol": "sent", "dan": "held"}
    assert one(started).status == "held"
    [alarm] = alarm_messages(started)
    assert "dan@example.com" in alarm
    assert "boss" not in alarm


def test_an_address_nobody_can_serve_here_costs_the_others_nothing(
    started: Database, relay: Relay, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("RECIPIENT_EMAIL", "boss@exämple.com, jörg@example.com")
    settled(started, "T-1")
    send_due_at(EIGHT)
    [sent] = relay.mails
    assert sent.recipients == ["boss@xn--exmple-cua.com"]
    assert [to.addr_spec for to in sent.parsed["To"].addresses] == ["boss@xn--exmple-cua.com"]
    assert one(started).status == "partly_sent"
    [alarm] = alarm_messages(started)
    assert "jörg@example.com" in alarm


def test_the_same_person_twice_gets_one_mail(started: Database, relay: Relay, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RECIPIENT_EMAIL", "Boss@example.com, boss@EXAMPLE.com, a@exämple.com, a@xn--exmple-cua.com")
    settled(started, "T-1")
    send_due_at(EIGHT)
    assert relay.mails[0].recipients == ["Boss@example.com", "a@xn--exmple-cua.com"]


@pytest.mark.parametrize("public_url", ["https://tickets.example.com", ""])
@pytest.mark.parametrize("how", ["SIZE", "MAIL", "."])
def test_what_is_too_large_goes_once_more_and_says_where_the_workbook_is(
    started: Database, relay: Relay, environment: pytest.MonkeyPatch, how: str, public_url: str
) -> None:
    environment.setenv("PUBLIC_URL", public_url)
    settled(started, "T-1")
    relay.largest, relay.offers = 25_000, {"SIZE": ("SIZE 25000",), "MAIL": ("SIZE",), ".": ()}[how]
    send_due_at(EIGHT)
    [sent] = relay.mails
    assert one(started).status == "sent"
    assert list(sent.parsed.iter_attachments()) == []
    body = str(sent.parsed.get_body(("plain",)).get_content())
    where = f"{public_url}/api/digests/1/workbook" if public_url else "digest 1"
    assert where in body
    assert len(sent.content) < 25_000


def test_what_is_too_large_even_without_its_workbook_is_final(started: Database, relay: Relay) -> None:
    settled(started, "T-1")
    relay.offers = ("SIZE 100",)
    send_due_at(EIGHT)
    assert one(started).status == "failed"
    assert "100" in (one(started).error or "")
    assert one(started).attempts == 2


def test_a_fault_of_the_settings_is_final_at_once_with_the_remedy(
    started: Database, relay: Relay, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SMTP_TLS", "starttls")
    settled(started, "T-1")
    send_due_at(EIGHT)
    assert (one(started).status, one(started).attempts) == ("failed", 1)
    [alarm] = alarm_messages(started)
    assert "SMTP_TLS=none" in alarm
    environment.setenv("SMTP_TLS", "none")
    assert send.redrive(started, settings.load(), 1)
    assert one(started).status == "sent"
    assert alarm_messages(started) == []


def test_the_lease_is_renewed_while_the_sender_lives_however_slow_the_relay(
    started: Database, relay: Relay, environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.setenv("DIGEST_AFTER_UNKNOWN", "resend")
    short = replace(WORK[SEND_DIGEST], lease=timedelta(seconds=0.6), renew_seconds=0.1)
    monkeypatch.setitem(WORK, SEND_DIGEST, short)
    relay.waits = {"RCPT": 0.5, ".": 0.9}
    settled(started, "T-1")
    claimed_now(started)
    first = threading.Thread(target=send.send_due)
    first.start()
    ends = time.monotonic() + 20
    while first.is_alive() and time.monotonic() < ends:
        send.send_due()  # Another worker.
        time.sleep(0.05)
    first.join(10)
    assert len(relay.mails) == 1
    assert statuses(started) == ["sent"]
    assert sum(line.upper() == "DATA" for line in relay.lines) == 1


def test_a_sender_that_lost_its_lease_stops_before_the_mail_leaves(
    started: Database, relay: Relay, config: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(started, "T-1")
    digest_id = claimed_now(started)
    relay.waits = {"RCPT TO:<dan@": 1}
    sender = threading.Thread(target=send.send_due)
    sender.start()
    ends = time.monotonic() + 10
    while not any("carol" in line for line in relay.lines) and time.monotonic() < ends:
        time.sleep(0.01)
    with started.write() as session:  # As if this sender had slept for longer than its lease.
        outrun_waits(session, SEND_DIGEST)
    send.settle_interrupted(started, settings.load())
    sender.join(10)
    assert not [line for line in relay.lines if line.upper() == "DATA"]
    assert statuses(started) == ["held"]
    assert "another process's" in capsys.readouterr().err
    assert digest_id == 1


@pytest.mark.parametrize("is_overtaken", [False, True])
@pytest.mark.parametrize(("rule", "meanwhile"), [("hold", "held"), ("resend", "claimed")])
def test_a_sender_that_comes_back_late_says_who_has_the_mail_unless_another_has_begun(
    started: Database,
    relay: Relay,
    environment: pytest.MonkeyPatch,
    rule: str,
    meanwhile: str,
    is_overtaken: bool,
) -> None:
    environment.setenv("DIGEST_AFTER_UNKNOWN", rule)
    settled(started, "T-1")
    digest_id = claimed_now(started)
    relay.waits = {".": 1}
    sender = threading.Thread(target=send.send_due)
    sender.start()
    wait_until(lambda: any(line.upper() == "DATA" for line in relay.lines))
    with started.write() as session:  # As if this sender had slept for longer than its lease.
        outrun_waits(session, SEND_DIGEST)
    send.settle_interrupted(started, settings.load())
    assert statuses(started) == [meanwhile]
    if is_overtaken:
        with started.write() as session:
            assert rule == "resend" or digests.redrive(session, digest_id, now())
            assert digests.take(session, digest_id, now())
    sender.join(10)
    assert (statuses(started), set(fates(started).values())) == (
        (["claimed"], {"due"}) if is_overtaken else (["sent"], {"sent"})
    )
    with started.read() as session:
        row = work.of(session, SEND_DIGEST, digest_id)
    assert (row and row.state) == ("leased" if is_overtaken else None)


def test_one_recipient_who_waits_keeps_no_later_alert_back(
    db: Database, relay: Relay, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("ALERT_RECIPIENTS", "boss@example.com, carol@example.com")
    relay.answers = {"RCPT TO:<carol@": "450 4.2.0 Greylisted"}
    with at(NOON) as clock:
        for name in ("T-1", "T-2"):
            promised(db, name, 100)
            clock.shift(80 * MINUTE)
            send.alert()
    assert [each.recipients for each in relay.mails] == [["boss@example.com"]] * 2


def test_what_old_digests_say_of_their_recipients_is_carried_over(tmp_path: Path) -> None:
    def row(status: str, error: str | None = None, people: str = '["boss@e.com", "bo@e.com"]') -> dict[str, Any]:
        return {"status": status, "error": error, "recipients": people}

    rows = [
        row("sent"),
        row("sent", "refused by the mail server: bo@e.com"),
        row("claimed", "the connection broke while sending; the mail may have arrived"),
        row("held", "the mail was skipped by --skip-email"),
        row("sent", people='["Boss@e.com", "boss@e.com"]'),
        row("sent", people="[]"),
    ]
    columns = "id, name, period, status, created_at, settled_after, settled_until, tickets, recipients, message_id, "
    columns += "attempts, claimable_at, error"
    values = ":id, 'digest', :period, :status, :at, 0, 0, 0, :recipients, '<m@e.com>', 1, :at, :error"
    with databases.made(databases.new_url(tmp_path)) as url, database.opened(url) as db:
        database.migrate(db, "0021")
        engine = create_engine(url)
        with engine.begin() as connection:
            for number, each in enumerate(rows, 1):
                told = each | {"id": number, "period": str(number), "at": MONDAY.replace(tzinfo=None)}
                connection.execute(text(f"INSERT INTO digests ({columns}) VALUES ({values})"), told)
        engine.dispose()
        database.migrate(db)
        assert statuses(db) == ["sent", "partly_sent", "claimed", "cancelled", "sent", "sent"]
        assert fates(db, 1) == {"boss": "sent", "bo": "sent"}
        assert fates(db, 2) == {"boss": "sent", "bo": "refused"}
        assert fates(db, 3) == {"boss": "due", "bo": "due"}
        assert fates(db, 4) == {"boss": "cancelled", "bo": "cancelled"}
        assert (len(fates(db, 5)), fates(db, 6)) == (1, {})
        with db.read() as session:
            assert {found.resends for found in recipients.of(session, 3)} == {1}


def test_without_a_mail_server_nobody_counts_as_mailed(
    started: Database, config: Settings, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("RECIPIENT_EMAIL", "boss@example.com")
    settled(started, "T-1")
    send_due_at(EIGHT)
    assert fates(started) == {"boss": "kept"}
    assert one(started).status == "sent"
    logged = capsys.readouterr().err
    assert "kept in the outbox" in logged
    assert "sent to boss" not in logged


def test_who_was_put_off_before_the_sender_died_is_not_held(started: Database, relay: Relay) -> None:
    settled(started, "T-1")
    with at(EIGHT), started.write() as session:
        claimed = digests.claim(session, "p", settings.load().envelope, now())
        assert claimed
        taken = digests.take(session, claimed.id, now())
        assert taken
        assert digests.begin_sending(session, taken, now())
        assert set(recipients.sending(session, 1)) == {f"{name}@example.com" for name in ("boss", "carol", "dan")}
        outcomes = {
            "boss@example.com": recipients.Outcome("sent"),
            "carol@example.com": recipients.Outcome("due", "later", "450"),
        }
        recipients.settle(session, 1, outcomes, now(), retry_at=now(), resends=False)  # And here it died.
    with at(EIGHT + timedelta(minutes=5)):
        send.settle_interrupted(started, settings.load())
    assert fates(started) == {"boss": "sent", "carol": "due", "dan": "held"}


def test_the_command_says_whom_it_reached_and_exits_with_one_where_somebody_is_missing(
    started: Database, relay: Relay
) -> None:
    settled(started, "T-1")
    relay.answers = {"RCPT TO:<carol@": "450 4.2.0 Greylisted", "RCPT TO:<dan@": "550 5.1.1 unknown"}
    sent = invoke("digest")
    assert sent.code == 1
    assert "carol@example.com: the mail server does not take it now: 450 4.2.0 Greylisted" in sent.err
    assert "dan@example.com: the mail server refuses this address: 550 5.1.1 unknown" in sent.err
    assert "450 4.2.0 Greylisted" in invoke("digest", "--list").out
    relay.answers = {}
    with started.write() as session:
        outrun_waits(session, SEND_DIGEST)
    send.send_due()
    assert "1 digest  partly sent" in re.sub(r"(\d)  [-\d: ]+  ", r"\1 ", invoke("digest", "--list").out)
    again = invoke("digest", "--redrive", "1")
    assert (again.code, again.out) == (0, "Digest 1 of 1 tickets is sent.\n")


def test_a_run_names_as_mailed_only_whom_it_mailed(
    db: Database, relay: Relay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "tickets.json").write_text(json.dumps([ticket_json(id="R-1")]))
    relay.answers = {"RCPT TO:<carol@": "450 4.2.0 Greylisted"}
    with pytest.raises(pipeline.PipelineError, match=r"not reach everybody: carol@example\.com: .*450 4\.2\.0"):
        pipeline.run(settings.load(), tmp_path / "tickets.json", None, skip_email=False)
    assert "The mail is sent to boss@example.com, dan@example.com\n" in caplog.text
    relay.answers = {}
    pipeline.run(settings.load(), tmp_path / "tickets.json", None, skip_email=False)
    assert [each.recipients for each in relay.mails] == [["boss@example.com", "dan@example.com"], ["carol@example.com"]]
    assert relay.mails[0].content == relay.mails[1].content


def test_a_run_that_skips_the_mail_leaves_nothing_to_decide_on(db: Database, relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "tickets.json").write_text(json.dumps([ticket_json(id="R-1")]))
    pipeline.run(settings.load(), tmp_path / "tickets.json", None, skip_email=True)
    assert statuses(db) == ["cancelled"]
    assert set(fates(db).values()) == {"cancelled"}
    send.send_due()
    assert relay.mails == []
    assert alarm_messages(db) == []
