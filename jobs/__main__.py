"""The command line: python -m jobs."""

import gc
import json
import logging
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import redis

from receiver import settings
from receiver.catalog import CatalogError
from receiver.log import configure
from receiver.record.models import DELIVERY_STATES
from receiver.settings import Settings, SettingsError

FAILED, MISCONFIGURED = 1, 2
Result = TypeVar("Result")

log = logging.getLogger("jobs")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Attribute helpdesk tickets to the service catalog."""


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings; wrong ones are all named in one message, and it exits with 2."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            config = settings.load()
            configure("DEBUG" if options.get("debug") else config.log_level)
            command(config, *args, **options)
        except (SettingsError, CatalogError) as error:
            click.echo(str(error), err=True)
            sys.exit(MISCONFIGURED)

    return wrapped


@main.command()
@configured
def up(config: Settings) -> None:
    """Run the whole stack in the foreground until Ctrl-C."""
    from jobs import up as stack

    stack.up(config)


@main.command()
@click.argument("queue", required=False)
@configured
def worker(config: Settings, queue: str | None) -> None:
    """Serve QUEUE (classify, digest, maintenance or outgoing); without one, keep a worker running for each."""
    from jobs import up as stack
    from jobs import worker as one
    from receiver.queue import QUEUES

    if queue is None:
        stack.keep(stack.workers(config), [])
    elif queue in QUEUES:
        _with_redis(lambda: one.work(queue, config))
    else:
        raise SettingsError(f"there is no queue {queue!r}; the queues are {', '.join(QUEUES)}")


@main.command()
@configured
def scheduler(config: Settings) -> None:
    """Run the timetable: the sweep and the digests."""
    from sqlalchemy.exc import SQLAlchemyError

    from jobs import schedule
    from receiver.record.database import opened

    try:
        with opened(config.database_url) as record:
            schedule.announce(record)
    except SQLAlchemyError as error:  # The page shows an older timetable then; this one runs all the same.
        log.warning("The timetable is not written into the record: %s", type(error).__name__)
    _with_redis(lambda: schedule.scheduler(config).start())


def _with_redis(start: Callable[[], None]) -> None:
    """Ends with 1 where Redis is away; whoever keeps this process running starts it again."""
    try:
        start()
    except redis.RedisError as error:
        log.error("Redis is away: %s", type(error).__name__)
        sys.exit(FAILED)


@main.command()
@configured
def migrate(config: Settings) -> None:
    """Bring the database to the newest schema."""
    from receiver.record import database

    with database.opened(config.database_url) as record:
        database.migrate(record)
    click.echo("The database has the newest schema.")


@main.command()
@click.option("--sign-in", is_flag=True, help="Print a new one-time sign-in link instead.")
@configured
def token(config: Settings, sign_in: bool) -> None:
    """Print the API token."""
    from receiver import secrets
    from receiver.clock import now
    from receiver.record import database
    from receiver.record import sign_in as links

    if not sign_in:
        click.echo(secrets.api_token(config))
        return
    with database.opened(config.database_url) as record:
        database.migrate(record)
        with record.write() as session:
            link = links.issue(session, now())
    click.echo(f"{config.url}/sign-in/{link}")


@main.group(invoke_without_command=True)
@click.pass_context
def sources(context: click.Context) -> None:
    """List the sources: how each proves itself, the URL to paste, and its last delivery."""
    if context.invoked_subcommand is None:
        _list_sources()


@configured
def _list_sources(config: Settings) -> None:
    from jobs import sources as listing
    from receiver.record import database

    with database.opened(config.database_url) as record:
        database.migrate(record)
        for line in listing.listed(record, config):
            click.echo(line)


@sources.command("test")
@click.argument("name")
@click.option(
    "--body", type=click.Path(path_type=Path), help="Send what is in this file instead; it is not recorded either."
)
@configured
def test_source(config: Settings, name: str, body: Path | None) -> None:
    """Send the running receiver a sample, signed as the source NAME would; nothing of it is left."""
    from jobs import sources as samples
    from receiver.samples import SampleError

    reply = _or_fail(lambda: samples.send_sample(config, name, body), SampleError)
    click.echo(samples.explain(reply, body))
    if not reply.is_ticket:
        sys.exit(FAILED)


@sources.command("docs")
@click.argument("folder", default="docs/helpdesks", type=click.Path(path_type=Path))
def source_pages(folder: Path) -> None:
    """Write the set-up page of every helpdesk into FOLDER."""
    from jobs import sources as pages

    click.echo(f"{pages.write_pages(folder)} pages are in {folder}")


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@configured
def digest(config: Settings, dry_run: bool) -> None:
    """Build and send the digest of everything settled since the last one."""
    from jobs import digest as digests
    from receiver.record import database

    with database.opened(config.database_url) as record:
        database.migrate(record)
        if dry_run:
            click.echo(digests.preview(record, config))
            return
        sent = digests.send_now(record, config)
    if sent is None:
        click.echo("Nothing was settled since the last digest; nothing is sent.")
    elif sent.status == "sent":
        click.echo(f"Digest {sent.id} of {sent.tickets} tickets is sent.")
    else:
        click.echo(f"Digest {sent.id} is {sent.status}: {sent.error}", err=True)
        sys.exit(FAILED)


@main.command()
@click.argument("source", required=False)
@click.option("--redrive", is_flag=True, help="Try the failed ones of SOURCE, or of all, again.")
@configured
def errands(config: Settings, source: str | None, redrive: bool) -> None:
    """List what helpdesks could not be asked or told."""
    from receiver.clock import now
    from receiver.record import database
    from receiver.record import errands as queries

    with database.opened(config.database_url) as record:
        database.migrate(record)
        if redrive:
            with record.write() as session:
                click.echo(f"{queries.redrive(session, source, now())} errands are due again.")
            return
        with record.read() as session:
            found = [errand for errand in queries.failed(session, 100) if source in (None, errand.source)]
    for errand in found:
        click.echo(f"{errand.id}  {errand.source}  ticket {errand.ticket_id}  {errand.kind}: {errand.error}")
    click.echo(f"{len(found)} failed" if found else "Nothing has failed.")


@main.command()
@click.argument("target", required=False, type=click.Path(path_type=Path))
@configured
def backup(config: Settings, target: Path | None) -> None:
    """Copy the database to TARGET, by default under DATA_DIR/backups, while everything runs."""
    from jobs import backup as copies
    from receiver.record import database

    path = target or copies.default_path(config.data_dir)
    with database.opened(config.database_url) as record:
        _or_fail(lambda: copies.backup(record, path), copies.BackupError)
    click.echo(f"The backup is {path}")


@main.command()
@click.argument("origin", type=click.Path(path_type=Path))
@configured
def restore(config: Settings, origin: Path) -> None:
    """Put the backup ORIGIN in the place of the database; what was there is kept as another backup."""
    from jobs import backup as copies
    from receiver.record import database

    kept = copies.default_path(config.data_dir, "before-restore")
    with database.opened(config.database_url) as record:
        _or_fail(lambda: copies.restore(record, origin, kept), copies.BackupError)
    click.echo(f"The database is that of {origin}; what was there is {kept}")


@main.command()
@click.option("--requester", required=True, help="The e-mail address of the person.")
@configured
def erase(config: Settings, requester: str) -> None:
    """Remove a person from tickets, raw deliveries, workbooks, outbox and free pages, and prove it."""
    from jobs import erase as erasing
    from receiver.record import database

    with database.opened(config.database_url) as record:
        found = _or_fail(lambda: erasing.erase(record, config, requester), erasing.EraseError)
    click.echo(f"Erased: {found.tickets} tickets; {found.deliveries} raw deliveries emptied; {len(found.files)} files.")
    for path in found.files:
        click.echo(f"  deleted {path}")
    for path in found.backups:
        click.echo(f"  STILL HELD by the backup {path}; replace or delete it")


def _or_fail(act: Callable[[], Result], expected: type[Exception]) -> Result:
    """What `act` returns; ends with 1 and the reason where it raises what it may."""
    try:
        return act()
    except (expected, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)


@main.command()
@click.option("--source", help="The source whose deliveries are read again.")
@click.option("--since", help="From this time on, such as 2026-01-31 or 2026-01-31T10:00:00+01:00.")
@click.option("--status", type=click.Choice(DELIVERY_STATES), help="Only those of this status, such as quarantined.")
@click.option("--ids", help="These deliveries instead, comma-separated.")
@configured
def replay(config: Settings, source: str | None, since: str | None, status: str | None, ids: str | None) -> None:
    """Read kept deliveries again with today's mapping of their source; nothing doubles."""
    from jobs import replay as replaying
    from receiver.record import database

    with database.opened(config.database_url) as record:
        database.migrate(record)
        chosen = replaying.chosen(record, config, source, since, status, ids)
        count = failed = 0
        for done in replaying.replay(record, config, chosen):
            count, failed = count + 1, failed + (done.error is not None)
            click.echo(replaying.described(done), err=done.error is not None)
    click.echo(f"Replayed {count - failed} of {count} deliveries.")
    if failed:
        sys.exit(FAILED)


