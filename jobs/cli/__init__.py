"""The commands of python -m jobs, a module for each thing that people do; this one holds what they share.

What only one command needs is imported in it, so that none of them waits for the others' libraries.
"""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import click
from sqlalchemy.exc import DBAPIError

from receiver import __version__
from receiver.catalog import CatalogError
from receiver.db import database
from receiver.db.database import SchemaError
from receiver.lib import data_dir_lock, files, settings
from receiver.lib.log import configure, printable
from receiver.lib.settings import Settings, SettingsError

FAILED, MISCONFIGURED = 1, 2
_UNSET = "Unset; the helpdesk's tickets are pulled with it. Set it, or read a file with --input."
_PULL_NEEDS = dict.fromkeys(("HELPDESK_WEBHOOK_URL", "HELPDESK_API_KEY", "HELPDESK_API_SECRET"), _UNSET)
Result = TypeVar("Result")

log = logging.getLogger("jobs")


def say(text: str, err: bool = False) -> None:
    """Print what may hold words of others, such as names and subjects, so that none of them steers a terminal."""
    click.echo(printable(text), err=err)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ticket-attribution", message="%(prog)s %(version)s")
def main() -> None:
    """Attribute helpdesk tickets to the service catalog."""


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings; wrong ones are all named in one message, and it exits with 2."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        files.be_private()
        config = None
        try:
            pulls = "input_file" in options and options["input_file"] is None
            config = settings.load(required=_PULL_NEEDS if pulls else None)
            configure("DEBUG" if options.get("debug") else config.log_level)
            for line in settings.misspelled():
                log.warning("%s", line)
            command(config, *args, **options)
        except (SettingsError, CatalogError, SchemaError) as error:
            say(str(error), err=True)
            sys.exit(MISCONFIGURED)
        except BrokenPipeError:
            raise  # Whoever read what we print has enough; click ends in silence.
        except (DBAPIError, OSError) as error:
            log.debug("It ends because of this", exc_info=True)
            if config is None or (told := files.refusal(error, config)) is None:
                from jobs.operations import shell_user

                fail(shell_user.told(error))
            say(told, err=True)
            is_server = isinstance(error, DBAPIError) and not config.database_url.startswith("sqlite")
            sys.exit(FAILED if is_server else MISCONFIGURED)

    return wrapped


def recorded(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings and the record, brought to the newest schema."""

    @configured
    @wraps(command)
    def wrapped(config: Settings, *args: Any, **options: Any) -> None:
        data_dir_lock.check(config.data_dir)
        with database.opened(config.database_url) as db:
            database.migrate(db)
            command(config, db, *args, **options)

    return wrapped


def fail(reason: str) -> NoReturn:
    """End with 1 and one line that says why."""
    say(" ".join(reason.split()), err=True)
    sys.exit(FAILED)


def confirm(question: str, yes: bool) -> None:
    """Ask before what cannot be undone; end with 1 where the answer is no, or nobody is there to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("Nobody is here to be asked, and nothing was changed; --yes says that it shall be done.")
    if not click.confirm(question, default=False):
        fail("Nothing was changed.")


def or_fail(act: Callable[[], Result], expected: type[Exception]) -> Result:
    """What `act` returns; ends with 1 and the reason where it raises what it may."""
    try:
        return act()
    except (expected, OSError) as error:
        say(str(error), err=True)
        sys.exit(FAILED)
