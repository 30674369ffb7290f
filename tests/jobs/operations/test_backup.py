"""Backups are taken while others write, hold what a new machine needs, and are put back whole or not at all."""

import hashlib
import json
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from openpyxl import load_workbook

from jobs.__main__ import main
from jobs.digests import send
from jobs.operations import backup, erase, restore
from jobs.operations.backup import BackupError
from receiver.db import alarms, api_tokens, browser_sessions, database, moments, people, sign_in
from receiver.db.database import Database
from receiver.db.models import Person, Ticket
from receiver.lib import data_dir_lock, roles, secret_files, settings
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import ADMIN, ROOT
from tests.factories import deliver, due_ticket, incoming, settle, use_link
from tests.jobs.operations.test_pipeline import environment_of

pytestmark = [pytest.mark.sqlite, pytest.mark.durable]


def _restore(db: Database, config: Settings, origin: Path) -> restore.Plan:
    with restore.ready(db, config, origin) as plan:
        restore.put_back(db, config, plan)
    return plan


def _names(db: Database) -> list[str]:
    with db.read() as session:
        return [ticket.external_id for ticket in session.query(Ticket).order_by(Ticket.id)]


def _inside(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def _state(folder: Path) -> dict[str, bytes]:
    """Every file of a DATA_DIR but for what a look at it may touch."""
    skipped = (".lock", "-wal", "-shm")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(skipped)
    }


@pytest.fixture
def archive(db: Database, config: Settings, tmp_path: Path) -> Path:
    """A backup with one ticket."""
    due_ticket(db, external_id="before")
    return backup.backup(db, config, tmp_path)


def test_a_backup_taken_while_others_write_is_whole(db: Database, config: Settings, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            deliver(db, incoming(), incoming())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            target = tmp_path / f"{number}.zip"
            backup.backup(db, config, target)
            with zipfile.ZipFile(target) as found:
                found.extract(backup.SQLITE, tmp_path / str(number))
            with closing(sqlite3.connect(tmp_path / str(number) / backup.SQLITE)) as copy:
                assert copy.execute("SELECT count(*) FROM tickets").fetchone()[0] % 2 == 0
    finally:
        stop.set()
        writer.join()


def test_a_backup_is_one_private_file_with_a_name_of_its_moment(archive: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert [each.path for each in backup.listed(tmp_path)] == [archive]
    assert abs(backup.listed(tmp_path)[0].made_at - now()) < timedelta(minutes=1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".backup")]
    with zipfile.ZipFile(archive) as found:
        manifest = json.loads(found.read(backup.MANIFEST))
    assert manifest["schema"] == database.revisions()[-1]
    assert set(manifest["files"]) == _inside(archive) - {backup.MANIFEST}


def test_a_restored_backup_is_the_record_of_its_instant(db: Database, config: Settings, archive: Path) -> None:
    due_ticket(db, external_id="after")
    _restore(db, config, archive)
    assert _names(db) == ["before"]
    [kept] = (config.data_dir / "backups").glob("before-restore-*.zip")
    _restore(db, config, kept)
    assert _names(db) == ["before", "after"]


def test_a_new_machine_has_all_that_the_old_one_had(
    db: Database, config: Settings, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    sources, digests = tmp_path / "sources.yaml", tmp_path / "digests.yaml"
    sources.write_text("sources: {desk: {profile: zendesk, secrets: [a-long-secret-of-zendesk]}}\n")
    digests.write_text("digests: [{name: daily, cron: 0 8 * * *}]\n")
    environment.setenv("API_TOKEN", "a token of the environment")
    config = replace(
        config, sources_file=str(sources), digests_file=str(digests), api_token="a token of the environment"
    )
    settle(db, due_ticket(db, external_id="told"))
    sent = send.send_now(db, config)
    assert sent is not None
    known = (secret_files.webhook_secrets(config), secret_files.api_token(config), secret_files.session_key(config))
    archive = backup.backup(db, config, tmp_path)

    other = settings.load({"DATA_DIR": str(tmp_path / "new")})
    with database.opened(other.database_url) as moved:
        plan = _restore(moved, other, archive)
        assert _names(moved) == ["told"]
    assert (
        secret_files.webhook_secrets(other),
        secret_files.api_token(other),
        secret_files.session_key(other),
    ) == known
    book = load_workbook(other.data_dir / "digests" / f"digest-{sent.id}.xlsx")
    assert book["Tickets"].cell(2, 1).value == "told"
    assert (other.data_dir / "digests" / f"digest-{sent.id}.eml").exists()
    assert (other.data_dir / "restored" / "sources.yaml").read_text() == sources.read_text()
    assert (other.data_dir / "restored" / "digests.yaml").read_text() == digests.read_text()
    assert "SOURCES_FILE was set there and is not set here" in plan.lacks
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in other.data_dir.rglob("*") if path.is_file())


def test_files_that_settings_name_are_put_where_they_name_them(db: Database, config: Settings, tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources: {desk: {profile: zendesk, secrets: [a-long-secret-of-zendesk]}}\n")
    config = replace(config, sources_file=str(path))
    archive = backup.backup(db, config, tmp_path)
    path.write_text("sources: {}\n")
    plan = _restore(db, config, archive)
    assert str(path) in plan.replaces
    assert "zendesk" in path.read_text()


def test_workbooks_of_digests_that_are_gone_again_go_too(db: Database, config: Settings, archive: Path) -> None:
    settle(db, due_ticket(db))
    sent = send.send_now(db, config)
    assert sent is not None
    plan = _restore(db, config, archive)
    assert "what 1 digests have told since is told again" in plan.revives
    assert not list((config.data_dir / "digests").glob(f"digest-{sent.id}.*"))


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"\xff" * 5000, b"PK\x03\x04zip"])
def test_what_is_no_backup_is_refused_and_changes_nothing(
    db: Database, config: Settings, tmp_path: Path, content: bytes
) -> None:
    due_ticket(db)
    (tmp_path / "broken.zip").write_bytes(content)
    with pytest.raises(BackupError, match=r"is not a backup|damaged"):
        _restore(db, config, tmp_path / "broken.zip")
    assert len(_names(db)) == 1


