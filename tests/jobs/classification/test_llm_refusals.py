"""What endpoints and gateways say instead of an answer, each with the cause that it has."""

import json
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from jobs.classification.engines.llm import error_causes
from receiver.lib.clock import now
from receiver.lib.retry_after import retry_after, wait_in
from receiver.lib.retry_policy import Cause
from tests.properties import tries


def error(message: str, code: Any = None, kind: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": kind, "param": None} | more}


GOOGLE_QUOTA = [
    error(
        "You exceeded your current quota, please check your plan and billing details.",
        429,
        status="RESOURCE_EXHAUSTED",
        details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}],
    )
]
AZURE_FILTER = error(
    "The response was filtered due to the prompt triggering a content management policy.",
    "content_filter",
    innererror={"code": "ResponsibleAIPolicyViolation"},
)
JUDGED: list[tuple[int, Any, Cause]] = [
    (401, {}, Cause.KEY),
    (403, {}, Cause.KEY),
    (403, "<html>", Cause.KEY),
    (401, error("Access denied due to invalid subscription key or wrong API endpoint.", "401"), Cause.KEY),
    (400, [error("API key expired. Please renew the API key.", 400, status="INVALID_ARGUMENT")], Cause.KEY),
    (400, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}, Cause.KEY),
    (422, {"detail": "Missing API key"}, Cause.KEY),
    (502, error("litellm.AuthenticationError: Incorrect API key provided: sk-x"), Cause.KEY),
    (401, error("Incorrect API key provided: safety-flagged"), Cause.KEY),
    (402, {}, Cause.BILLING),
    (429, error("You exceeded your current quota, please check your plan and billing details."), Cause.BILLING),
    (429, error("no", "insufficient_quota"), Cause.BILLING),
    (400, error("Your credit balance is too low to access the Anthropic API."), Cause.BILLING),
    (403, error("Your account is suspended, please recharge"), Cause.BILLING),
    (403, {"error": {"message": "user quota is not enough", "code": "insufficient_user_quota"}}, Cause.BILLING),
    (429, GOOGLE_QUOTA, Cause.BUSY),
    (429, error("Rate limit reached on tokens per min (TPM): Limit 10000, Used 9000, Requested 1500."), Cause.BUSY),
    (429, error("Request too large for gpt-4.1 on tokens per min (TPM): Limit 10000, Requested 20000."), Cause.PLAN),
    (413, error("Request too large for model `m` service tier `on_demand`", "rate_limit_exceeded"), Cause.PLAN),
    (
        413,
        error("Request body too large for gpt-4o model. Max size: 8000 tokens.", "tokens_limit_reached"),
        Cause.TOO_LONG,
    ),
    (400, error("This model's maximum context length is 4096 tokens.", "context_length_exceeded"), Cause.TOO_LONG),
    (400, error("the request exceeds the available context size, try increasing it", 400), Cause.TOO_LONG),
    (400, {"object": "error", "message": "The prompt (total length 9000) is longer than the maximum"}, Cause.TOO_LONG),
    (400, AZURE_FILTER, Cause.FILTERED),
    (
        400,
        error("<400> InternalError.Algo.DataInspectionFailed: Input may contain inappropriate content."),
        Cause.FILTERED,
    ),
    (403, error("Your input was flagged"), Cause.FILTERED),
    (404, {"detail": "Not Found"}, Cause.MODEL),
    (405, {"detail": "Method Not Allowed"}, Cause.MODEL),
    (404, error('model "llama3" not found, try pulling it first', None, "api_error"), Cause.MODEL),
    (400, error("The model `llama-3.1-70b` has been decommissioned", "model_decommissioned"), Cause.MODEL),
    (400, error("gpt-9 is not a valid model ID", 400), Cause.MODEL),
    (403, error("Project `p` does not have access to model `gpt-4.1`", "model_not_found"), Cause.MODEL),
    (503, error("No available channel for model x under group default", "model_not_found"), Cause.MODEL),
    (404, error("No endpoints found that can handle the requested parameters.", 404), Cause.PARAMETER),
    (400, error("User location is not supported for the API use.", 400, status="FAILED_PRECONDITION"), Cause.REGION),
    (403, error("Country, region, or territory not supported", "unsupported_country_region_territory"), Cause.REGION),
    (451, {}, Cause.REGION),
    (307, {}, Cause.REDIRECT),
    (400, error("Failed to generate JSON. Please adjust your prompt.", "json_validate_failed"), Cause.SLIP),
    (400, error("Generated JSON does not match the expected schema.", "json_validate_failed"), Cause.SLIP),
    (400, error("Model produced invalid JSON, try again"), Cause.SLIP),
    (400, error("Unsupported parameter: 'temperature'", "unsupported_parameter"), Cause.PARAMETER),
    (400, error("'response_format.type' : value is not one of the allowed values"), Cause.PARAMETER),
    (400, error("This model does not support json_schema"), Cause.PARAMETER),
    (500, error("failed to parse grammar", 500), Cause.PARAMETER),
    (400, "Bad Request", Cause.REQUEST),
    (400, None, Cause.REQUEST),
    (501, {}, Cause.REQUEST),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Cause.BUSY),
    (524, "<html>A timeout occurred</html>", Cause.BUSY),
    (498, error("Flex tier capacity exceeded", "capacity_exceeded"), Cause.BUSY),
    (403, error("API rate limit exceeded for 192.0.2.1"), Cause.BUSY),
    (400, error("Service tier capacity exceeded for this model, try again later"), Cause.BUSY),
]


