"""create_app() wires the parts; each blueprint's guard stands on the line above its registration."""

import traceback
from functools import partial
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from sqlalchemy.exc import DBAPIError, TimeoutError
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Gone,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    UnprocessableEntity,
)

from receiver import queue
from receiver.actions.context import Context
from receiver.actions.errors import ActionError, ConflictError, GoneError, InvalidError, NotFoundError, QueueAwayError
from receiver.db.database import Database
from receiver.db.group_commit import Group
from receiver.digests import schedules
from receiver.lib import secret_files, settings
from receiver.lib.log import configure
from receiver.lib.passwords import Passwords
from receiver.lib.settings import Settings
from receiver.web import api, auth, dashboard, health, state, webhooks
from receiver.web.api import docs
from receiver.web.api.description import describe, describe_webhooks
from receiver.web.api.errors import require_json
from receiver.web.dashboard import error_page, formats, frame, oidc, sign_in
from receiver.web.latency_buffer import LatencyBuffer
from receiver.web.proxy import OPENED_AT, BehindProxy
from receiver.web.refusal_counter import RefusalCounter
from receiver.web.state import WebState
from receiver.web.system_status import StatusReader

_RETRY_AFTER_SECONDS = 10
# The most impatient of the helpdesks we know waits five seconds for an answer, and shall hear why there is none.
_PATIENCE_SECONDS = 3.0
_WRONG_FIELDS = "What was sent is wrong in the places that `errors` names; mend them and send it again."
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_made_before: list[Flask] = []


def make_before_forks() -> None:
    """Make the application once, in the process that the web server's workers are forked from, who share its memory."""
    _made_before[:] = [create_app()]


def create_app(config: Settings | None = None) -> Flask:
    """The web application; without a `config` its settings come from the environment. Raises SettingsError."""
    config = config or settings.load()
    configure(config.log_level)
    if _made_before and state.of(_made_before[0]).context.settings == config:
        furnish(_made_before[0], config)  # Connections and threads of its own, which a fork does not take along.
        return _made_before[0]
    app = Flask(
        __name__, static_folder="dashboard/static", template_folder="dashboard/templates", static_url_path="/static"
    )
    # Else an address pasted with a doubled slash would be answered with a redirect, and what was pushed be lost.
    app.url_map.merge_slashes = False
    furnish(app, config)
    auth.init_app(app)
    _register(app)
    app.register_error_handler(HTTPException, _explain)
    app.register_error_handler(ActionError, _not_done)
    app.register_error_handler(CSRFError, _opened_elsewhere)
    app.register_error_handler(ParseException, _badly_sent)
    app.register_error_handler(NoMoreData, _badly_sent)
    # Only the database's own: a mistake of ours or a missing file would be no better when the sender is back.
    app.register_error_handler(DBAPIError, _record_away)
    app.register_error_handler(TimeoutError, _record_away)
    app.after_request(_harden)
    return app


def furnish(app: Flask, config: Settings) -> None:
    """Give `app` what depends on the settings. Its routes do not, but for those of an OpenID Connect provider."""
    app.secret_key = secret_files.session_key(config)
    inner = partial(Flask.wsgi_app, app)
    app.wsgi_app = BehindProxy(inner, config.public_url, config.trusted_proxies)  # type: ignore[method-assign]
    app.config.update(MAX_CONTENT_LENGTH=config.max_body_mb * 1024 * 1024, **auth.cookies(config, app.secret_key))
    db = Database(config.database_url, patience=_PATIENCE_SECONDS)
    # Looking at many jobs takes longer than asking whether Redis answers.
    jobs_redis = queue.connect(config.redis_url, timeout=0.25)
    context = Context(db, config, jobs_redis, queue.Waker(config.redis_url, enough=config.workers).wake)
    # Whoever starts it is told of a mistake in a file, and the files that are made are there.
    schedules.current(config)
    _ = context.sources, context.factor_cipher
    state.put(
        app,
        WebState(
            context=context,
            group=Group(db),
            latencies=LatencyBuffer(db),
            refusals=RefusalCounter(db),
            redis=queue.connect(config.redis_url, timeout=0.05),
            passwords=Passwords(),
            api_token=secret_files.api_token(config),
            system_status=StatusReader(context),
            oidc=oidc.client(app, config),
        ),
    )


