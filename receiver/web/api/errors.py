"""How the API refuses: the one shape of every error, and which errors each operation can answer."""

from typing import Any

import flask_smorest
from apispec import BasePlugin
from flask import abort, request
from marshmallow import Schema, fields

from receiver.intake.sources import bodies


class ErrorOut(Schema):
    """Why a request was refused. Every error under /api has this shape."""

    code = fields.Integer(required=True, metadata={"description": "The HTTP status."})
    status = fields.String(required=True, metadata={"description": "Its name."})
    message = fields.String(required=True, metadata={"description": "What is wrong, and what to do."})
    errors = fields.Dict(metadata={"description": "What is wrong with single fields, by where they stand."})


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose operations say what they refuse."""

    def refuses(self, status: int, why: str) -> Any:
        """A decorator: the operation may answer `status` for this reason, in the one shape of errors."""
        return self.alt_response(status, schema=ErrorOut, description=why)

    def takes(self, schema: type[Schema], *, needed: bool = False, **rules: Any) -> Any:
        """A decorator: the body is of this schema, within `rules` in JSON Schema, which marshmallow cannot describe.

        Where it is not `needed`, no body is as good as an empty object.
        """
        described = {"content": {"application/json": {"schema": {"allOf": [schema], **rules}}}}
        return lambda view: self.doc(requestBody=described)(self.arguments(schema, required=needed)(view))


_ANY = {
    "401": "The token is missing or wrong, and nobody is signed in.",
    "500": "A mistake of ours; the log has it.",
    "503": "The database cannot be used now. Nothing was changed; come back after `Retry-After`.",
}
_CHANGE = {"400": "The body is no JSON, or a signed-in page sent no CSRF token."}
_WITH_BODY = {
    "413": "The body is larger than `MAX_BODY_MB`.",
    "415": "The body is not sent as application/json.",
    "422": "Fields of the body are wrong; `errors` names them.",
}


class CommonErrors(BasePlugin):
    """Describes the errors that every operation of a kind may answer, unless the operation describes them itself."""

    def operation_helper(self, path: str | None = None, operations: dict[str, Any] | None = None, **_: Any) -> None:
        """Apispec's hook: complete the operations of one path."""
        for method, operation in (operations or {}).items():
            common = dict(_ANY)
            if "{" in (path or ""):
                common["404"] = "There is nothing with this id."
            if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
                common["422"] = "Parameters are wrong; `errors` names them."
            if method == "post":
                common |= _CHANGE
            if "requestBody" in operation:
                common |= _WITH_BODY
            described = {code: refusal(why) for code, why in common.items()}
            # flask-smorest adds a bare name of a status for arguments; only what a view describes counts.
            own = {str(code): told for code, told in operation["responses"].items() if isinstance(told, dict)}
            operation["responses"] = dict(sorted((described | own).items()))


def refusal(why: str) -> dict[str, object]:
    """OpenAPI's description of one error."""
    return {
        "description": why,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}},
    }


def require_json() -> None:
    """A guard: refuse a body that is not JSON, or that is JSON of a hostile shape."""
    body = request.get_data()
    # webargs reads a body of another type as an empty one, and a POST would do more than its sender meant.
    if body and not request.is_json:
        abort(415, "Send JSON with Content-Type: application/json.")
    try:
        # Python's own parser raises RecursionError and others on deep or long values, which would be a 500.
        bodies.parse_json(body or b"null")
    except ValueError as error:
        flask_smorest.abort(400, messages={"json": [f"{str(error)[0].upper()}{str(error)[1:]}."]})
