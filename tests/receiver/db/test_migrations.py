"""The way of a database from empty to the newest schema."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import OperationalError

from receiver.db import database, ticket_query
from receiver.db.database import Database, Schema, SchemaError, is_at_head, migrate, opened, require_schema
from receiver.db.models import Base, Ticket
from receiver.lib.clock import now
from tests.factories import deliver, incoming
from tests.receiver.db import processes


def _sql(db: Database, kind: str) -> dict[str, str]:
    with db.engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = :kind"), {"kind": kind})
        return {name: sql for name, sql in rows if sql and name != "alembic_version"}


def _is_modelled(_object: Any, name: str, kind: str, *_: Any) -> bool:
    """The index of words and its parts are the database's own, and no model's."""
    return not (kind == "table" and name.startswith("ticket_words"))


def _by_name(keys: list[Any]) -> list[Any]:
    return sorted(keys, key=lambda key: str(key["name"]))


def test_the_migrations_lead_to_the_schema_of_the_models(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": _is_modelled}
        )
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.sqlite
def test_the_migrations_make_every_index_with_the_condition_the_models_name(db: Database, tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/models.db") as by_models:
        Base.metadata.create_all(by_models.engine)
        assert _sql(db, "index") == _sql(by_models, "index")


@pytest.mark.sqlite
def test_the_migrations_make_every_column_as_the_models_declare_it(db: Database, tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/models.db") as by_models:
        Base.metadata.create_all(by_models.engine)
        for table in Base.metadata.tables:
            made, declared = inspect(db.engine), inspect(by_models.engine)
            assert repr(made.get_columns(table)) == repr(declared.get_columns(table))
            assert made.get_pk_constraint(table) == declared.get_pk_constraint(table)
            assert _by_name(made.get_foreign_keys(table)) == _by_name(declared.get_foreign_keys(table))


def test_migrating_makes_the_folder_and_brings_an_empty_database_to_the_head(empty: Database) -> None:
    migrate(empty)
    assert is_at_head(empty)
    assert deliver(empty, incoming()).accepted == 1


def test_migrating_again_keeps_what_is_there(db: Database) -> None:
    deliver(db, incoming())
    migrate(db)
    assert is_at_head(db)
    with db.read() as session:
        assert session.query(Ticket).count() == 1


_OF_OLD = (
    "INSERT INTO deliveries (id, source, key, received_at, status, headers, body_sha256, accepted, updated, duplicates,"
    " rejected, conflict) VALUES (1, 's', 'k', '2026-01-01', 'accepted', '{}', '', 1, 0, 0, '[]', FALSE)",
    "INSERT INTO tickets (source, external_id, delivery_id, short_description, long_description, received_at, status,"
    " claimable_at, attempts, crashes)"
    " VALUES ('s', 'A', 1, 'Quetzalcoatl', '', '2026-01-01', 'received', '2026-01-01', 0, 0)",
)


def test_the_words_of_tickets_that_were_there_before_are_found(empty: Database) -> None:
    migrate(empty, "0011")
    with empty.write() as session:
        for statement in _OF_OLD:
            session.execute(text(statement))
    migrate(empty)
    with empty.read() as session:
        found = ticket_query.page(session, ticket_query.TicketQuery(q="quetzalcoatl"), 9, now())
    assert [ticket.external_id for ticket, _ in found.pairs] == ["A"]


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = '0001'", "DELETE FROM alembic_version"])
def test_another_schema_than_the_newest_is_not_at_head(db: Database, change: str) -> None:
    assert is_at_head(db)
    with db.write() as session:
        session.execute(text(change))
    assert not is_at_head(db)


def test_an_empty_database_is_not_at_head(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/tickets.db") as db:
        assert not is_at_head(db)


@pytest.mark.sqlite
def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/tickets.db") as db:
        with db.write() as session:
            session.execute(text("CREATE TABLE tickets (mine TEXT)"))
        with pytest.raises(OperationalError, match="already exists"):
            migrate(db)
        assert list(_sql(db, "table")) == ["tickets"]
        assert not is_at_head(db)
        with db.write() as session:
            session.execute(text("DROP TABLE tickets"))
        migrate(db)
        assert is_at_head(db)


def test_threads_that_migrate_at_once_all_succeed(empty: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: migrate(empty), range(6)))
    assert is_at_head(empty)


_OLD_TICKETS = """
    INSERT INTO deliveries (id, source, "key", received_at, status, headers, body_sha256, accepted, updated, duplicates,
        rejected, conflict) VALUES (1, 's', 'k', '2026-02-28 23:59:59', 'accepted', '{}', '', 2, 0, 0, '[]', FALSE);
    INSERT INTO tickets (id, source, external_id, delivery_id, short_description, long_description, received_at, status,
        due_at, claimable_at, attempts, crashes) VALUES
        (1, 's', 'a', 1, '', '', '2026-02-28 23:59:59.250000', 'classified', '2026-03-01 03:59:59.250000', '2026-01-01',
         1, 0),
        (2, 's', 'b', 1, '', '', '2026-02-28 23:59:59.250000', 'received', NULL, '2026-02-28 23:59:59', 0, 0)
"""


def test_tickets_from_before_the_sla_clock_are_at_risk_from_three_quarters_of_their_time(empty: Database) -> None:
    migrate(empty, "0009")
    with empty.write() as session:
        for statement in _OLD_TICKETS.split(";"):
            session.execute(text(statement))
    migrate(empty)
    with empty.read() as session:
        [at_risk_at, unsettled] = session.scalars(select(Ticket.at_risk_at).order_by(Ticket.id)).all()
    assert at_risk_at == datetime(2026, 3, 1, 2, 59, 59, 250_000, tzinfo=UTC)
    assert unsettled is None


def _migrate(url: str, start: Barrier) -> None:
    with opened(url) as db:
        start.wait(200)
        migrate(db)
        assert is_at_head(db)


@pytest.mark.full
def test_processes_that_migrate_at_once_all_succeed(empty: Database) -> None:
    start = processes.Barrier(5)
    children = [processes.Process(target=_migrate, args=(empty.url, start)) for _ in range(5)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 5
    with empty.engine.connect() as connection:
        assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1


def test_the_revisions_are_those_alembic_knows() -> None:
    scripts = ScriptDirectory(str(database.MIGRATIONS))
    known = [script.revision for script in scripts.walk_revisions()]
    assert database.schema_of(scripts.get_current_head()) is Schema.CURRENT
    assert {database.schema_of(revision) for revision in known[1:]} == {Schema.OLDER}
    assert database.schema_of("a1b2c3") is database.schema_of("9999") is Schema.NEWER


def test_a_database_of_a_newer_version_is_refused_in_one_line_and_left_as_it_is(db: Database) -> None:
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuses in (migrate, require_schema):
        with pytest.raises(SchemaError, match="newer version") as refused:
            refuses(db)
        assert len(str(refused.value).splitlines()) == 1
    with db.read() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_an_older_schema_is_told_with_what_to_do(empty: Database) -> None:
    migrate(empty, "0011")
    with pytest.raises(SchemaError, match="run python -m jobs migrate"):
        require_schema(empty)
