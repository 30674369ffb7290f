"""What is sent to the model: first what is the same for every ticket, so that providers cache it; the ticket last."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from jobs.classification.clean_text import MAX_TEXT, cut, sanitise
from jobs.classification.engines.base import Example, TicketText
from jobs.classification.redact import redact
from receiver.catalog import Catalog

TEMPLATE = Path(__file__).parents[2] / "prompts" / "classify.txt"
SHOWN_EXAMPLES = 3
_MAX_EXAMPLE = 400
_HARMLESS = str.maketrans("<>", "‹›")


@cache
def _compiled(template: str) -> jinja2.Template:
    """A job makes a prompt anew, and compiling the template takes longer than all else about it."""
    compiled: jinja2.Template = jinja2.Template(template, trim_blocks=True, lstrip_blocks=True)
    return compiled


class Prompt:
    """The messages and the schema for one catalog; `version` is a digest of the template."""

    def __init__(self, catalog: Catalog, *, redacted: bool) -> None:
        template = TEMPLATE.read_text(encoding="utf-8")
        self._instructions = _compiled(template).render(catalog=catalog)
        self._redacted, self._catalog = redacted, catalog
        self.schema = _schema(catalog)
        self.version = hashlib.sha256(template.encode()).hexdigest()[:12]

    def messages(self, ticket: TicketText, examples: Sequence[Example]) -> list[dict[str, str]]:
        """The instructions, and the ticket with the reviewed tickets that are most like it just before it."""
        content = ""
        for example in examples:
            label = self._catalog.names.get((example.category, example.request_type))
            if label is not None:  # Else the entry has left the catalog since.
                text = f"{example.text.short_description}\n{example.text.long_description}"
                shown = self._plain(text, _MAX_EXAMPLE)
                content += f"<reviewed>\n{shown}\n</reviewed> request_type: {label}\n"
        text = f"{ticket.short_description}\n\n{ticket.long_description}"
        content += f"<ticket>\n{self._plain(text, MAX_TEXT)}\n</ticket>"
        return [{"role": "system", "content": self._instructions}, {"role": "user", "content": content}]

    def _plain(self, text: str, limit: int) -> str:
        """The text without what could close the marks around it, of `limit` characters at most."""
        # Masked before it is cut, or half a number would stay unmasked at the end.
        text = sanitise(text, limit=20 * MAX_TEXT)
        return cut((redact(text) if self._redacted else text).translate(_HARMLESS), limit)

    def cache_key(self, ticket: TicketText, examples: Sequence[Example], model: str) -> str:
        """The cache key: equal where the same model would be told the same, case and spacing aside."""
        text = sanitise(f"{ticket.short_description}\n\n{ticket.long_description}", limit=20 * MAX_TEXT)
        shown = ",".join(str(example.id) for example in examples)
        parts = (
            self._catalog.version,
            self.version,
            model,
            str(self._redacted),
            shown,
            " ".join(text.casefold().split()),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _schema(catalog: Catalog) -> dict[str, Any]:
    label = {"type": "string", "enum": list(catalog.labels)}
    properties = {
        "reasoning": {"type": "string"},
        "request_type": label,
        "confidence": {"type": "number"},
        "alternatives": {"type": "array", "items": label},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "proposal", "strict": True, "schema": schema}}
