"""What /openapi.json says beside the operations of the blueprints: how to come in, and the webhook."""

from flask import Flask
from flask_smorest import Api

from receiver import __version__
from receiver.intake.schemas import TicketIn
from receiver.web.api.errors import CommonErrors, refusal

_TEXT = """\
Tickets, deliveries, digests and the catalog as JSON.

- **Coming in**: `Authorization: Bearer` and a token, one of your own from the page of your account, or the one that
  `python -m jobs token` prints, which may do everything. A signed-in browser may use its session; it sends the
  `X-CSRFToken` of its page with every change.
- **Lists** answer `{"items": [...], "next": cursor}`. Send `next` as `cursor` for the page after, until it is null.
- **Errors** are `{"code", "status", "message"}`, and `errors` where single fields are wrong.
- **Times** are ISO 8601 with their zone.
"""
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "What `python -m jobs token` prints."},
    "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "A signed-in person's browser."},
}
_TOOK = {
    "type": "object",
    "properties": {
        "delivery": {"type": "integer"},
        "status": {"enum": ["accepted", "partial", "duplicate", "quarantined"]},
        "accepted": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "updated": {"type": "integer"},
        "rejected": {"type": "array", "items": {"type": "object"}},
    },
}


class Described(Api):  # type: ignore[misc]
    """An API whose operations describe every error they can answer."""

    # So flask-smorest need not add a "default" error to each.
    DEFAULT_ERROR_RESPONSE_NAME = None


def describe(app: Flask) -> Described:
    """The OpenAPI description of `app`, at /openapi.json; blueprints registered with it are described there."""
    app.config.update(
        API_TITLE="Ticket Attribution",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": _TEXT},
            "security": [{name: []} for name in _SECURITY],
            "components": {"securitySchemes": _SECURITY},
        },
    )
    return Described(app, spec_kwargs={"extra_plugins": [CommonErrors()]})


def describe_webhooks(rest: Described, app: Flask) -> None:
    """Add the webhook of the source `standard`; the helpdesks document their own."""
    # By hand: the webhook reads raw bytes, because they are what was signed, and so has no schema on its view.
    one, several = TicketIn(), {"type": "array", "items": TicketIn}
    wrapped = {"type": "object", "properties": {"tickets": several}, "required": ["tickets"]}
    took = {"description": "It is stored durably", "content": {"application/json": {"schema": _TOOK}}}
    receive = {
        "tags": ["webhooks"],
        "summary": "Take in one delivery of tickets.",
        "description": "The source `standard` signs as Standard Webhooks say: `webhook-id`, `webhook-timestamp` and "
        "`webhook-signature`. Every other source signs and writes as its helpdesk does. Sending it again is safe.",
        "security": [],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"anyOf": [one, several, wrapped]}}},
        },
        "responses": {
            "200": took,
            "401": refusal("The signature is missing, wrong or stale; the message says which."),
            "404": refusal("There is no source of this name."),
            "415": refusal("Neither JSON nor a form."),
            "422": {"description": "Not one usable ticket; the raw body is kept in quarantine"},
        },
    }
    asked = {"name": "crc_token", "in": "query", "schema": {"type": "string"}}
    shake_hands = {
        "tags": ["webhooks"],
        "summary": "Answer what a helpdesk asks before it pushes.",
        "security": [],
        "parameters": [asked],
        "responses": {
            "200": {"description": "The answer to its challenge", "content": {"text/plain": {}}},
            "403": refusal("The challenge was not made with the secret of this source."),
            "404": refusal("There is no source of this name."),
            "405": refusal("The helpdesk of this source asks nothing; tickets are sent with POST."),
        },
    }
    rest.spec.tag({"name": "webhooks", "description": "How tickets arrive; guarded by each source's signature"})
    rule = next(app.url_map.iter_rules("webhooks.receive"))
    rest.spec.path(rule=rule, operations={"post": receive, "get": shake_hands})
