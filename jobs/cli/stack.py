"""Running the stack, or one process or step of it."""

from contextlib import suppress

import click

from jobs.cli import configured, main
from receiver.lib.settings import Settings, SettingsError


@main.command()
@configured
def up(config: Settings) -> None:
    """Run the whole stack in the foreground until Ctrl-C."""
    from jobs.operations import supervisor as stack

    _check_guards(config)
    stack.up(config)


def _check_guards(config: Settings) -> None:
    """Refuse to start where a library has changed so that requests could go anywhere, or take any time."""
    from receiver.lib import egress

    try:
        egress.check()
        if config.uses_llm:
            from jobs.classification.engines import deadline_client

            deadline_client.check()
    except egress.GuardError as error:
        raise SettingsError(str(error)) from None


@main.command()
@click.argument("queue", required=False)
@configured
def worker(config: Settings, queue: str | None) -> None:
    """Serve QUEUE (classify, digest, maintenance, outgoing, training); without one, keep a worker running for each."""
    from jobs.operations import supervisor as stack
    from receiver.queue import QUEUES

    _check_guards(config)
    if queue is None:
        _require_schema(config)
        stack.work(config)
    elif queue in QUEUES:
        _require_schema(config)
        stack.run_with_redis(lambda: stack.serve(queue, config))
    else:
        raise SettingsError(f"there is no queue {queue!r}; the queues are {', '.join(QUEUES)}")


@main.command()
@configured
def scheduler(config: Settings) -> None:
    """Run the timetable: the sweep and the digests."""
    from jobs.operations import supervisor as stack

    _require_schema(config)
    stack.run_with_redis(lambda: stack.run_timetable(config))


def _require_schema(config: Settings) -> None:
    """Raise SchemaError for a database of another version; one that is away may come back."""
    from sqlalchemy.exc import SQLAlchemyError

    from receiver.db import database

    with suppress(SQLAlchemyError), database.opened(config.database_url) as db:
        database.require_schema(db)


@main.command()
@configured
def migrate(config: Settings) -> None:
    """Bring the database to the newest schema."""
    from receiver.db import database

    with database.opened(config.database_url) as db:
        database.migrate(db)
    click.echo("The database has the newest schema.")
