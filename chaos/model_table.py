"""Every misbehaviour of a model's endpoint, and what comes of it: `python -m chaos.model_table` prints the table.

Each fault meets a new engine with LLM_TIMEOUT at 1.5 seconds and the default retries; `calls` are the requests that one
ticket makes, `outcome` is what happens to it.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.classification.decide import decide
from jobs.classification.engines import local
from jobs.classification.engines.base import EngineError, TicketText
from jobs.classification.engines.llm import LlmEngine
from receiver import catalog as catalogs
from receiver.catalog import Catalog
from receiver.lib import settings
from tests.peers import http, llm
from tests.peers.http import Answer, Peer, Request

TICKET = TicketText("Tunnel is down", "From home nothing connects since this morning.")
SECONDS, THRESHOLD = 1.5, 0.6
LABEL = "VPN Connection Issue"
JSON = {"Content-Type": "application/json"}
AT_ONCE = JSON | {"retry-after-ms": "10"}

RIGHT = "attributed"
MENDED = "attributed, marked as mended"
REVIEW = "for review"
FALLBACK = "the catalog's fallback, for review"
LATER = "tried again later, then the local engine's answer, for review"
STAND_IN = "the local engine's answer at once, for review"
PAUSE = "classification pauses with an alarm, no attempt counts"


@dataclass(frozen=True)
class Fault:
    """What an endpoint does, how many calls of it a ticket makes, and what becomes of the ticket."""

    name: str
    respond: Callable[[Request], Answer]
    calls: int
    outcome: str


def always(answer: Answer) -> Callable[[Request], Answer]:
    """The same answer to everything."""
    return lambda _request: answer


def says(label: Any, confidence: Any = 0.9) -> Callable[[Request], Answer]:
    """An answer as it should be, but for its label or its confidence."""
    return always(llm.proposal(label, confidence))


def once(first: Answer) -> Callable[[Request], Answer]:
    """One answer first, the right one to what is asked again."""
    right = llm.proposal(LABEL)
    return lambda request: first if request.headers.get("x-stainless-retry-count") == "0" else right


def first(answer: Answer) -> Callable[[Request], Answer]:
    """One answer to the first request of all, the right one to all others."""
    answers = iter([answer])
    return lambda _request: next(answers, llm.proposal(LABEL))


def without(*words: str) -> Callable[[Request], Answer]:
    """An endpoint that refuses requests with these words in them, and names the first that it finds."""

    def respond(request: Request) -> Answer:
        found = next((word for word in words if f'"{word}"'.encode() in request.body), None)
        return llm.refusal(f"Unsupported parameter: '{found}'", param=found) if found else llm.proposal(LABEL)

    return respond


def plain_only(request: Request) -> Answer:
    """An endpoint that knows no formats, and answers in sentences."""
    if b'"response_format"' in request.body:
        return llm.refusal("response_format is not supported")
    return llm.completion(f"Sure!\nRequest type: {LABEL}\nConfidence: 85 %")


def _around() -> str:
    answer = {"reasoning": "r", "request_type": LABEL, "confidence": 0.9, "alternatives": []}
    return f"Of course! ```json\n{json.dumps(answer)}\n``` Anything else?"


def _refused(content: str = "") -> Answer:
    message = {"role": "assistant", "content": content, "refusal": "I cannot help with that"}
    body = json.loads(llm.completion("").body)
    return Answer.of(body | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


_BOMB = gzip.compress(bytes(50_000_000))
_SLIP = "Failed to generate JSON. See 'failed_generation' for more details."
_PLAN = (
    b'{"error": {"code": "rate_limit_exceeded", "message": "Request too large on tokens per minute (TPM): '
    b'Limit 6000, Requested 6294"}}'
)
_LARGE = llm.completion("x" * 10_000_000).body

FAULTS = [
    Fault("refuses to answer", always(_refused()), 1, STAND_IN),
    Fault("content filter", always(llm.completion("", "content_filter")), 1, STAND_IN),
    Fault("`finish_reason: length`, nothing said", always(llm.completion("", "length")), 3, LATER),
    Fault("`finish_reason: length`, in its reasoning", always(llm.completion('{"reasoning": "an', "length")), 3, LATER),
    Fault("empty answer", always(Answer(200, b"")), 1, LATER),
    Fault("HTML", always(Answer(200, b"<html>guest network</html>", {"Content-Type": "text/html"})), 1, LATER),
    Fault("half of a JSON", always(Answer(200, llm.proposal(LABEL).body[:90], JSON)), 1, LATER),
    Fault("text around the JSON", always(llm.completion(_around())), 1, RIGHT),
    Fault("a label in other case and punctuation", says("vpn connection-ISSUE!"), 1, MENDED),
    Fault("a label with a slip of the pen", says("VPN Conection Issue"), 1, MENDED),
    Fault("category and type in one field", says(f"Network & Connectivity: {LABEL}"), 1, MENDED),
    Fault("a part of two names", says("Access"), 1, FALLBACK),
    Fault("a label that is no entry", says("Zebra Riding"), 1, FALLBACK),
    Fault("confidence of 100", says(LABEL, 100), 1, REVIEW),
    Fault("no confidence", says(LABEL, None), 1, REVIEW),
    Fault("10 MB", always(Answer(200, _LARGE, JSON)), 1, LATER),
    Fault("a gzip bomb", always(Answer(200, _BOMB, JSON | {"Content-Encoding": "gzip"})), 1, LATER),
    Fault("a byte a second", always(Answer(200, b" " * 500, JSON, pause=1.0)), 1, LATER),
    Fault("silence", llm.after(2 * SECONDS), 1, LATER),
    Fault("408 once", once(Answer(408, b"{}", AT_ONCE)), 2, RIGHT),
    Fault("409 once", once(Answer(409, b"{}", AT_ONCE)), 2, RIGHT),
    Fault("429 once, Retry-After: 1", once(Answer(429, b"{}", JSON | {"Retry-After": "1"})), 2, RIGHT),
    Fault("429, Retry-After: 60", always(Answer(429, b"{}", JSON | {"Retry-After": "60"})), 1, LATER),
    Fault("500 once", once(Answer(500, b"{}", AT_ONCE)), 2, RIGHT),
    Fault("503 always", always(Answer(503, b"{}", AT_ONCE)), 3, LATER),
    Fault("no strict schema", without("json_schema"), 2, RIGHT),
    Fault("no JSON mode either, only sentences", plain_only, 3, RIGHT),
    Fault("no `temperature`", without("temperature"), 2, RIGHT),
    Fault("wants `max_completion_tokens`", without("max_tokens"), 2, RIGHT),
    Fault("text too long for the model", always(llm.refusal("context_length_exceeded")), 1, STAND_IN),
    Fault("401", always(Answer(401, b"{}", JSON)), 1, PAUSE),
    Fault("403", always(Answer(403, b"{}", JSON)), 1, PAUSE),
    Fault("a wrong key, told with 400", always(llm.refusal("API key not valid. Please pass one.")), 1, PAUSE),
    Fault("no money: 402", always(Answer(402, b'{"error": {"message": "Insufficient Balance"}}', JSON)), 1, PAUSE),
    Fault("larger than the plan allows for a minute", always(Answer(413, _PLAN, JSON)), 1, STAND_IN),
    Fault("one failed generation, told with 400", first(llm.refusal(_SLIP, code="json_validate_failed")), 2, RIGHT),
    Fault("an error in a 200 once", first(Answer(200, b'{"error": {"code": 503, "message": "no"}}')), 2, RIGHT),
    Fault("streams though not asked to", always(llm.streamed(LABEL)), 1, RIGHT),
    Fault("unknown model", always(llm.refusal("no such model", code="model_not_found", status=404)), 1, PAUSE),
    Fault("a redirect", always(Answer(307, b"", {"Location": "http://192.0.2.1/"})), 1, PAUSE),
]  # fmt: skip


def engine_for(model: Peer, catalog: Catalog) -> LlmEngine:
    """A new engine that knows nothing of the endpoint."""
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/v1", "LLM_TIMEOUT": str(SECONDS)})
    return LlmEngine(config, catalog)


def outcome(engine: LlmEngine, catalog: Catalog) -> str:
    """What becomes of one ticket, in the words of the table."""
    try:
        proposal = engine.propose(TICKET)
    except EngineError as error:
        return PAUSE if error.permanent else STAND_IN if error.about_ticket else LATER
    decision = decide(proposal, catalog, THRESHOLD)
    if decision.fallback:
        return FALLBACK
    assert decision.request_type.name == LABEL
    if decision.review_reason:
        return REVIEW
    return MENDED if decision.fuzzy_matched else RIGHT


def rows(model: Peer, catalog: Catalog) -> Iterator[tuple[Fault, int, str, float]]:
    """Each fault with the calls, the outcome and the seconds that were measured."""
    for fault in FAULTS:
        model.respond = fault.respond
        model.requests.clear()
        engine = engine_for(model, catalog)
        started = time.monotonic()
        found = outcome(engine, catalog)
        yield fault, len(model.requests), found, time.monotonic() - started


def main() -> None:
    """Print the table as Markdown."""
    print("| the endpoint | calls | the ticket | seconds |\n|---|---|---|---|")
    catalog = catalogs.load(None, timeout=1)
    local.for_catalog(catalog)  # Which takes seconds at first, and no ticket's.
    with http.serve(llm.endpoint()) as model:
        for fault, calls, found, seconds in rows(model, catalog):
            print(f"| {fault.name} | {calls} | {found} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
