"""What the web application holds, in one typed object: everything a view needs that is not in its request."""

from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from flask import Flask, current_app, request

from receiver.actions.context import Context
from receiver.db.group_commit import Group
from receiver.lib.passwords import Passwords
from receiver.web.latency_buffer import LatencyBuffer
from receiver.web.refusal_counter import RefusalCounter
from receiver.web.system_status import StatusReader

_NAME = "ticket_attribution"


@dataclass
class WebState:
    """`context` is what actions need; the rest is only the web's."""

    context: Context
    group: Group
    latencies: LatencyBuffer
    refusals: RefusalCounter
    # Gives up faster than the context's, because requests that can do without its answer wait for it.
    redis: "redis.Redis"
    passwords: Passwords
    api_token: str
    system_status: StatusReader
    # The client of the OpenID Connect provider, if there is one; of Authlib, which only that page may know.
    oidc: object | None = None
    # What the live pages and the overview have read, by name.
    live: dict[str, Callable[[], dict[str, object] | None]] = field(default_factory=dict)
    overview: dict[str, tuple[object, object]] = field(default_factory=dict)


def put(app: Flask, made: WebState) -> None:
    """Give `app` its state."""
    app.extensions[_NAME] = made


def of(app: Flask) -> WebState:
    """The state of `app`."""
    found: WebState = app.extensions[_NAME]
    return found


def web_state() -> WebState:
    """The state of the application that answers this request."""
    return of(current_app)


def context() -> Context:
    """What an action needs that this request asks for."""
    return web_state().context


def count_refusal(kind: str, source: str = "") -> None:
    """Count this request as refused; `kind` is one of `refusals.KINDS`, `source` the one that a webhook was for."""
    web_state().refusals.note(kind, source, request.remote_addr or "unknown")
