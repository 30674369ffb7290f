"""Who is let in, and who may do what: people by their session, programs by a bearer token."""

import hashlib
import hmac
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.exc import SQLAlchemyError

from receiver.actions import exports
from receiver.db import api_tokens, audit, browser_sessions, refusals, second_factors
from receiver.db.database import Database
from receiver.db.models import Person
from receiver.lib.clock import now
from receiver.lib.roles import ADMIN, OPERATOR, REVIEWER, ROLES, VIEWER
from receiver.lib.settings import Settings
from receiver.web import login_throttle, second_factor_check
from receiver.web.state import context, count_refusal, web_state

__all__ = ["ADMIN", "OPERATOR", "REVIEWER", "ROLES", "VIEWER"]

csrf = CSRFProtect()
log = logging.getLogger(__name__)

# Methods that change nothing.
_LOOKING = ("GET", "HEAD", "OPTIONS")
# In the session cookie: the page that was wanted before signing in, and how its person signed in.
_WANTED = "wanted"
_BY = "by"
_SET_UP = "second_factor_pages"
OIDC = "OIDC"

View = TypeVar("View", bound=Callable[..., Any])


class SignedIn(UserMixin):  # type: ignore[misc]
    """The person of a browser's session, as templates see them in `current_user`."""

    def __init__(self, token: str, person: Person) -> None:
        self.id, self.person_id = token, person.id
        self.email, self.name, self.role = person.email, person.name, person.role


@dataclass(frozen=True)
class Caller:
    """Who sent this request: an e-mail address, or the API token of the settings."""

    who: str
    role: str
    read_only: bool = False


def require_role(role: str) -> Callable[[View], View]:
    """A decorator, the one nearest to a view: only people of this role, or a higher one, may call it.

    Where a view says nothing, everybody who is let in may look, and only an admin may change something.
    """

    def mark(view: View) -> View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


def has_role(role: str) -> bool:
    """Whether who was let in has this role or a higher one; templates ask it as `has_role("operator")`."""
    return ROLES.index(_current_caller().role) >= ROLES.index(role)


def caller() -> str:
    """Who was let in by a guard, as the audit names them."""
    return _current_caller().who


def _current_caller() -> Caller:
    """Who sent this request: the person of its token or of its session, else nobody, with the lowest role."""
    if "caller" in g:
        found: Caller = g.caller
        return found
    if current_user.is_authenticated:
        return Caller(current_user.email, current_user.role)
    return Caller("nobody", VIEWER)


def init_app(app: Flask) -> None:
    """Give the app sessions and the CSRF check."""
    manager = LoginManager(app)
    # Do not tie a session to the address and the browser's version: both change while a person works, and whoever
    # steals a cookie can imitate them. A stolen session can be ended on the account's page.
    manager.session_protection = None
    manager.user_loader(_load_signed_in)
    # Webhooks and bearer tokens need no CSRF token, so the guards below check it where a session cookie lets in.
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    # The token ends with its session, so that a page may stay open all day.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    csrf.init_app(app)
    app.jinja_env.globals["has_role"] = has_role


def cookies(settings: Settings, session_key: str) -> dict[str, object]:
    """Flask's settings about cookies, with names that no other program and no other instance on this host uses."""
    # A browser sends the cookies of a host to all of its ports. So the name tells instances apart by their key, and by
    # PUBLIC_URL or the port where one was restored from a backup of the other.
    url = urlsplit(settings.public_url or "")
    is_https = url.scheme.lower() == "https"
    place = f"{session_key} {settings.public_url or settings.port}"
    suffix = hashlib.sha256(place.encode()).hexdigest()[:8]
    # Browsers take a cookie of this prefix from nobody but the host itself, over https.
    prefix = "__Host-" if is_https and not url.path.strip("/") else ""
    return {
        "SESSION_COOKIE_NAME": f"{prefix}tickets_session_{suffix}",
        "REMEMBER_COOKIE_NAME": f"{prefix}tickets_remember_{suffix}",
        "KNOWN_COOKIE_NAME": f"{prefix}tickets_known_{suffix}",
        # Not Strict: a link in a mail would show the sign-in page to somebody who is signed in.
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": is_https,
        "SESSION_COOKIE_PATH": "/",
    }


def _load_signed_in(token: str) -> SignedIn | None:
    """The person of a session that has not ended; where the database is away, the error is left for the guards."""
    moment, db = now(), context().db
    try:
        with db.read() as reading:
            found = browser_sessions.find(reading, token, moment)
    except SQLAlchemyError as error:
        # The person is also loaded for pages that are open to all, which must not fail for it.
        g.database_error = error
        return None
    # An open page asks for news by itself. That is no sign of a person, so it must not keep the session alive.
    if found and request.blueprint != "live_pages" and browser_sessions.is_stale(found[0], moment):
        # Pages can still be read when nothing can be written, on a full disk for example.
        with suppress(SQLAlchemyError), db.write() as writing:
            browser_sessions.touch(writing, token, moment)
    return SignedIn(token, found[1]) if found else None


def is_still_in() -> bool:
    """Whether the session of this request has not ended meanwhile; yes, where the database cannot say."""
    return _load_signed_in(current_user.id) is not None or "database_error" in g


