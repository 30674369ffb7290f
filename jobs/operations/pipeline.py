"""The one-shot pipeline: pull, classify, write the workbook, mail it. Needs neither Redis nor the web server."""

import errno
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.classification.classify import ClassificationRun
from jobs.classification.current_catalog import newest_catalog
from jobs.classification.engines import choose
from jobs.digests import mail, send
from jobs.digests.workbook import Summary
from jobs.helpdesks import pull
from receiver.db import circuit_breaker, deliveries, digests, due_tickets, one_shot_runs, recipients, tickets, work
from receiver.db.database import Database, migrate, opened
from receiver.db.deliveries import Arrival
from receiver.db.models import ONE_SHOT, SEND_DIGEST, Digest, Work
from receiver.intake.sources import standard
from receiver.lib.clock import now
from receiver.lib.settings import Settings, SettingsError

log = logging.getLogger(__name__)

_PASS_SECONDS, _POLL_SECONDS = 600.0, 0.2


class PipelineError(Exception):
    """The run could not be finished; the text says why."""


def check(input_file: Path | None) -> None:
    """Find what is wrong before the first ticket is touched. Raises SettingsError."""
    if input_file is not None and not input_file.is_file():
        raise SettingsError(f"--input: there is no file {input_file}")


def check_output(config: Settings, output: Path | None) -> None:
    """Find out before hours of work whether the workbook can be written. Raises OSError."""
    path = output or config.output_dir / config.report_filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".ticket-attribution-"):
        pass
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def run(config: Settings, input_file: Path | None, output: Path | None, skip_email: bool) -> Path:
    """Do the whole way once and return the workbook's path. Raises CatalogError, PipelineError, PullError and more."""
    with opened(config.database_url) as db:
        migrate(db)
        log.info("Step 1: Fetching data from external sources")
        catalog = newest_catalog(db, config)
        batch = pull.from_file(input_file, config.digest_timezone) if input_file else pull.from_helpdesk(config)
        ticket_ids = record_batch(db, batch)
        engine = choose(config, catalog, db)
        log.info("Step 2: Classifying %d tickets with %s (%s)", len(ticket_ids), engine.name, engine.model)
        with _progress(len(ticket_ids)) as advance:
            with db.write() as session:
                # What was wrong may have been mended for this run.
                circuit_breaker.close(session, circuit_breaker.ENGINE)
            # Whoever waits for the report gets it: an engine that is out is replaced at once.
            drain = ClassificationRun(db, engine, catalog, config, batch.source, advance, patience=timedelta(0))
            _classify(db, drain, batch.source)
        log.info("Step 3: Generating the Excel report")
        report = _claim(db, config, ticket_ids, skip_email)
        summary = send.build_workbook(db, config, report)
        path = _keep_workbook(config, report, output)
        log.info("Step 4: Sending the report by mail")
        if skip_email:
            log.info("The mail is skipped (--skip-email)")
        else:
            _send(db, config, report, summary)
        with db.write() as session:
            one_shot_runs.finish(session, report.id)
    return path


def record_batch(db: Database, batch: pull.Batch) -> list[int]:
    """Record a pull as a delivery and return its tickets' ids; what is known and unchanged stays as it is."""
    content = standard.validate(batch.items)
    for fault in content.rejected:
        log.warning("Ticket %r (%s) is left out: %s", fault["id"], batch.place(fault["index"]), fault["errors"])
    if not content.tickets:
        raise PipelineError("there is not one usable ticket to classify")
    digest_of_body = hashlib.sha256(batch.body).hexdigest()
    key = f"{digest_of_body}-{now().isoformat()}"
    arrival = Arrival(batch.source, key, {}, batch.body, digest_of_body, now(), origin=ONE_SHOT)
    with db.write() as session:
        deliveries.record(session, arrival, content)
        return tickets.ids(session, batch.source, [ticket.external_id for ticket in content.tickets])


