"""Which catalog tickets are classified by, while its source changes, fails and comes back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from jobs.classification import classify
from jobs.classification.current_catalog import current_catalog, newest_catalog, reload_catalog
from jobs.operations import scheduler
from receiver import catalog as catalogs
from receiver.catalog import CatalogError
from receiver.catalog.current import last_good, load_error, reload
from receiver.db.database import Database
from receiver.db.models import CatalogVersion, Ticket
from receiver.lib.settings import Settings
from tests.factories import due_ticket
from tests.peers import http
from tests.peers.http import Answer, Peer

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BROKEN = [
    Answer(500, b"down"),
    Answer(404, b""),
    Answer(200, b"<html>not a catalog</html>"),
    Answer(200, b"categories: []"),
    Answer(200, b"\xff\xfe"),
    Answer(200, b""),
]


def text(*names: str) -> str:
    return "categories: [{name: A, requests: [" + ", ".join(f"{{name: {name}}}" for name in names) + "]}]"


def names(db: Database, config: Settings) -> list[str]:
    return [kind.name for kind in current_catalog(db, config).request_types if kind.category == "A"]


def versions(db: Database) -> set[str]:
    with db.read() as session:
        return {row.text for row in session.query(CatalogVersion)}


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as moment:
        yield moment


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(text("VPN"))
    return path


@pytest.fixture
def by_file(config: Settings, file: Path) -> Settings:
    return replace(config, service_catalog_url=str(file))


@pytest.fixture
def site() -> Iterator[Peer]:
    with http.serve(Peer(lambda _request: Answer(200, text("VPN").encode()))) as peer:
        yield peer


@pytest.fixture
def by_url(config: Settings, site: Peer) -> Settings:
    return replace(config, service_catalog_url=f"{site.url}/catalog.yaml", request_timeout=2)


def test_without_a_location_the_shipped_catalog_is_in_force_and_kept(db: Database, config: Settings) -> None:
    assert current_catalog(db, config).text == catalogs.SHIPPED.read_text()
    assert versions(db) == {catalogs.SHIPPED.read_text()}


def test_a_changed_file_is_in_force_at_once_and_both_versions_are_kept(
    db: Database, by_file: Settings, file: Path
) -> None:
    assert names(db, by_file) == ["VPN"]
    file.write_text(text("VPN", "Printer"))
    assert names(db, by_file) == ["VPN", "Printer"]
    assert versions(db) == {text("VPN"), text("VPN", "Printer")}


@pytest.mark.parametrize("broken", ["", "categories: 3", "{", "categories: [{name: A}]"])
def test_while_the_file_is_broken_the_last_good_version_stays_in_force(
    db: Database, by_file: Settings, file: Path, broken: str
) -> None:
    names(db, by_file)
    file.write_text(broken)
    assert names(db, by_file) == ["VPN"]
    file.unlink()
    assert names(db, by_file) == ["VPN"]
    file.write_text(text("Back"))
    assert names(db, by_file) == ["Back"]


def test_the_good_version_that_stays_is_the_one_that_came_last(
    db: Database, by_file: Settings, file: Path, clock: time_machine.Traveller
) -> None:
    for wanted in ("One", "Two", "One"):
        clock.shift(60)
        file.write_text(text(wanted))
        assert names(db, by_file) == [wanted]
    file.unlink()
    assert names(db, by_file) == ["One"]


def test_without_any_good_version_it_is_an_error(db: Database, by_file: Settings, file: Path) -> None:
    file.write_text("categories: 3")
    with pytest.raises(CatalogError):
        current_catalog(db, by_file)
    assert versions(db) == set()


def test_the_timetable_sees_what_has_changed_and_every_job_after_it(
    db: Database, by_url: Settings, site: Peer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SERVICE_CATALOG_URL", by_url.service_catalog_url or "")
    for _ in range(20):
        assert names(db, by_url) == ["VPN"]
    assert len(site.requests) == 1
    site.respond = lambda _request: Answer(200, text("VPN", "Printer").encode())
    assert names(db, by_url) == ["VPN"]
    reload_catalog()
    assert names(db, by_url) == ["VPN", "Printer"]
    assert len(site.requests) == 2
    assert any(timed.job is reload_catalog for timed in scheduler.TIMETABLE)


def test_who_runs_once_sees_the_newest_or_the_last_good_one(db: Database, by_url: Settings, site: Peer) -> None:
    names(db, by_url)
    site.respond = lambda _request: Answer(200, text("New").encode())
    assert newest_catalog(db, by_url).request_types[0].name == "New"
    site.respond = lambda _request: Answer(404, b"")
    assert newest_catalog(db, by_url).request_types[0].name == "New"


def test_an_unchanged_catalog_is_confirmed_without_being_sent(
    db: Database, by_url: Settings, site: Peer, clock: time_machine.Traveller
) -> None:
    site.respond = lambda request: (
        Answer(304, b"") if "If-None-Match" in request.headers else Answer(200, text("A1").encode(), {"ETag": "one"})
    )
    first = reload(db, by_url)
    for _ in range(2):
        clock.shift(1800)
        assert reload(db, by_url) is first
    last = last_good(db, by_url)
    assert last is not None
    assert (last.version, last.loaded_at) == (first.version, START + timedelta(hours=1))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda answer: f"{answer.status}-{answer.body[:8]!r}")
def test_while_a_url_fails_the_last_good_version_stays_in_force_and_an_alarm_is_up(
    db: Database, by_url: Settings, site: Peer, clock: time_machine.Traveller, broken: Answer
) -> None:
    names(db, by_url)
    site.respond = lambda _request: broken
    clock.shift(timedelta(days=3))
    with pytest.raises(CatalogError):
        reload(db, by_url)
    assert names(db, by_url) == ["VPN"]
    assert "read on 2026-03-02 09:00 UTC, stays in force" in (load_error(db) or "")
    site.respond = lambda _request: Answer(200, text("Back").encode())
    reload(db, by_url)
    assert names(db, by_url) == ["Back"]
    assert load_error(db) is None


def test_a_new_location_is_never_answered_with_the_copy_of_the_old_one(
    db: Database, by_url: Settings, site: Peer, environment: pytest.MonkeyPatch
) -> None:
    site.respond = lambda _request: Answer(200, text("VPN").encode(), {"ETag": "one"})
    names(db, by_url)
    for path in ("moved", "moved?key=hunter2"):
        moved = replace(by_url, service_catalog_url=f"{site.url}/{path}")
        environment.setenv("SERVICE_CATALOG_URL", moved.service_catalog_url or "")
        site.respond = lambda request: Answer(200 if request.path == "/catalog.yaml" else 404, text("VPN").encode())
        site.requests.clear()
        for _ in range(5):
            with pytest.raises(CatalogError, match=r"never given a good one, so tickets wait|answers 404"):
                names(db, moved)
        assert [("If-None-Match" in request.headers) for request in site.requests] == [False]
        assert "hunter2" not in (load_error(db) or "")
        assert names(db, by_url) == ["VPN"]
        site.respond = lambda _request: Answer(200, text("Moved").encode())
        reload_catalog()
        assert names(db, moved) == ["Moved"]
        assert load_error(db) is None


HOSTILE = {
    "bomb": "b0: &b0 [x, x]\n" + "".join(f"b{n}: &b{n} [{f'*b{n - 1}, ' * 10}]\n" for n in range(1, 9)) + text("Evil"),
    "tag": "x: !!python/object/apply:os.system ['touch owned']\n" + text("Evil"),
    "many": "categories:\n" + "".join(f"- name: c{n}\n" for n in range(10_000)),
    "twice": text("Evil", "Evil"),
    "cycle": "&a {b: *a}",
    "deep": "[" * 100_000,
    "large": "#" * 3_000_000,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_catalog_is_refused_and_the_old_one_keeps_serving(
    db: Database, by_file: Settings, file: Path, hostile: str
) -> None:
    names(db, by_file)
    file.write_text(hostile)
    with pytest.raises(CatalogError):
        reload(db, by_file)
    assert names(db, by_file) == ["VPN"]
    assert "stays in force" in (load_error(db) or "")
    assert versions(db) == {text("VPN")}
    assert not (file.parent / "owned").exists()


@pytest.mark.parametrize("broken", BROKEN, ids=lambda answer: f"{answer.status}-{answer.body[:8]!r}")
def test_a_url_that_never_gave_a_good_version_is_an_error(
    db: Database, by_url: Settings, site: Peer, broken: Answer
) -> None:
    site.respond = lambda _request: broken
    for _ in range(3):
        with pytest.raises(CatalogError):
            current_catalog(db, by_url)
    assert "tickets wait" in (load_error(db) or "")


def test_a_clock_that_is_set_back_does_not_keep_an_old_version_for_ever(
    db: Database, by_url: Settings, site: Peer, clock: time_machine.Traveller
) -> None:
    clock.shift(timedelta(days=30))
    names(db, by_url)
    clock.move_to(START)
    site.respond = lambda _request: Answer(200, text("New").encode())
    reload(db, by_url)
    assert names(db, by_url) == ["New"]


def test_tickets_wait_while_there_is_no_catalog_and_are_classified_when_there_is(
    db: Database, by_file: Settings, file: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SERVICE_CATALOG_URL", str(file))
    file.write_text("categories: [{name: N, requests: [{name: VPN, sla: 1}]}]")
    ticket = due_ticket(db)
    classify.classify_due()
    assert status(db, ticket) == "received"
    assert "line 1: the SLA of 'VPN'" in (load_error(db) or "")
    file.write_text(text("VPN", "Printer"))
    classify.classify_due()
    assert status(db, ticket) in ("classified", "needs_review")
    assert load_error(db) is None


def status(db: Database, ticket_id: int) -> str:
    with db.read() as session:
        return session.get_one(Ticket, ticket_id).status


def test_what_a_catalog_leaves_unsaid_is_logged_once_per_version(
    db: Database, by_file: Settings, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings() -> int:
        return sum("say too little" in line.getMessage() for line in caplog.records)

    file.write_text(text("Once"))
    for _ in range(3):
        current_catalog(db, by_file)
    assert warnings() == 1
    file.write_text(text("Once", "Again"))
    current_catalog(db, by_file)
    assert warnings() == 2


def test_equal_text_is_one_object_so_that_an_engine_is_built_once(db: Database, by_url: Settings) -> None:
    assert current_catalog(db, by_url) is current_catalog(db, by_url)
