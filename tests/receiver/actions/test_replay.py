"""Replay: a kept delivery is read again with today's mapping, and nothing doubles, is lost or goes back in time."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from receiver import queue
from receiver.actions.deliveries import replay
from receiver.actions.errors import GoneError
from receiver.db import deliveries, tickets
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.db.models import REVIEWED, Delivery, Ticket
from receiver.intake import sources
from receiver.intake.sources import standard
from receiver.intake.sources.bodies import parse_json
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from receiver.web import state
from tests.conftest import wait_until
from tests.factories import acting, arrival, signed, ticket_json

BROKEN = b'{"id": "R-1", "short_description": "VPN\nis down"}'


@pytest.fixture
def api(client: FlaskClient, config: Settings) -> FlaskClient:
    """A program that sends the token with every request."""
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret_files.api_token(config)}"
    return client


def _strict(body: bytes, _most: int) -> Content:
    try:
        return standard.validate(standard.unwrap(parse_json(body)))
    except ValueError as error:
        return Content(error=str(error))


def _mended(body: bytes, max_batch: int) -> Content:
    return standard.validate(standard.unwrap(parse_json(body, lenient=True)))


def _sources(config: Settings, read: Callable[[bytes, int], Content]) -> Mapping[str, sources.Source]:
    """The sources after somebody changed how bodies are read."""
    kind = type("Changed", (sources.Source,), {"read": lambda _, body, __, most, ___: read(body, most)})
    return {name: kind(**vars(source)) for name, source in sources.configured(config).items()}


@pytest.fixture
def mended(config: Settings, app: Flask) -> Mapping[str, sources.Source]:
    """The sources of the application, now lenient."""
    changed = _sources(config, _mended)
    state.of(app).context.sources.update(changed)
    return changed


def _keep(db: Database, body: bytes | dict[str, Any] | list[Any], **fields: Any) -> int:
    """A delivery as it was recorded by the mapping of its day."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with db.write() as session:
        return deliveries.record(session, arrival(body=raw, **fields), _strict(raw, 1000)).id


def _rows(db: Database) -> list[Ticket]:
    with db.read() as session:
        return session.query(Ticket).order_by(Ticket.id).all()


def _delivery(db: Database, delivery_id: int) -> Delivery:
    with db.read() as session:
        return session.get_one(Delivery, delivery_id)


@pytest.mark.usefixtures("mended")
def test_a_quarantined_delivery_becomes_tickets(api: FlaskClient, db: Database) -> None:
    kept = _keep(db, BROKEN)
    answer = api.post(f"/api/deliveries/{kept}/replay")
    assert answer.status_code == 200
    told = answer.get_json()
    assert (told["before"]["status"], told["before"]["accepted"]) == ("quarantined", 0)
    assert "line 1 column 40" in told["before"]["error"]
    assert told["after"] == {
        "status": "replayed", "accepted": 1, "updated": 0, "duplicates": 0, "rejected": [], "error": None,
    }  # fmt: skip
    (ticket,) = _rows(db)
    assert (ticket.external_id, ticket.short_description) == ("R-1", "VPN\nis down")
    assert (ticket.status, ticket.delivery_id) == ("received", kept)
    listed = api.get("/api/deliveries?status=replayed").get_json()["items"]
    assert [(item["id"], item["accepted"], item["error"]) for item in listed] == [(kept, 1, None)]
    assert api.get("/api/stats").get_json()["deliveries"] == {
        "accepted": 0, "partial": 0, "quarantined": 0, "duplicate": 0, "replayed": 1, "dismissed": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("mended")
def test_what_a_replay_brings_is_classified_at_once(api: FlaskClient, db: Database, app: Flask) -> None:
    api.post(f"/api/deliveries/{_keep(db, BROKEN)}/replay")
    wait_until(lambda: queue.depths(state.of(app).redis)[queue.CLASSIFY] == 1)


def test_a_replay_that_still_fails_stays_quarantined_and_says_why(api: FlaskClient, db: Database) -> None:
    kept = _keep(db, BROKEN)
    told = api.post(f"/api/deliveries/{kept}/replay").get_json()
    assert told["before"] == told["after"]
    assert _delivery(db, kept).status == "quarantined"
    assert _rows(db) == []


def test_nothing_doubles_however_often_and_by_however_many_at_once(
    db: Database, config: Settings, mended: Mapping[str, sources.Source]
) -> None:
    kept = _keep(db, BROKEN)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: replay(acting(db, config, mended), "ada", kept), range(8)))
    assert sorted(each.after["accepted"] for each in done if each.after) == [0] * 7 + [1]
    assert len(_rows(db)) == 1
    with db.read() as session:
        assert session.query(Delivery).count() == 1


