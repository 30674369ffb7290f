"""Telling a helpdesk of a classification: fields, labels and a private note in its ticket, or a signed webhook."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jobs.helpdesks import api
from jobs.helpdesks.api import Api, CallError, search
from receiver.db.models import Classification, OutgoingCall, Ticket
from receiver.intake import signatures
from receiver.intake.sources import Source
from receiver.intake.sources.api import carried
from receiver.lib import egress
from receiver.lib.clock import now
from receiver.lib.retry_policy import WEBHOOK
from receiver.lib.settings import Settings


def write(
    config: Settings,
    source: Source,
    call: OutgoingCall,
    ticket: Ticket,
    classification: Classification,
    note_steps: Callable[[int], None],
) -> None:
    """Do a write-back, from the step at which an earlier attempt ended. Raises CallError.

    `note_steps` hears after each request how many have succeeded, so that none of them is sent twice.
    """
    wanted = source.write_back or {}
    if "webhook" in wanted:
        _send_webhook(config, wanted, call, ticket, classification)
        return
    helpdesk = Api(config, source)
    values = helpdesk.names(ticket.external_id) | _values(wanted, classification)
    # The requests that have something to say, each with its values; one for every label where it takes only one.
    requests = [
        (step, values | ({step["each"]: item} if item else {}))
        for step in helpdesk.helpdesk.get("write", [])
        if any(values[name] for name in carried(step["body"]))
        for item in (values[step["each"]] if "each" in step else [None])
    ]
    for number, (step, names) in enumerate(requests, start=1):
        if number > call.steps:
            _do(helpdesk, step, names)
            note_steps(number)


def names_of(classification: Classification) -> dict[str, str]:
    """What the texts of a write_back may name, between braces."""
    return {
        "category": classification.category,
        "request_type": classification.request_type,
        "sla": f"{classification.sla_value:g} {classification.sla_unit}",
        "confidence": f"{classification.confidence:.2f}",
        "engine": classification.engine,
    }


def _values(wanted: Mapping[str, Any], classification: Classification) -> dict[str, Any]:
    """What the bodies of a helpdesk's requests may name with a dollar, each in every form that one of them takes."""
    names = names_of(classification)
    own: Mapping[str, Any] = wanted.get("values", {})  # The helpdesk's own value for a text of ours.
    texts = {name: text.format(**names) for name, text in wanted.get("fields", {}).items()}
    fields = {name: own.get(text, text) for name, text in texts.items()}
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        *parents, last = name.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value

    slugs = {name: re.sub(r"\W+", "-", value.lower()).strip("-") for name, value in names.items()}
    labels = []
    for template in wanted.get("labels", []):
        text = template.format(**names)
        label = own.get(text, text)
        labels.append(str(label) if label != text else template.format(**slugs))
    return {
        "fields": nested,
        "pairs": [{"id": int(name) if name.isdecimal() else name, "value": value} for name, value in fields.items()],
        "labels": labels,
        "adds": [{"add": label} for label in labels],
        "all_labels": labels,
        "label": labels,
        "note": wanted.get("note", "").format(**names),
    }


def _do(helpdesk: Api, step: dict[str, Any], values: dict[str, Any]) -> None:
    if "existing" in step and values["labels"]:
        answer = helpdesk.call(step["existing"]["request"], values)
        there = search(step["existing"]["at"], answer)
        if not isinstance(there, list):  # Writing ours alone would take those away.
            raise CallError("its answer does not say which labels the ticket has")
        values = values | {"all_labels": list(dict.fromkeys([*map(str, there), *values["labels"]]))}
    answer = helpdesk.call(step["request"], values, fill(step["body"], values), step.get("form"))
    if "fails_if" in step and search(step["fails_if"], answer):
        raise CallError("it answered with an error inside a 200")


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """A body with its placeholders replaced; what would say nothing is left out."""
    if isinstance(template, str):
        return values.get(template[1:]) if template.startswith("$") else template
    if not isinstance(template, dict):
        return template
    filled: dict[str, Any] = {}
    for key, part in template.items():
        named = carried(part)
        value = fill(part, values) if not named or any(values[name] for name in named) else None
        if value is not None:
            filled |= value if key == "*" else {key: value}
    return filled


def _send_webhook(
    config: Settings, wanted: Mapping[str, Any], call: OutgoingCall, ticket: Ticket, classification: Classification
) -> None:
    """One message per Standard Webhooks: the same id on every attempt, a fresh timestamp, and no ticket text."""
    body = json.dumps(payload(ticket, classification)).encode()
    signed = signatures.sign_standard(wanted["secret"], f"call_{call.id}", int(now().timestamp()), body)
    rule = egress.Policy(config.outgoing_allow, wanted["webhook"])
    seconds = min(config.request_timeout, api.LONGEST_CALL)
    headers = signed | {"Content-Type": "application/json"}
    try:
        api.send(rule, seconds, "POST", wanted["webhook"], data=body, headers=headers)
    except CallError as error:
        error.policy = WEBHOOK[error.cause]
        raise


def payload(ticket: Ticket, classification: Classification) -> dict[str, Any]:
    """What an outgoing webhook says; the field names are those of /api."""
    return {
        "type": "ticket.reviewed" if classification.reviewer else "ticket.classified",
        "timestamp": classification.created_at.isoformat(),
        "data": {
            "id": ticket.id,
            "source": ticket.source,
            "external_id": ticket.external_id,
            "status": ticket.status,
            "due_at": ticket.due_at.isoformat() if ticket.due_at else None,
            "classification": {
                "category": classification.category,
                "request_type": classification.request_type,
                "sla": {"value": classification.sla_value, "unit": classification.sla_unit},
                "confidence": classification.confidence,
                "engine": classification.engine,
                "fallback": classification.fallback,
                "catalog_version": classification.catalog_version,
            },
        },
    }
