"""Finding the fields of an answer in what a model said. Pure."""

import ast
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.classification.engines.base import EngineError
from jobs.classification.engines.llm.completion import ENVELOPES, Completion, Usage
from receiver.lib.retry_policy import Cause

_MOST_STARTS, _DEEPEST = 50, 4
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought|thoughts|reasoning)>|\[(/?)THINK\]|◁(/?)think▷", re.I)
# Marks of chat templates that a server left in: <|im_end|>, <|eot_id|>, <end_of_turn>, </s>.
_MARKS = re.compile(r"<\|[\w ]{1,40}\|>|<(?:start|end)_of_turn>|</?s>|<(?:bos|eos)>|\[/?INST\]", re.I)
_FINAL, _MESSAGE = "<|channel|>final", "<|message|>"
_TRAILING_COMMA = re.compile(r",\s{0,100}([}\]])")
_STRAIGHT = str.maketrans("“”„‟", '""""')
_LONGEST_REPAIRED = 10_000
_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")
_FRACTION = re.compile(r"\s*[01]?\.?\d{1,9}\s*")
_DECORATION = " \t*_#>|\"'`,;-•·"
_NAMES = ("request_type", "confidence", "reasoning")
_LONGEST_LABEL, _LONGEST_NAME = 200, 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, unchecked: `fields` may hold anything; `begun` says that there is at least a part of it.

    `usage` is None where nobody says what the call used.
    """

    fields: dict[str, Any] | None
    usage: Usage | None
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
            raise EngineError(Cause.REFUSED)
        if self.cut_off:
            raise EngineError("no_room.cut_off")
        if self.fields is None:
            raise EngineError(Cause.UNREADABLE, {"finish_reason": self.finish_reason})
        return self.fields


def find(said: Completion, *, plain: bool, labels: Collection[str] = ()) -> Answer:
    """The answer in what was said; `plain` says that the model was not asked for JSON, `labels` are the catalog's.

    It may stand in the content, in a tool's arguments, or where the server's parser took it for thoughts.
    """
    content, thought = _visible("".join(said.content))
    thoughts = ("".join(said.thoughts), thought) if said.finish_reason != "length" else ()
    fields = _one(objects) if (objects := [_inside(found, 0) or found for found in said.objects]) else None
    fields = fields or _fields(content) or _fields("".join(said.arguments)) or _repaired(content)
    fields = fields or next((found for text in thoughts if (found := _at_end(text))), None)
    if fields is None and said.finish_reason != "length":
        fields = _lines(content) or _label(content, plain=plain, labels=labels)
    refused = fields is None and (said.finish_reason == "content_filter" or said.refusal)
    return Answer(fields, said.usage, said.finish_reason, refused, "{" in content)


def _visible(text: str) -> tuple[str, str]:
    """What the model said for others to read, and its thoughts, where the server left both in one text."""
    if isinstance(_json(text), dict):
        return text, ""
    if "<|channel|>" in text:  # Harmony, the format of gpt-oss.
        start = text.rfind(_FINAL) if _FINAL in text else text.rfind("<|channel|>commentary")
        head, tail = (text[:start], text[start:]) if start >= 0 else (text, "")
        return _MARKS.sub("", tail.partition(_MESSAGE)[2]), _MARKS.sub("", head)
    shown: list[str] = []
    thoughts: list[str] = []
    thinks, place = False, 0
    for mark in _THINKING.finditer(text):
        (thoughts if thinks else shown).append(text[place : mark.start()])
        thinks, place = not any(mark.groups()), mark.end()
        if not thinks and not thoughts:  # Its beginning was a part of the prompt.
            thoughts, shown = shown, []
    (thoughts if thinks else shown).append(text[place:])
    return _MARKS.sub("", "".join(shown)), _MARKS.sub("", "".join(thoughts))


def _fields(content: str) -> dict[str, Any] | None:
    """The one object in the text, whatever stands around it; two different ones are no answer."""
    whole = _json(content)
    if isinstance(whole, str):
        whole = _json(whole)
    if isinstance(whole, dict | list):
        if found := _inside(whole, 0):
            return found
        return whole if isinstance(whole, dict) and any(_name(key) in _NAMES for key in whole) else None
    return _one([found for value, _ in _objects(content) if (found := _inside(value, 0))])


def _inside(value: Any, depth: int) -> dict[str, Any] | None:
    """The one object with a request type that `value` is, or holds, also as JSON in a text of an envelope."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, str):
        return _one([found for item, _ in _objects(value) if (found := _inside(item, depth + 1))])
    inner = value if isinstance(value, list) else []
    if isinstance(value, dict):
        named = {_name(key): item for key, item in value.items()}
        if "request_type" in named and (depth == 0 or isinstance(named["request_type"], str)):
            return named  # Deeper it may be the schema, which small models repeat.
        inner = [item for key, item in value.items() if key in ENVELOPES or not isinstance(item, str)]
    return _one([found for item in inner[:_MOST_STARTS] if (found := _inside(item, depth + 1))])