def test_an_older_version_never_overwrites_a_newer_one(db: Database, config: Settings) -> None:
    old = _keep(db, ticket_json(id=1, short_description="old", updated_at="2026-01-01T10:00:00Z"))
    _keep(db, ticket_json(id=1, short_description="new", updated_at="2026-01-01T11:00:00Z"))
    done = replay(acting(db, config, sources.configured(config)), "ada", old)
    assert done.after is not None
    assert (done.after["updated"], done.after["duplicates"]) == (0, 1)
    assert [ticket.short_description for ticket in _rows(db)] == ["new"]


def test_without_dates_the_later_delivery_wins(db: Database, config: Settings) -> None:
    old = _keep(db, [ticket_json(id=1, short_description="old"), ticket_json(id=2, short_description="other")])
    later = _keep(db, ticket_json(id=1, short_description="new"))
    shouting = _sources(config, _shouting)
    replay(acting(db, config, shouting), "ada", old)
    assert [ticket.short_description for ticket in _rows(db)] == ["new", "OTHER"]
    replay(acting(db, config, shouting), "ada", later)
    assert [ticket.short_description for ticket in _rows(db)] == ["NEW", "OTHER"]


def test_an_undated_change_is_not_undone_by_the_dated_delivery_before_it(db: Database, config: Settings) -> None:
    old = _keep(db, ticket_json(id=1, short_description="old", updated_at="2026-01-01T10:00:00Z"))
    _keep(db, ticket_json(id=1, short_description="new"))
    replay(acting(db, config, sources.configured(config)), "ada", old)
    assert [ticket.short_description for ticket in _rows(db)] == ["new"]


def test_of_two_changes_at_the_same_time_the_later_delivery_wins(db: Database, config: Settings) -> None:
    versions = [ticket_json(id=1, short_description=text, updated_at="2026-01-01T10:00:00Z") for text in ("old", "new")]
    first, _ = [_keep(db, version) for version in versions]
    replay(acting(db, config, sources.configured(config)), "ada", first)
    assert [ticket.short_description for ticket in _rows(db)] == ["new"]


def _shouting(body: bytes, max_batch: int) -> Content:
    found = _strict(body, max_batch)
    return Content([replace(ticket, short_description=ticket.short_description.upper()) for ticket in found.tickets])


def test_a_reviewed_ticket_keeps_its_review(db: Database, config: Settings) -> None:
    kept = _keep(db, ticket_json(short_description="old"))
    with db.write() as session:
        session.query(Ticket).one().status = REVIEWED
    done = replay(acting(db, config, _sources(config, _shouting)), "ada", kept)
    assert done.after is not None
    assert done.after["updated"] == 1
    (ticket,) = _rows(db)
    assert (ticket.status, ticket.short_description) == (REVIEWED, "OLD")


def test_a_mapping_that_finds_nothing_takes_nothing_away(db: Database, config: Settings) -> None:
    kept = _keep(db, ticket_json())
    done = replay(acting(db, config, _sources(config, lambda *_: Content(error="no id"))), "ada", kept)
    assert done.after is not None
    assert (done.after["status"], done.after["error"]) == ("quarantined", "no id")
    assert (_delivery(db, kept).status, _delivery(db, kept).error) == ("accepted", None)
    assert len(_rows(db)) == 1


