"""What a model said, out of the body of an answer, in whichever shape the endpoint and the gateways before it put it.

Known are chat completions (also in a list, in an envelope, as JSON within a string, or as a stream of chunks though
none was asked for), and the shapes of OpenAI's Responses, Ollama, Anthropic and Gemini, which some gateways pass on.
Pure.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

_MOST_BROKEN, _DEEPEST = 50, 6
# Under what name gateways and models put the answer, or a text with it.
ENVELOPES = (
    "response",
    "data",
    "result",
    "answer",
    "output",
    "output_text",
    "body",
    "completion",
    "payload",
    "arguments",
    "parameters",
)
_TEXTS = ("text", "content", "generated_text", "value")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thought", "summary", "reasoning_details")
_FINISHED = {
    "length": ("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit"),
    "content_filter": (
        "content_filter",
        "content-filter",
        "content_filtered",
        "safety",
        "refusal",
        "prohibited_content",
        "blocklist",
        "sensitive",
        "recitation",
        "spii",
        "guardrail_intervened",
    ),
    "stop": ("stop", "end_turn", "eos", "completed", "complete", "tool_calls", "function_call", "tool_use", "done"),
    "error": ("error", "failed"),
}
_BOOKKEEPING = {"id", "usage", "type", "model", "object", "choices", "error", "errors", "detail", "message"}
_REASONS = {written: reason for reason, ways in _FINISHED.items() for written in ways}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `cached` are those of the prompt that the provider had kept."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


@dataclass(slots=True)
class Completion:
    """What was said: as the answer, as the arguments of a tool, and as thoughts, each in its pieces.

    `objects` are JSON that is no text. `finish_reason` is stop, length, content_filter, error or unknown. `usage` is
    None where nobody says what the call used, `error` what is said instead of an answer; `is_page` tells a page of the
    web, which no model has written.
    """

    content: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    refusal: bool = False
    finish_reason: str = "unknown"
    usage: Usage | None = None
    error: Any = None
    is_page: bool = False

    @property
    def pieces(self) -> int:
        """How many pieces of an answer there are."""
        return len(self.content) + len(self.arguments) + len(self.objects)


def read(body: bytes) -> Completion:
    """What the body of an answer says; empty where that is nothing."""
    text = body.decode(json.detect_encoding(body), "replace").lstrip("\ufeff \t\r\n")
    found = Completion(is_page=text.startswith("<"))
    for value in [] if found.is_page else _values(text):
        _add(found, value, 0)
    return found


def _values(text: str) -> Iterator[Any]:
    """The JSON values of a body: the one that it is, or those of a stream's events or of its lines."""
    try:
        yield json.loads(text, strict=False)
    except (ValueError, RecursionError):
        # Half of a stream may be lost, and its lines may be broken anywhere, so objects are looked for in the whole.
        yield from _values_in("\n".join(_payload(line) for line in text.splitlines()))


def _payload(line: str) -> str:
    """The line of a stream without what marks it; https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    line = line.lstrip()
    if line.startswith((":", "event:", "id:", "retry:")):
        return ""
    return line.removeprefix("data:").lstrip() if line.startswith("data:") else line


def _values_in(text: str) -> Iterator[Any]:
    decoder, place, broken = json.JSONDecoder(strict=False), 0, 0
    while broken < _MOST_BROKEN:
        place = text.find("{", place)
        if place < 0:
            return
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place, broken = place + 1, broken + 1
            continue
        yield value


def _add(found: Completion, value: Any, depth: int) -> None:
    """Add what a JSON value says to what was `found` before; of a stream, that is one piece of the whole."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        inner = _json(value)
        if any(isinstance(item, dict) for item in _items(inner)) or (inner and isinstance(inner, dict)):
            _add(found, inner, depth + 1)
        else:
            found.content.append(value)
    elif isinstance(value, list):
        for item in value:
            _add(found, item, depth + 1)
    elif isinstance(value, dict):
        _add_object(found, value, depth)


def _add_object(found: Completion, value: dict[str, Any], depth: int) -> None:
    _note(found, value)
    inside = value.get("choices") or value.get("candidates")
    if isinstance(inside, list):
        for choice in inside:
            if isinstance(choice, dict):
                _note(found, choice)
                _add_message(found, choice.get("message") or choice.get("delta") or choice, depth + 1)
        return
    message = value.get("message") or value.get("delta")
    if isinstance(message, dict):
        _note(found, message)
        _add_message(found, message, depth + 1)
    elif isinstance(message, str) and str(value.get("type", "")).endswith("output_text.delta"):
        found.content.append(message)
    elif value.get("role") == "assistant" or "content" in value or value.get("type") in ("text", "output_text"):
        _add_message(found, value, depth + 1)
    elif "request_type" in value:
        found.objects.append(value)
    else:
        before = found.pieces
        for name in (*ENVELOPES, *_TEXTS):
            _add(found, value.get(name), depth + 1)
            if found.pieces > before:
                return
        # The last event of a stream only tells about the answer.
        if not found.error and not _BOOKKEEPING & set(value):
            found.objects.append(value)


