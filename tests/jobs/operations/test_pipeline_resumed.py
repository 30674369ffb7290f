"""A run after one that was killed: only what is missing is classified, what was not mailed is mailed, nothing twice."""

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.operations import pipeline
from receiver.db import database, digests, one_shot_runs
from receiver.db.database import Database
from receiver.db.models import SEND_DIGEST, Classification, Digest
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.conftest import wait_until
from tests.factories import outrun_leases, outrun_waits, ticket_json
from tests.jobs.operations.test_pipeline import environment_of, run_jobs, with_model
from tests.peers import http, llm, smtp
from tests.peers.http import Answer, Peer, Request, free_port
from tests.peers.smtp import MailServer

pytestmark = [pytest.mark.durable, pytest.mark.full]

TICKETS = 12


def write_tickets(folder: Path, count: int = TICKETS) -> Path:
    path = folder / "tickets.json"
    path.write_text(json.dumps([ticket_json(id=f"K-{n}", short_description=f"VPN {n}") for n in range(count)]))
    return path


@pytest.fixture
def tickets_file(tmp_path: Path) -> Path:
    return write_tickets(tmp_path)


def mailing(config: Settings, model: Peer, port: int) -> Settings:
    return with_model(
        config, model, smtp_host="127.0.0.1", smtp_port=port, smtp_use_tls=False, recipient_email=("a@b.de",)
    )


def mailing_environment(folder: Path, model: Peer, mail: MailServer, **changes: Any) -> dict[str, str]:
    return environment_of(
        folder, OPENAI_BASE_URL=f"{model.url}/v1", SMTP_HOST="127.0.0.1", SMTP_PORT=mail.port, SMTP_USE_TLS="false",
        RECIPIENT_EMAIL="a@b.de", FROM_EMAIL="desk@example.com", **changes,
    )  # fmt: skip


def all_digests(db: Database) -> list[Digest]:
    with db.read() as session:
        return session.query(Digest).order_by(Digest.id).all()


def saved(folder: Path) -> int:
    with database.opened(f"sqlite:///{folder}/data/tickets.db") as db, db.read() as session:
        return session.query(Classification).count()


@contextmanager
def killed_when(condition: Callable[[], object], folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """A run in a process of its own that is killed at the moment; the block is what comes after it."""
    command = [sys.executable, "-m", "jobs", "run", "--input", "tickets.json"]
    with subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: condition() or process.poll() is not None)
        assert process.poll() is None, "the run ended too soon"
        process.kill()
    with database.opened(f"sqlite:///{folder}/data/tickets.db") as db, db.write() as session:
        # As if the ten seconds of a lease and the two minutes of a sender were over.
        outrun_leases(session)
        outrun_waits(session, SEND_DIGEST)
    yield


def test_a_run_that_is_killed_while_the_model_answers_asks_again_for_nothing_it_has(tmp_path: Path) -> None:
    write_tickets(tmp_path)
    answered, hangs = Counter[str](), threading.Event()

    def respond(request: Request) -> Answer:
        if len(answered) >= 5 and not hangs.is_set():
            hangs.wait(120)
        answered[request.body.decode()] += 1
        return llm.proposal(llm.labels(request)[0])

    with http.serve(Peer(respond)) as model, smtp.serve(MailServer()) as mail:
        environ = mailing_environment(tmp_path, model, mail, LLM_CONCURRENCY=1, CLASSIFICATION_BATCH_SIZE=1)
        with killed_when(lambda: len(model.requests) > 5 and saved(tmp_path) == 5, tmp_path, environ):
            hangs.set()
            finished = run_jobs(tmp_path, environ, "run", "--input", "tickets.json")
    assert finished.returncode == 0, finished.stderr
    assert len(answered) == TICKETS
    assert sum(answered.values()) <= TICKETS + 1  # The one that was on its way when it was killed.
    assert len(mail.messages) == 1


@dataclass
class Stalling(MailServer):
    """Takes a mail and is silent, until it shall answer."""

    stalls: bool = True

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        while self.stalls:
            await asyncio.sleep(0.02)
        return answer