def test_the_good_tickets_of_a_delivery_count_though_others_are_still_rejected(db: Database, config: Settings) -> None:
    kept = _keep(db, [ticket_json(), {"id": 7}])
    done = replay(acting(db, config, sources.configured(config)), "ada", kept)
    assert done.after is not None
    assert (done.after["status"], done.after["duplicates"]) == ("partial", 1)  # Something of it is still open.
    assert [fault["id"] for fault in done.after["rejected"]] == [7]


@pytest.mark.sqlite
def test_a_replay_that_cannot_be_written_changes_nothing(db: Database, config: Settings) -> None:
    kept = _keep(db, BROKEN)
    unwritable = Content([tickets.IncomingTicket("R-1", "x", long_description=None)])  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        replay(acting(db, config, _sources(config, lambda *_: unwritable)), "ada", kept)
    assert _rows(db) == []
    assert _delivery(db, kept).status == "quarantined"


def test_what_cannot_be_replayed_says_why(api: FlaskClient, db: Database, app: Flask, config: Settings) -> None:
    kept = _keep(db, BROKEN, key="msg_again")
    with db.write() as session:
        first = session.get_one(Delivery, kept)
        again = deliveries.record_redelivery(session, arrival(body=BROKEN, key="msg_again"), first).id
    foreign = _keep(db, BROKEN, source="gone")
    with db.write() as session:
        session.get_one(Delivery, kept).body = None
    for delivery_id, code, words in (
        (kept, 410, "RAW_RETENTION_DAYS"),
        (again, 409, f"repeats delivery {kept}"),
        (foreign, 409, "SOURCES_FILE"),
        (999, 404, "no delivery"),
    ):
        answer = api.post(f"/api/deliveries/{delivery_id}/replay")
        assert (answer.status_code, answer.get_json()["code"]) == (code, code)
        assert words in answer.get_json()["message"]
    with pytest.raises(GoneError, match="dropped"):
        replay(state.of(app).context, "ada", kept)
    assert _rows(db) == []


@pytest.fixture
def many(db: Database) -> list[int]:
    """Deliveries of the last five hours, oldest first; every other one is broken."""
    bodies: Iterator[bytes] = (
        BROKEN.replace(b"R-1", b"R-%d" % n) if n % 2 else json.dumps(ticket_json(id=f"R-{n}")).encode()
        for n in range(5)
    )
    return [_keep(db, body, at=now() - timedelta(hours=5 - n)) for n, body in enumerate(bodies)]


def _replay(api: FlaskClient, **selection: Any) -> Any:
    answer = api.post("/api/deliveries/replay", json=selection)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


@pytest.mark.usefixtures("mended")
def test_a_selection_is_replayed_and_each_says_what_became_of_it(
    api: FlaskClient, db: Database, many: list[int]
) -> None:
    told = _replay(api, ids=[many[1], 999, many[0]])
    assert [item["delivery"] for item in told["items"]] == [many[1], 999, many[0]]
    assert [(item["after"] or {}).get("accepted") for item in told["items"]] == [1, None, 0]
    assert "no delivery" in told["items"][1]["error"]
    assert told["next"] is None
    assert len(_rows(db)) == 4


@pytest.mark.usefixtures("mended")
def test_all_since_a_time_are_replayed_page_by_page(api: FlaskClient, db: Database, many: list[int]) -> None:
    selection: dict[str, Any] = {"source": "standard", "since": (now() - timedelta(hours=4.5)).isoformat(), "limit": 3}
    first = _replay(api, **selection)
    second = _replay(api, **selection, cursor=first["next"])
    assert [item["delivery"] for item in [*first["items"], *second["items"]]] == many[1:]
    assert second["next"] is None
    assert len(_rows(db)) == 5


