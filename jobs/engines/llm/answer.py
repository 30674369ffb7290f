"""Reading what an endpoint sent back, whatever it is. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Any

from jobs.engines import EngineError

_FINISH_REASONS = ("stop", "length", "content_filter")
_MOST_STARTS = 50
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.S | re.I)
_LINE = re.compile(r"^[\s*_#>-]*(request[ _]type|confidence|reasoning)[\s*_]*[:=][\s*_]*(.+?)[\s*_]*$", re.I | re.M)
_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")
_LONGEST_LABEL = 200


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `cached` are those of the prompt that the provider had kept."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, unchecked: `fields` may hold anything; `begun` says that there is at least a part of it."""

    fields: dict[str, Any] | None
    usage: Usage
    finish_reason: str
    refused: bool = False
    begun: bool = False

    @property
    def cut_off(self) -> bool:
        """Whether there is no answer because the limit of its length was too small."""
        return self.fields is None and self.finish_reason == "length"

    def read(self) -> dict[str, Any]:
        """The fields. Raises EngineError where there are none."""
        if self.refused:
            raise EngineError("the model refused to answer for this ticket", permanent=False, about_ticket=True)
        if self.fields is None:
            message = f"the model gave no readable answer (finish_reason: {self.finish_reason})"
            raise EngineError(message, permanent=False)
        return self.fields


def parse(body: bytes, *, plain: bool) -> Answer:
    """The answer in the body of a chat completion; `plain` says that the endpoint was not asked for JSON."""
    completion = _json(body)
    choices = _at(completion, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    reason = _at(choice, "finish_reason")
    reason = reason if reason in _FINISH_REASONS else "unknown"
    message = _at(choice, "message")
    content = _at(message, "content")
    fields = _fields(content, plain=plain) if isinstance(content, str) else None
    refused = fields is None and (reason == "content_filter" or bool(_at(message, "refusal")))
    begun = isinstance(content, str) and "{" in content
    return Answer(fields, _usage(_at(completion, "usage")), reason, refused, begun)


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError.
        return None


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _fields(content: str, *, plain: bool) -> dict[str, Any] | None:
    """The one object in the text, whatever stands around it; two different ones are no answer."""
    content = _THOUGHTS.sub("", content)
    found = _json(content)
    if isinstance(found, dict):
        return found
    objects = _objects(content)
    if len(objects) == 1:
        return objects[0]
    return _said(content) if plain and not objects else None


def _objects(content: str) -> list[dict[str, Any]]:
    """The different objects with a request type that stand in the text."""
    objects: list[dict[str, Any]] = []
    decoder, place = json.JSONDecoder(), 0
    for _ in range(_MOST_STARTS):
        place = content.find("{", place)
        if place < 0:
            break
        try:
            found, place = decoder.raw_decode(content, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        if "request_type" in found and found not in objects:
            objects.append(found)
    return objects


def _said(content: str) -> dict[str, Any] | None:
    """What a model that knows no JSON says: lines such as "Request type: ...", or only the label."""
    lines = {name.lower().replace(" ", "_"): value.strip("\"'`") for name, value in _LINE.findall(content)}
    if "request_type" in lines:
        return lines
    label = content.strip()
    return {"request_type": label} if label and len(label) <= _LONGEST_LABEL and "\n" not in label else None


def confidence(value: Any) -> float:
    """A confidence between 0 and 1.

    A number is taken where it lies between 0 and 1, also in quotes, and a percentage where it says so. A bare 100 may
    be a percentage, a scale of ten or nonsense: it counts as unknown, which is 0, so that a person looks.
    """
    if isinstance(value, str):
        percent = _PERCENT.fullmatch(value)
        value = float(percent[1]) / 100 if percent else _number(value)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if usable else 0.0


def _number(text: str) -> Any:
    return float(text) if re.fullmatch(r"\s*[01]?\.?\d{1,9}\s*", text) else None


def storable(text: Any, limit: int = 1_000) -> str:
    """Without half characters and NUL, which a database refuses."""
    return str(text)[:limit].encode("utf-8", "replace").decode().replace("\0", "")


def _usage(raw: Any) -> Usage:
    prompt = _count(_at(raw, "prompt_tokens"))
    cached = _count(_at(_at(raw, "prompt_tokens_details"), "cached_tokens"))
    return Usage(prompt, min(cached, prompt), _count(_at(raw, "completion_tokens")))


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0
