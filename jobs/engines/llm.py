"""The LLM engine: chat completions with a strict schema, whose enum is the live catalog.

The only user of the OpenAI SDK.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import jinja2
import openai
from openai.types.chat import ChatCompletion

from jobs.engines import EngineError, Proposal, TicketText
from jobs.engines.bounded import AnswerError, BoundedClient, DeadlineError, retry_after
from receiver.catalog import Catalog
from receiver.settings import Settings

PROMPT = Path(__file__).parents[1] / "prompts" / "classify.txt"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
MAX_TEXT = 6_000
MAX_RETRIES = 2
_CUT = "\n[... cut ...]\n"
_FINISH_REASONS = ("stop", "length", "content_filter")
_PERMANENT = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)


class LlmEngine:
    """Asks the model at OPENAI_BASE_URL. One shared client serves every thread."""

    name = "llm"

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self.model = settings.llm_model
        self.parallel = settings.llm_concurrency
        self._labels = catalog.labels
        self._options: dict[str, Any] = {
            "model": settings.llm_model,
            "temperature": settings.llm_temperature,
            "max_completion_tokens": settings.llm_max_tokens,
            "response_format": _schema(catalog),
        }
        self._seconds = settings.llm_timeout
        self._http = BoundedClient(follow_redirects=True, limits=openai.DEFAULT_CONNECTION_LIMITS)
        self._client = openai.OpenAI(
            api_key=settings.openai_api_key or "none",
            base_url=settings.openai_base_url or DEFAULT_BASE_URL,  # The SDK would read the environment itself.
            timeout=settings.llm_timeout,
            max_retries=MAX_RETRIES,
            http_client=self._http,
            default_headers={"Accept-Encoding": "gzip"},
        )
        template = PROMPT.read_text(encoding="utf-8")
        self._instructions = jinja2.Template(template, trim_blocks=True, lstrip_blocks=True).render(catalog=catalog)
        self._prompt_version = hashlib.sha256(template.encode()).hexdigest()[:12]

    def propose(self, ticket: TicketText) -> Proposal:
        """The model's answer, after LLM_TIMEOUT seconds at most, its retries included.

        Raises EngineError when there is none that can be read.
        """
        messages = [
            {"role": "system", "content": self._instructions},
            {"role": "user", "content": _delimited(ticket)},
        ]
        try:
            with self._http.call(self._seconds):
                completion = self._client.chat.completions.create(messages=cast(Any, messages), **self._options)
        except _PERMANENT as error:
            raise EngineError(_explain(error), permanent=True) from None
        except (openai.OpenAIError, ValueError, DeadlineError) as error:  # ValueError: a 200 whose body is no JSON.
            raise _passing(error) from None
        return self._read(completion)

    def _read(self, completion: ChatCompletion) -> Proposal:
        answer = _answer(completion)
        return Proposal(
            label=str(answer.get("request_type", "")),
            confidence=_fraction(answer.get("confidence")),
            reasoning=_storable(str(answer.get("reasoning", ""))[:1000]),
            alternatives=self._known(answer.get("alternatives")),
            engine=self.name,
            model=self.model,
            prompt_version=self._prompt_version,
            prompt_tokens=_tokens(completion, "prompt_tokens"),
            completion_tokens=_tokens(completion, "completion_tokens"),
        )

    def _known(self, alternatives: Any) -> tuple[str, ...]:
        found = alternatives if isinstance(alternatives, list) else []
        return tuple(label for label in found if isinstance(label, str) and label in self._labels)[:2]


def _schema(catalog: Catalog) -> dict[str, Any]:
    label = {"type": "string", "enum": list(catalog.labels)}
    properties = {
        "reasoning": {"type": "string"},
        "request_type": label,
        "confidence": {"type": "number"},
        "alternatives": {"type": "array", "items": label},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "proposal", "strict": True, "schema": schema}}


def _delimited(ticket: TicketText) -> str:
    """The ticket between marks that its own text cannot contain."""
    text = f"{ticket.short_description}\n\n{ticket.long_description}".replace("<", "‹").replace(">", "›")
    if len(text) > MAX_TEXT:
        half = (MAX_TEXT - len(_CUT)) // 2
        text = text[:half] + _CUT + text[-half:]
    return f"<ticket>\n{text}\n</ticket>"


def _answer(completion: ChatCompletion) -> dict[str, Any]:
    choice = None
    try:
        choice = completion.choices[0]
        answer = json.loads(choice.message.content or "")
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        answer = None  # The SDK checks no shape; a wrong one shows where it is first touched.
    if not isinstance(answer, dict):
        reason = getattr(choice, "finish_reason", None)
        reason = reason if reason in _FINISH_REASONS else "unknown"
        raise EngineError(f"the model gave no readable answer (finish_reason: {reason})", permanent=False)
    return answer


def _fraction(value: Any) -> float:
    """A confidence between 0 and 1. Endpoints do not enforce the range, and what is outside it says nothing."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if usable else 0.0


def _storable(text: str) -> str:
    """Without half characters and NUL, which a database refuses."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _tokens(completion: ChatCompletion, name: str) -> int:
    count = getattr(completion.usage, name, 0)
    return count if isinstance(count, int) and 0 <= count < 2**31 else 0


def _passing(error: Exception) -> EngineError:
    if isinstance(error, DeadlineError | openai.APITimeoutError):
        return EngineError("the model's endpoint failed: Timeout", permanent=False)
    if isinstance(error, AnswerError):
        return EngineError(f"the model's endpoint failed: {error}", permanent=False)
    response = getattr(error, "response", None)
    wait = retry_after(response.headers) if response is not None else None
    return EngineError(f"the model's endpoint failed: {type(error).__name__}", permanent=False, retry_after=wait)


def _explain(error: openai.OpenAIError) -> str:
    status = getattr(error, "status_code", "")
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return f"the model's endpoint refused the key ({status}); check OPENAI_API_KEY and OPENAI_BASE_URL"
    return f"the model's endpoint does not know the model ({status}); check LLM_MODEL and OPENAI_BASE_URL"