@pytest.mark.usefixtures("mended")
def test_only_those_of_a_status_are_replayed(api: FlaskClient, many: list[int]) -> None:
    selection = {"source": "standard", "since": "2020-01-01T00:00:00Z", "status": "quarantined"}
    assert [item["delivery"] for item in _replay(api, **selection)["items"]] == [many[1], many[3]]
    assert _replay(api, **selection)["items"] == []
    assert _replay(api, **(selection | {"source": "other"}))["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {}, {"ids": []}, {"ids": ["x"]}, {"ids": [1], "source": "standard"}, {"source": "standard"}, {"ids": [0]},
        {"since": "2026-01-01"}, {"source": "s", "since": "soon"}, {"ids": [1] * 201}, {"ids": [1], "more": 1},
        {"source": "s", "since": "2026-01-01T00:00:00Z", "status": "lost"}, [], None,
    ],
)  # fmt: skip
def test_an_unclear_selection_is_refused(api: FlaskClient, body: Any) -> None:
    assert api.post("/api/deliveries/replay", json=body).status_code == 422


def test_only_who_may_use_the_api_may_replay_or_look(client: FlaskClient, db: Database) -> None:
    kept = _keep(db, BROKEN)
    for url in (f"/api/deliveries/{kept}/replay", "/api/deliveries/replay"):
        assert client.post(url, json={"ids": [kept]}).status_code == 401
    assert client.get(f"/api/deliveries/{kept}/raw").status_code == 401


def test_an_operator_sees_the_body_and_the_place_of_its_fault(
    client: FlaskClient, api: FlaskClient, config: Settings
) -> None:
    request = signed(secret_files.webhook_secrets(config)[0], BROKEN)
    kept = client.post("/webhooks/standard", **request).get_json()["delivery"]
    told = api.get(f"/api/deliveries/{kept}/raw").get_json()
    assert told["body"] == BROKEN.decode()
    assert told["headers"]["content-type"] == "application/json"
    assert "use the template's JSON filter" in told["error"]
    assert told["fault"] == {
        "line": 1, "column": 40, "before": '{"id": "R-1", "short_description": "VPN', "after": "",
    }  # fmt: skip


def test_secrets_in_a_body_or_its_headers_are_asterisks(api: FlaskClient, db: Database, config: Settings) -> None:
    own = secret_files.webhook_secrets(config)[0]
    body = {
        "note": f"x {own} y",
        "api_key": "k3y-k3y-k3y",
        "auth": "Bearer abcdefghijk",
        "user": {"Password": "hunter2"},
    }
    with db.write() as session:
        message = replace(
            arrival(body=json.dumps(body).encode()),
            headers={"authorization": "Basic abc", "x-auth-token": "t", "user-agent": own},
        )
        kept = deliveries.record(session, message, Content(error="nothing")).id
    answer = api.get(f"/api/deliveries/{kept}/raw")
    for secret in (own, "k3y", "abcdefghijk", "hunter2", "Basic abc"):
        assert secret not in answer.text
    assert len(answer.get_json()["body"]) == len(json.dumps(body))
    assert answer.get_json()["fault"] is None


def test_the_place_of_a_fault_comes_from_the_body_and_not_from_the_words_of_the_error(
    api: FlaskClient, db: Database
) -> None:
    with db.write() as session:
        said = Content(error="there is something at line 1 column 3")
        kept = deliveries.record(session, arrival(body=b'{"id": "R-1"}'), said).id
    told = api.get(f"/api/deliveries/{kept}/raw").get_json()
    assert told["error"] == "there is something at line 1 column 3"
    assert told["fault"] is None


@pytest.mark.parametrize("piece", [b"a", b"token", b"password "])
def test_a_body_is_shown_in_time_however_it_is_written(api: FlaskClient, db: Database, piece: bytes) -> None:
    kept = _keep(db, piece * (1_000_000 // len(piece)))
    started = time.monotonic()
    assert api.get(f"/api/deliveries/{kept}/raw").status_code == 200
    assert time.monotonic() - started < 60  # Reading it anew from each of its letters takes minutes.


def test_a_body_that_is_no_longer_kept_says_so(api: FlaskClient, db: Database) -> None:
    kept = _keep(db, ticket_json())
    with db.write() as session:
        session.get_one(Delivery, kept).body = None
    assert api.get(f"/api/deliveries/{kept}/raw").status_code == 410
    assert api.get("/api/deliveries/999/raw").status_code == 404
