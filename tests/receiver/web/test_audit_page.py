"""The page and the command that show the audit, and that what is changed by whatever way is in it."""

from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from lxml import html as markup  # type: ignore[import-untyped]
from sqlalchemy import text

from jobs.__main__ import main
from jobs.operations import shell_user
from receiver.db import audit, due_tickets
from receiver.db.database import Database
from receiver.lib import roles, secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.factories import deliver, disarm_audit, due_ticket, incoming, settle, sign_in_as
from tests.receiver.web.test_dashboard import HOSTILE, no_way_in


@pytest.fixture
def operator(client: FlaskClient, db: Database) -> FlaskClient:
    sign_in_as(client, db, roles.OPERATOR)
    return client


def _note(db: Database, many: int, who: str = "ada", action: str = "review", **details: Any) -> None:
    with db.write() as session:
        for number in range(many):
            audit.note(session, who, action, f"ticket {number}", now(), details)


def _entries(client: FlaskClient, path: str = "/audit") -> list[list[str]]:
    rows = markup.fromstring(client.get(path).text).xpath("//tbody/tr")
    return [[" ".join(cell.text_content().split()) for cell in row] for row in rows]


def _tamper(db: Database, statement: str) -> None:
    with db.write() as session:
        disarm_audit(session)
        session.execute(text(statement))


def test_entries_are_paged_and_filtered(operator: FlaskClient, db: Database) -> None:
    _note(db, 60)
    _note(db, 1, who="eve@example.com", action="redrive", reason="late")
    page = markup.fromstring(operator.get("/audit").text)
    assert "All 62 entries are as written" in " ".join(page.text_content().split())
    assert [row[0] for row in _entries(operator)][:2] == ["62", "61"]
    [older] = page.xpath("//a[@rel='next']/@href")
    assert [row[0] for row in _entries(operator, older)] == [str(number) for number in range(12, 0, -1)]
    assert _entries(operator, "/audit?who=eve@example.com")[0][2:] == [
        "eve@example.com", "redrive", "ticket 0", "reason: late",
    ]  # fmt: skip
    assert [row[0] for row in _entries(operator, "/audit?action=review&subject=ticket 7")] == ["9"]
    assert "No entry is like that" in operator.get("/audit?who=nobody").text


def test_an_empty_audit_says_what_will_be_seen(operator: FlaskClient, db: Database) -> None:
    _tamper(db, "DELETE FROM audit")  # Else their own sign-in is the first entry.
    with db.write() as session:
        session.execute(text("DELETE FROM counters WHERE name = 'audit'"))
    assert "appears here" in operator.get("/audit").text


def test_hostile_text_stays_text(operator: FlaskClient, db: Database) -> None:
    _note(db, 1, who=HOSTILE, action=HOSTILE, **{HOSTILE: HOSTILE})
    page = markup.fromstring(operator.get("/audit").text)
    no_way_in(page)
    assert page.text_content().count(HOSTILE) >= 4


def test_the_first_bad_entry_is_named_on_the_page_and_by_the_command(operator: FlaskClient, db: Database) -> None:
    _note(db, 5)
    good = CliRunner().invoke(main, ["audit", "--verify"])
    assert (good.exit_code, good.stdout.splitlines()[0][:9]) == (0, "6 entries")
    anchor = good.stdout.splitlines()[1]
    assert CliRunner().invoke(main, ["audit", "--anchor", anchor]).exit_code == 0
    assert CliRunner().invoke(main, ["audit", "--anchor", anchor.replace("6:", "5:")]).exit_code == 1
    _tamper(db, "UPDATE audit SET who = 'eve' WHERE number = 3")
    assert "tampered with: entry 3 was edited" in operator.get("/audit").text
    bad = CliRunner().invoke(main, ["audit", "--verify"])
    assert bad.exit_code == 1
    assert "entry 3 was edited" in bad.stderr


def test_the_command_lists_the_newest_last(db: Database) -> None:
    _note(db, 3)
    listed = CliRunner().invoke(main, ["audit", "--limit", "2", "--who", "ada"]).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["2", "3"]
    assert "ada  review  ticket 2" in listed[1]


def _actions(db: Database) -> list[tuple[str, str, str]]:
    with db.read() as session:
        return [(entry.who, entry.action, entry.subject) for entry in reversed(audit.page(session, 50))]


def test_every_change_over_the_api_is_in_it(client: FlaskClient, db: Database, config: Settings) -> None:
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    first, second = due_ticket(db), due_ticket(db)
    settle(db, first)
    with db.write() as session:
        due_tickets.fail(session, second, "other", "gave up", 1, None)
    paths = [f"tickets/{first}/review", f"tickets/{second}/redrive", "deliveries/1/replay", "catalog/reload", "digests"]
    for path in paths:
        assert client.post(f"/api/{path}", json={}, headers=headers).status_code in (200, 202), path
    found = _actions(db)
    assert {who for who, _, _ in found} == {"API token"}
    assert [action for _, action, _ in found] == ["confirm", "redrive", "replay", "reload", "send"]
    assert [subject for _, _, subject in found[:3]] == [f"ticket {first}", f"ticket {second}", "delivery 1"]


def test_what_is_refused_is_not_in_it(client: FlaskClient, db: Database, config: Settings) -> None:
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    for path in ("tickets/9/review", "tickets/9/redrive", "deliveries/9/replay", "digests"):
        assert client.post(f"/api/{path}", json={}, headers=headers).status_code in (404, 409, 410)
    assert _actions(db) == []


def test_every_change_from_the_shell_is_in_it(db: Database) -> None:
    settle(db, due_ticket(db, requester_email="lin@example.com"))
    deliver(db, incoming())
    lines = ["digest", "digest --resend 1", "replay --ids 2", "outgoing --redrive", "token --sign-in",
             "erase --requester lin@example.com --yes"]  # fmt: skip
    for line in lines:
        done = CliRunner().invoke(main, line.split())
        assert done.exit_code == 0, done.output
    found = _actions(db)
    assert {who for who, _, _ in found} == {shell_user.who()}
    assert [action for _, action, _ in found] == ["send", "resend", "replay", "redrive", "make link", "erase"]
    assert not any("lin@" in part for entry in found for part in entry)
