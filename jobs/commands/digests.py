"""The digest, and the one-shot run."""

import gc
import logging
import sys
from pathlib import Path

import click

from jobs.commands import FAILED, configured, main, recorded
from receiver.record.database import Record
from receiver.record.models import Digest
from receiver.settings import Settings, SettingsError

log = logging.getLogger("jobs")


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--name", help="Which digest of DIGESTS_FILE; by default the first.")
@click.option("--resend", "resent", type=int, metavar="ID", help="Send digest ID again, marked as a copy.")
@recorded
def digest(config: Settings, record: Record, dry_run: bool, name: str | None, resent: int | None) -> None:
    """Build and send the digest of everything settled since the last one."""
    from jobs import digest as digests
    from receiver import plans

    if resent is not None:
        if (copied := digests.resend(record, config, resent)) is None:
            raise SettingsError(f"--resend: there is no digest {resent}, or it is on its way itself.")
        _told(copied)
        return
    plan = plans.named(config, name)
    if dry_run:
        click.echo(digests.preview(record, config, plan))
    elif sent := digests.send_now(record, config, plan):
        _told(sent)
    else:
        click.echo("Nothing was settled since the last digest; nothing is sent.")


def _told(sent: Digest) -> None:
    if sent.status == "sent":
        click.echo(f"Digest {sent.id} of {sent.tickets} tickets is sent.")
    else:
        click.echo(f"Digest {sent.id} is {sent.status}: {sent.error}", err=True)
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