@pytest.mark.parametrize(("rule", "code", "copies"), [("hold", 1, 1), ("resend", 0, 2)])
def test_a_run_that_is_killed_while_it_sends_does_what_the_rule_says(
    tmp_path: Path, model: Peer, rule: str, code: int, copies: int
) -> None:
    write_tickets(tmp_path, 2)
    mail = Stalling()
    with smtp.serve(mail):
        environ = mailing_environment(tmp_path, model, mail, DIGEST_AFTER_UNKNOWN=rule)
        with killed_when(lambda: mail.messages, tmp_path, environ):
            mail.stalls = False
            again = run_jobs(tmp_path, environ, "run", "--input", "tickets.json")
    assert (again.returncode, len(mail.messages)) == (code, copies), again.stderr
    assert len({message["Message-ID"] for message in mail.messages}) == 1
    assert ("--resend 1" in again.stderr) == (rule == "hold")


def test_a_run_goes_on_with_the_digest_of_one_that_died_before_it_was_sent(
    config: Settings, db: Database, model: Peer, mail_server: MailServer, tickets_file: Path
) -> None:
    ready = mailing(config, model, mail_server.port)
    with pytest.raises(OSError, match=tickets_file.name):
        pipeline.run(ready, tickets_file, tickets_file / "nowhere.xlsx", skip_email=False)
    pipeline.run(ready, tickets_file, None, skip_email=False)
    assert [(found.id, found.status, found.tickets) for found in all_digests(db)] == [(1, "sent", TICKETS)]
    assert len(mail_server.messages) == 1


def test_a_mail_that_was_sent_before_the_run_died_is_not_sent_again(
    config: Settings,
    db: Database,
    model: Peer,
    mail_server: MailServer,
    tickets_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = mailing(config, model, mail_server.port)

    def die(*_: object) -> None:
        raise InterruptedError("the process ends here")

    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(one_shot_runs, "finish", die)
        pipeline.run(ready, tickets_file, None, skip_email=False)
    pipeline.run(ready, tickets_file, None, skip_email=False)
    assert len(mail_server.messages) == 1
    pipeline.run(ready, tickets_file, None, skip_email=False)  # A new run, for the last one has ended.
    assert [len(mail_server.messages), len(all_digests(db))] == [2, 2]


def test_a_later_run_tells_of_all_that_an_earlier_one_could_not_mail(
    config: Settings, db: Database, model: Peer, mail_server: MailServer, tmp_path: Path
) -> None:
    unreachable = mailing(config, model, free_port())
    for name, count in (("few", 2), ("more", 3)):
        (tmp_path / name).mkdir()
        with pytest.raises(pipeline.PipelineError, match="tries again"):
            pipeline.run(unreachable, write_tickets(tmp_path / name, count), None, skip_email=False)
    other = tmp_path / "other.json"
    other.write_text(json.dumps([ticket_json(id="O-1")]))
    pipeline.run(mailing(config, model, mail_server.port), other, None, skip_email=False)
    assert [(found.tickets, found.status) for found in all_digests(db)] == [
        (2, "cancelled"),
        (3, "sent"),
        (1, "sent"),
    ]
    assert len(mail_server.messages) == 2


def test_a_mail_that_was_skipped_or_refused_goes_out_once_it_is_wanted(
    config: Settings, db: Database, model: Peer, mail_server: MailServer, tickets_file: Path
) -> None:
    ready = mailing(config, model, mail_server.port)
    with pytest.raises(OSError, match=tickets_file.name):
        pipeline.run(ready, tickets_file, tickets_file / "nowhere.xlsx", skip_email=True)
    mail_server.replies["MAIL"] = "550 never"
    with pytest.raises(pipeline.PipelineError, match="550"):
        pipeline.run(ready, tickets_file, None, skip_email=False)
    del mail_server.replies["MAIL"]
    pipeline.run(ready, tickets_file, None, skip_email=False)
    assert [found.status for found in all_digests(db)] == ["sent"]
    assert len(mail_server.messages) == 1


def test_a_digest_that_a_running_stack_is_sending_is_waited_for(
    config: Settings, db: Database, model: Peer, mail_server: MailServer, tickets_file: Path
) -> None:
    ready = mailing(config, model, mail_server.port)
    with pytest.raises(OSError, match=tickets_file.name):
        pipeline.run(ready, tickets_file, tickets_file / "nowhere.xlsx", skip_email=False)
    with db.write() as session:
        one_shot_runs.release(session, 1, now())
        taken = digests.take(session, 1, now())
        assert taken
        assert digests.begin_sending(session, taken, now())
    ours = threading.Thread(target=pipeline.run, args=(ready, tickets_file, None, False))
    ours.start()
    ours.join(1)
    assert ours.is_alive()
    with db.write() as session:
        digests.mark(session, 1, "sent", now(), sent_at=now())
    ours.join(120)
    assert not ours.is_alive()
    assert mail_server.messages == []