@main.command()
@click.option("--skip-email", is_flag=True, help="Write the workbook, send no mail.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the workbook goes.")
@click.option("--debug", is_flag=True, help="Log more.")
@click.option("--validate-only", is_flag=True, help="Check the settings and the catalog, do nothing else.")
@click.option("--input", "input_file", type=click.Path(path_type=Path), help="Read .json, .jsonl, .csv or .xlsx.")
@configured
def run(
    config: Settings, skip_email: bool, output: Path | None, debug: bool, validate_only: bool, input_file: Path | None
) -> None:
    """Pull the tickets, classify them, write the workbook and mail it, once."""
    from sqlalchemy.exc import SQLAlchemyError

    from jobs import pipeline
    from jobs.engines import EngineError
    from jobs.pull import PullError
    from receiver import catalog as catalogs

    pipeline.check(config, input_file)
    if validate_only:
        catalogs.load(config.service_catalog_url, config.request_timeout, config.outgoing_allow)
        click.echo("The settings and the catalog are good.")
        return
    try:
        pipeline.run(config, input_file, output, skip_email)
    except (pipeline.PipelineError, PullError, EngineError, SQLAlchemyError, OSError) as error:
        log.error("The run failed: %s", error, exc_info=debug)
        sys.exit(FAILED)
    finally:
        gc.freeze()  # Or the interpreter spends most of a second on looking for garbage before it ends.


