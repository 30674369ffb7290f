"""The mail server, tried."""

import sys

import click

from jobs.cli import FAILED, configured, main, say
from receiver.db.recipients import SENT
from receiver.lib.clock import now
from receiver.lib.settings import Settings, SettingsError


@main.command()
@click.option(
    "--test",
    is_flag=True,
    required=True,
    expose_value=False,
    help="Send one mail, and say what the mail server answered.",
)
@click.option("--to", "recipient", metavar="MAIL", help="To whom; by default RECIPIENT_EMAIL.")
@configured
def mail(config: Settings, recipient: str | None) -> None:
    """Send a test mail by the settings SMTP_...; exit code 1 where somebody does not get it."""
    from jobs.digests import mail as mails

    recipients = (recipient,) if recipient else config.recipient_email
    if not recipients:
        raise SettingsError("Nobody is to receive it: set RECIPIENT_EMAIL, or give --to MAIL.")
    message = mails.compose_test(config, recipients, now())
    if not config.smtp_host:
        path = config.data_dir / "outbox" / "test.eml"
        mails.keep(message, path)
        say(f"SMTP_HOST is not set, so mail is kept in the outbox: {path}")
        return
    content, failed = mails.on_the_line(message), False
    for outcomes in mails.send(config, content, mails.sender(content), recipients):
        for address, outcome in outcomes.items():
            failed = failed or outcome.state != SENT
            say(f"{address}: {'the mail server has taken it' if outcome.state == SENT else outcome.error}")
    if failed:
        sys.exit(FAILED)
