"""What an operator does now and then: dead letters, backups, erasing."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import FAILED, configured, confirm, fail, main, recorded, say
from receiver.db.database import Database
from receiver.lib.settings import Settings

if TYPE_CHECKING:
    from jobs.operations.erase import Erased


@main.command()
@click.argument("source", required=False)
@click.option("--redrive", is_flag=True, help="Try the failed ones of SOURCE, or of all, again.")
@recorded
def outgoing(config: Settings, db: Database, source: str | None, redrive: bool) -> None:
    """List what helpdesks could not be asked or told."""
    from jobs.operations import shell_user
    from receiver.actions import outbox
    from receiver.actions.context import for_command
    from receiver.db import outbox as queries

    if redrive:
        many = outbox.redrive(for_command(db, config), shell_user.who(), source)
        click.echo(f"{many} calls are due again.")
        return
    with db.read() as session:
        dead = queries.dead(session, source, 100)
    for call, work in dead:
        say(f"{call.id}  {call.source}  ticket {call.ticket_id}  {call.kind}: {work.error}")
    click.echo(f"{len(dead)} failed" if dead else "Nothing has failed.")


@main.command()
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--every", type=click.IntRange(1, 10_000), help="Do nothing while the newest there is younger (hours).")
@click.option("--keep", type=click.IntRange(1, 10_000), help="Then delete all but so many of the newest ones there.")
@click.option("--list", "listed", is_flag=True, help="List the backups there instead.")
@click.option("--verify", is_flag=True, help="Check that the backup TARGET is whole and could be restored instead.")
@configured
def backup(
    config: Settings, target: Path | None, every: int | None, keep: int | None, listed: bool, verify: bool
) -> None:
    """Write everything that a new machine needs into one archive, while everything runs.

    TARGET is a folder, by default DATA_DIR/backups, or the file's name.
    """
    from datetime import timedelta

    from sqlalchemy.exc import SQLAlchemyError

    from jobs.operations import backup as backups
    from jobs.operations import shell_user
    from receiver.db import database

    place = target or backups.folder(config.data_dir)
    try:
        if verify:
            from jobs.operations import restore

            click.echo(restore.verify(config, place))
            return
        if listed:
            found = backups.listed(place)
            for each in found:
                click.echo(f"{each.made_at:%Y-%m-%d %H:%M} UTC  {each.size / 2**20:,.1f} MB  {each.path}")
            if not found:
                click.echo(f"There is no backup in {place}.")
            return
        if every and not backups.is_due(place, timedelta(hours=every)):
            click.echo(f"The newest backup in {place} is younger than {every} hours; nothing to do.")
            return
        with database.opened(config.database_url) as db:
            click.echo(f"The backup is {backups.backup(db, config, place)}")
        for old in backups.prune(place, keep) if keep else ():
            click.echo(f"  deleted {old}")
    except (backups.BackupError, SQLAlchemyError, OSError) as error:
        fail(f"backup: {shell_user.told(error)}")


@main.command()
@click.argument("origin", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@configured
def restore(config: Settings, origin: Path, yes: bool) -> None:
    """Put the backup FILE back; what was there is kept as another one. Nothing else may run meanwhile."""
    from sqlalchemy.exc import SQLAlchemyError

    from jobs.operations import backup as backups
    from jobs.operations import restore as restoring
    from jobs.operations import shell_user
    from receiver.db import database
    from receiver.lib.data_dir_lock import InUseError

    try:
        with database.opened(config.database_url) as db, restoring.ready(db, config, origin) as plan:
            click.echo(f"{origin}: {plan.told}")
            headings = (("replaces", plan.replaces), ("brings back", plan.revives), ("lacks", plan.lacks))
            for heading, lines in headings:
                for line in lines:
                    say(f"  {heading}: {line}")
            click.echo("  ends: every session and one-time link; people sign in again")
            confirm("Restore it?", yes)
            kept = restoring.put_back(db, config, plan)
    except (backups.BackupError, InUseError, SQLAlchemyError, OSError) as error:
        fail(f"restore: {shell_user.told(error)}")
    click.echo(f"Restored {origin}." + (f" What was there is {kept}" if kept else ""))


@main.command()
@click.option("--requester", required=True, metavar="MAIL", help="The e-mail address of the person.")
@click.option("--dry-run", is_flag=True, help="Only list what would go, and where it is.")
@click.option("--mask", is_flag=True, help="Write [erased] over the address where other people's tickets name it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@configured
def erase(config: Settings, requester: str, dry_run: bool, mask: bool, yes: bool) -> None:
    """Remove a person from tickets, raw deliveries, workbooks, outbox, Redis and free pages, and prove it.

    Ends with 1 where the address is not found, or something holds it still.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from jobs.operations import erase as erasing
    from jobs.operations import shell_user
    from receiver.db import database

    requester = requester.strip()
    if "@" not in requester.strip("@"):
        fail(f"--requester: {requester!r} is not an e-mail address; nothing was erased")
    try:
        with database.opened(config.database_url) as db:
            database.migrate(db)
            found = erasing.look(db, config, requester)
            if found.is_nothing:
                fail(f"{requester} is not found anywhere; nothing was erased")
            _tell("Found", found)
            if dry_run:
                return
            confirm("Erase it? Nothing brings it back.", yes)
            done = erasing.erase(db, config, requester, masks=mask)
    except (erasing.EraseError, SQLAlchemyError, OSError) as error:
        fail(f"erase: {shell_user.told(error)}")
    _tell("Erased", done)
    if done.mentions:
        click.echo("Other people's tickets name the address still; --mask writes [erased] over it there.", err=True)
    if done.backups:
        click.echo("These backups hold the address still; make a new one, and delete them.", err=True)
    if done.mentions or done.backups:
        sys.exit(FAILED)


def _tell(verb: str, found: "Erased") -> None:
    click.echo(f"{verb}: {found.tickets} tickets; {found.deliveries} raw deliveries; {len(found.files)} files.")
    for path in found.files:
        click.echo(f"  file {path}")
    if found.masked:
        click.echo(f"  masked in {found.masked} other places")
    for place in found.mentions:
        say(f"  named in {place}")
    for path in found.backups:
        click.echo(f"  held by the backup {path}")
