"""Answers as servers and gateways in the field send them: read wherever the one object with the asked fields stands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from jobs.classification.engines.base import TicketText
from jobs.classification.engines.llm import LlmEngine, completion
from jobs.classification.engines.llm.answer import find
from receiver.catalog import Catalog
from receiver.lib import settings
from tests.peers import llm
from tests.peers.http import Peer
from tests.properties import tries

TICKET = TicketText("VPN", "does not connect")
LABEL = "VPN Connection Issue"
FIELDS = {"reasoning": "It names the VPN.", "request_type": LABEL, "confidence": 0.93, "alternatives": []}
GOOD = json.dumps(FIELDS)
OTHER = GOOD.replace(LABEL, "Account Unlock")
LINES = f"**Request type:** {LABEL}\n**Confidence:** 0.93\n**Reasoning:** It names the VPN."
USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}


def whole(message: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    """A chat completion of this message."""
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant"} | message}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": USAGE}


def said(content: Any) -> dict[str, Any]:
    return whole({"content": content})


def call(**function: Any) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": "proposal"} | function}


def events(*values: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode() + end.encode()


def delta(**fields: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


HALVES = (GOOD[:40], GOOD[40:])
GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "Hm.", "thought": True}, {"text": GOOD}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 50, "totalTokenCount": 1050},
}
ANTHROPIC = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": GOOD}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1000, "output_tokens": 50},
}
RESPONSES = {
    "object": "response",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": GOOD}]},
    ],
    "usage": {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050},
}
OLLAMA = {"message": {"role": "assistant", "content": GOOD}, "done": True, "prompt_eval_count": 1000, "eval_count": 50}

BODIES: dict[str, Any] = {
    "reasoning_content, content null": whole({"content": None, "reasoning_content": GOOD, "reasoning": GOOD}),
    "reasoning, content empty": whole({"content": "", "reasoning": f"It names the VPN.\n```json\n{GOOD}\n```"}),
    "reasoning with drafts before it": whole({"content": "", "reasoning_content": f"Perhaps {OTHER}? No. {GOOD}"}),
    "reasoning_details": whole({"content": None, "reasoning_details": [{"type": "reasoning.text", "text": GOOD}]}),
    "all of it within think": said(f"<think>It names the VPN. {GOOD}</think>"),
    "think without its beginning": said(f"Perhaps {OTHER}?\n</think>\n\n{GOOD}"),
    "think without its end": said(f"<think>It names the VPN. {GOOD}"),
    "Magistral's think": said(f"[THINK]Perhaps {OTHER}?[/THINK]{GOOD}"),
    "think quoted in the answer": said(GOOD.replace("It names", "</think> It names")),
    "parts": said(
        [{"type": "thinking", "thinking": [{"type": "text", "text": OTHER}]}, {"type": "text", "text": GOOD}]
    ),
    "output_text parts": said([{"type": "output_text", "text": HALVES[0]}, {"type": "output_text", "text": HALVES[1]}]),
    "parts that are texts": said(list(HALVES)),
    "content as an object": said(FIELDS),
    "content as a part": said({"type": "text", "text": GOOD}),
    "parsed": whole({"content": None, "parsed": FIELDS}),
    "tool_calls": whole({"content": None, "tool_calls": [call(arguments=GOOD)]}, "tool_calls"),
    "tool_calls with an object": whole({"content": "", "tool_calls": [call(arguments=FIELDS)]}, "tool_calls"),
    "function_call": whole({"content": None, "function_call": {"name": "f", "arguments": GOOD}}, "function_call"),
    "words first, a tool in another choice": said("Let me look.")
    | {"choices": [*said("Let me look.")["choices"], *whole({"tool_calls": [call(arguments=GOOD)]})["choices"]]},
    "the name of a tool around it": said(json.dumps({"name": "proposal", "arguments": FIELDS})),
    "an envelope around the fields": said(json.dumps({"answer": FIELDS})),
    "JSON in a JSON text": said(json.dumps(GOOD)),
    "names in another case": said(GOOD.replace("request_type", "requestType").replace("confidence", "Confidence")),
    "a line break in a text": said(GOOD.replace("names the", "names\nthe")),
    "a byte order mark": said(f"\ufeff{GOOD}"),
    "a fence": said(f"```json\n{GOOD}\n```"),
    "said twice": said(f"{GOOD}\n\n{GOOD.replace('0.93', '0.9')}").copy(),
    "a mark of the template": said(f"{GOOD}<|im_end|>"),
    "harmony": said(
        f"<|channel|>analysis<|message|>{OTHER}?<|end|><|start|>assistant<|channel|>final<|message|>{GOOD}"
    ),
    "harmony, a tool": said(f"<|channel|>commentary to=f <|constrain|>json<|message|>{GOOD}<|call|>"),
    "harmony, analysis alone": said(f"<|channel|>analysis<|message|>It names it. {GOOD}<|end|>"),
    "lines": said(LINES),
    "lines with numbers and a list": said(f"Sure!\n1. Request Type: `{LABEL}`\n2. Confidence: 93%\n- Reasoning: x"),
    "lines of a table": said(f"| Field | Value |\n|---|---|\n| Request type | {LABEL} |\n| Confidence | 0.93 |"),
    "a heading and then the type": said(f"### Request type\nRequest type:\n{LABEL}\nConfidence: 0.93"),
    "nearly JSON": said(f"{{\n  'request_type': '{LABEL}',\n  'confidence': 0.93,\n}}"),
    "a comma too many": said(GOOD.replace("[]}", "[],}")),
    "curly quotes": said(GOOD.replace('"', "“", 1).replace('"', "”", 1)),
    "as Python writes it": said(str(FIELDS)),
    "a fenced text in an envelope": said(json.dumps({"output": f"```json\n{GOOD}\n```"})),
    "text of an older API": {"choices": [{"text": GOOD, "finish_reason": "stop"}], "usage": USAGE},
    "an envelope": {"response": said(GOOD)},
    "an envelope of a list": {"data": [said(GOOD)]},
    "a list": [said(GOOD)],
    "an envelope with the text": {"success": True, "result": {"response": GOOD, "usage": USAGE}},
    "an answer": {"answer": GOOD, "usage": USAGE},
    "an answer as an object": {"answer": FIELDS, "usage": USAGE},
    "the fields themselves": FIELDS,
    "a body in a body": {"statusCode": 200, "body": json.dumps(said(GOOD))},
    "JSON in a text": json.dumps(said(GOOD)),
    "generated_text": [{"generated_text": GOOD}],
    "Ollama": OLLAMA,
    "Ollama, generate": {"response": GOOD, "done": True, "prompt_eval_count": 1000, "eval_count": 50},
    "Gemini": GEMINI,
    "Anthropic": ANTHROPIC,
    "Responses": RESPONSES,
}
STREAMS = {
    "chunks": llm.streamed(LABEL).body,
    "chunks without an end": events(delta(content=HALVES[0]), delta(content=HALVES[1]), end=""),
    "chunks of reasoning and content": events(delta(reasoning_content=OTHER), delta(content=GOOD)),
    "chunks of a tool": events(
        delta(tool_calls=[{"index": 0, "function": {"name": "p", "arguments": HALVES[0]}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": HALVES[1]}}]),
    ),
    "comments, events and pings": b": ping\n\nevent: message\nid: 1\n" + events(delta(content=GOOD)),
    "CRLF": events(delta(content=GOOD)).replace(b"\n", b"\r\n"),
    "the whole in one event": events(said(GOOD)),
    "whole, and then the marker": json.dumps(said(GOOD)).encode() + b"\n\ndata: [DONE]\n\n",
    "whole, indented, and then the marker": json.dumps(said(GOOD), indent=2).encode() + b"\ndata: [DONE]\n",
    "lines of Ollama": b"\n".join(
        json.dumps({"message": {"role": "assistant", "content": half}, "done": False}).encode() for half in HALVES
    ),
    "lines of Ollama, generate": b"\n".join(json.dumps({"response": piece, "done": False}).encode() for piece in GOOD),
    "events of Responses": events(
        {"type": "response.created", "response": {"object": "response", "status": "in_progress", "output": []}},
        {"type": "response.output_text.delta", "delta": HALVES[0]},
        {"type": "response.output_text.delta", "delta": HALVES[1]},
        {"type": "response.completed", "response": RESPONSES},
        end="",
    ),
    "events of Anthropic": events(
        {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {"input_tokens": 9}}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": OTHER}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": GOOD}},
        end="",
    ),
    "a byte order mark": "\ufeff".encode() + json.dumps(said(GOOD)).encode(),
    "UTF-16": json.dumps(said(GOOD)).encode("utf-16"),
}
ANSWERS = {name: json.dumps(body).encode() for name, body in BODIES.items()} | {
    f"stream, {name}": body for name, body in STREAMS.items()
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_read_wherever_it_stands(body: bytes) -> None:
    fields = find(completion.read(body), plain=False, labels=[LABEL]).read()
    assert fields["request_type"] == LABEL
    assert str(fields["confidence"]) in ("0.93", "93%", "0.9")


NO_ANSWERS: dict[str, Any] = {
    "thoughts that were cut off after a draft": whole(
        {"content": "", "reasoning_content": f"Perhaps {GOOD}"}, "length"
    ),
    "thoughts that go on after a draft": whole({"content": "", "reasoning_content": f"Perhaps {GOOD}? No, rather"}),
    "two different answers": said(f"{GOOD} or {OTHER}"),
    "two types under one name": said(
        GOOD.replace('"request_type"', '"request_type": "Account Unlock", "request_type"')
    ),
    "the schema, repeated": said(json.dumps({"type": "object", "properties": {"request_type": {"enum": [LABEL]}}})),
    "two different lines": said(f"Request type: {LABEL}\nRequest type: Account Unlock"),
    "only thoughts": whole({"content": None, "reasoning_content": f"The entry {LABEL} may fit."}),
    "a sentence": said("I am sorry, I cannot help with that."),
    "a page": "<html>",
}


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_may_mean_another_thing_is_no_answer(body: Any) -> None:
    assert find(completion.read(json.dumps(body).encode()), plain=False, labels=[LABEL]).fields is None


def test_what_a_model_quotes_in_its_reasoning_is_not_its_answer() -> None:
    body = said(json.dumps({"reasoning": f"The ticket says {GOOD}", "confidence": 0.9}))
    assert "request_type" not in find(completion.read(json.dumps(body).encode()), plain=False).read()


def test_a_label_alone_is_read_where_it_is_an_entry() -> None:
    fields = find(completion.read(json.dumps(said(f"**{LABEL}**.")).encode()), plain=False, labels=[LABEL]).fields
    assert fields == {"request_type": LABEL}


def test_a_stream_is_not_asked_for_and_read_all_the_same(model: Peer, shipped: Catalog) -> None:
    model.respond = lambda _: llm.streamed(LABEL)
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/v1"})
    proposal = LlmEngine(config, shipped).propose(TICKET)
    assert (proposal.label, proposal.prompt_tokens, proposal.completion_tokens) == (LABEL, 900, 40)
    (request,) = model.requests
    assert request.json["stream"] is False


@pytest.mark.parametrize(
    ("usage", "paid"),
    [
        ({"prompt_tokens": 1000, "completion_tokens": 50}, (1000, 50)),
        # Thoughts within the answer (OpenAI), only in the total (Gemini), and apart from it (xAI).
        (USAGE | {"completion_tokens_details": {"reasoning_tokens": 40}}, (1000, 50)),
        (USAGE | {"total_tokens": 1700}, (1000, 700)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 30}}, (9, 35)),
        ({"prompt_tokens": 9, "total_tokens": 12}, (9, 3)),
        ({"input_tokens": 7, "cache_read_input_tokens": 93, "output_tokens": 5}, (100, 5)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": 10}, None),
        (None, None),
    ],
)
def test_thoughts_are_paid_for_and_what_nobody_counted_is_unknown(usage: Any, paid: tuple[int, int] | None) -> None:
    found = completion.read(json.dumps(said(GOOD) | {"usage": usage}).encode()).usage
    assert (found and (found.prompt, found.completion)) == paid


KEYS = [
    "choices",
    "message",
    "delta",
    "content",
    "text",
    "type",
    "usage",
    "error",
    "response",
    "output",
    "detail",
    "tool_calls",
    "function",
    "arguments",
    "reasoning",
    "role",
    "candidates",
    "parts",
    "request_type",
]
HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([GOOD, LINES, OTHER]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@examples(deadline=None, max_examples=tries(150))
@given(body=HOSTILE, cut=st.integers(0, 200))
def test_no_shape_of_an_answer_breaks_the_reader(body: Any, cut: int) -> None:
    written = json.dumps(body).encode()
    for hostile in (written, written[:-cut], b"data: " + written + b"\n\ndata: [DONE]"):
        answer = find(completion.read(hostile), plain=True, labels=[LABEL])
        assert answer.fields is None or isinstance(answer.fields, dict)


# What is quadratic would take minutes for so much; benchmarks/ has the figures.
LARGE = 1_000_000
SHAPES = {
    "open thoughts": "<think>",
    "closed thoughts": "</think>",
    "open objects": "{",
    "open texts": '{"a":"',
    "empty lines": "\n",
    "marks of a line": "* ",
    "lines": "confidence: ***** x\n",
    "harmony": "<|channel|>",
    "half marks": "<|a",
    "closing braces": "}",
    "small objects": '{"request_type": "a"} ',
    "lists": "[",
    "quotes": '"',
    "backslashes": "\\",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("place", ["content", "reasoning", "body", "stream", "parts"])
def test_a_large_answer_of_any_shape_is_read_to_its_end(shape: str, place: str) -> None:
    text = shape * (LARGE // len(shape))
    body = {
        "content": lambda: json.dumps(said(text)),
        "reasoning": lambda: json.dumps(whole({"content": "", "reasoning": text})),
        "body": lambda: text,
        "stream": lambda: "data: " + text.replace("\n", "\ndata: "),
        "parts": lambda: json.dumps(said([shape] * 100_000)),
    }[place]()
    fields = find(completion.read(body.encode()), plain=False, labels=[LABEL]).fields
    assert fields is None or fields["request_type"] in ("a", "")
