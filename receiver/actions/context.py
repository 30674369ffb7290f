"""What actions work with: the database, the settings, the sources, Redis and the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial

import redis
from cryptography.fernet import Fernet

from receiver import queue
from receiver.db.database import Database
from receiver.intake import sources
from receiver.intake.sources import Source
from receiver.lib import secret_files
from receiver.lib.clock import now
from receiver.lib.settings import Settings


@dataclass(frozen=True)
class Context:
    """One for each web process and each command.

    `wake` asks for a queue to be woken, and never raises: a wake-up that is lost costs delay, and the sweep finds what
    is due. `redis` is for looking at jobs and changing them, which may raise redis.RedisError.
    """

    db: Database
    settings: Settings
    redis: "redis.Redis"
    wake: Callable[[str], None]
    clock: Callable[[], datetime] = now

    # These read files, which not every command needs; a mistake in one must not keep the others from running.

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every source by its name. Raises SettingsError."""
        return sources.configured(self.settings)

    @cached_property
    def factor_cipher(self) -> Fernet:
        """What the secrets of second factors are encrypted with."""
        return secret_files.factor_cipher(self.settings)


def for_command(db: Database, settings: Settings) -> Context:
    """The context of a program that ends soon: waking a queue waits for Redis, for at most a second."""
    # The web wakes queues from a thread of its own, which would end with the program before it has done so.
    wake = partial(queue.try_wake, url=settings.redis_url)
    return Context(db, settings, redis=queue.connect(settings.redis_url, timeout=1.0), wake=wake)
