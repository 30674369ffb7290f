"""Running the stack, or one process or step of it."""

import logging
import sys
from collections.abc import Callable

import click
import redis

from jobs.commands import FAILED, configured, main
from receiver.settings import Settings, SettingsError

log = logging.getLogger("jobs")


@main.command()
@configured
def up(config: Settings) -> None:
    """Run the whole stack in the foreground until Ctrl-C."""
    from jobs import up as stack

    stack.up(config)


@main.command()
@click.argument("queue", required=False)
@configured
def worker(config: Settings, queue: str | None) -> None:
    """Serve QUEUE (classify, digest, maintenance or outgoing); without one, keep a worker running for each."""
    from jobs import up as stack
    from jobs import worker as one
    from receiver.queue import QUEUES

    if queue is None:
        stack.keep(stack.workers(config), [])
    elif queue in QUEUES:
        _with_redis(lambda: one.work(queue, config))
    else:
        raise SettingsError(f"there is no queue {queue!r}; the queues are {', '.join(QUEUES)}")


@main.command()
@configured
def scheduler(config: Settings) -> None:
    """Run the timetable: the sweep and the digests."""
    from sqlalchemy.exc import SQLAlchemyError

    from jobs import schedule
    from receiver.record.database import opened

    try:
        with opened(config.database_url) as record:
            schedule.announce(record)
    except (SQLAlchemyError, OSError) as error:  # The page shows an older timetable then; this one runs all the same.
        log.warning("The timetable is not written into the record: %s", type(error).__name__)
    _with_redis(lambda: schedule.run(config))


def _with_redis(start: Callable[[], None]) -> None:
    """Ends with 1 where Redis is away; whoever keeps this process running starts it again. Raises SettingsError."""
    from receiver import queue

    try:
        start()
    except queue.UnsuitableError as error:
        raise SettingsError(str(error)) from None
    except (redis.RedisError, OSError) as error:
        log.error("Redis is away: %s", queue.reason(error))
        sys.exit(FAILED)


@main.command()
@configured
def migrate(config: Settings) -> None:
    """Bring the database to the newest schema."""
    from receiver.record import database

    with database.opened(config.database_url) as record:
        database.migrate(record)
    click.echo("The database has the newest schema.")
