"""What a person sees where a page cannot be shown: what is wrong, and what to do."""

from flask import render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

_PROGRAMS = ("/api/", "/webhooks/", "/metrics", "/healthz", "/readyz", "/openapi.json")
_TITLES = {400: "The page had expired", 403: "Not allowed", 404: "There is no such page", 500: "Something went wrong"}
_ADVICE = {
    400: "Load the page again and repeat what you did.",
    404: "It was moved or erased, or the address is mistyped. The search above finds tickets by any word.",
    500: "Nothing is lost: tickets are stored before anything else happens. Try again; the server's log says more.",
}


def is_wanted() -> bool:
    """Whether a browser asked for a page; programs get JSON."""
    # A page that asked for a part of itself shows the message, and would show a whole page inside itself.
    if request.path.startswith(_PROGRAMS) or "HX-Request" in request.headers:
        return False
    return bool(request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html")


def render(error: HTTPException, message: str) -> ResponseReturnValue:
    """The page of an error, made without the database, which may be what failed."""
    code = error.code or 500
    # Werkzeug's own sentences are about HTTP; ours are for people.
    own = message if message != type(error).description else ""
    page = render_template(
        "error.html", code=code, title=_TITLES.get(code, error.name), message=own or _ADVICE.get(code, message)
    )
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return page, code, headers