def test_a_missing_backup_and_a_folder_are_refused(db: Database, config: Settings, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="there is no file"):
        _restore(db, config, tmp_path / "none.zip")
    with pytest.raises(BackupError, match="is a folder"):
        _restore(db, config, tmp_path)


def test_an_old_copy_of_the_database_alone_is_still_read(db: Database, config: Settings, tmp_path: Path) -> None:
    due_ticket(db, external_id="before")
    backup.snapshot(db, tmp_path / "old.db")
    due_ticket(db, external_id="after")
    token = secret_files.api_token(config)
    plan = _restore(db, config, tmp_path / "old.db")
    assert _names(db) == ["before"]
    assert secret_files.api_token(config) == token
    assert any("not in it" in line for line in plan.lacks)


def test_a_backup_of_an_older_version_is_brought_to_todays_schema(
    db: Database, config: Settings, tmp_path: Path
) -> None:
    with database.opened(f"sqlite:///{tmp_path}/old.db") as old:
        database.migrate(old, "0012")
    _restore(db, config, tmp_path / "old.db")
    assert database.is_at_head(db)


def _edited(archive: Path, change: Callable[[sqlite3.Connection], object]) -> Path:
    """The archive with another database, its manifest true to it."""
    folder = archive.with_suffix("")
    with zipfile.ZipFile(archive) as source:
        source.extractall(folder)
    with closing(sqlite3.connect(folder / backup.SQLITE)) as connection:
        change(connection)
        connection.commit()
    manifest = json.loads((folder / backup.MANIFEST).read_text())
    data = (folder / backup.SQLITE).read_bytes()
    manifest["files"][backup.SQLITE] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    with closing(sqlite3.connect(folder / backup.SQLITE)) as connection:
        manifest["schema"] = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    (folder / backup.MANIFEST).write_text(json.dumps(manifest))
    made = archive.with_name("edited.zip")
    with zipfile.ZipFile(made, "w") as target:
        for path in folder.rglob("*"):
            if path.is_file():
                target.write(path, path.relative_to(folder).as_posix())
    shutil.rmtree(folder)
    return made


