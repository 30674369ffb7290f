"""What stands around every page: the rail, the engine's state, what waits for review."""

from dataclasses import dataclass

from flask import Flask, current_app, request
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from receiver.lib.roles import ADMIN, OPERATOR, VIEWER
from receiver.web import auth
from receiver.web.state import web_state

_LIVE = ("overview_pages.overview_page", "jobs_pages.jobs_page")


@dataclass(frozen=True)
class NavItem:
    """A page the rail leads to, for people of this `role`; its blueprint is `<name>_pages`, `key` follows `g`."""

    name: str
    label: str
    path: str
    key: str | None = None
    below: bool = False
    pocket: bool = False
    role: str = VIEWER


PLACES = (
    NavItem("overview", "Overview", "/", "o", pocket=True),
    NavItem("review", "Review", "/review", "r", pocket=True),
    NavItem("tickets", "Tickets", "/tickets", "t", pocket=True),
    NavItem("deliveries", "Deliveries", "/deliveries", "d"),
    NavItem("jobs", "Jobs", "/jobs", "j", pocket=True),
    NavItem("digests", "Digests", "/digests"),
    NavItem("quality", "Quality", "/quality"),
    NavItem("catalog", "Catalog", "/catalog"),
    NavItem("sources", "Sources", "/sources"),
    NavItem("people", "People", "/people", below=True, role=ADMIN),
    NavItem("audit", "Audit", "/audit", below=True, role=OPERATOR),
)


def init_app(app: Flask) -> None:
    """Give every template the frame."""
    app.context_processor(_around)


def _around() -> dict[str, object]:
    if not current_user or not current_user.is_authenticated or _must_set_up():
        return {"places": (), "pulse": None}
    known = current_app.blueprints
    return {
        "places": [place for place in PLACES if f"{place.name}_pages" in known and auth.has_role(place.role)],
        "at_place": _at_place(),
        "live": _at_place() if request.endpoint in _LIVE else "frame",
        "pulse": web_state().system_status(),
    }


def _must_set_up() -> bool:
    """Whether the pages are closed yet, so that the frame has nothing to lead to. A record that is away is told."""
    try:
        return auth.must_set_up()
    except SQLAlchemyError:
        return True


def _at_place() -> str:
    return (request.blueprint or "").removesuffix("_pages")
