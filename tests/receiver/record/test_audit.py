"""The audit shows every edit and every cut, and cannot be changed by the way."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from receiver.record import audit
from receiver.record.database import Record

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
def written(record: Record) -> Record:
    with record.write() as session:
        for number in range(3):
            audit.note(session, "ada", "review", f"ticket {number}", MOMENT, {"to": ["VPN", "é"]})
    return record


def _verdict(record: Record) -> str:
    with record.read() as session:
        return audit.verify(session) or "good"


def test_an_untouched_audit_is_good(record: Record, written: Record) -> None:
    assert _verdict(written) == "good"
    with record.read() as session:
        assert [entry.number for entry in audit.page(session, 2)] == [3, 2]
        assert [entry.number for entry in audit.about(session, "ticket 0")] == [1]


@pytest.mark.parametrize("cut", CUTS)
def test_every_edit_and_every_cut_is_named(written: Record, cut: str) -> None:
    with written.write() as session:
        session.execute(text("DROP TRIGGER audit_no_update"))
        session.execute(text("DROP TRIGGER audit_no_delete"))
        session.execute(text(cut))
    assert _verdict(written).startswith(CUTS[cut])


@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'eve'", "DELETE FROM audit"])
def test_nobody_changes_it_by_the_way(written: Record, change: str) -> None:
    with pytest.raises(DatabaseError, match="only added to"), written.write() as session:
        session.execute(text(change))
    assert _verdict(written) == "good"


def test_a_change_that_is_undone_leaves_no_entry(written: Record) -> None:
    with pytest.raises(KeyError), written.write() as session:
        audit.note(session, "ada", "review", "ticket 9", MOMENT)
        raise KeyError
    assert _verdict(written) == "good"