CRAFTED = {
    "a trigger": "CREATE TRIGGER grab AFTER INSERT ON people BEGIN UPDATE people SET role = 'admin'; END",
    "a view": "CREATE VIEW everybody AS SELECT * FROM people",
    "a table": "CREATE TABLE more (x)",
    "an index": "CREATE INDEX slow ON people (role)",
    "a column": "ALTER TABLE people ADD COLUMN x",
    "no trigger": "DROP TRIGGER audit_no_update",
    "a newer version": "UPDATE alembic_version SET version_num = '9999'",
}


@pytest.mark.parametrize("statement", CRAFTED.values(), ids=CRAFTED)
def test_a_database_of_another_schema_is_refused_and_changes_nothing(
    db: Database, config: Settings, archive: Path, statement: str
) -> None:
    with closing(sqlite3.connect(config.data_dir / "tickets.db")) as connection:
        triggers = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    statement = statement.replace("audit_no_update", next(name for name in triggers if name.startswith("audit")))
    crafted = _edited(archive, lambda connection: connection.execute(statement))
    before = _state(config.data_dir)
    with pytest.raises(BackupError, match="schema"):
        _restore(db, config, crafted)
    assert _state(config.data_dir) == before


def _rewritten(archive: Path, name: str, data: bytes, *, mode: int = 0o100600, known: bool = True) -> Path:
    """The archive with one more file, which its manifest names."""
    made = archive.with_name("rewritten.zip")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(made, "w") as target:
        manifest = json.loads(source.read(backup.MANIFEST))
        if known:
            manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for entry in source.namelist():
            if entry not in (name, backup.MANIFEST):
                target.writestr(entry, source.read(entry))
        entry_of = zipfile.ZipInfo(name)
        entry_of.external_attr = mode << 16
        target.writestr(entry_of, data)
        target.writestr(backup.MANIFEST, json.dumps(manifest))
    return made


@pytest.mark.parametrize(
    "name",
    [
        "../escaped", "data/../../escaped", "/escaped", "data//etc/passwd", "settings/../../escaped",
        "settings/a/b",
        "data/redis/appendonly.aof", "data/backups/x.zip", "data/stack.lock", "data/tickets.db", "data/.hidden",
        "data\\..\\escaped", "elsewhere/file", "data/", "data/in-use.lock",
    ],
)  # fmt: skip
def test_an_archive_that_leads_elsewhere_is_refused(db: Database, config: Settings, archive: Path, name: str) -> None:
    crafted, before = _rewritten(archive, name, b"planted"), _state(config.data_dir)
    with pytest.raises(BackupError, match=r"which no backup of ours does|not a backup|damaged"):
        _restore(db, config, crafted)
    assert _state(config.data_dir) == before
    assert not list(config.data_dir.parent.rglob("escaped"))


def test_a_link_a_changed_file_and_a_file_too_many_are_refused(db: Database, config: Settings, archive: Path) -> None:
    before = _state(config.data_dir)
    for name, mode, known in (
        ("data/api_token", 0o120777, True), ("data/api_token", 0o100600, False), ("data/unknown", 0o100600, False)
    ):  # fmt: skip
        crafted = _rewritten(archive, name, b"/etc/passwd", mode=mode, known=known)
        with pytest.raises(BackupError):
            _restore(db, config, crafted)
    assert _state(config.data_dir) == before


