"""What a refusal of an endpoint means: its cause, by its status and by the fields that explain it. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.lib.retry_after import retry_after, wait_in
from receiver.lib.retry_policy import Cause

_SAID = 300
# The codes and words of providers and gateways, in the order in which they are looked for. What stands in a code holds
# whatever the status is, for gateways pass on a refusal with a status of their own.
_CODES = {
    Cause.KEY: (
        r"invalid_api_key|api_key_invalid|api_key_expired|api_key_service_blocked|authentication_error|"
        r"invalid_authentication|unauthenticated|token_expired|invalid_token"
    ),
    Cause.BILLING: (
        r"insufficient_quota|insufficient_user_quota|insufficient_balance|insufficient_credits|billing_not_active|"
        r"billing_hard_limit_reached|billing_error|account_deactivated|payment_required|arrearage|account_overdue"
    ),
    Cause.MODEL: (
        r"model_not_found|deploymentnotfound|unknown_model|model_decommissioned|unsupported_model|invalid_model|"
        r"no_such_model|model_not_supported|model_not_available"
    ),
    Cause.REGION: r"unsupported_country_region_territory",
}
_WORDS = {
    Cause.REGION: (
        r"(?:country|region|territory|location)[^.]{0,40}(?:not (?:supported|available|allowed)|unsupported|blocked)|"
        r"(?:not available|not supported|unavailable|blocked) in your (?:country|region|location)"
    ),
    Cause.BILLING: (
        r"insufficient (?:balance|credit|fund|quota)|(?:not enough|out of|no|no more|negative) (?:credit|balance)|"
        r"(?:credit|account) balance|payment (?:is )?required|billing (?:hard limit|is not|not|account)|prepaid|"
        r"enable billing|requires billing|add (?:more )?credits|purchase (?:more )?credits|top[ -]?up|recharge|arrears|"
        r"spend(?:ing)? limit|account (?:is |has been )?(?:suspended|deactivated|not active)"
    ),
    Cause.KEY: (
        r"(?:api|access|auth\w*|bearer|secret|subscription|provided)[ _-]?(?:key|token)s?\b[^.]{0,40}"
        r"(?:not (?:valid|found|provided|set)|invalid|incorrect|wrong|missing|expired|revoked|required|disabled)|"
        r"\b(?:not valid|invalid|incorrect|wrong|missing|expired|revoked|no|unknown|bad|valid)\b[^.]{0,20}\b"
        r"(?:api|access|auth\w*|bearer|secret|subscription)[ _-]?(?:key|token)|"
        r"invalid (?:authentication|authorization|credential|x-api-key)|unauthori[sz]ed|unauthenticated|"
        r"authentication (?:failed|required|error|fails)|authorization header|no (?:auth|credentials)|not logged in"
    ),
    Cause.MODEL: (
        r"\bmodels?\b.{0,120}(?:does not exist|doesn't exist|not (?:be )?found|is not available|not a valid|unknown|"
        r"is not supported\b(?! (?:with|for|by))|not been deployed|decommissioned|deprecated|no longer|not exist)|"
        r"access to (?:the )?model|"
        r"(?:unknown|invalid|no such|unsupported|no available channel for) (?:model|deployment)|"
        r"deployment[^.]{0,60}does not exist|not a valid model"
    ),
}
_FILTERED = (
    r"content_policy|content_filter|invalid_prompt|moderation|safety|flagged|content management policy|"
    r"responsibleaipolicy|prohibited[_ ]content|data_?inspection_?failed|inappropriate content|sensitive content|"
    r"guardrail"
)
_TOO_LONG = (
    r"context_length_exceeded|maximum context length|reduce the length|exceed_context_size|input tokens exceed|"
    r"exceeds? the (?:available |model'?s? )?(?:maximum )?context|(?:prompt|input|request) is too long|too many tokens|"
    r"tokens_limit_reached|context (?:window|length|limit)|string too long|string_above_max_length|"
    r"input token count|(?:max|maximum) (?:input|prompt) (?:length|tokens)|prompt[^.]{0,40}longer than"
)
_PLAN = r"request too large.{0,200}(?:tokens per|\btpm\b|\btier\b|rate_limit)"
_NUMBERS = r"\blimit:? (\d{1,12}).{0,60}?\brequested:? (\d{1,12})"
_BUSY = r"rate[ _-]?limit|too many requests|overload|capacity|throttl|try again later|temporarily|timed? ?out"
_SLIP = (
    r"failed_generation|json_validate_failed|tool_use_failed|malformed_function_call|"
    r"(?:failed|unable|could not|did not|not able) to (?:generate|produce|complete|return|create)|"
    r"generated (?:json|output|content|response|text)[^.]{0,60}(?:not|invalid|fail|mismatch)|"
    r"(?:model|output|response)\b[^.]{0,40}(?:invalid|not (?:a )?valid|malformed) json|"
    r"does not match the (?:expected |required |given |provided )?(?:json )?schema"
)
_PARAMETER = (
    r"response_format|json_schema|json_object|schema|grammar|structured|guided|\bformat\b|temperature|max_tokens|"
    r"max_completion_tokens|\bstream\b|requested parameters"
)


def _compiled(words: str) -> re.Pattern[str]:
    return re.compile(words, re.I)


_BY_CODE = {cause: _compiled(rf"(?:\A|\W)(?:{words})(?:\W|\Z)") for cause, words in _CODES.items()}
_BY_WORD = {cause: _compiled(words) for cause, words in _WORDS.items()}
_IS_FILTERED, _IS_TOO_LONG, _IS_PLAN = _compiled(_FILTERED), _compiled(_TOO_LONG), _compiled(_PLAN)
_IS_SLIP, _NAMES_PARAMETER, _IS_BUSY = _compiled(_SLIP), _compiled(_PARAMETER), _compiled(_BUSY)
_PASSING = (408, 409, 425, 498, 499)  # The last two are those of Groq and of nginx.
_LIMIT_AND_REQUESTED = _compiled(_NUMBERS)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an endpoint gave no answer; `said` is what it says without the ticket's text.

    `retry_after` is for how many seconds it asks to be left alone.
    """

    cause: Cause
    status: int
    said: str
    retry_after: float | None = None


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """What an answer of this status, which is no 2xx, means."""
    found = _json(body)
    said = said_in(found)
    told = retry_after(headers, all_forms=True)
    return Refusal(_cause(status, said), status, said, wait_in(said) if told is None else told)