def _classify(db: Database, drain: ClassificationRun, source: str) -> None:
    """Until none of the source's tickets is waiting; one that was set back is waited for."""
    while True:
        drain.run(_PASS_SECONDS)
        with db.write() as session:
            due_tickets.expire(session, now())  # No sweep may be running to free what an earlier, killed run held.
            again = due_tickets.first_due(session, source)
        if again is None:
            return
        time.sleep(max(0.1, (again - now()).total_seconds()))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, one log line for every 5 % elsewhere."""
    if sys.stderr.isatty():
        columns = (TextColumn("Classifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as bar:
            task = bar.add_task("", total=total)
            yield lambda count: bar.advance(task, count)
    else:
        yield _logged_progress(total)


def _logged_progress(total: int) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if total and done * 20 // total > before * 20 // total:
            log.info("Classified %d of %d (%d %%)", done, total, done * 100 // total)

    return advance


def _claim(db: Database, config: Settings, ticket_ids: list[int], skip_email: bool) -> Digest:
    """The digest of these tickets; that of an earlier run that was killed, where it is the same."""
    with db.write() as session:
        report = one_shot_runs.claim(session, ticket_ids, config.envelope, now())
        if report is None:
            raise PipelineError("the tickets are gone from the record; another process erased them")
        if skip_email:  # At once, or a running stack would send it.
            one_shot_runs.skip_mail(session, report, now())
        else:
            one_shot_runs.want_mail(session, report, now())
        session.refresh(report)
    return report


def _keep_workbook(config: Settings, report: Digest, output: Path | None) -> Path:
    path = output or config.output_dir / config.report_filename
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(digests.workbook_path(config.data_dir, report.id), path)
    log.info("The workbook is %s", path.resolve())
    return path


def _send(db: Database, config: Settings, report: Digest, summary: Summary) -> None:
    if report.status == "sent" and report.sent_at:
        log.info("An earlier run has sent this mail already, %s", _at(report.sent_at))
        return
    sent = _settled(db, config, report.id, summary)
    with db.read() as session:
        rows = recipients.of(session, sent.id)
    if mailed := recipients.mailed(rows):
        log.info("The mail is sent to %s", ", ".join(row.address for row in mailed))
    if sent.status == "held":  # Said once; whoever runs this again after that wants another mail.
        with db.write() as session:
            one_shot_runs.finish(session, sent.id)
        raise PipelineError(
            f"the mail is held: {sent.error}; to send it again: python -m jobs digest --resend {sent.id}"
        )
    if sent.status != "sent":
        what = "did not reach everybody" if mailed else "was not sent"
        raise PipelineError(f"the mail {what}: {sent.error}; the next run, or a running stack, tries again")
    if not mailed:
        log.info("The mail is kept in %s", mail.outbox_path(config, sent))
    _send_leftovers(db, config)


def _settled(db: Database, config: Settings, digest_id: int, summary: Summary) -> Digest:
    """The digest once it is sent, by us or by another process, or cannot be; what was killed sending is waited out."""
    is_told = False
    while True:
        send.settle_interrupted(db, config)
        with db.write() as session:
            one_shot_runs.release(session, digest_id, now())
        send.send(db, config, digest_id, summary)
        with db.read() as session:
            found = session.get_one(Digest, digest_id)
            lease_ends = work.first_due(session, SEND_DIGEST, Work.subject_id == digest_id)
        if found.status != "sending" and (found.status != "claimed" or found.error):
            return found
        if not is_told and found.status == "sending" and lease_ends:
            is_told = True
            log.info(
                "Another process is sending this mail, or died of it; that is known %s at the latest", _at(lease_ends)
            )
        time.sleep(_POLL_SECONDS)


def _at(moment: datetime) -> str:
    return f"at {moment.astimezone():%H:%M:%S} on {moment.astimezone():%Y-%m-%d}"


def _send_leftovers(db: Database, config: Settings) -> None:
    """What earlier runs could not mail."""
    with db.read() as session:
        waiting = one_shot_runs.unsent(session)
    for digest_id in waiting:
        log.info("Sending digest %d of an earlier run, whose mail did not go out", digest_id)
        with db.write() as session:
            one_shot_runs.release(session, digest_id, now())
        send.send(db, config, digest_id)
