"""The digest, and the one-shot run."""

import gc
import logging
import sys
from pathlib import Path
from typing import Any

import click

from jobs.cli import FAILED, configured, main, recorded, say
from receiver.db import digests
from receiver.db.database import Database
from receiver.db.models import Digest
from receiver.lib import files
from receiver.lib.settings import Settings, SettingsError

_LISTED = 20

log = logging.getLogger("jobs")


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--name", help="Which digest of DIGESTS_FILE; by default the first.")
@click.option("--list", "listed", is_flag=True, help="Show the latest digests and how they ended.")
@click.option("--resend", type=int, metavar="ID", help="Send digest ID again, marked as a copy.")
@click.option("--redrive", type=int, metavar="ID", help="Send digest ID after all to whom it did not reach.")
@click.option("--mark-sent", type=int, metavar="ID", help="Digest ID, which is held, did arrive.")
@recorded
def digest(config: Settings, db: Database, dry_run: bool, name: str | None, listed: bool, **ordered: Any) -> None:
    """Build and send the digest of everything settled since the last one, or see to one that was made."""
    orders = {option: digest_id for option, digest_id in ordered.items() if digest_id is not None}
    if len(orders) + dry_run + listed > 1:
        raise SettingsError("Give only one of --dry-run, --list, --resend, --redrive and --mark-sent.")
    if listed:
        _list(db)
    elif orders:
        _ORDERS[next(iter(orders))](db, config, *orders.values())
    else:
        _send(db, config, name, dry_run)


def _send(db: Database, config: Settings, name: str | None, dry_run: bool) -> None:
    from jobs.digests import send as digests
    from receiver.digests import schedules

    plan = schedules.named(config, name)
    if dry_run:
        say(digests.preview(db, config, plan))
    elif sent := digests.send_now(db, config, plan):
        _told(sent)
    else:
        click.echo("Nothing was settled since the last digest; nothing is sent.")


def _resend(db: Database, config: Settings, digest_id: int) -> None:
    from jobs.digests import send as digests

    if (copied := digests.resend(db, config, digest_id)) is None:
        raise SettingsError(f"--resend: there is no digest {digest_id}, or it is on its way itself.")
    _told(copied)


def _redrive(db: Database, config: Settings, digest_id: int) -> None:
    from jobs.digests import send as digests

    if (sent := digests.redrive(db, config, digest_id)) is None:
        why = "or it has neither failed for anybody nor is it held or cancelled"
        raise SettingsError(f"--redrive: there is no digest {digest_id}, {why}.")
    _told(sent)


def _mark_sent(db: Database, config: Settings, digest_id: int) -> None:
    from jobs.operations import shell_user
    from receiver.actions import digests as orders
    from receiver.actions.context import for_command
    from receiver.actions.errors import ActionError

    try:
        orders.accept(for_command(db, config), shell_user.who(), digest_id)
    except ActionError:
        raise SettingsError(f"--mark-sent: there is no digest {digest_id}, or it is not held.") from None
    click.echo(f"Digest {digest_id} counts as sent.")


_ORDERS = {"resend": _resend, "redrive": _redrive, "mark_sent": _mark_sent}


def _list(db: Database) -> None:
    from receiver.db import digests

    with db.read() as session:
        found = digests.page(session, _LISTED)
    for each in reversed(found):
        problem = f"  {each.error}" if each.error else ""
        made = f"{each.created_at:%Y-%m-%d %H:%M}"
        status = each.status.replace("_", " ")
        say(f"{each.id}  {made}  {each.name}  {status}  {each.tickets} tickets{problem}")
    if not found:
        click.echo("No digest was made yet.")


def _told(sent: Digest) -> None:
    if sent.status == "sent":
        click.echo(f"Digest {sent.id} of {sent.tickets} tickets is sent.")
    else:
        say(f"Digest {sent.id} is {sent.status.replace('_', ' ')}: {digests.problem(sent)}", err=True)
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

    from jobs.classification.engines.base import EngineError
    from jobs.helpdesks.pull import PullError
    from jobs.operations import pipeline
    from receiver import catalog as catalogs

    pipeline.check(input_file)
    if validate_only:
        catalogs.load(config.service_catalog_url, config.request_timeout, config.outgoing_allow)
        click.echo("The settings and the catalog are good.")
        return
    pipeline.check_output(config, output)
    try:
        pipeline.run(config, input_file, output, skip_email)
    except (pipeline.PipelineError, PullError, EngineError, SQLAlchemyError, OSError) as error:
        if files.refusal(error, config):
            raise
        log.error("The run failed: %s", error, exc_info=debug)
        sys.exit(FAILED)
    finally:
        gc.freeze()  # Or the interpreter spends most of a second on looking for garbage before it ends.
