"""Who may come in, and who may do what: a bearer token for programs, a one-time link for people."""

import hmac
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, abort, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect

from receiver import secrets
from receiver.clock import now
from receiver.record import sign_in

blueprint = Blueprint("auth", __name__)
csrf = CSRFProtect()

VIEWER, REVIEWER, OPERATOR, ADMIN = ROLES = ("viewer", "reviewer", "operator", "admin")
"""What a person is, the least first; each may do what those before it may."""

_OPERATOR = "operator"
_LOOKING = ("GET", "HEAD", "OPTIONS")

View = TypeVar("View", bound=Callable[..., Any])


class Operator(UserMixin):  # type: ignore[misc]
    """The person who came in by the one-time link."""

    id = _OPERATOR
    role = ADMIN


def needs(role: str) -> Callable[[View], View]:
    """A decorator, the one nearest to a view: only people of this role, or a higher one, may call it.

    Where a view says nothing, everybody who is let in may look, and only an admin may change something.
    """

    def mark(view: View) -> View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


def may(role: str) -> bool:
    """Whether who was let in has this role or a higher one; templates ask it as `may("operator")`."""
    return ROLES.index(_role()) >= ROLES.index(role)


def _role() -> str:
    """Whoever holds the API token may do everything."""
    return str(current_user.role) if current_user.is_authenticated else ADMIN


def init_app(app: Flask) -> None:
    """Give the app sessions, sign-in and the CSRF check."""
    app.secret_key = secrets.session_key(app.extensions["settings"])
    manager = LoginManager(app)
    manager.login_view = "auth.sign_in_needed"
    manager.login_message = None
    manager.session_protection = "strong"
    manager.user_loader(lambda user_id: Operator() if user_id == _OPERATOR else None)
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False  # The guards below check it where a session cookie is what lets in.
    csrf.init_app(app)
    app.jinja_env.globals["may"] = may


def require_person() -> ResponseReturnValue | None:
    """A guard: only signed-in people; a change also needs the page's CSRF token."""
    if not current_user.is_authenticated:
        return redirect(url_for("auth.sign_in_needed"))
    csrf.protect()
    _require_role()
    return None


def require_token_or_person() -> None:
    """A guard: the API token, or a signed-in person's session with its CSRF token."""
    # Not request.authorization: it takes a token with a "=" inside for a list of parameters.
    scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        expected: str = current_app.extensions["api_token"]
        if hmac.compare_digest(offered.strip().encode("latin-1", "replace"), expected.encode()):
            return
        abort(401, "The bearer token is wrong; `python -m jobs token` prints the right one.")
    if not current_user.is_authenticated:
        abort(401, "Send Authorization: Bearer and the API token; `python -m jobs token` prints it.")
    csrf.protect()
    _require_role()


def _require_role() -> None:
    view: Any = current_app.view_functions[request.endpoint or ""]
    view = getattr(getattr(view, "view_class", None), request.method.lower(), view)
    role = getattr(view, "needs", VIEWER if request.method in _LOOKING else ADMIN)
    if not may(role):
        abort(403, f"This needs the role {role}, and yours is {_role()}; an admin can change that on People.")


def caller() -> str:
    """Who is let in by a guard, as the record names them."""
    return str(current_user.get_id()) if current_user.is_authenticated else "API token"


@blueprint.get("/sign-in")
def sign_in_needed() -> ResponseReturnValue:
    """Say how to come in."""
    return _sign_in_page(), 200


@blueprint.get("/sign-in/<token>")
def sign_in_with(token: str) -> ResponseReturnValue:
    """Come in by a one-time link."""
    if request.method == "HEAD":  # Mail scanners and chat programs look at links; that shall not spend one.
        return "", 200
    with current_app.extensions["record"].write() as session:
        good = sign_in.use(session, token, now())
    if not good:
        return _sign_in_page("This link was used before, or is older than a day."), 403
    login_user(Operator())
    return redirect(url_for("overview_pages.overview_page"))


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this browser's session."""
    csrf.protect()
    logout_user()
    return redirect(url_for("auth.sign_in_needed"))


def _sign_in_page(problem: str | None = None) -> Any:
    return current_app.jinja_env.get_template("sign_in.html").render(problem=problem)
