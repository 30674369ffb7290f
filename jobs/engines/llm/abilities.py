"""What a model at an endpoint can do, and what to leave out when it refuses a request. Pure."""

import copy
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

_FORMATS = ("json_schema", "json_object", "text")
_OFFICIAL = ("openai.com", "azure.com")
_MOST_ROOM = 4
_BRIEF = 300
# What is said of the ticket, and not of the endpoint: OpenAI, Azure, vLLM, llama.cpp, in that order.
_ABOUT_TICKET = re.compile(
    r"context_length_exceeded|maximum context length|content_policy|invalid_prompt|content_filter|moderation|safety"
    r"|content management policy|responsibleaipolicy|reduce the length|exceed_context_size|input tokens exceed"
    r"|exceeds? the (?:available )?context|prompt is too long|too many tokens",
    re.I,
)
_ABOUT_FORMAT = re.compile(r"response_format|json_schema|json_object|schema|grammar|structured|guided|\bformat\b", re.I)
_INSTEAD = re.compile(r"use ['\"`]?(max_completion_tokens|max_tokens)['\"`]? instead", re.I)


@dataclass(frozen=True, slots=True)
class Abilities:
    """How to ask: the answer's `format`, whether a temperature is taken, how the answer's length is limited.

    `limit` is the parameter's name, "both" where an endpoint ignores the one it does not know, or "none". `room` is by
    how many times LLM_MAX_TOKENS is too little, because the model thinks within it. `brief` has the schema itself keep
    the answer short, for a model that finds no end.
    """

    format: str = "json_schema"
    temperature: bool = True
    limit: str = "both"
    room: int = 1
    brief: bool = False

    def options(self, schema: dict[str, Any], temperature: float, max_tokens: int) -> dict[str, Any]:
        """The request's parameters beside model and messages."""
        options: dict[str, Any] = {}
        if self.format != "text":
            strict = _brief(schema) if self.brief else schema
            options["response_format"] = strict if self.format == "json_schema" else {"type": self.format}
        if self.temperature:
            options["temperature"] = temperature
        for name in ("max_completion_tokens", "max_tokens"):
            if self.limit in (name, "both"):
                options[name] = max_tokens * self.room
        return options

    def learned(self) -> dict[str, Any]:
        """As it is kept in the record."""
        return asdict(self)

    def less_than(self, other: "Abilities") -> list[str]:
        """In words, what `other` was asked for and this is not."""
        words = {
            "format": f"answers as {self.format} instead of a strict schema",
            "temperature": "takes no temperature",
            "limit": f"takes {self.limit} as the limit of an answer's length",
            "room": f"needs {self.room} times LLM_MAX_TOKENS",
            "brief": "is kept to short answers by the schema",
        }
        return [text for name, text in words.items() if getattr(self, name) != getattr(other, name)]


def assumed(base_url: str) -> Abilities:
    """What to try first. OpenAI and Azure refuse both limits at once; elsewhere the unknown one is ignored."""
    host = urlsplit(base_url).hostname or ""
    official = any(host == name or host.endswith(f".{name}") for name in _OFFICIAL)
    return Abilities(limit="max_completion_tokens" if official else "both")


def remembered(learned: dict[str, Any], otherwise: Abilities) -> Abilities:
    """What `learned` says, as far as this version understands it."""
    known = {field.name: learned[field.name] for field in fields(Abilities) if field.name in learned}
    found = replace(otherwise, **known)
    sane = found.format in _FORMATS and type(found.room) is int and 1 <= found.room <= _MOST_ROOM
    sane = sane and type(found.brief) is bool
    return found if sane else otherwise


def is_about_ticket(status: int, said: str) -> bool:
    """Whether a refusal is of this ticket's text, and would be the same however it was asked for."""
    return status == 413 or bool(_ABOUT_TICKET.search(said))


def step_down(present: Abilities, status: int, said: str) -> Abilities | None:
    """How to ask after a refusal that `said` this, or None where there is nothing left to leave out.

    OpenAI and Azure name the parameter (`param`, and in quotes in the message), vLLM and llama.cpp speak of schema or
    grammar, some only say "bad request"; then a looser format is tried. What is left out is learned only where the
    model then answers.
    """
    instead = _INSTEAD.search(said)
    if instead and present.limit != instead[1].lower():
        return replace(present, limit=instead[1].lower())
    if "temperature" in said and present.temperature:
        return replace(present, temperature=False)
    if "max_completion_tokens" in said and present.limit in ("both", "max_completion_tokens"):
        return replace(present, limit="max_tokens")
    if "max_tokens" in said and present.limit in ("both", "max_tokens"):
        return replace(present, limit="max_completion_tokens" if present.limit == "both" else "none")
    if status in (400, 415, 422, 501) or _ABOUT_FORMAT.search(said):
        return replace(present, brief=False, room=_MOST_ROOM) if present.brief else _looser(present)
    return None


def _looser(present: Abilities) -> Abilities | None:
    place = _FORMATS.index(present.format)
    return replace(present, format=_FORMATS[place + 1]) if place + 1 < len(_FORMATS) else None


def after_cut(present: Abilities, *, begun: bool) -> Abilities | None:
    """How to ask where the answer was cut off by its limit, or None where there is nothing left to try.

    A model that had `begun` to answer may fill any room, so its answer is bounded by the schema first.
    """
    if begun and present.format == "json_schema" and not present.brief:
        return replace(present, brief=True)
    return replace(present, room=present.room * 4) if present.room * 4 <= _MOST_ROOM else None


def _brief(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, with bounds to the length of the reasoning and to the number of alternatives."""
    bounded = copy.deepcopy(schema)
    properties = bounded["json_schema"]["schema"]["properties"]
    properties["reasoning"]["maxLength"], properties["alternatives"]["maxItems"] = _BRIEF, 2
    return bounded
