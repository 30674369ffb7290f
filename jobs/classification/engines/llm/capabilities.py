"""What a model at an endpoint can do, and what to leave out when it refuses a request. Pure."""

import copy
import re
from dataclasses import dataclass, fields, replace
from typing import Any

from jobs.classification.engines.llm.endpoint import Address
from jobs.classification.engines.llm.error_causes import Refusal
from receiver.lib.retry_policy import Cause

_FORMATS = ("json_schema", "json_object", "text")
_MORE_ROOM, _MOST_ROOM, _MOST_TOKENS = 4, 16, 32_000
_BRIEF = 300
_KEYS = ("bearer", "api-key", "both")
_INSTEAD = re.compile(r"use ['\"`]?(max_completion_tokens|max_tokens)['\"`]? instead", re.I)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How to ask: the answer's `format`, whether a temperature is taken, how the answer's length is limited.

    `limit` is the parameter's name, "both" where an endpoint ignores the one it does not know, or "none". `room` is by
    how many times LLM_MAX_TOKENS is too little, because the model thinks within it. `brief` has the schema itself keep
    the answer short, for a model that finds no end. `beginning` stands before /chat/completions, and `key` says in
    which headers the key goes: "bearer", "api-key" or "both".
    """

    format: str = "json_schema"
    temperature: bool = True
    limit: str = "both"
    room: int = 1
    brief: bool = False
    beginning: str = ""
    key: str = "bearer"

    def options(self, schema: dict[str, Any], temperature: float, max_tokens: int) -> dict[str, Any]:
        """The request's parameters beside model and messages."""
        options: dict[str, Any] = {"stream": False}  # Some gateways stream unless they are told not to.
        if self.format == "json_schema":
            options["response_format"] = schema
            if self.brief:
                options["response_format"] = bounded = copy.deepcopy(schema)
                properties = bounded["json_schema"]["schema"]["properties"]
                properties["reasoning"]["maxLength"], properties["alternatives"]["maxItems"] = _BRIEF, 2
        elif self.format == "json_object":
            options["response_format"] = {"type": self.format}
        if self.temperature:
            options["temperature"] = temperature
        for name in ("max_completion_tokens", "max_tokens"):
            if self.limit in (name, "both"):
                options[name] = self.most_tokens(max_tokens)
        return options

    def most_tokens(self, max_tokens: int) -> int:
        """How many tokens an answer may have, where LLM_MAX_TOKENS is `max_tokens`."""
        return max(max_tokens, min(max_tokens * self.room, _MOST_TOKENS))

    def less_than(self, other: "Capabilities") -> list[str]:
        """In words, what `other` was asked for and this is not."""
        words = {
            "format": f"answers as {self.format} instead of a strict schema",
            "temperature": "takes no temperature",
            "limit": f"takes {self.limit} as the limit of an answer's length",
            "room": f"needs {self.room} times LLM_MAX_TOKENS",
            "brief": "is kept to short answers by the schema",
            "beginning": f"is asked at {self.beginning}/chat/completions",
            "key": f"takes the key as {self.key}",
        }
        return [text for name, text in words.items() if getattr(self, name) != getattr(other, name)]


def assumed(address: Address) -> Capabilities:
    """What to try first. OpenAI and Azure refuse both limits at once; elsewhere the unknown one is ignored."""
    limit = "max_completion_tokens" if address.is_official else "both"
    return Capabilities(limit=limit, beginning=address.beginnings[0], key="both" if address.is_azure else "bearer")


def remembered(learned: dict[str, Any], otherwise: Capabilities) -> Capabilities:
    """What `learned` says, as far as this version understands it."""
    known = {field.name: learned[field.name] for field in fields(Capabilities) if field.name in learned}
    found = replace(otherwise, **known)
    sane = found.format in _FORMATS and type(found.room) is int and 1 <= found.room <= _MOST_ROOM
    sane = sane and type(found.brief) is bool and type(found.beginning) is str and found.key in _KEYS
    return found if sane else otherwise


def tried_in_vain(learned: dict[str, Any]) -> int:
    """How many tickets were refused in every manner, as `learned` says."""
    found = learned.get("in_vain", 0)
    return found if type(found) is int else 0


def degrade(present: Capabilities, refusal: Refusal, address: Address) -> Capabilities | None:
    """How to ask after this refusal, or None where there is nothing left to leave out.

    OpenAI and Azure name the parameter (`param`, and in quotes in the message), vLLM and llama.cpp speak of schema or
    grammar, some only say "bad request"; then a looser format is tried. What is left out is learned only where the
    model then answers.
    """
    said = refusal.said
    if refusal.cause is Cause.MODEL:
        later = address.beginnings[address.beginnings.index(present.beginning) + 1 :]
        return replace(present, beginning=later[0]) if refusal.status in (200, 404, 405) and later else None
    if present.key == "both" and "not both" in said:
        return replace(present, key="api-key")
    if refusal.cause not in (Cause.PARAMETER, Cause.REQUEST, Cause.SLIP):
        return None
    changes: dict[str, Any] = {}
    if "temperature" in said and present.temperature:
        changes = {"temperature": False}
    elif (limit := _other_limit(present.limit, said)) != present.limit:
        changes = {"limit": limit}
    elif present.brief:  # The bounds may be what the endpoint cannot read in the schema.
        changes = {"brief": False, "room": _MORE_ROOM}
    elif looser := _FORMATS[_FORMATS.index(present.format) + 1 :]:
        changes = {"format": looser[0]}
    return replace(present, **changes) if changes else None


def _other_limit(limit: str, said: str) -> str:
    """How to limit the answer's length where a refusal names the parameter for it; else as before."""
    instead = _INSTEAD.search(said)
    if instead and limit != instead[1].lower():
        return instead[1].lower()
    if "max_completion_tokens" in said and limit in ("both", "max_completion_tokens"):
        return "max_tokens"
    if "max_tokens" in said and limit in ("both", "max_tokens"):
        return "max_completion_tokens" if limit == "both" else "none"
    return limit


def after_cut(present: Capabilities, *, begun: bool) -> Capabilities | None:
    """How to ask where the answer was cut off by its limit, or None where there is nothing left to try.

    A model that had `begun` to answer may fill any room, so its answer is bounded by the schema first, and gets more
    room once. One that only thought gets more, within bounds.
    """
    if begun and present.format == "json_schema" and not present.brief:
        return replace(present, brief=True)
    most = _MORE_ROOM if begun else _MOST_ROOM
    return replace(present, room=present.room * _MORE_ROOM) if present.room * _MORE_ROOM <= most else None