def judge_error(error: Any, headers: Mapping[str, str]) -> Refusal:
    """What an `error` in the body of a 200 means: by the status that it names, or else by its words."""
    first = error[0] if isinstance(error, list) and error else error
    inner = first.get("error", first) if isinstance(first, dict) else first
    named = [inner.get(name) for name in ("code", "status", "statusCode")] if isinstance(inner, dict) else []
    said = said_in({"error": inner})
    written = re.search(r"(?:error code|status code|http)\W{1,3}([45]\d\d)\b", said, re.I)
    named += [written[1] if written else None]
    status = next((int(str(value)) for value in named if re.fullmatch(r"[45]\d\d", str(value))), None)
    cause = _cause(status or 400, said)
    if status is None and cause is Cause.REQUEST:
        cause = Cause.BUSY  # The request was taken; what went wrong behind it is likely to pass.
    told = retry_after(headers, all_forms=True)
    return Refusal(cause, status or 200, said, wait_in(said) if told is None else told)


def _cause(status: int, said: str) -> Cause:
    """The first cause that holds.

    What is said of the text, the money, the key and the model counts for more than the status, for gateways pass on a
    refusal with one of their own.
    """
    by_code = next((cause for cause, words in _BY_CODE.items() if words.search(said)), None)
    by_word = next((cause for cause, words in _BY_WORD.items() if words.search(said)), None)
    names_parameter = bool(_NAMES_PARAMETER.search(said))
    is_server = status >= 500 and status != 501
    is_refusal = not is_server and status not in (401, 429)
    is_model = by_word is Cause.MODEL and not (names_parameter and status in (400, 415, 422, 501))
    causes = (
        (Cause.REDIRECT, 300 <= status < 400),
        (Cause.PLAN, not is_server and _is_plan(said)),
        (Cause.FILTERED, is_refusal and _IS_FILTERED.search(said)),
        (Cause.TOO_LONG, is_refusal and (status == 413 or _IS_TOO_LONG.search(said))),
        (by_code, by_code),
        (Cause.BILLING, status == 402 or (status == 429 and _is_money(said))),
        (Cause.BUSY, status == 429),
        (by_word, by_word in (Cause.KEY, Cause.BILLING) or (by_word is Cause.REGION and not is_server)),
        (Cause.PARAMETER, is_server and _names_format(said)),
        (Cause.BUSY, is_server or status in _PASSING or (status != 401 and _IS_BUSY.search(said))),
        (Cause.REGION, status == 451),
        (Cause.SLIP, _IS_SLIP.search(said)),
        (Cause.MODEL, is_model),
        (Cause.KEY, status in (401, 403)),
        (Cause.MODEL, status in (404, 405, 410) and not names_parameter),
        (Cause.PARAMETER, names_parameter),
    )
    return next((cause for cause, holds in causes if cause and holds), Cause.REQUEST)


def _is_plan(said: str) -> bool:
    """Whether a request is larger than the plan allows for a minute, so that no waiting helps."""
    numbers = _LIMIT_AND_REQUESTED.search(said)
    return bool(_IS_PLAN.search(said)) or (numbers is not None and int(numbers[2]) > int(numbers[1]))


def _is_money(said: str) -> bool:
    """Whether a 429 is of the money, and not of a minute's quota.

    Google says "check your plan and billing" for both, but of the second also when to come again.
    """
    is_quota = "quota" in said.lower() and "billing" in said.lower()
    is_final = wait_in(said) is None and "RESOURCE_EXHAUSTED" not in said
    return is_final and (is_quota or bool(_BY_WORD[Cause.BILLING].search(said)))


def _names_format(said: str) -> bool:
    """Whether a server's error is about the schema: llama.cpp and Ollama answer 500 to one they cannot compile."""
    return any(word in said.lower() for word in ("response_format", "json_schema", "grammar"))


def said_in(found: Any) -> str:
    """What a refusal says in the shapes of OpenAI, Azure, Google, Ollama, vLLM, llama.cpp and FastAPI.

    Only the fields that are known to explain: others repeat the request, and so the ticket.
    """
    found = found[0] if isinstance(found, list) and found else found
    inner = found.get("error") if isinstance(found, dict) else None
    inner = inner[0] if isinstance(inner, list) and inner else inner
    said: list[str] = []
    for part in (found, inner, inner.get("innererror") if isinstance(inner, dict) else None):
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, dict):
            names = ("param", "code", "type", "status", "message", "msg", "error_msg", "error_description", "title")
            said += [str(part[name]) for name in names if isinstance(part.get(name), str | int)]
            said += _details(part.get("detail")) + _details(part.get("details")) + _details(part.get("errors"))
    return " ".join(text[:_SAID] for text in said)


def _details(value: Any) -> list[str]:
    """Of FastAPI's and Google's details the place, the reason and the wait; of a plain text all."""
    if isinstance(value, str):
        return [value]
    names = ("loc", "reason", "retryDelay", "code", "message")
    items = [item for item in value[:10] if isinstance(item, dict)] if isinstance(value, list) else []
    return [str(item[name]) for item in items for name in names if item.get(name)]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
