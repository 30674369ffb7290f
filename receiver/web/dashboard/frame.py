"""The frame around every page: the rail, the engine's state, what waits for review."""

from dataclasses import dataclass

from flask import Flask, current_app, request
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from receiver.lib.roles import ADMIN, OPERATOR, VIEWER
from receiver.web import auth
from receiver.web.state import web_state

# Pages with a stream of their own; the others keep only their frame up to date.
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
    app.context_processor(_frame_variables)


def _frame_variables() -> dict[str, object]:
    try:
        is_open = bool(current_user) and current_user.is_authenticated and not auth.must_set_up()
    except SQLAlchemyError:  # An error page is being made, which must not fail for the same reason.
        is_open = False
    # Before the second factor is set up the pages are closed, and the rail would lead nowhere.
    if not is_open:
        return {"places": (), "pulse": None}
    known = current_app.blueprints
    at_place = (request.blueprint or "").removesuffix("_pages")
    return {
        "places": [place for place in PLACES if f"{place.name}_pages" in known and auth.has_role(place.role)],
        "at_place": at_place,
        "live": at_place if request.endpoint in _LIVE else "frame",
        "pulse": web_state().system_status(),
    }
