"""What an operator does now and then: dead letters, backups, erasing."""

from pathlib import Path

import click

from jobs.commands import configured, main, or_fail, recorded
from receiver.record.database import Record
from receiver.settings import Settings


@main.command()
@click.argument("source", required=False)
@click.option("--redrive", is_flag=True, help="Try the failed ones of SOURCE, or of all, again.")
@recorded
def errands(_: Settings, record: Record, source: str | None, redrive: bool) -> None:
    """List what helpdesks could not be asked or told."""
    from jobs import shell
    from receiver.clock import now
    from receiver.record import audit
    from receiver.record import errands as queries

    if redrive:
        with record.write() as session:
            many = queries.redrive(session, source, now())
            subject = f"errands of {source or 'every source'}"
            audit.note(session, shell.who(), "redrive", subject, now(), {"errands": many})
        click.echo(f"{many} errands are due again.")
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
        or_fail(lambda: copies.backup(record, path), copies.BackupError)
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
        or_fail(lambda: copies.restore(record, origin, kept), copies.BackupError)
    click.echo(f"The database is that of {origin}; what was there is {kept}")


@main.command()
@click.option("--requester", required=True, help="The e-mail address of the person.")
@configured
def erase(config: Settings, requester: str) -> None:
    """Remove a person from tickets, raw deliveries, workbooks, outbox and free pages, and prove it."""
    from jobs import erase as erasing
    from receiver.record import database

    with database.opened(config.database_url) as record:
        found = or_fail(lambda: erasing.erase(record, config, requester), erasing.EraseError)
    click.echo(f"Erased: {found.tickets} tickets; {found.deliveries} raw deliveries emptied; {len(found.files)} files.")
    for path in found.files:
        click.echo(f"  deleted {path}")
    for path in found.backups:
        click.echo(f"  STILL HELD by the backup {path}; replace or delete it")