def _add_message(found: Completion, message: Any, depth: int) -> None:
    """Add a message, or a piece of one: its content, what it calls a tool with, and what the model thought."""
    if not isinstance(message, dict):
        _add_part(found, message, depth)
        return
    _add_part(found, message.get("content") or message.get("text") or message.get("parsed"), depth)
    _add_arguments(found, message.get("partial_json"))
    calls = [message.get("function_call"), *_items(message.get("tool_calls"))]
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else {}
        _add_arguments(found, function.get("arguments", function.get("input")) if isinstance(function, dict) else None)
    found.thoughts.append(next((said for name in _THOUGHTS if (said := _plain(message.get(name), depth))), ""))
    found.refusal = found.refusal or bool(message.get("refusal"))


def _add_arguments(found: Completion, arguments: Any) -> None:
    if isinstance(arguments, str):
        found.arguments.append(arguments)
    elif isinstance(arguments, dict):
        found.objects.append(arguments)


def _add_part(found: Completion, part: Any, depth: int) -> None:
    """Add content: a text, a list of parts, or an object that is the answer itself or holds it."""
    if depth > _DEEPEST:
        return
    if isinstance(part, str):
        found.content.append(part)
    elif isinstance(part, list):
        for item in part:
            _add_part(found, item, depth + 1)
    elif isinstance(part, dict):
        kind = str(part.get("type", ""))
        if kind in ("thinking", "reasoning") or part.get("thought") is True:
            found.thoughts.append(_plain(part, depth))
        elif kind in ("tool_use", "function_call", "tool_call") or "functionCall" in part:
            call = part["functionCall"] if isinstance(part.get("functionCall"), dict) else part
            _add_arguments(found, call.get("arguments", call.get("input", call.get("args"))))
        elif kind == "refusal":
            found.refusal = True
        elif "request_type" in part:
            found.objects.append(part)
        elif isinstance(part.get("parts"), list):
            _add_part(found, part["parts"], depth + 1)
        elif any(name in part for name in _TEXTS):
            _add_part(found, next(part[name] for name in _TEXTS if name in part), depth + 1)
        else:
            _add(found, part, depth + 1)


def _plain(thoughts: Any, depth: int) -> str:
    """The text of thoughts, which are a text, or parts of one."""
    if isinstance(thoughts, str):
        return thoughts
    if depth > _DEEPEST:
        return ""
    if isinstance(thoughts, list):
        return "".join(_plain(part, depth + 1) for part in thoughts)
    if isinstance(thoughts, dict):
        return next((said for name in (*_TEXTS, *_THOUGHTS) if (said := _plain(thoughts.get(name), depth + 1))), "")
    return ""


def _note(found: Completion, value: dict[str, Any]) -> None:
    """Keep what an object says beside the answer: why it ended, what it used, what went wrong."""
    details = value.get("incomplete_details")
    reasons = [value.get(name) for name in ("finish_reason", "finishReason", "done_reason", "stop_reason")]
    reasons += [details.get("reason") if isinstance(details, dict) else None]
    for reason in reasons:
        if isinstance(reason, str) and reason:
            found.finish_reason = _REASONS.get(reason.lower(), "unknown")
    groq = value.get("x_groq")
    groq = groq.get("usage") if isinstance(groq, dict) else None
    counts: Iterable[Any] = (value.get("usage"), value.get("usageMetadata"), value, groq)
    found.usage = next((usage for raw in counts if (usage := _usage(raw))), found.usage)
    later = _count(value.get("usage"), "output_tokens")
    if found.usage and later:  # Anthropic's streams tell the prompt at the beginning, and the answer at the end.
        found.usage = replace(found.usage, completion=max(later, found.usage.completion))
    for name in ("error", "errors", "detail"):
        found.error = found.error or value.get(name)
    if isinstance(value.get("message"), str) and not {"choices", "role", "content"} & set(value):
        found.error = found.error or value


def _usage(raw: Any) -> Usage | None:
    """The tokens that are told, or None: a prompt of no tokens is one that nobody counted.

    Thoughts are paid for. Some count them within the answer, some only in the total, some nowhere but by themselves.
    """
    if not isinstance(raw, dict):
        return None
    prompt = _count(raw, "prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
    completion = _count(raw, "completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
    total = _count(raw, "total_tokens", "totalTokenCount")
    if not prompt or (completion is None and total is None):
        return None
    cached = _count(raw.get("prompt_tokens_details") or raw.get("input_tokens_details"), "cached_tokens")
    if "cache_read_input_tokens" in raw:  # Anthropic counts apart what was kept.
        cached = _count(raw, "cache_read_input_tokens") or 0
        prompt += cached + (_count(raw, "cache_creation_input_tokens") or 0)
    thoughts = _count(raw.get("completion_tokens_details") or raw.get("output_tokens_details"), "reasoning_tokens")
    thoughts = max(thoughts or 0, _count(raw, "reasoning_tokens", "thoughtsTokenCount") or 0)
    answered = completion or 0
    if total is None:
        answered += thoughts if thoughts > answered else 0
    return Usage(prompt, min(cached or 0, prompt), max(answered, (total or 0) - prompt))


def _count(raw: Any, *names: str) -> int | None:
    found = (raw.get(name) for name in names) if isinstance(raw, dict) else ()
    return next((value for value in found if type(value) is int and 0 <= value < 2**31), None)


def _json(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
