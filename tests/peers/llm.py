"""An OpenAI-compatible endpoint: answers with a label of the request's own schema, after a given latency."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.peers.http import Answer, Peer, Request

Reply = Callable[[Request], Answer]


def completion(content: str, finish_reason: str = "stop", **usage: int) -> Answer:
    """A chat completion whose message is `content`."""
    message = {"role": "assistant", "content": content}
    return Answer.of(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "test-model",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940} | usage,
        }
    )


def streamed(label: str) -> Answer:
    """A proposal as a stream of chunks, cut within its words."""
    content = json.dumps({"reasoning": "r", "request_type": label, "confidence": 0.9, "alternatives": []})
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": content[place : place + 7]} for place in range(0, len(content), 7)]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940}})
    events = [json.dumps({"id": "x", "object": "chat.completion.chunk"} | chunk) for chunk in chunks]
    body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
    return Answer(200, body.encode(), {"Content-Type": "text/event-stream"})


def labels(request: Request) -> list[str]:
    """The labels that the request's schema allows."""
    schema = request.json["response_format"]["json_schema"]["schema"]
    found: list[str] = schema["properties"]["request_type"]["enum"]
    return found


def proposal(label: str, confidence: Any = 0.9, reasoning: str = "it says so", **more: Any) -> Answer:
    """A completion in the engine's schema."""
    answer = {"reasoning": reasoning, "request_type": label, "confidence": confidence, "alternatives": []} | more
    return completion(json.dumps(answer))


def first_label(request: Request) -> Answer:
    """Always the first entry of the catalog."""
    return proposal(labels(request)[0])


def after(seconds: float, reply: Reply = first_label) -> Reply:
    """The same reply, later."""

    def respond(request: Request) -> Answer:
        time.sleep(seconds)
        return reply(request)

    return respond


def refusal(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Answer:
    """A refusal in OpenAI's shape, which Azure, vLLM and llama.cpp follow."""
    return Answer.of(
        {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}, status
    )


def without(*refused: str, reply: Reply | None = None, say: Reply | None = None) -> Reply:
    """An endpoint that refuses requests with these parameters or response formats, and answers others."""

    def respond(request: Request) -> Answer:
        sent = request.json
        used = {*sent, (sent.get("response_format") or {}).get("type")}
        for name in refused:
            if name in used:
                return (
                    say(request) if say else refusal(f"Unsupported parameter: '{name}'", name, "unsupported_parameter")
                )
        return (reply or (lambda _: proposal("")))(request)

    return respond


def endpoint(reply: Reply = first_label) -> Peer:
    """A model's endpoint; its base URL is the peer's `url` and /v1."""
    return Peer(reply)