def test_every_cut_and_every_flipped_byte_is_noticed(db: Database, config: Settings, archive: Path) -> None:
    data, before = archive.read_bytes(), _state(config.data_dir)
    broken = archive.with_name("broken.zip")
    for place in range(0, len(data), max(1, len(data) // 12)):
        broken.write_bytes(data[:place])
        with pytest.raises(BackupError):
            _restore(db, config, broken)
    assert _state(config.data_dir) == before


def test_sessions_and_links_end_and_who_comes_back_is_listed(db: Database, config: Settings, tmp_path: Path) -> None:
    with db.write() as session:
        person = people.add(session, "bob@example.com", "Bob", roles.OPERATOR, now())
        token, _ = api_tokens.issue(session, person.id, "cron", roles.VIEWER, True, 30, now())
        person_id, token_id = person.id, token.id
        admin = people.by_email(session, ADMIN)
        assert admin is not None
        cookie, link = browser_sessions.begin(session, admin, now()), sign_in.issue(session, now())
    archive = backup.backup(db, config, tmp_path)
    with db.write() as session:
        people.disable(session, session.get_one(Person, person_id))
        api_tokens.revoke(session, person_id, token_id)
    plan = _restore(db, config, archive)
    assert "bob@example.com (operator) may come in again, and was disabled since" in plan.revives
    assert "the API token 'cron' counts again, and was revoked since" in plan.revives
    with db.read() as session:
        assert browser_sessions.find(session, cookie, now()) is None
        assert sign_in.opened(session, link, now()) is None


def test_who_was_erased_since_does_not_come_back(db: Database, config: Settings, tmp_path: Path) -> None:
    address = "grace.hopper@example.com"
    deliver(db, incoming(external_id="hers", requester_email=address), incoming(external_id="other"))
    with db.read() as session:
        ids = [ticket.id for ticket in session.query(Ticket)]
    for ticket_id in ids:
        settle(db, ticket_id)
    assert send.send_now(db, config)
    archive = backup.backup(db, config, tmp_path)
    erase.erase(db, config, address)
    plan = _restore(db, config, archive)
    assert _names(db) == ["other"]
    assert any("erased since" in line for line in plan.revives)
    held = [path for path in config.data_dir.rglob("*") if path.is_file() and erase.holds(path, address)]
    assert {path.parent.name for path in held} <= {"backups"}
    _restore(db, config, archive)  # Nor the next time.
    assert _names(db) == ["other"]


def test_a_stack_that_runs_keeps_a_backup_from_being_restored(db: Database, config: Settings, archive: Path) -> None:
    place = str(config.data_dir)
    code = f"from pathlib import Path; from receiver.lib import data_dir_lock; data_dir_lock.hold(Path({place!r}))"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('held', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        before = _state(config.data_dir)
        with pytest.raises(data_dir_lock.InUseError, match="the stack runs on"):
            _restore(db, config, archive)
        assert _state(config.data_dir) == before
        process.kill()
    _restore(db, config, archive)


def test_nothing_starts_while_a_restore_is_at_work_or_where_one_was_interrupted(
    db: Database, config: Settings, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with data_dir_lock.alone(config.data_dir), pytest.raises(settings.SettingsError, match="is being restored"):
        data_dir_lock.hold(config.data_dir)

    def power_cut(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(restore, "_forget_later_files", power_cut)
    with pytest.raises(SystemExit):
        _restore(db, config, archive)
    monkeypatch.undo()
    told = f"was interrupted; run it again: python -m jobs restore {archive}"
    with pytest.raises(settings.SettingsError, match=told):
        data_dir_lock.hold(config.data_dir)
    _restore(db, config, archive)
    data_dir_lock.check(config.data_dir)
    assert _names(db) == ["before"]


def test_a_damaged_database_is_replaced_and_kept(db: Database, config: Settings, archive: Path) -> None:
    db.close()
    path = config.data_dir / "tickets.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    _restore(db, config, archive)
    assert _names(db) == ["before"]
    [kept] = (config.data_dir / "backups").glob("damaged-*/tickets.db")
    assert kept.read_bytes().endswith(b"\xff" * 5000)


def test_a_backup_of_what_is_wrong_leaves_nothing(db: Database, config: Settings, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    before = _state(tmp_path)
    for target in (tmp_path / "none" / "x.zip", note, config.data_dir / "tickets.db"):
        with pytest.raises(BackupError):
            backup.backup(db, config, target)
    with pytest.raises(BackupError, match="there is no database"):
        lost = settings.load({"DATA_DIR": str(tmp_path / "lost")})
        with database.opened(lost.database_url) as nothing:
            backup.backup(nothing, lost, tmp_path)
    assert {name: data for name, data in _state(tmp_path).items() if not name.startswith("lost")} == before


def test_the_timetable_makes_a_backup_when_one_is_due_and_deletes_the_oldest(
    db: Database, config: Settings, environment: pytest.MonkeyPatch
) -> None:
    place = backup.folder(config.data_dir)
    backup.backup_due()
    assert backup.listed(place) == []
    environment.setenv("BACKUP_EVERY", "24")
    environment.setenv("BACKUP_KEEP", "2")
    place.mkdir()
    for day in ("01", "02", "03"):
        (place / f"backup-202601{day}T080000Z.zip").write_bytes(b"old")
    (place / "mine.zip").write_bytes(b"mine")
    backup.backup_due()
    backup.backup_due()
    first, second = backup.listed(place)
    assert first.path.name == "backup-20260103T080000Z.zip"
    assert backup.MANIFEST in _inside(second.path)
    assert (place / "mine.zip").exists()
    with db.read() as session:
        assert moments.noted(session, moments.BACKED_UP) is not None


def test_a_backup_that_cannot_be_made_by_the_timetable_is_an_alarm_until_one_is(
    db: Database, config: Settings, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("BACKUP_EVERY", "1")
    place = backup.folder(config.data_dir)
    place.write_text("in the way")
    backup.backup_due()
    with db.read() as session:
        assert "no backup could be made" in (alarms.message(session, "backup") or "")
    place.unlink()
    backup.backup_due()
    with db.read() as session:
        assert alarms.message(session, "backup") is None


def test_the_commands_say_in_a_line_what_was_done_and_ask(
    db: Database, config: Settings, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    run = CliRunner()
    due_ticket(db, external_id="before")
    made = run.invoke(main, ["backup"])
    assert (made.exit_code, made.output[:14]) == (0, "The backup is ")
    [archive] = [each.path for each in backup.listed(backup.folder(config.data_dir))]
    assert str(archive) in run.invoke(main, ["backup", "--list"]).output
    assert "is whole" in run.invoke(main, ["backup", "--verify", str(archive)]).output
    assert "nothing to do" in run.invoke(main, ["backup", "--every", "2"]).output
    asked = run.invoke(main, ["restore", str(archive)])
    assert asked.exit_code == 1
    assert "--yes" in asked.output
    done = run.invoke(main, ["restore", str(archive), "--yes"])
    assert done.exit_code == 0, done.output
    assert "replaces: the database" in done.output
    for wrong in (
        ["backup", "no/such/folder/x"],
        ["restore", "none"],
        ["restore", "."],
        ["backup", "--verify", "none"],
    ):
        refused = run.invoke(main, wrong)
        assert refused.exit_code == 1, wrong
        assert len(refused.output.strip().splitlines()) == 1, wrong
        assert "Traceback" not in refused.output


def test_the_last_backup_is_shown_and_counted(
    db: Database, config: Settings, client: FlaskClient, tmp_path: Path
) -> None:
    with db.write() as session:
        token = sign_in.issue(session, now())
    use_link(client, f"/sign-in/{token}")
    assert "No backup was made yet" in client.get("/jobs").text
    backup.backup(db, config, tmp_path)
    assert "The last backup was made" in client.get("/jobs").text
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    numbers = client.get("/metrics", headers=headers).text
    [line] = re.findall(r"^ticket_attribution_last_backup_timestamp_seconds (\S+)$", numbers, re.MULTILINE)
    assert abs(float(line) - now().timestamp()) < 60


def test_what_the_stack_writes_is_its_owners_alone(tmp_path: Path) -> None:
    environ = environment_of(tmp_path)
    line = [sys.executable, "-m", "jobs", "migrate"]
    subprocess.run(line, cwd=tmp_path, env=environ, check=True, umask=0o022)
    found = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert found
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
