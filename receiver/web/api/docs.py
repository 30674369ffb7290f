"""The page /docs: Swagger UI over /openapi.json, from our own static files."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

blueprint = Blueprint("docs", __name__)


@blueprint.get("/docs")
def docs_page() -> ResponseReturnValue:
    """The API, to read and to try."""
    return render_template("docs.html")
