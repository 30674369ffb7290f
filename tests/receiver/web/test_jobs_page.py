"""Jobs: what is seen of Redis and the timetable, and who may change what."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.results import Result

from jobs.operations import scheduler
from receiver import queue
from receiver.db import audit, pauses, sign_in, timetable
from receiver.db.database import Database
from receiver.lib.clock import now
from receiver.web import auth, state
from tests.factories import csrf, due_ticket, sign_in_as, use_link
from tests.receiver.queue.test_inspection import connection, enqueued, failed
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in

__all__ = ["connection"]


@pytest.fixture
def person(client: FlaskClient, db: Database) -> FlaskClient:
    with db.write() as session:
        token = sign_in.issue(session, now())
    use_link(client, f"/sign-in/{token}")
    return client


def _page(person: FlaskClient) -> Any:
    answer = person.get("/jobs")
    assert answer.status_code == 200
    return markup.fromstring(answer.text)


def _press(person: FlaskClient, action: str, **chosen: str) -> str:
    """Press the button whose form goes to `action`, and return what is said then."""
    form = next(
        form
        for form in _page(person).forms
        if form.action == action and all(form.fields.get(name) == value for name, value in chosen.items())
    )
    answer = person.post(action, data=dict(form.form_values()), follow_redirects=True)
    assert answer.status_code == 200
    return " ".join(markup.fromstring(answer.text).find_class("toasts")[0].text_content().split())


def _audited(db: Database) -> list[tuple[str, str, dict[str, Any]]]:
    with db.read() as session:
        return [
            (entry.action, entry.subject, entry.details)
            for entry in audit.page(session, 10)
            if entry.action != "sign in"
        ]


def test_everything_is_there_when_nothing_has_happened(person: FlaskClient) -> None:
    text = _page(person).text_content()
    assert [name for name in queue.QUEUES if name not in text] == []
    assert "No worker has signed on" in text
    assert "No job has failed" in text
    assert "python -m jobs scheduler" in text


def test_a_failed_job_is_shown_with_its_traceback_and_retried(
    person: FlaskClient, connection: Any, db: Database
) -> None:
    job = failed(connection)
    page = _page(person)
    assert "nothing_of_this_name" in page.xpath("//details/pre")[-1].text_content()
    assert "waits in its queue again" in _press(person, "/jobs/retry", job=job.id)
    assert queue.depths(connection)[queue.TRAINING] == 1
    assert _audited(db) == [("retry job", "queue training", {"job": job.id})]
    assert "is cancelled" in _press(person, "/jobs/cancel", job=job.id)
    assert queue.depths(connection)[queue.TRAINING] == 0


def test_danger_asks_and_names_how_many(person: FlaskClient, connection: Any, db: Database) -> None:
    for _ in range(3):
        enqueued(connection)
    failed_registry = FailedJobRegistry(queue=queue.queue(queue.TRAINING, connection))
    failed_registry.connection.zadd(failed_registry.key, {f"old-{number}": 5 for number in range(1200)})
    asked = " ".join(_page(person).xpath("//form/@data-confirm"))
    assert "the 3 waiting jobs of training" in asked
    assert "all 1,200 failed jobs of training" in asked
    assert "3 jobs are thrown away" in _press(person, "/jobs/queues/training/empty")
    assert "1,200 failed jobs" in _press(person, "/jobs/queues/training/forget-failed")
    assert _audited(db)[0] == ("forget failed", "queue training", {"jobs": 1200})


def test_classification_is_paused_and_resumed_and_everybody_sees_by_whom(person: FlaskClient, db: Database) -> None:
    _press(person, "/jobs/pause")
    with db.read() as session:
        assert pauses.current(session)
    assert "Classification is paused by" in _page(person).text_content()
    _press(person, "/jobs/resume")
    with db.read() as session:
        assert not pauses.current(session)
    assert [action for action, _, _ in _audited(db)] == ["resume", "pause"]


def test_the_timetable_tells_of_the_last_run_and_runs_a_job_now(
    person: FlaskClient, db: Database, connection: Any
) -> None:
    scheduler.announce(db)
    started = now() - timedelta(seconds=2)
    with db.write() as session:
        timetable.ran(session, "jobs.digests.send.send_due", started, started + timedelta(milliseconds=340), None)
        timetable.ran(session, "jobs.operations.maintenance.sweep", started, now(), "OperationalError")
    rows = {
        row[0].text_content(): [" ".join(cell.text_content().split()) for cell in row]
        for row in _page(person).xpath("//section[@id='jobs-timetable']//tbody/tr")
    }
    assert len(rows) == len(scheduler.TIMETABLE)
    assert rows["digests.send.send_due"][1:6] == ["30 s", "digest", "now", "done", "340 ms"]
    assert re.match(r"in 2\d s", rows["digests.send.send_due"][6])
    assert rows["operations.maintenance.sweep"][4] == "OperationalError"
    assert rows["classification.training.train"][3] == "not yet"
    assert "runs as soon as" in _press(person, "/jobs/timetable/jobs.digests.send.send_due/run")
    assert queue.depths(connection)[queue.DIGEST] == 1
    assert person.post("/jobs/timetable/os.system/run").status_code in (400, 404)


def test_without_redis_the_page_is_calm_and_shows_what_the_record_knows(
    person: FlaskClient, app: Flask, db: Database
) -> None:
    due_ticket(db)
    scheduler.announce(db)
    state.of(app).context = replace(state.of(app).context, redis=queue.connect("redis://127.0.0.1:1", timeout=0.25))
    text = " ".join(_page(person).text_content().split())
    assert "Redis is away. Tickets wait safely in the database: 1 of them" in text
    assert "maintenance.sweep" in text
    form = next(form for form in _page(person).forms if form.action == "/jobs/pause")
    answer = person.post("/jobs/retry", data={"csrf_token": form.fields["csrf_token"], "job": "x"})
    assert answer.status_code == 302
    assert "nothing was changed" in person.get("/jobs").text
    assert _audited(db) == []


def test_what_redis_holds_is_shown_as_text(person: FlaskClient, connection: Any) -> None:
    target = queue.queue(queue.CLASSIFY, connection)
    connection.rpush(target.key, HOSTILE)
    connection.hset(Job.key_for(HOSTILE), mapping={"description": HOSTILE})
    connection.zadd(FailedJobRegistry(queue=target).key, {HOSTILE: 9})
    connection.xadd(
        Result.get_key(HOSTILE), Result(HOSTILE, Result.Type.FAILED, connection, exc_string=HOSTILE).serialize()
    )
    connection.sadd("rq:workers", f"rq:worker:{HOSTILE}")
    connection.hset(f"rq:worker:{HOSTILE}", mapping={"queues": HOSTILE, "hostname": HOSTILE, "state": HOSTILE})
    page = _page(person)
    no_way_in(page)
    assert page.text_content().count(HOSTILE) >= 5
    assert "left alone" in _press(person, "/jobs/cancel", job=HOSTILE)


def test_a_viewer_looks_and_changes_nothing(client: FlaskClient, db: Database, connection: Any) -> None:
    failed(connection)
    sign_in_as(client, db, auth.VIEWER)
    token = csrf(client)
    page = _page(client)
    assert [form.action for form in page.forms if str(form.action).startswith("/jobs")] == []
    for path in ("/jobs/pause", "/jobs/retry", "/jobs/queues/classify/empty"):
        assert client.post(path, data={"csrf_token": token}).status_code == 403
