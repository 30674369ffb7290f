"""Wires the parts into an application; each blueprint's guard stands on the line above its registration."""

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
# The most impatient helpdesk waits five seconds for an answer. We give up earlier, so that it gets our 503.
_PATIENCE_SECONDS = 3.0
_WRONG_FIELDS = "What was sent is wrong in the places that `errors` names; mend them and send it again."
# Everything comes from our own static files and nothing is inline, so an injected script cannot run. The only frames
# are the mails of digests.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


# The application that the web server makes before it forks its workers, if it does.
_made_before: list[Flask] = []


def make_before_forks() -> None:
    """Make the application once, before the web server forks its workers, so that they share its memory."""
    _made_before[:] = [create_app()]


def create_app(config: Settings | None = None) -> Flask:
    """The web application; without a `config` its settings come from the environment. Raises SettingsError."""
    config = config or settings.load()
    configure(config.log_level)
    if _made_before and state.of(_made_before[0]).context.settings == config:
        # Connections and threads do not survive a fork, so each worker makes its own.
        furnish(_made_before[0], config)
        return _made_before[0]
    app = Flask(
        __name__, static_folder="dashboard/static", template_folder="dashboard/templates", static_url_path="/static"
    )
    # Werkzeug would answer a doubled slash with a redirect, which helpdesks do not follow: the delivery would be lost.
    app.url_map.merge_slashes = False
    furnish(app, config)
    auth.init_app(app)
    _register_blueprints(app)
    app.register_error_handler(HTTPException, _render_error)
    app.register_error_handler(ActionError, _refused_action)
    app.register_error_handler(CSRFError, _wrong_csrf_token)
    app.register_error_handler(ParseException, _broken_body)
    app.register_error_handler(NoMoreData, _broken_body)
    # Only errors of the database: a mistake of ours or a missing file is a 500, since trying again would not help.
    app.register_error_handler(DBAPIError, _database_away)
    app.register_error_handler(TimeoutError, _database_away)
    app.after_request(_set_security_headers)
    return app


def furnish(app: Flask, config: Settings) -> None:
    """Give `app` what depends on the settings. Its routes do not, except those of an OpenID Connect provider."""
    app.secret_key = secret_files.session_key(config)
    inner = partial(Flask.wsgi_app, app)
    app.wsgi_app = BehindProxy(inner, config.public_url, config.trusted_proxies)  # type: ignore[method-assign]
    app.config.update(MAX_CONTENT_LENGTH=config.max_body_mb * 1024 * 1024, **auth.cookies(config, app.secret_key))
    db = Database(config.database_url, patience=_PATIENCE_SECONDS)
    # Longer than the 50 ms below: reading many jobs takes more time than asking whether Redis answers.
    jobs_redis = queue.connect(config.redis_url, timeout=0.25)
    context = Context(db, config, jobs_redis, queue.Waker(config.redis_url, enough=config.workers).wake)
    # Read these now, so that a mistake in a file stops the start and not the first request that needs it.
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


def _register_blueprints(app: Flask) -> None:
    rest = describe(app)
    # Guarded by each source's signature.
    app.register_blueprint(webhooks.blueprint)
    # Open: they say nothing about tickets.
    app.register_blueprint(health.blueprint)
    # Open: how to sign in.
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


def _render_error(error: HTTPException) -> ResponseReturnValue:
    """Answer every error in one shape: {"code", "status", "message"}, and "errors" where single fields are wrong.

    A browser on a page gets a page that says the same.
    """
    if isinstance(error.response, Response):
        return error.response
    # flask-smorest keeps what it knows of an error in `data`: a message of its own, or messages by field.
    details = getattr(error, "data", None) or {}
    if details.get("message"):
        message = details["message"]
    elif "messages" in details:
        message = _WRONG_FIELDS
    elif isinstance(error, MethodNotAllowed) and error.valid_methods:
        message = f"{request.method} does nothing here; send {' or '.join(sorted(error.valid_methods))}."
    else:
        message = error.description or error.name
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


def _refused_action(error: ActionError) -> ResponseReturnValue:
    """Answer an action's refusal that its view does not handle itself."""
    return _render_error(next(refusal for kind, refusal in _STATUS if isinstance(error, kind))(str(error)))


def _wrong_csrf_token(error: CSRFError) -> ResponseReturnValue:
    """Refuse a form; where the address that it was opened at is the cause, say which one to open."""
    config = state.context().settings
    opened_at = request.environ.get(OPENED_AT, "")
    if config.public_url and opened_at.partition("://")[2] != urlsplit(config.public_url).netloc:
        return _render_error(BadRequest(f"This is not the address of this service: open {config.url} instead."))
    if "referrer does not match" in str(error.description):
        return _render_error(
            BadRequest(
                "The proxy before this service does not pass on the Host header of what you opened: set PUBLIC_URL to "
                "that address, or have the proxy pass Host on."
            )
        )
    return _render_error(error)


def _broken_body(_error: Exception) -> ResponseReturnValue:
    """Refuse a body that the web server found to be broken while a view was reading it."""
    return _render_error(BadRequest("The body ended early, or its chunks are not what HTTP has; send it again."))


def _database_away(error: DBAPIError | TimeoutError) -> ResponseReturnValue:
    """Answer 503: nothing was accepted, and the sender should come back."""
    # The log gets the places of the traceback and the database's error code, and not its message: that repeats the
    # statement's values, which may be a ticket's text.
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    name = " ".join(filter(None, (type(cause).__name__, code)))
    current_app.logger.error("The database cannot be used in %s: %s\n%s", request.endpoint, name, places)
    unavailable = ServiceUnavailable("The database cannot be used now; try again.", retry_after=_RETRY_AFTER_SECONDS)
    return _render_error(unavailable)


def _set_security_headers(response: Response) -> Response:
    # PUBLIC_URL is https, so a browser may refuse plain http for a year.
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    # Assigned and not a default: send_file allows a browser to keep what it sends, and that is ticket text here.
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
