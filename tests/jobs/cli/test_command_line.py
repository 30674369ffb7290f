"""The command line: what it prints, how it exits, and that a mistake is explained in one go."""

import json
import logging
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from jobs.__main__ import main
from receiver.db import alarms, audit, database, digests, sign_in
from receiver.db.database import Database
from receiver.db.models import Digest
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings
from tests.conftest import ADMIN
from tests.factories import due_ticket, settle, ticket_json
from tests.jobs.operations.test_pipeline import environment_of
from tests.peers import http
from tests.peers.http import Answer, Peer, free_port

WRONG = {
    "PORT": "eighty", "WORKERS": "0", "LLM_TEMPERATURE": "9", "OPENAI_BASE_URL": "ftp://model", "DIGEST_CRON": "daily",
    "DIGEST_TIMEZONE": "Mars/Olympus", "RECIPIENT_EMAIL": "ada@example.com, nobody", "LOG_LEVEL": "LOUD",
    "REVIEW_THRESHOLD": "-1", "DATABASE_URL": "mysql://x", "API_TOKEN": "planted", "SMTP_USE_TLS": "perhaps",
}  # fmt: skip


@dataclass
class Finished:
    code: int
    out: str
    err: str


def at_once(folder: Path, *commands: tuple[dict[str, str], str]) -> list[Finished]:
    """Run several commands, each with its environment, at the same time."""
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "jobs", *line.split()], cwd=folder, env=environ, stdout=pipe, stderr=pipe, text=True
        )
        for environ, line in commands
    ]
    finished = []
    for process in started:
        out, err = process.communicate(timeout=200)
        finished.append(Finished(process.returncode, out, err))
    return finished


def test_every_wrong_setting_is_named_in_one_message(tmp_path: Path) -> None:
    [finished] = at_once(tmp_path, (environment_of(tmp_path) | WRONG, "run"))
    assert finished.code == 2
    lacking = {"HELPDESK_WEBHOOK_URL", "HELPDESK_API_KEY", "HELPDESK_API_SECRET"}
    assert re.findall(r"^  ([A-Z_]+): \S", finished.err, re.MULTILINE) == sorted({*WRONG} | lacking)
    assert "Traceback" not in finished.err
    assert "planted" not in finished.err


@pytest.mark.full
def test_processes_that_start_together_in_a_fresh_folder_agree(tmp_path: Path) -> None:
    environ = environment_of(tmp_path)
    lines = ("token", "token --sign-in", "migrate", "digest --dry-run")
    found = at_once(tmp_path, *((environ, line) for line in lines))
    assert [(each.code, each.err) for each in found] == [(0, "")] * len(lines)
    token, link, migrated, preview = (each.out.strip() for each in found)
    assert "newest schema" in migrated
    assert "0 tickets" in preview
    assert "nothing is sent" in preview
    assert len(token) > 30
    kept = tmp_path / "data" / "api_token"
    assert kept.read_text() == token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    matched = re.fullmatch(r"http://127\.0\.0\.1:8000/sign-in/(\S{40,})", link)
    assert matched
    with database.opened(f"sqlite:///{tmp_path}/data/tickets.db") as db, db.write() as session:
        assert sign_in.use(session, matched[1], now())
        assert not sign_in.use(session, matched[1], now())


def test_a_link_for_nobody_is_not_made(db: Database) -> None:
    refused = invoke("token", "--sign-in", "--email", "nobody@example.com")
    assert (refused.code, refused.out) == (1, "")
    assert "nobody@example.com" in refused.err
    assert "/sign-in/" in invoke("token", "--sign-in", "--email", ADMIN.upper()).out


@pytest.mark.parametrize("name", sorted(main.commands))
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_explains_itself(name: str, option: str) -> None:
    shown = CliRunner().invoke(main, [name, option])
    assert shown.exit_code == 0
    assert f" {name} " in shown.output.splitlines()[0]
    assert len(shown.output.splitlines()[2].split()) > 2


