"""Which ticket is before which reviewer, so that two at once do not get the same one.

The locks are kept in Redis for two minutes, and nothing relies on them: without Redis nobody holds a ticket, and the
second reviewer of one is told what it has become meanwhile.
"""

from collections.abc import Sequence
from contextlib import suppress

import redis

_SECONDS = 120


def take(connection: "redis.Redis", ticket_ids: Sequence[int], who: str, limit: int) -> list[int]:
    """The first `limit` of these tickets that nobody else holds, from now on this person's."""
    taken: list[int] = []
    for place, ticket_id in enumerate(ticket_ids):
        if len(taken) == limit:
            break
        key = f"review:{ticket_id}"
        try:
            if connection.set(key, who, nx=True, ex=_SECONDS):
                taken.append(ticket_id)
            elif connection.get(key) in (who, who.encode()):
                # This person's already, from before the page was loaded again.
                connection.expire(key, _SECONDS)
                taken.append(ticket_id)
        except (redis.RedisError, OSError):
            return [*taken, *ticket_ids[place:]][:limit]
    return taken


def leave(connection: "redis.Redis", ticket_id: int) -> None:
    """Let go of a ticket that has been decided."""
    # Without Redis the key ends by itself.
    with suppress(redis.RedisError, OSError):
        connection.delete(f"review:{ticket_id}")
