"""Quality: the figures of reviews, as a person sees them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as markup  # type: ignore[import-untyped]

from receiver.catalog import Catalog
from receiver.db.database import Database
from receiver.db.models import ReviewOutcome
from receiver.db.review_outcomes import Day
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.dashboard import quality
from tests.factories import due_ticket, review, settle, sign_in_as
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in

NETWORK, VPN, WIFI = "Network & Connectivity", "VPN Connection Issue", "Wi-Fi/LAN Connectivity"


@pytest.fixture
def person(client: FlaskClient, db: Database) -> FlaskClient:
    sign_in_as(client, db, auth.VIEWER)
    return client


def _page(person: FlaskClient, query: str = "") -> Any:
    answer = person.get(f"/quality?{query}")
    assert answer.status_code == 200
    return markup.fromstring(answer.text)


def _tiles(page: Any) -> dict[str, str]:
    return {tile.findtext("span") or "": tile.findtext("b") or "" for tile in page.find_class("tile")}


def _reviewed(db: Database, shipped: Catalog, *choice: str, at: datetime | None = None, **fields: Any) -> None:
    source = fields.pop("source", "standard")
    ticket = due_ticket(db, source=source)
    settle(db, ticket, **fields)
    review(db, ticket, shipped, *choice, at=at)


def _rows(page: Any, heading: str) -> list[list[str]]:
    [table] = page.xpath(f"//section[h2[starts-with(normalize-space(), '{heading}')]]//table")
    return [[" ".join(cell.text_content().split()) for cell in row] for row in table.xpath("tbody/tr")]


def test_without_reviews_the_page_says_how_there_will_be_some(person: FlaskClient) -> None:
    [empty] = _page(person).find_class("empty")
    assert "Nothing was reviewed in these 30 days" in empty.text_content()
    assert "python -m jobs evaluate" in empty.text_content()


def test_the_figures_are_those_of_the_reviews(person: FlaskClient, db: Database, shipped: Catalog) -> None:
    for _ in range(3):
        _reviewed(db, shipped, confidence=0.9)
    _reviewed(db, shipped, NETWORK, WIFI, confidence=0.5, review_reason="low_confidence")
    _reviewed(
        db, shipped, "Security", "Report Phishing/Suspicious Email", confidence=0.5, review_reason="low_confidence"
    )
    page = _page(person)
    tiles = _tiles(page)
    assert tiles["right request type"] == "60.0 %"
    assert tiles["right category"] == "80.0 %"
    assert tiles["right, not sent to review"] == "100.0 %"
    assert tiles["right, sent to review"] == "0.0 %"
    assert tiles["within 5 % error"] == "60.0 %"
    assert tiles["calibration error"] == "26.0 %"
    matrix = _rows(page, "Who is taken for whom")
    assert matrix == [["1Network & Connectivity", "4", "", "4"], ["2Security", "1", "", "1"]]
    types = {row[0]: (row[1], row[2], row[4]) for row in _rows(page, "By request type")}
    assert types[VPN] == ("3", "100.0 %", "60.0 %")
    assert types[WIFI] == ("1", "0.0 %", "–")


def test_a_category_opens_its_request_types(person: FlaskClient, db: Database, shipped: Catalog) -> None:
    _reviewed(db, shipped)
    _reviewed(db, shipped, NETWORK, WIFI)
    _reviewed(db, shipped, "Security", "Report Phishing/Suspicious Email")
    [link] = [a for a in _page(person).xpath("//table//a/@href") if "category=Network" in a]
    page = markup.fromstring(person.get(link).text)
    assert _rows(page, "All categories / Network") == [
        [f"1{VPN}", "1", "", "", "1"], [f"2{WIFI}", "1", "", "", "1"], ["3elsewhere", "1", "", "", "1"],
    ]  # fmt: skip


def test_window_source_and_version_are_in_the_url(person: FlaskClient, db: Database, shipped: Catalog) -> None:
    _reviewed(db, shipped, source="desk", model="m-1", engine="llm", prompt_version="p-1")
    _reviewed(db, shipped, at=now() - timedelta(days=20))
    _reviewed(db, shipped, at=now() - timedelta(days=80))
    reviewed = {
        "": 2, "days=7": 1, "days=90": 3, "days=8": 2, "source=desk": 1, "model=m-1": 1, "catalog_version=no": 0,
        "prompt_version=p-1&days=90": 1, "endpoint=x&_external=1&_scheme=javascript&category=none": 2,
    }  # fmt: skip
    for query, expected in reviewed.items():
        [count] = _page(person, query).find_class("count")
        assert count.text_content() == f"{expected} answers reviewed", query
    assert "remove" in _page(person, "source=desk").find_class("chips")[0].text_content()


def test_hostile_names_stay_text(person: FlaskClient, db: Database) -> None:
    ticket = due_ticket(db)
    settle(db, ticket)
    names = dict.fromkeys(
        ("source", "engine", "model", "prompt_version", "catalog_version", "found_category", "found_type"), HOSTILE
    )
    with db.write() as session:
        day = now().date().isoformat()
        rest = {"confidence": 1.0, "flagged": False, "chosen_category": HOSTILE, "chosen_type": f"{HOSTILE} "}
        session.add(ReviewOutcome(judged_id=1, ticket_id=ticket, day=day, **names, **rest))
    for query in ({}, {"category": HOSTILE}, {"source": HOSTILE, "model": HOSTILE}):
        answer = person.get("/quality", query_string=query)
        no_way_in(markup.fromstring(answer.text))
        assert answer.text.count("&lt;script&gt;") > 10


@given(
    st.dictionaries(st.integers(0, 89), st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=12),
    st.sampled_from(sorted(quality.WINDOWS.items())),
)
def test_a_point_of_the_trend_is_of_its_days_and_no_others(
    days: dict[int, tuple[int, int]], window: tuple[int, int]
) -> None:
    length, step = window
    since = date(2026, 1, 1)
    inside = {day: (n, min(n, right)) for day, (n, right) in days.items() if day < length}
    rows = [Day((since + timedelta(days=day)).isoformat(), n, right, right) for day, (n, right) in inside.items()]
    found = quality.trend(rows, since, step)
    for index, at in enumerate(found["x"]):
        first = (datetime.fromtimestamp(at, UTC).date() - since).days
        members = [inside[day] for day in range(first, first + step) if day in inside]
        assert found["counts"][index] == sum(n for n, _ in members)
        right = sum(right for _, right in members) / sum(n for n, _ in members) if members else None
        assert found["right"][index] == right
        assert right is None or (found["low"][index] <= right + 1e-9 and right - 1e-9 <= found["high"][index])
    assert sum(found["counts"]) == sum(n for n, _ in inside.values())
