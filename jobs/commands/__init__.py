"""The commands of python -m jobs, a module for each thing that people do; this one holds what they share.

What only one command needs is imported in it, so that none of them waits for the others' libraries.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from receiver import settings
from receiver.catalog import CatalogError
from receiver.log import configure
from receiver.record import database
from receiver.record.database import SchemaError
from receiver.settings import Settings, SettingsError

FAILED, MISCONFIGURED = 1, 2
Result = TypeVar("Result")


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
        except (SettingsError, CatalogError, SchemaError) as error:
            click.echo(str(error), err=True)
            sys.exit(MISCONFIGURED)

    return wrapped


def recorded(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the settings and the record, brought to the newest schema."""

    @configured
    @wraps(command)
    def wrapped(config: Settings, *args: Any, **options: Any) -> None:
        with database.opened(config.database_url) as record:
            database.migrate(record)
            command(config, record, *args, **options)

    return wrapped


def or_fail(act: Callable[[], Result], expected: type[Exception]) -> Result:
    """What `act` returns; ends with 1 and the reason where it raises what it may."""
    try:
        return act()
    except (expected, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)
