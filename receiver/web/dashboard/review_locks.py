"""Which ticket is before which reviewer, so that two at once do not get the same one.

Kept in Redis, for two minutes, and never relied upon: without Redis nobody holds anything, and whoever decides second
is told what the ticket has become meanwhile.
"""

from collections.abc import Sequence

import redis

_SECONDS = 120


def take(connection: "redis.Redis", ticket_ids: Sequence[int], who: str, limit: int) -> list[int]:
    """The first `limit` of these tickets that nobody else holds, from now on this person's."""
    taken: list[int] = []
    for place, ticket_id in enumerate(ticket_ids):
        if len(taken) == limit:
            break
        try:
            is_mine = _take(connection, f"review:{ticket_id}", who)
        except (redis.RedisError, OSError):
            return [*taken, *ticket_ids[place:]][:limit]
        if is_mine:
            taken.append(ticket_id)
    return taken


def _take(connection: "redis.Redis", key: str, who: str) -> bool:
    if connection.set(key, who, nx=True, ex=_SECONDS):
        return True
    if connection.get(key) not in (who, who.encode()):
        return False
    connection.expire(key, _SECONDS)
    return True


def leave(connection: "redis.Redis", ticket_id: int) -> None:
    """The ticket is no longer before anybody."""
    try:
        connection.delete(f"review:{ticket_id}")
    except (redis.RedisError, OSError):
        return
