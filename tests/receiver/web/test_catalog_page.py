"""Catalog: the tree, its counts, its versions, and reading it anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as markup  # type: ignore[import-untyped]

from receiver import catalog
from receiver.catalog import Catalog, RequestType, Sla
from receiver.catalog.changes import Changes, compare
from receiver.db import audit, catalog_usage, catalogs
from receiver.db.database import Database
from receiver.db.models import Ticket
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import auth
from tests.factories import csrf, due_ticket, review, settle, sign_in_as
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in

NETWORK, VPN, WIFI = "Network & Connectivity", "VPN Connection Issue", "Wi-Fi/LAN Connectivity"
SMALL = """
categories:
  - name: Network
    requests:
      - {name: VPN, sla: {value: 4, unit: hours}, description: The tunnel fails., keywords: [tunnel]}
      - {name: Wi-Fi}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def app(config: Settings, db: Database, file: Path, application: Callable[[Settings], Flask]) -> Flask:
    """The application over a small catalog in a file."""
    made = application(replace(config, service_catalog_url=str(file)))
    made.testing = True
    return made


@pytest.fixture
def operator(client: FlaskClient, db: Database) -> FlaskClient:
    sign_in_as(client, db, auth.OPERATOR, email="olga@example.com")
    return client


def _page(person: FlaskClient, path: str = "/catalog") -> Any:
    answer = person.get(path)
    assert answer.status_code == 200
    return markup.fromstring(answer.text)


def _entries(page: Any) -> list[str]:
    return [" ".join(row.text_content().split()) for row in page.xpath("//details[@data-row]/summary")]


def _reload(person: FlaskClient, token: str | None = None) -> Any:
    data = {"csrf_token": token or csrf(person, "/catalog")}
    return person.post("/catalog/reload", data=data, follow_redirects=True)


def test_the_tree_shows_promises_and_what_is_left_unsaid(operator: FlaskClient) -> None:
    page = _page(operator)
    vpn, wifi, fallback = _entries(page)
    assert vpn == "VPN 1 gap 4 hours 0 tickets 0 learned"
    assert wifi == "Wi-Fi 3 gaps 24 hours assumed 0 tickets 0 learned"
    assert "fallback" in fallback
    assert "added, because the catalog names none" in page.text_content()
    assert "Wi-Fi: no description, no examples, no keywords" in page.text_content()


def test_tickets_and_examples_are_counted_where_they_are_now(operator: FlaskClient, db: Database) -> None:
    small = catalog.parse(SMALL)
    tickets = [due_ticket(db) for _ in range(3)]
    for ticket in tickets:
        settle(db, ticket, category="Network", request_type="VPN")
    review(db, tickets[0], small, "Network", "Wi-Fi")
    vpn, wifi, _ = _entries(_page(operator))
    assert "2 tickets 0 learned" in vpn
    assert "1 tickets 1 learned" in wifi
    with db.write() as session:
        session.query(Ticket).filter_by(id=tickets[1]).update({"category": None, "request_type": None})
    with db.read() as session:
        assert catalog_usage.tickets(session) == {("Network", "VPN"): 1, ("Network", "Wi-Fi"): 1}


def test_entries_that_left_the_catalog_are_named_with_their_tickets(operator: FlaskClient, db: Database) -> None:
    settle(db, due_ticket(db), category="Network", request_type="Token Ring")
    assert "Network / Token Ring 1 tickets" in " ".join(_page(operator).text_content().split())


def test_the_search_takes_any_word_of_an_entry(operator: FlaskClient) -> None:
    assert [row.split()[0] for row in _entries(_page(operator, "/catalog?q=TUNNEL+fails"))] == ["VPN"]
    page = _page(operator, "/catalog?q=nothing-like-it")
    assert _entries(page) == []
    assert "No entry holds this word" in page.text_content()


def test_a_reload_brings_what_is_new_and_says_who_asked(operator: FlaskClient, db: Database, file: Path) -> None:
    token = csrf(operator, "/catalog")
    old = catalog.parse(SMALL)
    file.write_text(SMALL.replace("value: 4", "value: 2").replace("Wi-Fi", "WLAN"))
    new = catalog.parse(file.read_text())
    answer = _reload(operator, token)
    assert f"Version {new.version} is in force." in answer.text
    assert "Nothing has changed" in _reload(operator).text
    rows = [[" ".join(cell.text_content().split()) for cell in row] for row in _page(operator).xpath("//table//tr[td]")]
    assert [(row[0], row[4]) for row in rows] == [
        (f"{new.version} in force", "olga@example.com"), (old.version, "the timetable"),
    ]  # fmt: skip
    with db.read() as session:
        assert audit.first_about(session, [f"catalog {new.version}"]) == {f"catalog {new.version}": "olga@example.com"}
    [link] = _page(operator).xpath("//a[starts-with(., 'What changed')]/@href")
    text = " ".join(_page(operator, link).text_content().split())
    assert "1added 1removed 1with another SLA" in text
    assert "SLA 4 hours → 2 hours" in text
    assert operator.get("/catalog/changes/none/such").status_code == 404


