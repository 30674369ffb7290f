"""Who may come in."""

import click

from jobs.commands import configured, main, or_fail
from receiver.settings import Settings


@main.command()
@click.option("--sign-in", is_flag=True, help="Print a new one-time sign-in link instead.")
@click.option("--email", help="Whom the link lets in; else the first admin, or whoever makes the first account.")
@configured
def token(config: Settings, sign_in: bool, email: str | None) -> None:
    """Print the API token."""
    from jobs import shell
    from receiver import secrets
    from receiver.record import database

    if not sign_in:
        click.echo(secrets.api_token(config))
        return
    with database.opened(config.database_url) as record:
        database.migrate(record)
        link = or_fail(lambda: shell.sign_in_link(record, email), shell.NobodyError)
    click.echo(f"{config.url}/sign-in/{link}")