@main.command()
@click.argument("location", required=False, metavar="[FILE|URL]")
@configured
def catalog(config: Settings, location: str | None) -> None:
    """Check the catalog in a FILE or at a URL, by default the settings' own: its mistakes, or what it leaves unsaid."""
    from receiver import catalog as catalogs

    found = catalogs.load(location or config.service_catalog_url, config.request_timeout, config.outgoing_allow)
    click.echo(f"The catalog is good; its version is {found.version}.")
    click.echo(", ".join(f"{count} {noun.replace('_', ' ')}" for noun, count in catalogs.counts(found).items()))
    for warning in catalogs.quality(found):
        click.echo(f"- {warning}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--engine", "engine_name", type=click.Choice(["llm", "local"]), help="Default: as the settings say.")
@click.option("--learn", type=click.IntRange(1), help="Teach so many tickets of each type first; test with the rest.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@configured
def evaluate(config: Settings, file: Path, engine_name: str | None, learn: int | None, as_json: bool) -> None:
    """Measure an engine on the labelled tickets of FILE (.jsonl with category and request_type)."""
    from collections import Counter

    from sqlalchemy.exc import SQLAlchemyError

    from jobs import evaluate as evaluation
    from jobs.evaluate import figures, report
    from jobs.pull import PullError
    from receiver import catalog as catalogs

    catalog = catalogs.load(config.service_catalog_url, config.request_timeout, config.outgoing_allow)
    for warning in catalogs.quality(catalog)[:1]:
        click.echo(f"Note: {warning} python -m jobs catalog shows all.", err=True)
    name = engine_name or ("llm" if config.uses_llm else "local")
    if name == "llm" and not config.uses_llm:
        raise SettingsError("--engine llm: set OPENAI_API_KEY or OPENAI_BASE_URL first")
    unanswered: Counter[str] = Counter()
    try:
        tickets = evaluation.load(file, catalog)
        with evaluation.opened_engine(name, config, catalog) as engine:
            if learn:
                outcomes = evaluation.run_learning(engine, catalog, tickets, learn, unanswered=unanswered)
            else:
                outcomes = evaluation.run(engine, catalog, tickets, unanswered)
    except (PullError, SQLAlchemyError, OSError) as error:
        log.error("The evaluation failed: %s", error)
        sys.exit(FAILED)
    for reason, count in unanswered.most_common():
        log.warning("%d not answered: %s", count, reason)
    if not outcomes:
        log.error("The evaluation failed: no ticket was answered")
        sys.exit(FAILED)
    measured = figures.measure(outcomes, engine, unanswered.total())
    click.echo(json.dumps(measured, ensure_ascii=False) if as_json else report.describe(measured))


if __name__ == "__main__":
    main(prog_name="python -m jobs")