def test_every_command_of_the_contract_is_there() -> None:
    promised = {"up", "run", "digest", "evaluate", "worker", "scheduler", "migrate", "token"}
    assert promised <= set(main.commands)
    options = {option for parameter in main.commands["run"].params for option in parameter.opts}
    assert {"--skip-email", "-o", "--output", "--debug", "--validate-only", "--input"} <= options


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """A command that runs inside the test run takes over its log; give it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def invoke(*arguments: str) -> Finished:
    shown = CliRunner().invoke(main, list(arguments))
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
    return Finished(shown.exit_code, shown.stdout, shown.stderr)


def test_what_the_pull_needs_is_named_when_it_is_missing() -> None:
    refused = invoke("run")
    assert refused.code == 2
    for name in ("HELPDESK_WEBHOOK_URL", "HELPDESK_API_KEY", "HELPDESK_API_SECRET", "--input"):
        assert name in refused.err


@pytest.mark.parametrize(
    ("option", "catalog"), [("--input=nowhere.csv", ""), ("--validate-only", "nowhere.csv"), ("--debug", "nowhere.csv")]
)
def test_a_file_or_a_catalog_that_is_not_there_is_a_mistake_of_configuration(
    pulling: Peer, environment: pytest.MonkeyPatch, option: str, catalog: str
) -> None:
    environment.setenv("SERVICE_CATALOG_URL", catalog)
    refused = invoke("run", option)
    assert refused.code == 2
    assert "nowhere.csv" in refused.err
    assert pulling.requests == []


@pytest.fixture
def pulling(environment: pytest.MonkeyPatch) -> Iterator[Peer]:
    with http.serve(Peer(lambda _: Answer.of({"response_code": 401}))) as helpdesk:
        environment.setenv("HELPDESK_WEBHOOK_URL", helpdesk.url)
        environment.setenv("HELPDESK_API_KEY", "key")
        environment.setenv("HELPDESK_API_SECRET", "planted-secret")
        yield helpdesk


def test_validating_asks_nobody_and_leaves_nothing(pulling: Peer, tmp_path: Path) -> None:
    checked = invoke("run", "--validate-only")
    assert (checked.code, checked.err) == (0, "")
    assert "good" in checked.out
    assert pulling.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--skip-email", "--debug"])
def test_a_refused_key_of_the_helpdesk_fails_the_run_in_words(pulling: Peer, option: str) -> None:
    refused = invoke("run", option)
    assert refused.code == 1
    assert "HELPDESK_API_KEY" in refused.err
    assert "planted-secret" not in refused.err
    assert ("Traceback" in refused.err) == (option == "--debug")


@pytest.mark.parametrize("option", ["--skip-email", "--debug"])
def test_a_fault_of_the_database_prints_no_word_of_a_ticket(db: Database, tmp_path: Path, option: str) -> None:
    (tmp_path / "tickets.json").write_text(json.dumps(ticket_json(short_description="planted words")))
    with db.write() as session:
        session.execute(text("CREATE TRIGGER no BEFORE INSERT ON tickets BEGIN SELECT RAISE(ABORT, 'full'); END"))
    failed = invoke("run", option, "--input", "tickets.json")
    assert failed.code == 1
    assert "full" in failed.err
    assert "planted" not in failed.err


def test_a_digest_is_previewed_then_sent_and_then_there_is_nothing_left(db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    outbox = config.data_dir / "outbox"
    preview = invoke("digest", "--dry-run")
    assert "1 tickets" in preview.out
    assert "the outbox" in preview.out
    assert not outbox.exists()
    sent = invoke("digest")
    assert (sent.code, sent.out) == (0, "Digest 1 of 1 tickets is sent.\n")
    assert [path.name for path in outbox.iterdir()] == ["digest-1.eml"]
    again = invoke("digest")
    assert again.code == 0
    assert "nothing is sent" in again.out


def test_a_digest_is_named_and_sent_again_as_a_copy(db: Database, config: Settings) -> None:
    settle(db, due_ticket(db))
    wrong = invoke("digest", "--name", "weekly")
    assert (wrong.code, wrong.err) == (2, "There is no digest of this name; there are digest.\n")
    assert invoke("digest", "--name", "digest").code == 0
    assert invoke("digest", "--resend", "1").out == "Digest 2 of 1 tickets is sent.\n"
    assert b"Subject: Copy: IT Service Desk" in (config.data_dir / "outbox" / "digest-2.eml").read_bytes()
    assert invoke("digest", "--resend", "9").code == 2


def _held(db: Database) -> None:
    settle(db, due_ticket(db))
    with db.write() as session:
        claimed = digests.claim(session, "p", Envelope((), "x"), now())
        assert claimed
        digests.mark(session, claimed.id, "held", now(), error="the line broke", attempts=3)
        alarms.raise_(session, digests.ALARM, now(), "digest_held", digest=1, error="nobody knows")


@pytest.mark.parametrize(
    ("option", "said", "mails"),
    [("--mark-sent", "Digest 1 counts as sent.\n", 0), ("--redrive", "Digest 1 of 1 tickets is sent.\n", 1)],
)
def test_a_held_digest_is_decided_on_once_and_the_audit_says_by_whom(
    db: Database, config: Settings, option: str, said: str, mails: int
) -> None:
    _held(db)
    assert "held  1 tickets  the line broke" in invoke("digest", "--list").out
    decided = invoke("digest", option, "1")
    assert (decided.code, decided.out) == (0, said)
    assert len(list((config.data_dir / "outbox").glob("*"))) == mails
    again = invoke("digest", option, "1")
    assert (again.code, again.out) == (2, "")
    assert option in again.err
    with db.read() as session:
        assert alarms.current(session) == []
        assert [(entry.who[:6], entry.subject) for entry in audit.page(session, 9)] == [("shell ", "digest 1")]
    assert "sent  1 tickets" in invoke("digest", "--list").out


def test_two_orders_at_once_are_none(db: Database) -> None:
    assert invoke("digest", "--list").out == "No digest was made yet.\n"
    refused = invoke("digest", "--redrive", "1", "--resend", "1")
    assert (refused.code, refused.out) == (2, "")


def test_a_digest_that_cannot_be_sent_exits_with_one_and_is_kept(db: Database, environment: pytest.MonkeyPatch) -> None:
    settle(db, due_ticket(db))
    for name, value in {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(free_port()), "FROM_EMAIL": "desk@e.com"}.items():
        environment.setenv(name, value)
    environment.setenv("RECIPIENT_EMAIL", "ada@example.com")
    failed = invoke("digest")
    assert failed.code == 1
    assert "Digest 1 is claimed: the mail server cannot be reached" in failed.err
    with db.read() as session:
        assert session.query(Digest).one().status == "claimed"


@pytest.mark.parametrize("arguments", [["worker", "nonsense"], ["nonsense"], ["run", "--nonsense"]])
def test_a_mistyped_command_is_explained(arguments: list[str], db: Database) -> None:
    shown = invoke(*arguments)
    assert shown.code == 2
    assert "nonsense" in shown.err


def test_a_catalog_is_checked_and_what_it_leaves_unsaid_is_told(tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text("categories: [{name: A, requests: [{name: VPN}, {name: Other misc}]}]")
    checked = invoke("catalog", str(tmp_path / "bare.yaml"))
    assert checked.code == 0
    assert re.search(r"version is [0-9a-f]{12}\.\n1 categories, 2 request types", checked.out)
    assert "- VPN: no description, no examples, no keywords\n" in checked.out
    assert "say too little" not in invoke("catalog").out


def test_the_mistakes_of_a_catalog_are_told_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("categories:\n- name: A\n  requests: x\n- name: A\n  requests: [1]\n")
    refused = invoke("catalog", str(tmp_path / "wrong.yaml"))
    assert refused.code == 2
    assert "  line 3: requests of 'A' must be a list, not a text\n" in refused.err
    assert "  line 5: a request type of 'A' must be a mapping, not a text\n" in refused.err


def test_no_secret_of_a_catalogs_address_is_told(tmp_path: Path) -> None:
    with http.serve(Peer(lambda _: Answer(503))) as peer:
        url = peer.url.replace("http://", "http://ada:hunter2@") + "/catalog.yaml?key=hunter2"
        environ = environment_of(tmp_path) | {"SERVICE_CATALOG_URL": url, "LOG_LEVEL": "DEBUG"}
        [finished] = at_once(tmp_path, (environ, "catalog"))
    assert finished.code == 2
    assert "answers 503" in finished.err
    assert "hunter2" not in finished.err + finished.out


@pytest.mark.parametrize("command", ["up", "worker", "worker classify", "scheduler", "migrate", "digest --list"])
def test_a_database_of_a_newer_version_is_told_by_every_command_in_one_line(
    db: Database, environment: pytest.MonkeyPatch, command: str
) -> None:
    environment.setenv("PORT", str(free_port()))
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    refused = invoke(*command.split())
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("DATABASE_URL: this database is of a newer version")
    assert len(refused.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["worker", "worker classify", "scheduler"])
def test_an_older_schema_is_told_to_whoever_starts_what_does_not_migrate(db: Database, command: str) -> None:
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    refused = invoke(*command.split())
    assert (refused.code, refused.out) == (2, "")
    assert "python -m jobs migrate" in refused.err
    assert len(refused.err.splitlines()) == 1


@pytest.mark.parametrize(
    "line", ["digest --dry-run", "outgoing", "audit", "sources", "replay --ids 1", "evaluate none"]
)
def test_a_database_that_cannot_be_opened_or_a_missing_file_is_told_in_a_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "data" / "tickets.db").mkdir(parents=True)
    [finished] = at_once(tmp_path, (environment_of(tmp_path), line))
    assert finished.code in (1, 2)
    assert "Traceback" not in finished.err
    assert len(finished.err.strip().splitlines()) == 1, finished.err


def test_a_terminal_that_knows_few_letters_and_a_reader_that_leaves_end_no_command_in_a_traceback(
    tmp_path: Path,
) -> None:
    environ = environment_of(tmp_path) | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    (tmp_path / "catalog.yaml").write_text(
        "categories: [{name: Zugänge, requests: [{name: Über}]}]\n", encoding="utf-8"
    )
    [shown] = at_once(tmp_path, (environ | {"SERVICE_CATALOG_URL": str(tmp_path / "catalog.yaml")}, "catalog"))
    assert (shown.code, "Traceback" in shown.err) == (0, False)
    line = f"{sys.executable} -m jobs --help | true"
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
