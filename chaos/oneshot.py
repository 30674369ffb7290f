"""The one-shot pipeline, killed at moments spread over its whole life and run again until it ends.

Each run is a real process between a helpdesk's API, a model and a mail server. Before the next one, the ten seconds of
a lease and the two minutes of a sender are over.
"""

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from openpyxl import load_workbook
from sqlalchemy import func, select

from chaos import checks
from chaos.result import Result
from receiver.db.database import Database, migrate, opened
from receiver.db.models import SEND_DIGEST, Classification, Digest, Ticket
from tests.conftest import EXAMPLE, ROOT
from tests.factories import outrun_leases, outrun_waits, ticket_json
from tests.peers import http, llm, smtp
from tests.peers.http import Answer, Peer, Request, free_port
from tests.peers.smtp import MailServer

TICKETS, AT_ONCE, MODEL_SECONDS = 36, 6, 0.15
_CLAIMED = 2 * AT_ONCE  # As many again wait for a thread, and each is claimed until it is saved.
_MOST_DEATHS = 2  # A ticket that sees three deaths is taken for their cause, and given up.
_END_SECONDS = 600
NAMES = [f"K-{number}" for number in range(TICKETS)]


@dataclass(frozen=True)
class Moment:
    """So many seconds after a run began, or where it is one `of_work`, after the model was first asked."""

    of_work: bool
    seconds: float


