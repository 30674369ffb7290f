"""Every number of a page that opens a list opens the list of what it counts; and all is well only where it is."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from receiver import queue
from receiver.db import alarms, deliveries, digests, due_tickets
from receiver.db.database import Database
from receiver.db.deliveries import Arrival, Content
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings
from receiver.web import auth, state
from receiver.web.dashboard.tickets import midnight
from tests.factories import csrf, deliver, due_ticket, incoming, serve_every_queue, settle, sign_in_as


@pytest.fixture
def person(client: FlaskClient, db: Database) -> FlaskClient:
    sign_in_as(client, db, auth.OPERATOR)
    return client


@pytest.fixture
def redis_of_jobs(redis_url: str) -> "Iterator[redis.Redis]":
    with queue.connect(redis_url) as connected:
        yield connected


@pytest.fixture
def served(redis_of_jobs: "redis.Redis") -> None:
    """A living worker serves every queue."""
    serve_every_queue(redis_of_jobs)


def page(person: FlaskClient, path: str = "/") -> Any:
    answer = person.get(path, follow_redirects=True)
    assert answer.status_code == 200, path
    return markup.fromstring(answer.text)


def verdict(person: FlaskClient) -> str:
    return " ".join(page(person).get_element_by_id("verdict").text_content().split())


def quarantined(db: Database, key: str, *good: Any) -> int:
    """A delivery of which something was rejected, all but what is good."""
    content = Content(list(good), [{"index": 0, "id": None, "errors": {"id": ["Missing."]}}])
    with db.write() as session:
        return deliveries.record(session, Arrival("standard", key, {}, b"{}", key, now()), content).id


def digest_that(db: Database, status: str) -> None:
    with db.write() as session:
        made = digests.claim(session, f"period {status}", Envelope((), "localhost"), now(), even_empty=True)
        assert made
        digests.mark(session, made.id, status, now(), error="why")


def failed_job(connection: "redis.Redis") -> None:
    target = queue.queue(queue.TRAINING, connection)
    target.enqueue("os.nothing_of_this_name")
    SimpleWorker([target], connection=connection, serializer=JSONSerializer).work(burst=True, logging_level="CRITICAL")


def failed_ticket(db: Database) -> None:
    ticket_id = due_ticket(db)
    with db.write() as session:
        due_tickets.fail(session, ticket_id, "other", "gave up", 1, None)


def sound(db: Database) -> None:
    with db.write() as session:
        alarms.raise_(session, "disk", now(), "other", text="3 MB are left")


FAULTS: dict[str, Callable[[Database, Any], Any]] = {
    "1 ticket failed": lambda db, _: failed_ticket(db),
    "1 ticket has a fallback engine's answer": lambda db, _: settle(db, due_ticket(db), from_fallback_engine=True),
    "1 delivery is in quarantine": lambda db, _: quarantined(db, "a"),
    "1 delivery was taken in part": lambda db, _: quarantined(db, "a", incoming()),
    "1 digest failed": lambda db, _: digest_that(db, "failed"),
    "1 digest is held": lambda db, _: digest_that(db, "held"),
    "1 digest did not reach everybody": lambda db, _: digest_that(db, "partly_sent"),
    "1 job failed": lambda _, connection: failed_job(connection),
    "The disk is nearly full": lambda db, _: sound(db),
    "No worker serves": lambda _, connection: connection.delete("rq:worker:one"),
}


@pytest.mark.parametrize("told", FAULTS)
def test_all_is_well_only_where_nothing_is_left_over(
    person: FlaskClient, db: Database, served: None, redis_of_jobs: "redis.Redis", told: str
) -> None:
    assert verdict(person).startswith("All is well")
    FAULTS[told](db, redis_of_jobs)
    assert verdict(person).startswith("One thing needs you")
    assert told in verdict(person)


def test_what_redis_would_know_is_not_known_without_it(person: FlaskClient, app: Flask) -> None:
    state.of(app).context = replace(state.of(app).context, redis=queue.connect("redis://127.0.0.1:1", timeout=0.25))
    assert verdict(person).startswith("One thing needs you")
    assert "whether jobs fail or workers live is not known" in verdict(person)


def opened(person: FlaskClient, href: str) -> int:
    """How many things the page behind a link lists."""
    found = page(person, href)
    if href.partition("?")[0] == "/review":
        return int(found.get_element_by_id("review-left").get("data-left"))
    if href.endswith("#jobs-failed"):
        return len(found.find_class("failure"))
    if href == "/jobs":
        return len(found.xpath("//section[@id='jobs-workers']//tbody/tr[td]"))
    return len(found.xpath("//tr[@data-row]"))


def counts(found: Any, within: str) -> list[tuple[str, int]]:
    links = [(str(a.get("href")), " ".join(a.text_content().split())) for a in found.xpath(f"{within}//a")]
    return [(href, int(number[0].replace(",", ""))) for href, text in links if (number := re.findall(r"^[\d,]+", text))]


def week(db: Database, config: Settings, connection: "redis.Redis") -> None:
    """Of everything some, today and before."""
    began = midnight(now(), config.digest_timezone)
    for many, at in ((3, began - timedelta(seconds=1)), (2, began), (4, now())):
        deliver(db, *(incoming() for _ in range(many)), at=at)
    for _ in range(2):
        settle(db, due_ticket(db))
        settle(db, due_ticket(db), review_reason="low_confidence", from_fallback_engine=True)
        failed_ticket(db)
    for key in "abc":
        quarantined(db, key)
    quarantined(db, "d", incoming())
    for status in ("failed", "held", "partly_sent", "sent"):
        digest_that(db, status)
    failed_job(connection)


def test_every_number_of_the_overview_opens_what_it_counts(
    person: FlaskClient, db: Database, config: Settings, served: None, redis_of_jobs: "redis.Redis"
) -> None:
    week(db, config, redis_of_jobs)
    found = counts(page(person), "//section[@id='verdict' or @id='today' or @id='engine']")
    assert len(found) > 20
    assert [(href, told, opened(person, href)) for href, told in found if opened(person, href) != told] == []


def test_today_is_today_where_the_digests_are(
    person: FlaskClient, db: Database, app: Flask, config: Settings, served: None, redis_of_jobs: "redis.Redis"
) -> None:
    zone = "Pacific/Kiritimati"
    object.__setattr__(state.of(app).context.settings, "digest_timezone", zone)
    began = midnight(now(), zone)
    deliver(db, incoming(), at=began - timedelta(seconds=1))
    deliver(db, incoming(), incoming(), at=began)
    found = dict(counts(page(person), "//section[@id='today']"))
    assert (found["/tickets?since=today"], found["/tickets"]) == (2, 3)
    assert opened(person, "/tickets?since=today") == 2
    assert page(person, "/tickets?since=today").xpath("string(//h1/span)") == "2"


def test_every_number_of_the_other_pages_opens_what_it_counts(
    person: FlaskClient, db: Database, config: Settings, served: None, redis_of_jobs: "redis.Redis"
) -> None:
    week(db, config, redis_of_jobs)
    for path in ("/sources", "/catalog", "/jobs", "/digests", "/deliveries", "/quality", "/tickets", "/review"):
        found = counts(page(person, path), "//main")
        lists = [(href, told) for href, told in found if re.match(r"/(tickets|deliveries|digests|review)(\?|$)", href)]
        assert [(href, told) for href, told in lists if opened(person, href) != told] == [], path
    told_by_entry = [
        (str(a.get("href")), int(re.findall(r"\d+", a.text_content())[0]))
        for a in page(person, "/catalog").xpath("//a[contains(., ' tickets')]")
    ]
    assert max(told for _, told in told_by_entry) == 4
    assert [(href, told) for href, told in told_by_entry[:5] if opened(person, href) != told] == []
    [(href, told)] = counts(page(person, "/sources"), "//main//tr[td/a[text()]]//td[@class='number']")
    assert (href, told) == ("/deliveries?source=standard&status=quarantined", 3)


def test_what_is_dismissed_needs_nobody_any_more(person: FlaskClient, db: Database, served: None) -> None:
    fine, *ids = deliver(db, incoming()).id, quarantined(db, "a"), quarantined(db, "b", incoming())
    data = {"csrf_token": csrf(person), "delivery": [*ids, fine]}
    answer = person.post("/deliveries/dismiss", data=data, follow_redirects=True)
    assert "2 deliveries are dismissed; nothing was open in the others." in answer.text
    assert verdict(person).startswith("All is well")
    assert opened(person, "/deliveries?status=dismissed") == 2
