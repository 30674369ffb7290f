"""Loopback imitations of helpdesks' APIs: each checks credentials, method, path and body.

They are made after the vendors' descriptions, not recorded from the vendors, so they cannot find a misread description.
What was written is kept in `tickets`. An API that replaces labels replaces them here, too, so that a client which does
not read them first is found out.
"""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.peers.http import Answer, Peer, Request

TOKEN = "t0ken-of-the-api"
USER = "bot@example.com"


@dataclass
class Known:
    """A ticket as the helpdesk has it."""

    fields: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=lambda: ["kept"])
    notes: list[str] = field(default_factory=list)
    name: str = field(default="4711", compare=False)


Act = Callable[[Known, Any], Any]


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _add(ticket: Known, labels: list[str]) -> None:
    ticket.labels += [label for label in labels if label not in ticket.labels]


def _note(ticket: Known, text: str, *, private: bool) -> None:
    assert private, "the requester would read it"
    ticket.notes.append(text)


def _zendesk(ticket: Known, body: Any) -> None:
    change = body["ticket"]
    ticket.fields |= {str(int(pair["id"])): pair["value"] for pair in change.get("custom_fields", [])}
    if "comment" in change:
        _note(ticket, change["comment"]["body"], private=change["comment"]["public"] is False)


def _freshdesk(ticket: Known, body: Any) -> None:
    ticket.labels = body.pop("tags", ticket.labels)
    ticket.fields |= body


def _jira(ticket: Known, body: Any) -> None:
    assert set(body) <= {"fields", "update"}
    _add(ticket, [change["add"] for change in body.get("update", {}).get("labels", [])])
    ticket.fields |= body.get("fields", {})


def _jira_comment(ticket: Known, body: Any) -> None:
    [flag] = body["properties"]
    private = flag == {"key": "sd.public.comment", "value": {"internal": True}}
    _note(ticket, body["body"], private=private)


def _servicenow(ticket: Known, body: Any) -> None:
    ticket.notes += [body.pop("work_notes")] if "work_notes" in body else []
    ticket.fields |= body


def _zammad(ticket: Known, body: Any) -> None:
    if article := body.pop("article", None):
        _note(ticket, article["body"], private=article["internal"])
    ticket.fields |= body


def _zammad_tag(ticket: Known, body: Any) -> None:
    assert (body["object"], str(body["o_id"])) == ("Ticket", ticket.name)
    _add(ticket, [body["item"]])


def _replace(ticket: Known, body: Any) -> None:
    ticket.labels = body["tags"]


def _freescout_fields(ticket: Known, body: Any) -> None:
    ticket.fields |= {str(pair["id"]): pair["value"] for pair in body["customFields"]}


def _intercom_reply(ticket: Known, body: Any) -> None:
    assert (body["type"], body["admin_id"]) == ("admin", "7")
    _note(ticket, body["body"], private=body["message_type"] == "note")


def _linear(ticket: Known, body: Any) -> Any:
    assert "issueAddLabel" in body["query"]
    assert body["variables"]["id"] == ticket.name
    if body["variables"]["label"] == "unknown":
        return {"errors": [{"message": "Entity not found"}]}
    _add(ticket, [body["variables"]["label"]])
    return {"data": {"issueAddLabel": {"success": True}}}


def _sets(part: str | None = None) -> Act:
    return lambda ticket, body: ticket.fields.update(body[part] if part else body)


def _notes(key: str, flag: str, value: Any, part: str | None = None) -> Act:
    def act(ticket: Known, body: Any) -> None:
        inner = body[part] if part else body
        _note(ticket, inner[key], private=inner[flag] == value)

    return act


def _adds(key: str) -> Act:
    return lambda ticket, body: _add(ticket, body[key] if isinstance(body[key], list) else [str(body[key])])


def _shows(shape: Callable[[Known], Any]) -> Act:
    return lambda ticket, _: shape(ticket)