def _one(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last of the objects, where they do not name different types."""
    types = [fields.get("request_type") for fields in found]
    return found[-1] if found and all(kind == types[0] for kind in types) else None


def _objects(content: str) -> Iterator[tuple[dict[str, Any], int]]:
    """The objects that stand in the text, and where each ends."""
    place = 0
    for _ in range(_MOST_STARTS):
        place = content.find("{", place)
        if place < 0:
            return
        try:
            found, place = _DECODER.raw_decode(content, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        yield found, place


def _repaired(content: str) -> dict[str, Any] | None:
    """The object that a text would have in it, but for commas too many, curly quotes, or Python's way to write it."""
    start, end = content.find("{"), content.rfind("}") + 1
    if start < 0 or not 0 < end - start <= _LONGEST_REPAIRED or content.count("request_type") > 1:
        return None
    text = _TRAILING_COMMA.sub(r"\1", content[start:end].translate(_STRAIGHT))
    try:
        found = _json(text) or ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return _inside(found, 0)


def _at_end(thoughts: str) -> dict[str, Any] | None:
    """The object with a request type that thoughts end with; what stands before is what the model considered."""
    thoughts = thoughts.rstrip("` \t\r\n")
    start = len(thoughts)
    for _ in range(_MOST_STARTS if thoughts.endswith("}") else 0):
        start = thoughts.rfind("{", 0, start)
        if start < 0:
            return None
        try:
            found, end = _DECODER.raw_decode(thoughts, start)
        except (ValueError, RecursionError):
            continue
        if end == len(thoughts) and (fields := _inside(found, 0)):
            return fields
    return None


def _lines(content: str) -> dict[str, Any] | None:
    """What a model that was not asked for JSON, or does not heed it, says: lines such as "Request type: ..."."""
    found: dict[str, Any] = {}
    waiting = ""
    for written in content.splitlines():
        line = written.strip(_DECORATION).lstrip("0123456789. ")
        # A line's name is short; a colon further on belongs to a sentence.
        sign = next((place for place, letter in enumerate(line[: _LONGEST_NAME + 10]) if letter in ":=：|"), None)
        name, value = ("", line) if sign is None else (_name(line[:sign]), line[sign + 1 :])
        if name in _NAMES:
            waiting = name
            value = value.strip(_DECORATION)
        else:
            value = line
        if not waiting or not value:
            continue
        if found.setdefault(waiting, value) != value and waiting == "request_type":
            return None  # Of two that contradict each other neither is the answer.
        waiting = ""
    return found if "request_type" in found else None


def _name(key: str) -> str:
    """A field's name as we write it: request_type for "Request Type", "requestType" and "**request-type**"."""
    key = key.strip(_DECORATION)[: _LONGEST_NAME + 1]
    return re.sub(r"[\s_-]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)).lower()


def _label(content: str, *, plain: bool, labels: Collection[str]) -> dict[str, Any] | None:
    """A text that is only a label: of the catalog, or any where the model was asked for no more."""
    label = content.strip().strip("*_#>`\"'. ").strip()
    if not label or len(label) > _LONGEST_LABEL or "\n" in label:
        return None
    return {"request_type": label} if plain or label.casefold() in {known.casefold() for known in labels} else None


def _json(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip("\ufeff \t\r\n"))
    except (ValueError, RecursionError):
        return None


def _without_contradiction(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless it names two request types: then which is meant is anybody's guess."""
    found = dict(pairs)
    if len(found) < len(pairs) and any(k == "request_type" and v != found[k] for k, v in pairs):
        raise ValueError("two request types")
    return found


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_without_contradiction)


def confidence(value: Any) -> float:
    """A confidence between 0 and 1.

    A number is taken where it lies between 0 and 1, also in quotes, and a percentage where it says so. A bare 100 may
    be a percentage, a scale of ten or nonsense: it counts as unknown, which is 0, so that a person looks.
    """
    if isinstance(value, str):
        if percent := _PERCENT.fullmatch(value):
            value = float(percent[1]) / 100
        elif _FRACTION.fullmatch(value):
            value = float(value)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if usable else 0.0


def storable(text: Any, limit: int = 1_000) -> str:
    """Without half characters and NUL, which a database refuses."""
    return str(text)[:limit].encode("utf-8", "replace").decode().replace("\0", "")
