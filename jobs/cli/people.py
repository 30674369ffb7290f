"""Who may come in, and what people have changed."""

import click

from jobs.cli import configured, main, or_fail, recorded, say
from receiver.db.database import Database
from receiver.lib import settings
from receiver.lib.settings import Settings


@main.command()
@click.option("--sign-in", is_flag=True, help="Print a new one-time sign-in link instead.")
@click.option("--email", help="Whom the link lets in; else the first admin, or whoever makes the first account.")
@configured
def token(config: Settings, sign_in: bool, email: str | None) -> None:
    """Print the API token."""
    from jobs.operations import shell_user
    from receiver.actions import people
    from receiver.actions.context import for_command
    from receiver.actions.errors import ActionError
    from receiver.db import database
    from receiver.lib import secret_files

    if not sign_in:
        click.echo(secret_files.api_token(config))
        return
    with database.opened(config.database_url) as db:
        database.migrate(db)
        known = for_command(db, config)
        link = or_fail(lambda: people.make_sign_in_link(known, shell_user.who(), email), ActionError)
    click.echo(f"{config.url}/sign-in/{link}")
    if told := settings.addressed(config):
        click.echo(f"The address above is this machine's own{told}", err=True)


@main.command()
@click.argument("email", metavar="MAIL")
@recorded
def reset_factor(config: Settings, db: Database, email: str) -> None:
    """Take the second factor from somebody who has lost it.

    They are signed out everywhere, and come in again without a code.
    """
    from jobs.operations import shell_user
    from receiver.actions.context import for_command
    from receiver.actions.errors import ActionError

    say(or_fail(lambda: shell_user.reset_factor(for_command(db, config), email), ActionError))


@main.command()
@click.option("--who", help="Only what this person or program did.")
@click.option("--action", help="Only this action, such as review.")
@click.option("--subject", help="Only what was done to this, such as 'ticket 7'.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many, the newest.")
@click.option("--verify", is_flag=True, help="Check that every entry is as it was written.")
@click.option("--anchor", help="Check also that the audit still leads to this entry; --verify prints one to keep.")
@recorded
def audit(_: Settings, db: Database, limit: int, verify: bool, anchor: str | None, **filters: str | None) -> None:
    """List what people and programs changed, or verify that nobody has changed the list."""
    from jobs.operations import shell_user

    if verify or anchor:
        say(or_fail(lambda: shell_user.verified(db, anchor), shell_user.TamperedError))
        return
    for line in shell_user.changes(db, limit, {name: value for name, value in filters.items() if value}):
        say(line)
