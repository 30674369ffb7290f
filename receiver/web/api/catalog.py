"""The catalog under /api: what is in force, and looking for a newer one."""

from flask import abort
from flask_smorest import abort as refuse
from marshmallow import Schema, fields

from receiver import catalog
from receiver.actions import classification
from receiver.catalog import Catalog, CatalogError, current
from receiver.db.models import CatalogVersion
from receiver.lib.clock import now
from receiver.web import auth
from receiver.web.api.errors import Blueprint
from receiver.web.api.pages import columns
from receiver.web.state import context

blueprint = Blueprint("catalog", __name__, url_prefix="/api", description="What tickets are attributed to")


class SlaOut(Schema):
    """A promise of the catalog."""

    value = fields.Raw(metadata={"type": "number"})  # 4, not 4.0.
    unit = fields.String(metadata={"description": "`minutes`, `hours`, `days` or `weeks`."})
    is_default = fields.Boolean(metadata={"description": "Whether the catalog promises nothing, so 24 hours stand in."})


class LabelOut(Schema):
    """What names an entry of the catalog."""

    category = fields.String()
    name = fields.String()


class RequestTypeOut(LabelOut):
    """An entry of the catalog."""

    sla = fields.Nested(SlaOut)
    description = fields.String()
    examples = fields.List(fields.String())
    keywords = fields.List(fields.String())


class CatalogOut(Schema):
    """The catalog in force."""

    version = fields.String(metadata={"description": "A digest of its text; every classification names one."})
    location = fields.String()
    loaded_at = fields.AwareDateTime()
    age_seconds = fields.Integer(
        allow_none=True, metadata={"description": "How long ago its location last gave or confirmed it."}
    )
    problem = fields.String(allow_none=True, metadata={"description": "Why its location gives nothing newer."})
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    warnings = fields.List(fields.String(), metadata={"description": "What it leaves unsaid, at the cost of accuracy."})
    fallback = fields.Nested(LabelOut, metadata={"description": "For what fits nowhere."})
    rules = fields.List(fields.String())
    request_types = fields.List(fields.Nested(RequestTypeOut))


@blueprint.get("/catalog")
@blueprint.response(200, CatalogOut)
@blueprint.refuses(404, "Its location has not given a good one yet.")
def get_catalog() -> dict[str, object]:
    """The catalog in force, how old it is, and what it leaves unsaid."""
    db, settings = context().db, context().settings
    try:
        # Only what is there already: somebody who reads must not wait for a slow location.
        return _describe_catalog(current.current_catalog(db, settings, asks=False), current.last_good(db, settings))
    except CatalogError as error:
        abort(404, str(error))


@blueprint.post("/catalog/reload")
@blueprint.response(200, CatalogOut)
@blueprint.refuses(422, "It cannot be had or is wrong, in the lines that `errors` names; what was in force stays so.")
@auth.require_role(auth.OPERATOR)
def reload_catalog() -> dict[str, object]:
    """Look at the catalog's location now; what is good there is in force for every ticket classified from now on."""
    db, settings = context().db, context().settings
    try:
        found = classification.reload_catalog(context(), auth.caller())
    except CatalogError as error:
        mistakes = [{"line": fault.line, "message": fault.message} for fault in error.faults]
        refuse(422, message=str(error), messages={"catalog": mistakes or [{"line": None, "message": str(error)}]})
    return _describe_catalog(found, current.last_good(db, settings))


def _describe_catalog(found: Catalog, version: CatalogVersion | None) -> dict[str, object]:
    """A catalog as `CatalogOut` has it."""
    facts = columns(version) if version else {}
    # The clock of the machine that loaded it may be ahead of ours.
    age = max(0, round((now() - version.loaded_at).total_seconds())) if version else None
    return facts | {
        "age_seconds": age,
        "problem": current.load_error(context().db),
        "counts": catalog.counts(found),
        "warnings": catalog.quality(found),
        "fallback": found.fallback,
        "rules": found.rules,
        "request_types": found.request_types,
    }
