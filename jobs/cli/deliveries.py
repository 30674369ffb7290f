"""Where deliveries come from, and reading them again."""

import sys
from pathlib import Path

import click

from jobs.cli import FAILED, configured, main, or_fail, recorded, say
from receiver.db.database import Database
from receiver.db.models import DELIVERY_STATES
from receiver.lib.settings import Settings


@main.group(invoke_without_command=True)
@click.pass_context
def sources(context: click.Context) -> None:
    """List the sources: how each proves itself, the URL to paste, and its last delivery."""
    if context.invoked_subcommand is None:
        _list_sources()


@recorded
def _list_sources(config: Settings, db: Database) -> None:
    from jobs.helpdesks import sources as listing

    for line in listing.listed(db, config):
        say(line)


@sources.command("test")
@click.argument("name")
@click.option(
    "--body", type=click.Path(path_type=Path), help="Send what is in this file instead; it is not recorded either."
)
@configured
def test_source(config: Settings, name: str, body: Path | None) -> None:
    """Send the running receiver a sample, signed as the source NAME would; nothing of it is left."""
    from jobs.helpdesks import sources as samples
    from receiver.intake.samples import SampleError

    reply = or_fail(lambda: samples.send_sample(config, name, body), SampleError)
    say(samples.explain(reply, body))
    if not reply.is_ticket:
        sys.exit(FAILED)


@sources.command("docs")
@click.argument("folder", default="docs/how-to/connect", type=click.Path(path_type=Path))
def source_pages(folder: Path) -> None:
    """Write the set-up page of every helpdesk into FOLDER."""
    from jobs.helpdesks import sources as pages

    click.echo(f"{pages.write_pages(folder)} pages are in {folder}")


@main.command()
@click.option("--source", help="The source whose deliveries are read again.")
@click.option("--since", help="From this time on, such as 2026-01-31 or 2026-01-31T10:00:00+01:00.")
@click.option("--status", type=click.Choice(DELIVERY_STATES), help="Only those of this status, such as quarantined.")
@click.option("--ids", help="These deliveries instead, comma-separated.")
@recorded
def replay(
    config: Settings, db: Database, source: str | None, since: str | None, status: str | None, ids: str | None
) -> None:
    """Read kept deliveries again with today's mapping of their source; nothing doubles."""
    from jobs.operations import replay as replaying
    from jobs.operations import shell_user
    from receiver.actions.context import for_command
    from receiver.actions.deliveries import replay_each

    chosen = replaying.chosen(db, config, source, since, status, ids)
    count = failed = 0
    for done in replay_each(for_command(db, config), shell_user.who(), chosen):
        count, failed = count + 1, failed + (done.error is not None)
        say(replaying.described(done), err=done.error is not None)
    click.echo(f"Replayed {count - failed} of {count} deliveries.")
    if failed:
        sys.exit(FAILED)
