"""Endpoints that take less than OpenAI's: what they refuse is left out, remembered and said once."""

import dataclasses
import itertools
import json
import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from jobs.classification.engines.base import EngineError, TicketText
from jobs.classification.engines.llm import LlmEngine, endpoint
from jobs.classification.engines.llm.capabilities import assumed
from receiver.catalog import Catalog
from receiver.db import model_capabilities
from receiver.db.database import Database
from receiver.db.models import ModelCapabilities
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.retry_policy import Cause
from tests.peers import http, llm
from tests.peers.http import Answer, Peer, Request

TICKET = TicketText("VPN", "the temperature in the server room is high, max_tokens and response_format too")
LABEL = "VPN Connection Issue"


def good(_request: Request) -> Answer:
    return llm.proposal(LABEL)


def made(model: Peer, catalog: Catalog, db: Database | None = None, **changes: Any) -> LlmEngine:
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "sk-planted"})
    return LlmEngine(dataclasses.replace(config, **changes), catalog, db)


def formats(model: Peer) -> list[str]:
    return [request.json.get("response_format", {}).get("type", "text") for request in model.requests]


REFUSALS = {
    "OpenAI, temperature": (
        "Unsupported value: 'temperature' does not support 0.1 with this model. Only the default (1) is supported.",
        "temperature",
        "unsupported_value",
        "temperature",
    ),
    "OpenAI, max_tokens": (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
        "max_tokens",
    ),
    "an older server, max_completion_tokens": (
        "Unrecognized request argument supplied: max_completion_tokens",
        None,
        None,
        "max_completion_tokens",
    ),
    "OpenAI, an old model": (
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        None,
        None,
        "json_schema",
    ),
    "Azure, an old version": (
        "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later",
        None,
        "BadRequest",
        "json_schema",
    ),
}


