"""Which catalog tickets are classified by, while its source changes, fails and comes back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from jobs.catalog_in_force import catalog_in_force
from receiver import catalog as catalogs
from receiver.catalog import CatalogError
from receiver.record.database import Record
from receiver.record.models import CatalogVersion
from receiver.settings import Settings
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


def names(record: Record, config: Settings) -> list[str]:
    return [kind.name for kind in catalog_in_force(record, config).request_types if kind.category == "A"]


def versions(record: Record) -> set[str]:
    with record.read() as session:
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


def test_without_a_location_the_shipped_catalog_is_in_force_and_kept(record: Record, config: Settings) -> None:
    assert catalog_in_force(record, config).text == catalogs.SHIPPED.read_text()
    assert versions(record) == {catalogs.SHIPPED.read_text()}


def test_a_changed_file_is_in_force_at_once_and_both_versions_are_kept(
    record: Record, by_file: Settings, file: Path
) -> None:
    assert names(record, by_file) == ["VPN"]
    file.write_text(text("VPN", "Printer"))
    assert names(record, by_file) == ["VPN", "Printer"]
    assert versions(record) == {text("VPN"), text("VPN", "Printer")}


@pytest.mark.parametrize("broken", ["", "categories: 3", "{", "categories: [{name: A}]"])
def test_while_the_file_is_broken_the_last_good_version_stays_in_force(
    record: Record, by_file: Settings, file: Path, broken: str
) -> None:
    names(record, by_file)
    file.write_text(broken)
    assert names(record, by_file) == ["VPN"]
    file.unlink()
    assert names(record, by_file) == ["VPN"]
    file.write_text(text("Back"))
    assert names(record, by_file) == ["Back"]


def test_the_good_version_that_stays_is_the_one_that_came_last(
    record: Record, by_file: Settings, file: Path, clock: time_machine.Traveller
) -> None:
    for wanted in ("One", "Two", "One"):
        clock.shift(60)
        file.write_text(text(wanted))
        assert names(record, by_file) == [wanted]
    file.unlink()
    assert names(record, by_file) == ["One"]


def test_without_any_good_version_it_is_an_error(record: Record, by_file: Settings, file: Path) -> None:
    file.write_text("categories: 3")
    with pytest.raises(CatalogError):
        catalog_in_force(record, by_file)
    assert versions(record) == set()


def test_a_url_is_asked_again_after_five_minutes(
    record: Record, by_url: Settings, site: Peer, clock: time_machine.Traveller
) -> None:
    assert names(record, by_url) == ["VPN"]
    site.respond = lambda _request: Answer(200, text("VPN", "Printer").encode())
    clock.move_to(START + timedelta(minutes=4, seconds=59))
    assert names(record, by_url) == ["VPN"]
    assert len(site.requests) == 1
    clock.move_to(START + timedelta(minutes=5, seconds=1))
    assert names(record, by_url) == ["VPN", "Printer"]
    assert len(site.requests) == 2


def test_an_unchanged_url_is_not_asked_for_every_job(
    record: Record, by_url: Settings, site: Peer, clock: time_machine.Traveller
) -> None:
    for minute in range(20):
        clock.move_to(START + timedelta(minutes=minute))
        assert names(record, by_url) == ["VPN"]
    assert len(site.requests) == 4


@pytest.mark.parametrize("broken", BROKEN, ids=lambda answer: f"{answer.status}-{answer.body[:8]!r}")
def test_while_a_url_fails_the_last_good_version_stays_in_force(
    record: Record, by_url: Settings, site: Peer, clock: time_machine.Traveller, broken: Answer
) -> None:
    names(record, by_url)
    site.respond = lambda _request: broken
    clock.shift(timedelta(days=3))
    assert names(record, by_url) == ["VPN"]
    site.respond = lambda _request: Answer(200, text("Back").encode())
    assert names(record, by_url) == ["Back"]


def test_a_url_that_is_away_keeps_the_last_good_version(
    record: Record, by_url: Settings, clock: time_machine.Traveller
) -> None:
    names(record, by_url)
    clock.shift(timedelta(hours=1))
    assert names(record, replace(by_url, service_catalog_url="http://127.0.0.1:1/catalog.yaml")) == ["VPN"]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda answer: f"{answer.status}-{answer.body[:8]!r}")
def test_a_url_that_never_gave_a_good_version_is_an_error(
    record: Record, by_url: Settings, site: Peer, broken: Answer
) -> None:
    site.respond = lambda _request: broken
    with pytest.raises(CatalogError):
        catalog_in_force(record, by_url)


def test_a_clock_that_is_set_back_does_not_keep_an_old_version_for_ever(
    record: Record, by_url: Settings, site: Peer, clock: time_machine.Traveller
) -> None:
    clock.shift(timedelta(days=30))
    names(record, by_url)
    clock.move_to(START)
    site.respond = lambda _request: Answer(200, text("New").encode())
    assert names(record, by_url) == ["New"]


def test_equal_text_is_one_object_so_that_an_engine_is_built_once(record: Record, by_url: Settings) -> None:
    assert catalog_in_force(record, by_url) is catalog_in_force(record, by_url)