@pytest.mark.parametrize(("status", "said", "cause"), JUDGED, ids=[f"{s} {json.dumps(b)[:50]}" for s, b, _ in JUDGED])
def test_a_refusal_has_its_cause_whatever_the_status_says(status: int, said: Any, cause: Cause) -> None:
    body = said if isinstance(said, str) else json.dumps(said)
    assert error_causes.judge(status, {}, body.encode()).cause is cause


@pytest.mark.parametrize(
    ("said", "cause", "status"),
    [
        ({"message": "Provider returned error", "code": 429}, Cause.BUSY, 429),
        ({"message": "No auth credentials found", "code": 401}, Cause.KEY, 401),
        ({"message": "Error code: 402 - add credits"}, Cause.BILLING, 402),
        ("model overloaded", Cause.BUSY, 200),
        ("err.supplier_error", Cause.BUSY, 200),
        ([{"error": {"message": "API key not valid.", "code": 400}}], Cause.KEY, 400),
        ([{"code": 10000, "message": "Authentication error"}], Cause.KEY, 200),
        ("response_format is not supported", Cause.PARAMETER, 200),
        ({"code": "rate_limit_daily", "message": "slow down"}, Cause.BUSY, 200),
        (True, Cause.BUSY, 200),
    ],
)
def test_an_error_in_a_200_is_judged_by_what_it_says(said: Any, cause: Cause, status: int) -> None:
    found = error_causes.judge_error(said, {})
    assert (found.cause, found.status) == (cause, status)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "2s"}, 2),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "50", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"ratelimit-reset": "12"}, 12),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_when_to_come_again_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, all_forms=True) == seconds


def test_a_moment_to_come_again_is_read_as_a_date_and_since_1970() -> None:
    moment = now() + timedelta(seconds=60)
    for headers in (
        {"retry-after": format_datetime(moment, usegmt=True)},
        {"x-ratelimit-reset": str(int(moment.timestamp()))},
        {"x-ratelimit-reset": str(int(moment.timestamp() * 1000))},
    ):
        found = retry_after(headers, all_forms=True)
        assert found is not None
        assert 55 < found <= 60


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Please try again in 7.66s. Visit the page", 7.66),
        ("Please try again in 1m7.5s.", 67.5),
        ("Please try again in 250ms.", 0.25),
        ("Please retry after 20 seconds.", 20),
        ("429 34s", 34),
        ("Please try again later.", None),
        ("try again", None),
    ],
)
def test_when_to_come_again_is_read_in_a_sentence(said: str, seconds: float | None) -> None:
    assert wait_in(said) == seconds


@examples(deadline=None, max_examples=tries(200))
@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=30),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "details", "innererror"]), inner)
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_no_refusal_breaks_its_reader(status: int, body: bytes) -> None:
    assert error_causes.judge(status, {}, body).cause in Cause
    try:
        value = json.loads(body)
    except ValueError:
        return
    assert error_causes.judge_error(value, {}).cause in Cause


def test_no_long_refusal_takes_long() -> None:
    for piece in ("model ", "invalid api ", "request too large ", "limit 1 ", "try again ", "country ", "a" * 20):
        said = json.dumps(error(piece * 50_000, piece * 50_000, piece * 50_000))
        assert len(error_causes.judge(400, {}, said.encode()).said) < 5_000