# By profile: the credential's header and value, and what each request does. {} stands for the ticket's name.
APIS: dict[str, tuple[str, str, dict[str, Act]]] = {
    "zendesk": ("Authorization", _basic(f"{USER}/token:{TOKEN}"), {
        "PUT /api/v2/tickets/{}.json": _zendesk,
        "PUT /api/v2/tickets/{}/tags.json": _adds("tags"),
    }),
    "freshdesk": ("Authorization", _basic(f"{TOKEN}:X"), {
        "GET /api/v2/tickets/{}": _shows(lambda ticket: {"tags": ticket.labels}),
        "PUT /api/v2/tickets/{}": _freshdesk,
        "POST /api/v2/tickets/{}/notes": _notes("body", "private", True),
    }),
    "freshservice": ("Authorization", _basic(f"{TOKEN}:X"), {
        "GET /api/v2/tickets/{}": _shows(lambda ticket: {"ticket": {"tags": ticket.labels}}),
        "PUT /api/v2/tickets/{}": _freshdesk,
        "POST /api/v2/tickets/{}/notes": _notes("body", "private", True),
    }),
    "jira": ("Authorization", _basic(f"{USER}:{TOKEN}"), {
        "PUT /rest/api/2/issue/{}": _jira,
        "POST /rest/api/2/issue/{}/comment": _jira_comment,
    }),
    "servicenow": ("Authorization", _basic(f"{USER}:{TOKEN}"), {"PATCH /api/now/table/incident/{}": _servicenow}),
    "zammad": ("Authorization", f"Token token={TOKEN}", {
        "PUT /api/v1/tickets/{}": _zammad,
        "POST /api/v1/tags/add": _zammad_tag,
    }),
    "glpi": ("Authorization", f"Bearer {TOKEN}", {
        "PATCH /api.php/v2/Assistance/Ticket/{}": _sets(),
        "POST /api.php/v2/Assistance/Ticket/{}/Timeline/Followup": _notes("content", "is_private", True),
    }),
    "freescout": ("X-FreeScout-API-Key", TOKEN, {
        "PUT /api/conversations/{}/custom_fields": _freescout_fields,
        "GET /api/conversations/{}": _shows(
            lambda ticket: {"_embedded": {"tags": [{"id": 1, "name": label} for label in ticket.labels]}}
        ),
        "PUT /api/conversations/{}/tags": _replace,
        "POST /api/conversations/{}/threads": _notes("text", "type", "note"),
    }),
    "intercom": ("Authorization", f"Bearer {TOKEN}", {
        "PUT /tickets/{}": _sets("ticket_attributes"),
        "POST /tickets/{}/tags": _adds("id"),
        "POST /tickets/{}/reply": _intercom_reply,
    }),
    "hubspot": ("Authorization", f"Bearer {TOKEN}", {"PATCH /crm/v3/objects/tickets/{}": _sets("properties")}),
    "servicedeskplus": ("Authorization", f"Zoho-oauthtoken {TOKEN}", {
        "PUT /api/v3/requests/{}": _sets("request"),
        "POST /api/v3/requests/{}/notes": _notes("description", "show_to_requester", False, "note"),
    }),
    "linear": ("Authorization", TOKEN, {"POST /graphql": _linear}),
    "github": ("Authorization", f"Bearer {TOKEN}", {"POST /repos/acme/it/issues/{}/labels": _adds("labels")}),
}  # fmt: skip


@dataclass
class Helpdesk:
    """One helpdesk's API; `limit` requests are answered within `seconds`, every further one with 429."""

    profile: str
    tickets: dict[str, Known] = field(default_factory=lambda: {"4711": Known()})
    answers: dict[str, Any] = field(default_factory=dict)  # More of its paths, with what GET answers.
    limit: int = 1_000_000
    seconds: float = 60.0
    moments: list[float] = field(default_factory=list)

    def respond(self, request: Request) -> Answer:
        header, value, acts = APIS[self.profile]
        if request.headers.get(header) != value:
            return Answer.of({"error": "bad credentials"}, 401)
        since = time.monotonic() - self.seconds
        self.moments = [moment for moment in self.moments if moment > since]
        if len(self.moments) >= self.limit:
            return Answer(429, b"{}", {"Retry-After": str(round(self.seconds))})
        self.moments.append(time.monotonic())
        if request.path in self.answers and request.method == "GET":
            return Answer.of(self.answers[request.path])
        return self._act(request, acts)

    def _act(self, request: Request, acts: dict[str, Act]) -> Answer:
        for pattern, act in acts.items():
            shape = re.escape(pattern).replace(re.escape("{}"), "([^/]+?)")
            found = re.fullmatch(shape, f"{request.method} {request.path}")
            if found:
                name = found[1] if found.groups() else next(iter(self.tickets))
                if name not in self.tickets:
                    return Answer.of({"error": "no such ticket"}, 404)
                try:
                    return Answer.of(act(self.tickets[name], _body(request)) or {})
                except (AssertionError, KeyError, ValueError, TypeError) as error:
                    return Answer.of({"error": repr(error)}, 422)
        return Answer.of({"error": "no such path"}, 404)


def _body(request: Request) -> Any:
    if not request.body:
        return None
    if request.headers["Content-Type"].startswith("application/x-www-form-urlencoded"):
        [text] = parse_qs(request.body.decode())["input_data"]
        return json.loads(text)
    assert request.headers["Content-Type"] == "application/json"
    return request.json


def serving(profile: str, **more: Any) -> tuple[Helpdesk, Peer]:
    """A helpdesk and the peer that answers for it."""
    helpdesk = Helpdesk(profile, **more)
    return helpdesk, Peer(helpdesk.respond)