@pytest.mark.parametrize(("message", "param", "code", "refused"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_is_refused_is_left_out_and_never_sent_again(
    model: Peer, shipped: Catalog, db: Database, message: str, param: str | None, code: str | None, refused: str
) -> None:
    model.respond = llm.without(refused, reply=good, say=lambda _: llm.refusal(message, param, code))
    engine = made(model, shipped, db)
    for number in range(3):
        assert engine.propose(TicketText("VPN", f"{number}")).label == LABEL
    assert len(model.requests) == 4
    assert made(model, shipped, db).propose(TICKET).label == LABEL
    assert len(model.requests) == 5


@pytest.mark.parametrize(
    "said",
    [
        Answer(400, b'{"object": "error", "message": "Grammar error: unsupported keyword", "code": 400}'),
        Answer(500, b'{"error": {"code": 500, "message": "failed to parse grammar", "type": "server_error"}}'),
        Answer.of({"detail": [{"loc": ["body", "response_format", "type"], "msg": "bad", "input": str(TICKET)}]}, 422),
        Answer(400, b'{"error": "invalid format"}'),
        Answer(400, b"Bad Request"),
        Answer(501, b""),
    ],
    ids=["vLLM", "llama.cpp", "FastAPI", "Ollama", "no reason", "not implemented"],
)
def test_an_endpoint_without_schemas_is_asked_in_json_mode_and_then_in_plain_text(
    model: Peer, shipped: Catalog, db: Database, said: Answer
) -> None:
    model.respond = llm.without("json_schema", "json_object", reply=good, say=lambda _: said)
    assert made(model, shipped, db).propose(TICKET).label == LABEL
    tried = [name for name, _ in itertools.groupby(formats(model))]  # A server's error is first asked for again.
    assert tried == ["json_schema", "json_object", "text"]
    model.requests.clear()
    assert made(model, shipped, db).propose(TicketText("another", "")).label == LABEL
    assert formats(model) == ["text"]


@pytest.mark.parametrize(
    ("content", "label", "confidence"),
    [
        ("Request type: VPN Connection Issue\nConfidence: 90%\nReasoning: it names vpn", LABEL, 0.9),
        ("**Request type:** VPN Connection Issue\n**Confidence:** 0.8", LABEL, 0.8),
        (LABEL, LABEL, 0.0),
        ('Sure: {"request_type": "VPN Connection Issue", "confidence": "85%"}', LABEL, 0.85),
    ],
)
def test_plain_text_is_parsed(model: Peer, shipped: Catalog, content: str, label: str, confidence: float) -> None:
    model.respond = llm.without("response_format", reply=lambda _: llm.completion(content))
    proposal = made(model, shipped).propose(TICKET)
    assert (proposal.label, proposal.confidence) == (label, confidence)


def test_what_was_learned_is_said_once(
    model: Peer, shipped: Catalog, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model.respond = llm.without("temperature", reply=good)
    engine = made(model, shipped, db)
    threads = [threading.Thread(target=engine.propose, args=(TicketText(f"{n}", ""),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    made(model, shipped, db).propose(TICKET)
    assert [found.getMessage() for found in caplog.records if "takes no temperature" in found.getMessage()] != []
    assert caplog.text.count("takes no temperature") == 1


def test_what_was_learned_is_of_one_model_and_for_a_week(model: Peer, shipped: Catalog, db: Database) -> None:
    model.respond = llm.without("temperature", reply=good)
    made(model, shipped, db).propose(TICKET)
    made(model, shipped, db, llm_model="other").propose(TICKET)
    assert len(model.requests) == 4
    with db.write() as session:
        for row in session.query(ModelCapabilities):
            assert "sk-planted" not in row.name
            row.learned_at = now() - model_capabilities.REMEMBERED
    made(model, shipped, db).propose(TicketText("later", ""))
    assert len(model.requests) == 6


@pytest.mark.parametrize(
    "said",
    [
        llm.refusal("This model's maximum context length is 4097 tokens.", "messages", "context_length_exceeded"),
        llm.refusal("The response was filtered due to Azure's content management policy.", "prompt", "content_filter"),
        llm.refusal("request (9000 tokens) exceeds the available context size", None, "exceed_context_size_error"),
        Answer(413, b""),
        llm.refusal("Your input was flagged by moderation", None, None, 403),
    ],
    ids=["context", "filter", "llama.cpp context", "413", "moderation"],
)
def test_a_refusal_of_one_ticket_is_neither_learned_nor_held_against_the_endpoint(
    model: Peer, shipped: Catalog, db: Database, said: Answer
) -> None:
    model.respond = lambda request: said if "bad" in request.json["messages"][1]["content"] else good(request)
    engine = made(model, shipped, db)
    for number in range(12):
        with pytest.raises(EngineError) as caught:
            engine.propose(TicketText("bad", f"{number}"))
        assert caught.value.about_ticket
        assert not caught.value.permanent
    assert engine.propose(TICKET).label == LABEL
    assert formats(model)[-1] == "json_schema"
    assert len(model.requests) == 13


@pytest.mark.parametrize(
    "said",
    [
        llm.refusal("The model `gpt-9` does not exist or you do not have access to it.", None, "model_not_found", 400),
        llm.refusal("You exceeded your current quota", None, "insufficient_quota", 429),
        Answer.of({"error": {"code": "DeploymentNotFound", "message": "no"}}, 404),
    ],
    ids=["model", "quota", "deployment"],
)
def test_what_only_an_operator_can_mend_is_permanent(model: Peer, shipped: Catalog, said: Answer) -> None:
    said.headers["retry-after-ms"] = "1"
    model.respond = lambda _: said
    with pytest.raises(EngineError) as caught:
        made(model, shipped).propose(TICKET)
    assert caught.value.permanent


def test_a_model_that_thinks_within_the_limit_gets_more_room(model: Peer, shipped: Catalog, db: Database) -> None:
    def respond(request: Request) -> Answer:
        enough = request.json["max_completion_tokens"] >= 2000
        return good(request) if enough else llm.completion("", finish_reason="length")

    model.respond = respond
    assert made(model, shipped, db).propose(TICKET).label == LABEL
    assert made(model, shipped, db).propose(TicketText("next", "")).label == LABEL
    assert len(model.requests) == 3


def test_an_answer_that_is_always_cut_off_is_a_passing_fault_and_teaches_nothing(model: Peer, shipped: Catalog) -> None:
    model.respond = lambda _: llm.completion('{"reasoning": "and so on', finish_reason="length")
    engine = made(model, shipped)
    for _ in range(2):
        with pytest.raises(EngineError, match="length"):
            engine.propose(TICKET)
    assert [request.json["max_completion_tokens"] for request in model.requests] == [500, 500, 2000] * 2


@pytest.mark.parametrize("knows_bounds", [True, False])
def test_a_model_that_finds_no_end_is_kept_to_a_short_reasoning(
    model: Peer, shipped: Catalog, db: Database, knows_bounds: bool
) -> None:
    def respond(request: Request) -> Answer:
        properties = request.json["response_format"]["json_schema"]["schema"]["properties"]
        bounded = "maxLength" in properties["reasoning"]
        if bounded and not knows_bounds:
            return llm.refusal("Invalid schema for response_format: 'maxLength' is not permitted.")
        enough = bounded or request.json["max_tokens"] >= 2000
        return good(request) if enough else llm.completion('{"reasoning": "and so on', finish_reason="length")

    model.respond = respond
    assert made(model, shipped, db).propose(TICKET).label == LABEL
    asked = len(model.requests)
    assert made(model, shipped, db).propose(TicketText("next", "")).label == LABEL
    assert len(model.requests) == asked + 1


@pytest.mark.parametrize(
    ("url", "limit"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://localhost:11434/v1", "both"),
        ("https://notopenai.com/v1", "both"),
    ],
)
def test_only_openai_and_azure_are_asked_with_one_limit_at_first(url: str, limit: str) -> None:
    assert assumed(endpoint.read(url)).limit == limit


def test_a_category_beside_a_foreign_label_is_kept_to_be_mended(model: Peer, shipped: Catalog) -> None:
    answer = {"category": "VPN Connection Issue", "request_type": "Network & Connectivity", "confidence": 0.9}
    model.respond = lambda _: llm.completion(json.dumps(answer))
    assert made(model, shipped).propose(TICKET).label == "VPN Connection Issue: Network & Connectivity"


def test_the_second_model_answers_where_the_first_fails_and_its_answer_is_marked(model: Peer, shipped: Catalog) -> None:
    slow = threading.Event()

    def respond(request: Request) -> Answer:
        if request.json["model"] == "second":
            return good(request)
        slow.wait(60)
        return good(request)

    model.respond = respond
    proposal = made(model, shipped, llm_fallback_model="second", llm_timeout=1).propose(TICKET)
    slow.set()
    assert (proposal.label, proposal.model) == (LABEL, "second")
    assert proposal.stands_in_for
    assert proposal.stands_in_for.cause is Cause.TIMEOUT


def asked_at_once(engine: LlmEngine, count: int) -> list[EngineError]:
    """Ask about so many different tickets at the same time; the errors."""
    errors: list[EngineError] = []

    def ask(number: int) -> None:
        try:
            engine.propose(TicketText(f"{number}", ""))
        except EngineError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return errors


def test_an_endpoint_that_is_away_hears_of_ten_calls_however_many_threads_wait(model: Peer, shipped: Catalog) -> None:
    model.respond = lambda _: Answer(503, b"{}", {"retry-after-ms": "1"})
    errors = asked_at_once(made(model, shipped), 64)
    first = [request for request in model.requests if request.headers.get("x-stainless-retry-count") == "0"]
    assert len(errors) == 64
    assert len(first) <= 10
    assert sum(error.asked for error in errors) == len(first)


def test_where_nobody_listens_ten_calls_are_tried(shipped: Catalog) -> None:
    with http.serve(llm.endpoint()) as closed:
        engine = made(closed, shipped)
    errors = asked_at_once(engine, 64)
    assert len(errors) == 64
    assert sum(error.asked for error in errors) <= 10


@pytest.mark.parametrize("is_proven", [True, False])
def test_an_endpoint_that_answers_or_thinks_gets_all_calls_at_once(
    model: Peer, shipped: Catalog, is_proven: bool
) -> None:
    engine = made(model, shipped, llm_concurrency=32)
    model.respond = good
    if is_proven:
        engine.propose(TICKET)
    full = threading.Barrier(32)
    model.respond = lambda request: good(request) if full.wait(60) >= 0 else Answer()
    assert asked_at_once(engine, 32) == []


def test_too_many_requests_halve_what_is_in_flight_and_answers_raise_it_again(model: Peer, shipped: Catalog) -> None:
    model.respond = lambda request: (
        Answer(429, b"{}", {"retry-after-ms": "1"}) if len(model.requests) == 1 else good(request)
    )
    engine = made(model, shipped, llm_concurrency=32)
    engine.propose(TICKET)
    before = engine._limiter._limit
    assert 16 <= before < 17
    engine.propose(TicketText("next", ""))
    assert engine._limiter._limit > before


SLIP = llm.refusal("Failed to generate JSON. See 'failed_generation' for more details.", None, "json_validate_failed")


@pytest.mark.parametrize("slip", [SLIP, Answer(400, b"Bad Request")], ids=["named", "not named"])
def test_one_slip_changes_nothing_of_how_a_model_is_asked(
    model: Peer, shipped: Catalog, db: Database, slip: Answer
) -> None:
    model.respond = lambda request: slip if len(model.requests) == 3 else good(request)
    for number in range(6):
        assert made(model, shipped, db).propose(TicketText(f"{number}", "")).label == LABEL
    assert formats(model) == ["json_schema"] * 7
    with db.read() as session:
        assert session.query(ModelCapabilities).count() == 0


def test_what_a_vague_refusal_taught_is_kept_for_an_hour_and_for_a_week_when_it_comes_again(
    model: Peer, shipped: Catalog, db: Database
) -> None:
    model.respond = llm.without("json_schema", reply=good, say=lambda _: Answer(400, b"Bad Request"))
    assert made(model, shipped, db).propose(TICKET).label == LABEL
    assert formats(model) == ["json_schema", "json_schema", "json_object"]
    for later, calls in ((timedelta(minutes=30), 1), (timedelta(hours=2), 3), (timedelta(days=2), 1)):
        model.requests.clear()
        with time_machine.travel(now() + later, tick=True):
            assert made(model, shipped, db).propose(TicketText(f"{later}", "")).label == LABEL
        assert len(model.requests) == calls


def test_an_endpoint_that_refuses_every_manner_is_not_climbed_for_every_ticket(
    model: Peer, shipped: Catalog, db: Database
) -> None:
    model.respond = lambda _: Answer(400, b"Bad Request")
    for number in range(6):
        with pytest.raises(EngineError) as caught:
            made(model, shipped, db).propose(TicketText(f"{number}", ""))
        assert caught.value.cause is Cause.REQUEST
    assert len(model.requests) == 4 + 4 + 4
    model.respond = good
    assert made(model, shipped, db).propose(TICKET).label == LABEL
    assert formats(model)[-1] == "json_schema"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("/openai/deployments/gpt-4o?api-version=2024-10-21", "/openai/deployments/gpt-4o/chat/completions"),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=1", "/openai/deployments/gpt-4o/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/models", "/v1/chat/completions"),
        ("/proxy/a%2Fb?key=x%26y&z=", "/proxy/a%2Fb/chat/completions"),
    ],
)
def test_an_address_is_understood_as_it_was_copied(model: Peer, shipped: Catalog, written: str, asked: str) -> None:
    model.respond = good
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}{written}", "OPENAI_API_KEY": "sk-planted"})
    assert LlmEngine(config, shipped).propose(TICKET).label == LABEL
    path, _, query = model.requests[0].path.partition("?")
    assert path == asked
    assert query == written.partition("?")[2]


@pytest.mark.parametrize("elsewhere", [Answer(404), Answer(405), Answer(200, b"<html>Hello</html>")])
def test_a_missing_v1_is_found_once_and_remembered(
    model: Peer, shipped: Catalog, db: Database, elsewhere: Answer
) -> None:
    model.respond = lambda request: good(request) if request.path.startswith("/v1/") else elsewhere
    config = settings.load({"OPENAI_BASE_URL": model.url})
    for number in range(2):
        assert LlmEngine(config, shipped, db).propose(TicketText(f"{number}", "")).label == LABEL
    assert [request.path for request in model.requests] == ["/chat/completions", *["/v1/chat/completions"] * 2]


@pytest.mark.parametrize(("query", "has_key"), [("?api-version=1", True), ("", False)])
def test_azure_has_the_key_in_its_own_header_too(model: Peer, shipped: Catalog, query: str, has_key: bool) -> None:
    model.respond = good
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/openai/v1{query}", "OPENAI_API_KEY": "sk-planted"})
    LlmEngine(config, shipped).propose(TICKET)
    headers = {name.lower(): value for name, value in model.requests[0].headers.items()}
    assert headers["authorization"] == "Bearer sk-planted"
    assert headers.get("api-key") == ("sk-planted" if has_key else None)


def test_a_gateway_that_takes_the_key_once_only_has_it_once(model: Peer, shipped: Catalog) -> None:
    def respond(request: Request) -> Answer:
        if {"api-key", "authorization"} <= {name.lower() for name in request.headers}:
            return llm.refusal("Either api-key or Authorization header must be provided but not both")
        return good(request)

    model.respond = respond
    config = settings.load({"OPENAI_BASE_URL": f"{model.url}/openai/v1?api-version=1", "OPENAI_API_KEY": "sk-planted"})
    engine = LlmEngine(config, shipped)
    assert [engine.propose(TicketText(f"{n}", "")).label for n in range(2)] == [LABEL] * 2
    assert len(model.requests) == 3


@pytest.mark.parametrize("status", [429, 503, 524, 529])
def test_a_pause_that_is_asked_for_in_a_sentence_is_kept(model: Peer, shipped: Catalog, status: int) -> None:
    busy = Answer.of({"error": {"message": "Please try again in 20ms."}}, status)
    model.respond = lambda request: busy if len(model.requests) < 3 else good(request)
    assert made(model, shipped).propose(TICKET).label == LABEL


def test_room_that_an_endpoint_does_not_have_is_named(model: Peer, shipped: Catalog) -> None:
    def respond(request: Request) -> Answer:
        if request.json["max_tokens"] > 4096:
            return llm.refusal("max_tokens: this model's maximum context length is 4096 tokens", "messages")
        return llm.completion("", "length")

    model.respond = respond
    with pytest.raises(EngineError, match="LLM_MAX_TOKENS") as caught:
        made(model, shipped).propose(TICKET)
    assert caught.value.cause is Cause.NO_ROOM