def test_a_refused_catalog_shows_its_wrong_lines_and_changes_nothing(operator: FlaskClient, file: Path) -> None:
    _page(operator)
    file.write_text(SMALL.replace("value: 4", "value: soon").replace("{name: Wi-Fi}", "{name: VPN}"))
    answer = _reload(operator)
    assert answer.status_code == 422
    page = markup.fromstring(answer.text)
    assert [line.findtext("b") for line in page.find_class("faults")[0]] == ["Line 5", "Line 6"]
    assert catalog.parse(SMALL).version in page.text_content()
    assert len(_entries(page)) == 3


def test_without_any_good_catalog_the_page_says_what_is_wrong(operator: FlaskClient, file: Path) -> None:
    file.write_text("nothing: here")
    page = _page(operator)
    assert "SERVICE_CATALOG_URL" in page.find_class("empty")[0].text_content()


@pytest.mark.parametrize("role", [auth.VIEWER, auth.REVIEWER])
def test_who_is_no_operator_looks_and_does_not_reload(client: FlaskClient, db: Database, role: str) -> None:
    sign_in_as(client, db, role)
    assert [form.action for form in _page(client).forms if "reload" in str(form.action)] == []
    assert _reload(client).status_code == 403


def test_hostile_names_stay_text(operator: FlaskClient, db: Database, file: Path) -> None:
    requests = [
        {"name": HOSTILE, "description": HOSTILE, "examples": [HOSTILE], "keywords": [HOSTILE]},
        {"name": f"{HOSTILE} 2"},
    ]
    text = yaml.safe_dump({"rules": [HOSTILE], "categories": [{"name": HOSTILE, "requests": requests}]})
    file.write_text(text)
    settle(db, due_ticket(db), category=HOSTILE, request_type=f"{HOSTILE} gone")
    page = _page(operator)
    no_way_in(page)
    assert page.text_content().count(HOSTILE) > 8
    hostile = catalog.parse(text)
    with db.write() as session:
        catalogs.remember(session, "other", SMALL, now(), HOSTILE)
    for path in (f"/catalog/changes/other/{hostile.version}", "/catalog"):
        no_way_in(_page(operator, path))


def test_the_largest_catalog_is_shown(operator: FlaskClient, file: Path) -> None:
    categories = [
        {
            "name": f"C{c}",
            "requests": [{"name": f"R{c}.{r}", "examples": [f"e{n}" for n in range(9)]} for r in range(20)],
        }
        for c in range(50)
    ]
    file.write_text(yaml.safe_dump({"categories": categories}))
    assert len(_entries(_page(operator))) == 1001


kinds = st.builds(
    RequestType,
    category=st.sampled_from("AB"),
    name=st.sampled_from("xyz"),
    sla=st.builds(Sla, st.integers(1, 2), st.just("hours")),
    description=st.sampled_from(["", "one", "two"]),
    examples=st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(tuple),
)
some = st.lists(kinds, min_size=1, max_size=6, unique_by=lambda kind: (kind.category, kind.name))


def _catalog(kinds: list[RequestType]) -> Catalog:
    return Catalog("", tuple(kinds), kinds[0])


@given(some, some)
def test_the_changes_lead_from_one_catalog_to_the_other(before: list[RequestType], after: list[RequestType]) -> None:
    found = compare(_catalog(before), _catalog(after))
    gone = {(kind.category, kind.name) for kind in found.removed}
    made = {(k.category, k.name): k for k in before if (k.category, k.name) not in gone}
    made |= {(kind.category, kind.name): kind for kind in found.added}
    for change in found.changed:
        kind = made[change.category, change.name]
        examples = {*kind.examples, *change.examples.added} - set(change.examples.removed)
        made[change.category, change.name] = replace(
            kind,
            sla=change.sla[1] if change.sla else kind.sla,
            description=change.description.after if change.description else kind.description,
            examples=tuple(sorted(examples)),
        )
    plain = {entry: replace(kind, examples=tuple(sorted(kind.examples))) for entry, kind in made.items()}
    assert plain == {(k.category, k.name): replace(k, examples=tuple(sorted(k.examples))) for k in after}


@given(some)
def test_a_catalog_has_no_changes_against_itself(kinds: list[RequestType]) -> None:
    assert compare(_catalog(kinds), _catalog(kinds)) == Changes()
    assert not compare(_catalog(kinds), _catalog(kinds))