def _register(app: Flask) -> None:
    rest = describe(app)
    # Guarded by each source's signature.
    app.register_blueprint(webhooks.blueprint)
    # Open: they say nothing about tickets.
    app.register_blueprint(health.blueprint)
    # Open: how to come in.
    app.register_blueprint(sign_in.blueprint)
    if state.of(app).oidc:
        app.register_blueprint(oidc.blueprint)
    app.before_request_funcs[health.metrics_blueprint.name] = [auth.require_token_or_person]
    app.register_blueprint(health.metrics_blueprint)
    for blueprint in api.BLUEPRINTS:
        app.before_request_funcs[blueprint.name] = [auth.require_token_or_person, require_json]
        rest.register_blueprint(blueprint)
    describe_webhooks(rest, app)
    app.before_request_funcs[docs.blueprint.name] = [auth.require_person]
    app.register_blueprint(docs.blueprint)
    frame.init_app(app)
    formats.init_app(app)
    for pages in dashboard.BLUEPRINTS:
        app.before_request_funcs[pages.name] = [auth.require_person]
        app.register_blueprint(pages)


def _explain(error: HTTPException) -> ResponseReturnValue:
    """Every error in one shape: {"code", "status", "message"}, and "errors" where single fields are wrong.

    A browser on a page gets a page that says the same.
    """
    if isinstance(error.response, Response):
        return error.response
    details = getattr(error, "data", None) or {}
    message = details.get("message") or (_WRONG_FIELDS if "messages" in details else _description(error))
    if error_page.is_wanted():
        return error_page.render(error, str(message))
    body = {"code": error.code, "status": error.name, "message": message}
    if details.get("messages"):
        body["errors"] = details["messages"]
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return jsonify(body), error.code or 500, headers


_STATUS: tuple[tuple[type[ActionError], type[HTTPException]], ...] = (
    (NotFoundError, NotFound),
    (ConflictError, Conflict),
    (InvalidError, UnprocessableEntity),
    (GoneError, Gone),
    (QueueAwayError, ServiceUnavailable),
)


def _not_done(error: ActionError) -> ResponseReturnValue:
    """An action was refused, and its view does not say so itself."""
    return _explain(next(refusal for kind, refusal in _STATUS if isinstance(error, kind))(str(error)))


def _opened_elsewhere(error: CSRFError) -> ResponseReturnValue:
    """A page's token does not fit. Where that is because of the address it was opened at, say which one to open."""
    config = state.context().settings
    opened_at = request.environ.get(OPENED_AT, "")
    if config.public_url and opened_at.partition("://")[2] != urlsplit(config.public_url).netloc:
        return _explain(BadRequest(f"This is not the address of this service: open {config.url} instead."))
    if "referrer does not match" in str(error.description):
        return _explain(
            BadRequest(
                "The proxy before this service does not pass on the Host header of what you opened: set PUBLIC_URL to "
                "that address, or have the proxy pass Host on."
            )
        )
    return _explain(error)


def _description(error: HTTPException) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return f"{request.method} does nothing here; send {' or '.join(sorted(error.valid_methods))}."
    return error.description or error.name


def _badly_sent(_error: Exception) -> ResponseReturnValue:
    """What the web server found out about a body only while it was being read."""
    return _explain(BadRequest("The body ended early, or its chunks are not what HTTP has; send it again."))


def _record_away(error: DBAPIError | TimeoutError) -> ResponseReturnValue:
    """Nothing was accepted, and the sender should come back.

    The log has the places of the traceback, and of the database's own words only its code: they may repeat a ticket's.
    """
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    name = " ".join(filter(None, (type(cause).__name__, code)))
    current_app.logger.error("The record cannot be used in %s: %s\n%s", request.endpoint, name, places)
    unavailable = ServiceUnavailable("The record cannot be used now; try again.", retry_after=_RETRY_AFTER_SECONDS)
    return _explain(unavailable)


def _harden(response: Response) -> Response:
    if current_app.config["SESSION_COOKIE_SECURE"]:  # PUBLIC_URL is https, and shall stay so for a year.
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "static":  # Whatever a view says: files that it sends are no browser's to keep either.
        response.headers["Cache-Control"] = "no-store"
    return response