@dataclass
class Desk:
    """A folder, its peers, and what was seen of the runs in it."""

    folder: Path
    rule: str
    helpdesk: Peer
    model: Peer
    mail: MailServer
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: list[int] = field(default_factory=list)
    seen: tuple[int, int] = (0, 0)
    was_sending: bool = False

    def answer(self, request: Request) -> Answer:
        """What the model says, a little later; each call is counted when it comes in."""
        found = re.search(rb"the mark (K-\d+)\b", request.body)
        if found is None:
            return Answer()  # Whoever asked has died in the middle of its request.
        with self.lock:
            self.asked[found[1].decode()] += 1
        time.sleep(MODEL_SECONDS)
        return llm.first_label(request)

    def start(self) -> subprocess.Popen[bytes]:
        """A run."""
        environ = EXAMPLE | {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "DATA_DIR": str(self.folder / "data"), "OUTPUT_DIR": str(self.folder / "output"),
            "HELPDESK_WEBHOOK_URL": f"{self.helpdesk.url}/pull", "HELPDESK_API_KEY": "k", "HELPDESK_API_SECRET": "s",
            "OPENAI_BASE_URL": f"{self.model.url}/v1", "OUTGOING_ALLOW": "127.0.0.1", "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.mail.port), "SMTP_USE_TLS": "false", "FROM_EMAIL": "desk@example.com",
            "RECIPIENT_EMAIL": "boss@example.com", "LLM_CONCURRENCY": str(AT_ONCE),
            "DIGEST_AFTER_UNKNOWN": self.rule,
        }  # fmt: skip
        command = [sys.executable, "-m", "jobs", "run"]
        log = (self.folder / "log").open("ab")
        return subprocess.Popen(command, cwd=self.folder, env=environ, stdout=log, stderr=log)

    def killed_at(self, moment: Moment) -> bool:
        """Kill a run at this moment; False where it had ended, or had done all but end."""
        begins_with = self.asked.total()
        with self.start() as process:
            while moment.of_work and process.poll() is None and self.asked.total() == begins_with:
                time.sleep(0.01)
            try:
                process.wait(moment.seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            else:
                return False
        with self.opened() as db:
            has_ended = self._look(db)
            self._let_time_pass(db)
        return not has_ended

    def opened(self) -> AbstractContextManager[Database]:
        """The record, of which a run that was killed early has made nothing yet."""
        (self.folder / "data").mkdir(exist_ok=True)
        return opened(f"sqlite:///{self.folder}/data/tickets.db")

    def _look(self, db: Database) -> bool:
        """Note how many calls were under way or not saved; whether the run had ended, so that another is a new one."""
        migrate(db)
        with db.read() as session:
            saved = session.scalar(select(func.count()).where(Classification.current)) or 0
            made = session.scalars(select(Digest).order_by(Digest.id)).all()
        calls, before = self.asked.total(), self.seen
        self.seen = (calls, saved)
        self.under_way.append(calls - before[0] - (saved - before[1]))
        self.was_sending = self.was_sending or any(each.status == "sending" for each in made)
        return any(each.run_key is None for each in made)

    def _let_time_pass(self, db: Database) -> None:
        with db.write() as session:
            outrun_leases(session)
            outrun_waits(session, SEND_DIGEST)


def _stage(stack: ExitStack, folder: Path, rule: str) -> Desk:
    found = [
        ticket_json(id=name, short_description=f"VPN: the mark {name}", long_description="no route") for name in NAMES
    ]
    answer = Answer.of({"response_code": 200, "data": {"requests": found}})
    folder.mkdir(parents=True)
    desk = Desk(
        folder,
        rule,
        stack.enter_context(http.serve(Peer(lambda _: answer))),
        stack.enter_context(http.serve(Peer(lambda _: Answer()))),
        stack.enter_context(smtp.serve(MailServer())),
    )
    desk.model.respond = desk.answer
    return desk


def faults(desk: Desk, code: int) -> list[str]:
    """What is not as it should be after the last run, which ended with `code`."""
    with desk.opened() as db, db.read() as session:
        made = session.scalars(select(Digest)).all()
        query = select(Ticket.external_id).join(Classification, Classification.ticket_id == Ticket.id)
        classified = sorted(session.scalars(query.where(Classification.current)))
    found = [fault for fault in checks.database(desk.folder / "data" / "tickets.db") if "outside catalog" not in fault]
    if classified != sorted(NAMES):
        found.append(f"{len(classified)} tickets are classified")
    if sorted(_listed(desk.folder / "output" / "classified_tickets_report.xlsx")) != sorted(NAMES):
        found.append("the workbook is not complete")
    repeated = desk.asked.total() - TICKETS
    if set(desk.asked) != set(NAMES) or repeated > sum(desk.under_way):
        found.append(f"{repeated} calls repeated, {desk.under_way} were under way")
    if max(desk.under_way, default=0) > _CLAIMED:
        found.append(f"{max(desk.under_way)} calls were under way or not saved at a death")
    return found + _mail_faults(desk, [each.status for each in made], code)


def _listed(path: Path) -> list[str]:
    rows = load_workbook(path, read_only=True)["Tickets"].iter_rows(min_row=2, values_only=True)
    return [str(row[0]) for row in rows if row[4]]


def _mail_faults(desk: Desk, statuses: list[str], code: int) -> list[str]:
    """Once; whoever was killed while sending may have sent it, and does what the rule says."""
    sent = [str(message["Message-ID"]) for message in desk.mail.messages]
    end = (statuses, code, len(sent))
    allowed: list[tuple[list[str], int, int]] = [(["sent"], 0, 1)]
    if desk.was_sending:
        allowed += [(["held"], 1, 0), (["held"], 1, 1)] if desk.rule == "hold" else [(["sent"], 0, 2)]
    return [] if end in allowed and len(set(sent)) <= 1 else [f"mails: {end}, of {len(set(sent))} Message-IDs"]


def one_round(folder: Path, rule: str, moments: list[Moment]) -> tuple[Desk, int, list[str]]:
    """Kill a run at each of these moments, or until one has ended, and let the last one end; also how many died."""
    with ExitStack() as stack:
        desk = _stage(stack, folder, rule)
        deaths = 0
        for moment in moments:
            if not desk.killed_at(moment):
                break
            deaths += 1
        else:
            with desk.start() as last:
                return desk, deaths, faults(desk, last.wait(_END_SECONDS))
        return desk, deaths, faults(desk, 0)


def killed_runs(folder: Path, rng: random.Random, kills: int = 60) -> Result:
    """At least so many runs, killed at any moment of a run's life, up to two before one ends.

    A run spends most of its life on starting, so every other death comes once the model is asked.
    """
    started = time.monotonic()
    _, _, found = one_round(folder / "whole", "hold", [])
    life = time.monotonic() - started
    deaths = repeated = sending = rounds = 0
    while deaths < kills:
        kinds = [rng.random() < 0.5 for _ in range(_MOST_DEATHS)]
        chosen = [Moment(of_work, rng.uniform(0, life / 2 if of_work else life)) for of_work in kinds]
        desk, died, wrong = one_round(folder / str(rounds), rng.choice(["hold", "resend"]), chosen)
        deaths, repeated = deaths + died, repeated + desk.asked.total() - TICKETS
        sending, rounds = sending + desk.was_sending, rounds + 1
        found += [f"round {rounds}, killed after {chosen}: {fault}" for fault in wrong]
    figures = (
        f"{deaths} deaths of runs that take {life:.1f} s, in {rounds} batches of {TICKETS} tickets, {sending} while"
        f" sending; {repeated} model calls repeated"
    )
    return Result("one-shot", figures, found)


SCENARIOS = {"run": killed_runs}
