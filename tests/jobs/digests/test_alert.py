"""The alert: whoever keeps the promises hears of a ticket before its promise is broken; once, and of many at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from jobs.digests import send
from jobs.operations import scheduler
from receiver.db.database import Database
from receiver.db.models import Digest
from tests.factories import due_ticket, settle
from tests.peers.smtp import MailServer

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock(environment: pytest.MonkeyPatch, mail_server: MailServer) -> Iterator[Any]:
    for name, value in {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail_server.port), "SMTP_USE_TLS": "false",
        "FROM_EMAIL": "desk@example.com", "RECIPIENT_EMAIL": "boss@example.com",
        "ALERT_RECIPIENTS": "ada@example.com, bo@example.com",
    }.items():  # fmt: skip
        environment.setenv(name, value)
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def promised(db: Database, name: str, minutes: int) -> None:
    """A ticket that arrives now and is due in so many minutes."""
    ticket_id = due_ticket(db, external_id=name, short_description=f"Subject of {name}")
    settle(db, ticket_id, datetime.now(UTC) + minutes * MINUTE)


def pass_minutes(clock: Any, minutes: int, step: int = 1) -> None:
    """The timetable's minutes, or every so many of them."""
    for _ in range(0, minutes, step):
        clock.shift(step * MINUTE)
        send.alert()


def texts(server: MailServer) -> list[str]:
    return [str(message.get_body(("plain",)).get_content()) for message in server.messages]  # type: ignore[union-attr]


def test_each_ticket_is_told_of_once_when_three_quarters_are_used(
    db: Database, clock: Any, mail_server: MailServer
) -> None:
    promised(db, "T-1", 100)
    pass_minutes(clock, 70, step=10)
    pass_minutes(clock, 4)
    assert mail_server.messages == []
    pass_minutes(clock, 1)
    pass_minutes(clock, 60, step=5)
    [message] = mail_server.messages
    assert mail_server.recipients == [["ada@example.com", "bo@example.com"]]
    assert message["Subject"] == "IT Service Desk: 1 ticket is due soon"
    assert "Subject of T-1 (T-1), due 2026-03-02 13:40 UTC" in texts(mail_server)[0]
    with db.read() as session:
        [told] = session.query(Digest).all()
    assert (told.name, told.status, told.tickets) == ("alert", "sent", 1)
    assert told.sent_at == NOON + 75 * MINUTE


def test_many_tickets_are_a_few_mails(db: Database, clock: Any, mail_server: MailServer) -> None:
    for number in range(30):
        promised(db, f"T-{number:02}", 60 + number)
    pass_minutes(clock, 120, step=5)
    told = [text.count("Subject of") for text in texts(mail_server)]
    assert sum(told) == 30
    assert len(told) <= 4


def test_what_is_past_due_between_two_alerts_is_in_the_next(db: Database, clock: Any, mail_server: MailServer) -> None:
    promised(db, "slow", 40)
    pass_minutes(clock, 29)
    promised(db, "quick", 4)  # At risk three minutes after the first alert, and over before the next.
    pass_minutes(clock, 30)
    assert ["slow" in text for text in texts(mail_server)] == [True, False]
    assert "quick" in texts(mail_server)[1]
    subjects = [message["Subject"].partition(": ")[2] for message in mail_server.messages]
    assert subjects == ["1 ticket is due soon", "1 ticket is due soon or past due"]
    assert "Whether a ticket is solved by now only the helpdesk knows." in texts(mail_server)[1]
    page: Any = mail_server.messages[1].get_body(("html",))
    assert 'class="amber"' not in page.get_content()


def test_what_was_over_long_before_is_no_alert(db: Database, clock: Any, mail_server: MailServer) -> None:
    promised(db, "old", 60)
    clock.shift(timedelta(days=2))
    pass_minutes(clock, 5)
    assert mail_server.messages == []


def test_nobody_is_told_where_nobody_is_named(
    db: Database, clock: Any, mail_server: MailServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("ALERT_RECIPIENTS", "")
    promised(db, "T-1", 100)
    pass_minutes(clock, 90, step=10)
    assert mail_server.messages == []


def test_a_mail_server_that_is_away_delays_alerts_and_makes_no_storm(
    db: Database, clock: Any, mail_server: MailServer
) -> None:
    mail_server.replies["MAIL"] = "451 later"
    for number in range(6):
        promised(db, f"T-{number}", 100 + 20 * number)
    pass_minutes(clock, 190, step=5)  # All are at risk by now, and four are past due.
    mail_server.replies.clear()
    clock.shift(timedelta(hours=1))
    send.send_due()  # Which the sweep wakes.
    send.alert()
    assert [text.count("Subject of") for text in texts(mail_server)] == [1, 5]


def test_the_timetable_looks_every_minute() -> None:
    assert [timed.seconds for timed in scheduler.TIMETABLE if timed.job is send.alert] == [60]