def require_person() -> ResponseReturnValue | None:
    """A guard: only signed-in people; a change also needs the page's CSRF token."""
    if not current_user.is_authenticated:
        _raise_if_database_away()
        sign_in = url_for("sign_in_pages.sign_in_page")
        # htmx would put the sign-in page into a part of this one; its own header loads the whole page.
        if "HX-Request" in request.headers:
            return Response("", 401, {"HX-Redirect": sign_in})
        # Come back to the page afterwards; a change that was posted is not repeated.
        if request.method == "GET" and request.path != "/":
            session[_WANTED] = request.script_root + request.full_path.rstrip("?")
        return redirect(sign_in)
    csrf.protect()
    if must_set_up() and request.blueprint != _SET_UP:
        place = url_for(f"{_SET_UP}.second_factor_page")
        return Response("", 403, {"HX-Redirect": place}) if "HX-Request" in request.headers else redirect(place)
    _require_role()
    return None


def must_set_up() -> bool:
    """Whether this session may do nothing yet but set up the second factor that its person's role needs."""
    if not current_user.is_authenticated or not second_factor_check.is_required(current_user.role):
        return False
    # An OpenID Connect provider has asked for its own second factor.
    if session.get(_BY) == OIDC:
        return False
    if "has_factor" not in g:
        with context().db.read() as reading:
            g.has_factor = second_factors.find(reading, current_user.person_id) is not None
    return not g.has_factor


def require_token_or_person() -> None:
    """A guard: the API token or a person's, or a signed-in person's session with its CSRF token."""
    # Not request.authorization: Werkzeug takes a token with a "=" inside for a list of parameters.
    scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        g.caller = _caller_of_token(offered.strip())
    elif not current_user.is_authenticated:
        _raise_if_database_away()
        abort(401, "Send Authorization: Bearer and a token: one of your account's page, or what `python -m jobs token` "
                   "prints.")  # fmt: skip
    else:
        csrf.protect()
        if must_set_up():
            abort(403, "Your role needs a second factor; set it up on your account's page first.")
    _require_role()


def _caller_of_token(offered: str) -> Caller:
    expected: str = web_state().api_token
    # A comparison of constant time, so that its duration says nothing about how much of a guess was right.
    if hmac.compare_digest(offered.encode("latin-1", "replace"), expected.encode()):
        return Caller("API token", ADMIN)
    moment, db = now(), context().db
    with db.read() as reading:
        found = api_tokens.find(reading, offered)
    if found is None:
        count_refusal(refusals.TOKEN)
        abort(401, "The bearer token is wrong or was revoked; `python -m jobs token` prints the right one.")
    token, person = found
    if token.expires_at <= moment:
        abort(401, f"The token {token.name} has expired; make another on your account's page.")
    if api_tokens.is_stale(token, moment):
        with suppress(SQLAlchemyError), db.write() as writing:
            api_tokens.touch(writing, token.id, moment)
    # A token made by an admin who is a viewer now may do what a viewer may.
    return Caller(person.email, min(token.role, person.role, key=ROLES.index), token.read_only)


def needed_role(view: Any, method: str) -> str:
    """The lowest role that may call a view by this method: what `require_role` says there, or else the rule for all."""
    view = getattr(getattr(view, "view_class", None), method.lower(), view)
    return str(getattr(view, "needs", VIEWER if method in _LOOKING else ADMIN))


def _require_role() -> None:
    role = needed_role(current_app.view_functions[request.endpoint or ""], request.method)
    if not has_role(role):
        abort(
            403,
            f"This needs the role {role}, and yours is {_current_caller().role}; an admin can change that on People.",
        )
    if _current_caller().read_only and request.method not in _LOOKING:
        abort(403, "This token may only read; make another on your account's page.")


def _raise_if_database_away() -> None:
    # Whoever cannot be recognised gets 503, and not the sign-in page or 401, as if they had no session.
    if "database_error" in g:
        raise g.database_error


def log_in(person: Person, by: str, factor: str | None = None) -> ResponseReturnValue:
    """Sign this browser in as the person, and go to the page that was wanted.

    `by` says how they came in, `factor` what second factor they gave.
    """
    db: Database = context().db
    wanted = str(session.get(_WANTED) or "")
    before = current_user.id if current_user.is_authenticated else None
    # Against session fixation: nothing that somebody planted in this browser before goes on.
    session.clear()
    session[_BY] = by
    moment, details = now(), {"by": by, "address": request.remote_addr or "unknown"}
    if factor:
        details["second_factor"] = factor
    with db.write() as writing:
        known = writing.get_one(Person, person.id)
        if before:
            browser_sessions.end(writing, before)
        token = browser_sessions.begin(writing, known, moment)
        audit.note(writing, known.email, "sign in", f"person {known.id}", moment, details)
    login_user(SignedIn(token, known))
    log.info("Person %d signed in by %s", known.id, by)
    answer = redirect(wanted if _is_local_path(wanted) else url_for("overview_pages.overview_page"))
    return login_throttle.know(answer, known)


def _is_local_path(path: str) -> bool:
    """Whether a path leads to a page of this service."""
    # Browsers read // and /\\ as the beginning of another host's address.
    return path.startswith("/") and not path.startswith(("//", "/\\"))


def note_export(subject: str, form: str) -> None:
    """Note that the caller takes `subject`, such as "digest 7", along as a file of this form."""
    # A HEAD request runs the same view, and gets no file.
    if request.method == "GET":
        exports.note(context(), caller(), subject, form)


def log_out() -> None:
    """End this browser's session, on both sides."""
    if current_user.is_authenticated:
        with context().db.write() as writing:
            browser_sessions.end(writing, current_user.id)
            audit.note(writing, current_user.email, "sign out", f"person {current_user.person_id}", now())
    logout_user()
    session.clear()
