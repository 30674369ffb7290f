"""The one-shot pipeline as a process of its own, between a helpdesk, a model and a mail server."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from jobs.digests import send
from jobs.operations import pipeline
from receiver.db import database, due_tickets
from receiver.db.database import Database
from receiver.db.models import Digest, Ticket
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import EXAMPLE, ROOT
from tests.factories import due_ticket, outrun_leases, ticket_json
from tests.peers import http, llm, smtp
from tests.peers.http import Answer, Peer, Request, free_port
from tests.peers.smtp import MailServer

SECRETS = {
    "HELPDESK_API_KEY": "planted-key-of-the-helpdesk",
    "HELPDESK_API_SECRET": "planted-secret-of-the-helpdesk",
    "OPENAI_API_KEY": "planted-key-of-the-model",
    "WEBHOOK_SECRET": "whsec_cGxhbnRlZCB3ZWJob29rIHNlY3JldCBvZiAyNCBieXRlcw==",
    "API_TOKEN": "planted-token-of-the-api",
}
TICKETS = 40
PLANTED = "planted words of a ticket"
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| (DEBUG|INFO|WARNING|ERROR) \| \S.*")


def environment_of(folder: Path, **changes: Any) -> dict[str, str]:
    """What .env.example says, the data in `folder`, and no Redis anywhere."""
    places = {"DATA_DIR": str(folder / "data"), "OUTPUT_DIR": str(folder / "output")}
    system = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    return EXAMPLE | places | system | {name: str(value) for name, value in changes.items()}


def run_jobs(folder: Path, environ: dict[str, str], *arguments: str) -> Any:
    command = [sys.executable, "-m", "jobs", *arguments]
    return subprocess.run(command, check=False, cwd=folder, env=environ, capture_output=True, text=True, timeout=200)


@dataclass
class Run:
    """A finished run and its peers."""

    folder: Path
    environ: dict[str, str]
    helpdesk: Peer
    model: Peer
    mail: MailServer
    most_at_once: int = 0
    finished: list[Any] = field(default_factory=list)

    def again(self, *arguments: str) -> Any:
        self.finished.append(run_jobs(self.folder, self.environ, "run", *arguments))
        return self.finished[-1]


def counting(run: Run) -> llm.Reply:
    """A model that answers late, and notes how many calls were open at once."""
    lock, open_now = threading.Lock(), 0

    def respond(request: Request) -> Answer:
        nonlocal open_now
        with lock:
            open_now += 1
            run.most_at_once = max(run.most_at_once, open_now)
        time.sleep(0.25)
        with lock:
            open_now -= 1
        return llm.proposal(llm.labels(request)[0])

    return respond


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run over everything, at DEBUG, that the tests below look at."""
    folder = tmp_path_factory.mktemp("pipeline")
    found = [
        ticket_json(id=f"T-{number}", short_description=f"{PLANTED} {number}", long_description=PLANTED)
        for number in range(TICKETS)
    ]
    broken = {"id": "T-broken", "short_description": "", "long_description": PLANTED}
    answer = Answer.of({"response_code": 200, "data": {"requests": [*found, broken]}})
    with (
        http.serve(Peer(lambda _: answer)) as helpdesk,
        http.serve(llm.endpoint()) as model,
        smtp.serve(MailServer()) as mail,
    ):
        environ = environment_of(
            folder, **SECRETS, HELPDESK_WEBHOOK_URL=f"{helpdesk.url}/pull", OPENAI_BASE_URL=f"{model.url}/v1",
            SMTP_HOST="127.0.0.1", SMTP_PORT=mail.port, SMTP_USE_TLS="false", FROM_EMAIL="desk@example.com",
            RECIPIENT_EMAIL="ada@example.com", SENDER_NAME="Service Desk Süd", LLM_CONCURRENCY=8,
        )  # fmt: skip
        run = Run(folder, environ, helpdesk, model, mail)
        model.respond = counting(run)
        run.again("--debug")
        yield run


def test_a_whole_run_ends_well_and_logs_its_steps_in_the_agreed_form(whole: Run) -> None:
    first = whole.finished[0]
    assert first.returncode == 0, first.stderr
    lines = first.stderr.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    steps = [line.split(" | ")[2] for line in lines if " | INFO | Step " in line]
    assert steps[0] == "Step 1: Fetching data from external sources"
    assert [step[:7] for step in steps] == ["Step 1:", "Step 2:", "Step 3:", "Step 4:"]


def test_without_a_terminal_there_is_a_line_for_every_five_percent(whole: Run) -> None:
    done = re.findall(r"\| INFO \| Classified (\d+) of 40 ", whole.finished[0].stderr)
    counts = [int(count) for count in done]
    assert counts == sorted(set(counts))
    assert counts[-1] == TICKETS
    assert 8 <= len(counts) <= 20  # Five are saved at once; two are five percent.


def test_the_model_is_asked_about_many_tickets_at_once(whole: Run) -> None:
    assert 4 <= whole.most_at_once <= 8


def test_the_workbook_has_every_ticket_and_is_mailed(whole: Run) -> None:
    path = whole.folder / "output" / "classified_tickets_report.xlsx"
    sheet = load_workbook(path)["Tickets"]
    assert {row[0] for row in sheet.iter_rows(min_row=2, values_only=True)} == {f"T-{n}" for n in range(TICKETS)}
    [message] = whole.mail.messages
    assert "Service Desk Süd" in message["Subject"]
    [attached] = message.iter_attachments()
    assert attached.get_filename() == path.name
    assert attached.get_content() == path.read_bytes()


