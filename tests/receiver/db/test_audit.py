"""The audit shows every edit and every cut, and cannot be changed by the way."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from receiver.db import audit
from receiver.db.database import Database
from tests.factories import disarm_audit

MOMENT = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)
CUTS = {
    "UPDATE audit SET who = 'eve' WHERE number = 2": "entry 2 was edited",
    "UPDATE audit SET at = '2026-03-01 09:00:00.000000' WHERE number = 3": "entry 3 was edited",
    "UPDATE audit SET details = '{}' WHERE number = 1": "entry 1 was edited",
    "UPDATE audit SET hash = '0' WHERE number = 3": "entry 3 was edited",
    "DELETE FROM audit WHERE number = 1": "entry 1 is missing",
    "DELETE FROM audit WHERE number = 2": "entry 2 is missing",
    "DELETE FROM audit WHERE number = 3": "entry 3 is missing",
    "INSERT INTO audit SELECT 4, at, who, action, subject, details, hash FROM audit WHERE number = 3": "entry 4",
}


@pytest.fixture
def written(db: Database) -> Database:
    with db.write() as session:
        for number in range(3):
            audit.note(session, "ada", "review", f"ticket {number}", MOMENT, {"to": ["VPN", "é"]})
    return db


def _verdict(db: Database) -> str:
    with db.read() as session:
        return audit.verify(session) or "good"


def test_an_untouched_audit_is_good(db: Database, written: Database) -> None:
    assert _verdict(written) == "good"
    with db.read() as session:
        assert [entry.number for entry in audit.page(session, 2)] == [3, 2]
        assert [entry.number for entry in audit.about(session, "ticket 0")] == [1]


@pytest.mark.parametrize("cut", CUTS)
def test_every_edit_and_every_cut_is_named(written: Database, cut: str) -> None:
    with written.write() as session:
        disarm_audit(session)
        session.execute(text(cut))
    assert _verdict(written).startswith(CUTS[cut])


@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'eve'", "DELETE FROM audit"])
def test_nobody_changes_it_by_the_way(written: Database, change: str) -> None:
    with pytest.raises(DatabaseError, match="only added to"), written.write() as session:
        session.execute(text(change))
    assert _verdict(written) == "good"


def test_a_change_that_is_undone_leaves_no_entry(written: Database) -> None:
    with pytest.raises(KeyError), written.write() as session:
        audit.note(session, "ada", "review", "ticket 9", MOMENT)
        raise KeyError
    assert _verdict(written) == "good"


def _cut(session: Session, random: Random, entries: int) -> str:
    """Change what stands in one entry, take one out, put one in, or let two change places."""
    number, other = random.sample(range(1, entries + 1), 2)
    column = random.choice(["at", "who", "action", "subject", "details", "hash"])
    value = {"at": "'2026-03-01 08:00:00.123457'", "details": "'{\"to\": []}'"}.get(column, f"{column} || 'x'")
    kinds = {
        "edited": [f"UPDATE audit SET {column} = {value} WHERE number = {number}"],
        "cut out": [f"DELETE FROM audit WHERE number = {number}"],
        "put in": [f"INSERT INTO audit SELECT {entries + 1}, at, who, action, subject, details, hash FROM audit"
                   f" WHERE number = {number}"],
        "closed up": [f"DELETE FROM audit WHERE number = {number}",
                      f"UPDATE audit SET number = -(number - 1) WHERE number > {number}",
                      "UPDATE audit SET number = -number WHERE number < 0"],
        "swapped": [f"UPDATE audit SET number = 0 WHERE number = {number}",
                    f"UPDATE audit SET number = {number} WHERE number = {other}",
                    f"UPDATE audit SET number = {other} WHERE number = 0"],
    }  # fmt: skip
    kind = random.choice(sorted(kinds))
    for statement in kinds[kind]:
        session.execute(text(statement))
    return f"{kind}: {kinds[kind]}"


@pytest.mark.sqlite
@pytest.mark.parametrize("names", [[], ["who"], ["action"], ["who", "action"], ["who", "action", "subject"]])
def test_a_page_of_a_long_audit_is_read_by_an_index(db: Database, names: list[str]) -> None:
    told: list[tuple[str, Any]] = []
    with db.engine.connect() as connection, Session(connection) as session:
        event.listen(connection, "before_cursor_execute", lambda _c, _k, sql, values, *_: told.append((sql, values)))
        audit.page(session, 50, 1000, dict.fromkeys(names, "x"))
        statement, values = told[-1]
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all())
    assert "SEARCH audit" in plan
    assert "TEMP B-TREE" not in plan
    assert ("ix_audit_subject" in plan) == ("subject" in names)
    assert ("ix_audit_action_who" in plan) == (names == ["who", "action"])


@pytest.mark.full
def test_a_thousand_edits_are_all_found(db: Database) -> None:
    random = Random(19)
    with db.write() as session:
        for number in range(12):
            audit.note(session, f"person {number % 3}", "review", f"ticket {number}", MOMENT, {"to": number})
        disarm_audit(session)
    with db.write() as session:
        assert audit.verify(session) is None
        for _ in range(1000):
            with session.begin_nested() as edit:
                done = _cut(session, random, 12)
                found = audit.verify(session)
                edit.rollback()
            assert found and found.startswith("entry "), done
        assert audit.verify(session) is None


def test_the_latest_entries_are_checked_without_all_the_others(written: Database) -> None:
    with written.write() as session:
        disarm_audit(session)
        session.execute(text("UPDATE audit SET who = 'eve' WHERE number = 1"))
        assert audit.verify_latest(session, 2) is None
        assert (audit.verify_latest(session, 3) or "").startswith("entry 1 was edited")
        session.execute(text("UPDATE audit SET who = 'eve' WHERE number = 3"))
        assert (audit.verify_latest(session, 2) or "").startswith("entry 3 was edited")


def test_a_chain_that_was_written_anew_does_not_lead_to_the_anchor(written: Database) -> None:
    with written.write() as session:
        anchor = audit.head(session)
        audit.note(session, "ada", "review", "ticket 4", MOMENT)
        assert audit.verify(session, anchor) is None
        disarm_audit(session)
        session.execute(text("DELETE FROM audit"))
        session.execute(text("DELETE FROM counters"))
        for number in range(4):
            audit.note(session, "eve", "review", f"ticket {number}", MOMENT)
        assert audit.verify(session) is None
        assert (audit.verify(session, anchor) or "").startswith("entry 3 is not the one of the anchor")
        assert audit.verify(session, "nonsense") is not None
