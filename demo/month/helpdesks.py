"""The helpdesks of the month: how each shapes what it sends, and the file that names them as sources."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from demo.month.writing import Written

_SECRET = "only-for-looking-at-the-pages"  # noqa: S105 - what this folder holds is invented.


def _standard(tickets: Sequence[Written]) -> Any:
    return {"tickets": [_flat(ticket) for ticket in tickets]}


def _flat(ticket: Written) -> dict[str, Any]:
    return {
        "id": ticket.name,
        "short_description": ticket.subject,
        "long_description": ticket.text,
        "requester_email": ticket.requester,
        "priority": ticket.priority,
        "created_at": _iso(ticket.at),
        "updated_at": _iso(ticket.at),
        "url": f"https://portal.example.com/requests/{ticket.name}",
    }


def _zendesk(tickets: Sequence[Written]) -> Any:
    [ticket] = tickets
    detail = {
        "id": ticket.name, "subject": ticket.subject, "description": ticket.text, "status": "NEW",
        "priority": ticket.priority.upper(), "requester_id": "1", "requester_email": ticket.requester,
        "created_at": _iso(ticket.at), "updated_at": _iso(ticket.at),
    }  # fmt: skip
    return {"type": "zen:event-type:ticket.created", "id": f"evt-{ticket.name}", "event": {}, "detail": detail}


def _jira(tickets: Sequence[Written]) -> Any:
    [ticket] = tickets
    paragraphs = [
        {"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in ticket.text.split("\n") if line
    ]
    fields = {
        "summary": ticket.subject, "created": _iso(ticket.at), "updated": _iso(ticket.at),
        "priority": {"name": ticket.priority.capitalize()}, "reporter": {"emailAddress": ticket.requester},
        "description": {"type": "doc", "version": 1, "content": paragraphs},
    }  # fmt: skip
    link = f"https://corvane.atlassian.net/rest/api/2/issue/{ticket.name.partition('-')[2]}"
    return {
        "webhookEvent": "jira:issue_created", "issue_event_type_name": "issue_created", "user": {"accountId": "5b10"},
        "issue": {"id": ticket.name.partition("-")[2], "key": ticket.name, "self": link, "fields": fields},
    }  # fmt: skip


def _freshservice(tickets: Sequence[Written]) -> Any:
    [ticket] = tickets
    return {"freshservice_webhook": {
        "ticket_id": ticket.name, "ticket_subject": ticket.subject, "ticket_description": f"<div>{ticket.text}</div>",
        "ticket_requester_email": ticket.requester, "ticket_priority": ticket.priority.capitalize(),
        "ticket_created_at": _iso(ticket.at), "ticket_updated_at": _iso(ticket.at),
        "ticket_url": f"https://oakes.freshservice.com/helpdesk/tickets/{ticket.name}",
    }}  # fmt: skip


def _zammad(tickets: Sequence[Written]) -> Any:
    [ticket] = tickets
    return {
        "ticket": {
            "id": int(ticket.name), "number": ticket.name, "title": ticket.subject,
            "customer": {"email": ticket.requester}, "priority": {"name": "2 normal"},
            "created_at": _iso(ticket.at), "updated_at": _iso(ticket.at),
        },
        "article": {"body": ticket.text, "content_type": "text/plain", "from": ticket.requester},
    }  # fmt: skip


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True)
class Helpdesk:
    """One source: its share of the tickets, how it names them, and how it writes a delivery of them."""

    name: str
    share: float
    number: Callable[[int], str]
    shaped: Callable[[Sequence[Written]], Any]
    delivery_header: str | None = None
    most_at_once: int = 1

    def body(self, tickets: Sequence[Written]) -> bytes:
        """A delivery of these tickets."""
        return json.dumps(self.shaped(tickets), ensure_ascii=False).encode()


HELPDESKS = (
    Helpdesk("standard", 0.31, lambda n: f"REQ-{40000 + n}", _standard, None, 9),
    Helpdesk("zendesk-desk", 0.29, lambda n: f"{118200 + n}", _zendesk, "X-Zendesk-Webhook-Invocation-Id"),
    Helpdesk("jira-service", 0.21, lambda n: f"HELP-{7300 + n}", _jira, "X-Atlassian-Webhook-Identifier"),
    Helpdesk("freshservice-emea", 0.12, lambda n: f"{56100 + n}", _freshservice),
    Helpdesk("zammad-clinics", 0.07, lambda n: f"{81000 + n}", _zammad, "X-Zammad-Delivery"),
)
_PROFILES: dict[str, dict[str, Any]] = {
    "zendesk-desk": {"profile": "zendesk", "fields": {"requester_email": "detail.requester_email"}},
    "jira-service": {"profile": "jira"},
    "freshservice-emea": {"profile": "freshservice"},
    "zammad-clinics": {"profile": "zammad"},
}
_TOKENS: dict[str, dict[str, Any]] = {"freshservice-emea": {"token": {"header": "X-Helpdesk-Token", "value": _SECRET}}}


def chosen(chance: random.Random) -> Helpdesk:
    """The helpdesk that the next ticket comes from."""
    return chance.choices(HELPDESKS, [desk.share for desk in HELPDESKS])[0]


def write_file(path: Path) -> None:
    """The SOURCES_FILE of the month."""
    sources = {name: options | _TOKENS.get(name, {"secrets": [_SECRET]}) for name, options in _PROFILES.items()}
    path.write_text(yaml.safe_dump({"sources": sources}, sort_keys=False), encoding="utf-8")