def test_a_ticket_that_cannot_be_used_is_named_and_costs_no_other(whole: Run) -> None:
    [warning] = [line for line in whole.finished[0].stderr.splitlines() if " | WARNING | " in line]
    assert "T-broken" in warning


def test_no_secret_and_no_word_of_a_ticket_is_printed_even_when_debugging(whole: Run) -> None:
    printed = whole.finished[0].stdout + whole.finished[0].stderr
    for secret in (*SECRETS.values(), PLANTED):
        assert secret not in printed


@pytest.mark.full
def test_a_second_run_asks_no_model_and_still_writes_the_workbook(whole: Run) -> None:
    asked, mailed = len(whole.model.requests), len(whole.mail.messages)
    target = whole.folder / "elsewhere" / "mine.xlsx"
    second = whole.again("--skip-email", "--output", str(target))
    assert second.returncode == 0, second.stderr
    assert len(whole.model.requests) == asked
    assert load_workbook(target)["Tickets"].max_row == TICKETS + 1
    assert len(whole.mail.messages) == mailed
    assert "skipped" in second.stderr


@pytest.fixture
def tickets_file(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.jsonl"
    path.write_text("\n".join(json.dumps(ticket_json(short_description=f"{PLANTED} {n}")) for n in range(3)))
    return path


@pytest.mark.full
def test_a_refused_key_of_the_model_ends_the_run_in_words_and_loses_nothing(tmp_path: Path, tickets_file: Path) -> None:
    with http.serve(Peer(lambda _: Answer.of({"error": {"message": "bad key"}}, status=401))) as model:
        environ = environment_of(tmp_path, **SECRETS, OPENAI_BASE_URL=f"{model.url}/v1")
        refused = run_jobs(tmp_path, environ, "run", "--input", str(tickets_file))
    assert refused.returncode == 1
    assert "OPENAI_API_KEY" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert SECRETS["OPENAI_API_KEY"] not in refused.stderr
    with database.opened(f"sqlite:///{tmp_path}/data/tickets.db") as db, db.read() as session:
        assert [found.status for found in session.query(Ticket)] == ["received"] * 3


def with_model(config: Settings, model: Peer, **changes: Any) -> Settings:
    return replace(config, openai_base_url=f"{model.url}/v1", **changes)


def test_a_mail_that_cannot_be_sent_fails_the_run_but_not_its_workbook(
    config: Settings, db: Database, model: Peer, tickets_file: Path
) -> None:
    mailing = with_model(
        config, model, smtp_host="127.0.0.1", smtp_port=free_port(), smtp_use_tls=False, recipient_email=("a@b.de",)
    )
    with pytest.raises(pipeline.PipelineError, match="mail"):
        pipeline.run(mailing, tickets_file, None, skip_email=False)
    path = config.output_dir / config.report_filename
    assert load_workbook(path)["Tickets"].max_row == 4
    with db.read() as session:
        assert session.query(Digest.status).scalar() == "claimed"  # A running stack sends it later.


def test_what_was_asked_to_skip_the_mail_is_never_mailed_whatever_happens(
    config: Settings, db: Database, model: Peer, tickets_file: Path
) -> None:
    nowhere = tickets_file / "report.xlsx"
    with pytest.raises(OSError, match=tickets_file.name):
        pipeline.run(with_model(config, model), tickets_file, nowhere, skip_email=True)
    send.send_due()
    assert not (config.data_dir / "outbox").exists()
    with db.read() as session:
        assert session.query(Digest.status).scalar() == "cancelled"  # Nobody has to decide anything.


def test_without_one_usable_ticket_the_run_says_so(config: Settings, db: Database, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text('[{"id": 1}]')
    with pytest.raises(pipeline.PipelineError, match="not one usable ticket"):
        pipeline.run(config, tmp_path / "none.json", None, skip_email=True)


@pytest.mark.full
def test_a_run_finishes_what_a_killed_run_had_begun(tmp_path: Path) -> None:
    held = [ticket_json(id=f"K-{number}") for number in range(3)]
    (tmp_path / "tickets.json").write_text(json.dumps(held))
    environ = environment_of(tmp_path)
    (tmp_path / "data").mkdir()
    with database.opened(f"sqlite:///{tmp_path}/data/tickets.db") as db:
        database.migrate(db)
        for item in held:
            ours = {name: value for name, value in item.items() if name != "id"}
            due_ticket(db, external_id=item["id"], source="file", **ours)
        with db.write() as session:
            assert len(due_tickets.claim(session, "killed", 10, now() - timedelta(minutes=1))) == 0
            assert len(due_tickets.claim(session, "killed", 10, now())) == 3
            outrun_leases(session)
        with http.serve(llm.endpoint()) as model:
            environ["OPENAI_BASE_URL"] = f"{model.url}/v1"
            finished, shown = on_a_terminal(tmp_path, environ, "run", "--input", "tickets.json")
        with db.read() as session:
            assert [found.status for found in session.query(Ticket)] == ["classified"] * 3
    assert finished == 0
    assert "3/3" in shown  # The bar of a terminal.
    assert "Classified 3 of 3" not in shown


def on_a_terminal(folder: Path, environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "jobs", *arguments]
    environ = environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65_536):
                shown += piece
        except OSError:  # How Linux says that nobody has the terminal open any more.
            pass
        finally:
            os.close(ours)
        return process.wait(timeout=200), shown.decode()
