"""One model at the endpoint: asking it in a way it understands. The only user of the OpenAI SDK."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from sqlalchemy.exc import SQLAlchemyError

from jobs.engines import EngineError
from jobs.engines.bounded import AnswerError, BoundedClient, DeadlineError
from jobs.engines.llm import abilities
from jobs.engines.llm.abilities import Abilities
from jobs.engines.llm.answer import Answer, Usage, parse
from jobs.engines.llm.purse import Purse
from jobs.retry_after import retry_after
from receiver import guarded
from receiver.clock import now
from receiver.record import endpoints
from receiver.record.database import Record
from receiver.settings import Settings

DEFAULT_BASE_URL = "https://api.openai.com/v1"
MAX_RETRIES = 2
_UNKNOWN_MODEL = ("model_not_found", "model not found", "does not exist", "deploymentnotfound", "unknown_model")
_SAID = 300
_NO_ANSWER = (openai.APIConnectionError, DeadlineError, AnswerError)  # A timeout is a connection error of the SDK.

log = logging.getLogger(__name__)


def connect(config: Settings, on_status: Callable[[int | None], None]) -> tuple[BoundedClient, openai.OpenAI]:
    """The connections, and the SDK's client over them.

    It repeats what can pass (408, 409, 429, 5xx, connections), with jitter and as Retry-After says.
    """
    base_url = config.openai_base_url or DEFAULT_BASE_URL  # The SDK would read the environment itself.
    rule = guarded.Rule(config.outgoing_allow, base_url)
    http = BoundedClient(rule, on_status, limits=openai.DEFAULT_CONNECTION_LIMITS)
    return http, openai.OpenAI(
        api_key=config.openai_api_key or "none",
        base_url=base_url,
        timeout=config.llm_timeout,
        max_retries=MAX_RETRIES,
        http_client=http,
        default_headers={"Accept-Encoding": "gzip"},
    )


class _RefusedError(Exception):
    """The endpoint does not take the request: its status, and what it says without the ticket's text."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status)
        self.status, self.said = status, said


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking has brought: the answer of this model, and what all the tries for it cost."""

    answer: Answer
    model: str
    cost_micros: int


class Model:
    """Asks one model; what it refuses is left out, and remembered in the process and in the record."""

    def __init__(
        self, name: str, sdk: openai.OpenAI, http: BoundedClient, purse: Purse, config: Settings, record: Record | None
    ) -> None:
        self.name, self._sdk, self._http, self._purse, self._record = name, sdk, http, purse, record
        self._temperature, self._max_tokens = config.llm_temperature, config.llm_max_tokens
        self._seconds = config.llm_timeout
        url = urlsplit(config.openai_base_url or DEFAULT_BASE_URL)
        self._endpoint = f"{url.hostname}{f':{url.port}' if url.port else ''}{url.path} {name}"
        self._learning = threading.Lock()
        self._abilities = self._remembered(abilities.assumed(url.geturl()))

    def _remembered(self, assumed: Abilities) -> Abilities:
        if self._record is None:
            return assumed
        with self._record.read() as session:
            return abilities.remembered(endpoints.learned(session, self._endpoint, now()), assumed)

    def ask(self, messages: list[dict[str, str]], schema: dict[str, Any]) -> Asked:
        """The answer, after LLM_TIMEOUT seconds at most, retries and other ways of asking included.

        Raises EngineError, and BudgetError before a call for which there is no money.
        """
        manner, cost = self._abilities, 0
        with self._http.call(self._seconds):
            while True:
                try:
                    answer, price = self._call(messages, schema, manner)
                except _RefusedError as refused:
                    manner = self._after(refused, manner)
                    continue
                cost += price
                other = abilities.after_cut(manner, begun=answer.begun) if answer.cut_off else None
                if other is None:
                    break
                manner = other
        if answer.fields is not None:
            self._learn(manner)
        return Asked(answer, self.name, cost)

    def _after(self, refused: _RefusedError, manner: Abilities) -> Abilities:
        """Another way to ask. Raises EngineError where there is none, or where it would not help."""
        if any(sign in refused.said.lower() for sign in _UNKNOWN_MODEL):
            raise EngineError(_unknown_model(refused.status), permanent=True)
        if abilities.is_about_ticket(refused.status, refused.said):
            message = f"the model's endpoint refuses this ticket's text ({refused.status})"
            raise EngineError(message, permanent=False, about_ticket=True)
        looser = abilities.step_down(manner, refused.status, refused.said)
        if looser is None:
            raise EngineError(f"the model's endpoint refuses the request ({refused.status})", permanent=False)
        return looser

    def _learn(self, manner: Abilities) -> None:
        """Ask in this manner from now on, now that it was answered."""
        with self._learning:
            if manner == self._abilities:
                return
            words = "; ".join(manner.less_than(self._abilities))
            self._abilities = manner
            log.warning("The model %s %s; this is remembered for a week", self.name, words)
            if self._record is None:
                return
            try:
                with self._record.write() as session:
                    endpoints.remember(session, self._endpoint, manner.learned(), now())
            except SQLAlchemyError as error:
                log.warning("What was learned of the model cannot be kept: %s", type(error).__name__)

    def _call(self, messages: list[dict[str, str]], schema: dict[str, Any], manner: Abilities) -> tuple[Answer, int]:
        options = manner.options(schema, self._temperature, self._max_tokens)
        whole = json.dumps({"model": self.name, "messages": messages} | options, ensure_ascii=False)
        request = whole.encode("utf-8", "replace")
        # A token is at least one byte, in every tokenizer that works on bytes.
        hold = self._purse.take(self.name, Usage(len(request), 0, self._max_tokens * manner.room))
        used: Usage | None = Usage()
        cost = 0
        try:
            answer = parse(self._body(request), plain=manner.format == "text")
            used = answer.usage
        except EngineError as error:
            used = None if isinstance(error.__cause__, _NO_ANSWER) else used
            raise
        finally:
            cost = self._purse.put_back(hold, self.name, used)
        return answer, cost

    def _body(self, request: bytes) -> bytes:
        """The body of a good answer. Raises EngineError, and _RefusedError where another request might be taken."""
        try:
            # `chat.completions.create` would look through the whole schema for each ticket, which takes as long again.
            return self._sdk.post("/chat/completions", cast_to=httpx2.Response, content=request).content
        except openai.APIStatusError as error:
            raise _explained(error) from None
        except guarded.AddressRefusedError as error:
            raise EngineError(f"the model's endpoint is not asked: {error}", permanent=True) from None
        except (openai.OpenAIError, DeadlineError, AnswerError) as error:
            raise EngineError(f"the model's endpoint failed: {_kind(error)}", permanent=False) from error


def _kind(error: Exception) -> str:
    if isinstance(error, DeadlineError | openai.APITimeoutError):
        return "Timeout"
    return str(error) if isinstance(error, AnswerError) else type(error).__name__


def _explained(error: openai.APIStatusError) -> Exception:
    """What a status means for this ticket and for all others."""
    status, said = error.status_code, _said(error.response.content)
    wait = retry_after(error.response.headers)
    if status in (401, 403) and not abilities.is_about_ticket(status, said):
        message = f"the model's endpoint refused the key ({status}); check OPENAI_API_KEY and OPENAI_BASE_URL"
        return EngineError(message, permanent=True)
    if status == 404:
        return EngineError(_unknown_model(status), permanent=True)
    if 300 <= status < 400:
        message = (
            f"the model's endpoint redirects ({status}), which is not followed; write where it is in OPENAI_BASE_URL"
        )
        return EngineError(message, permanent=True)
    if status == 429 and "insufficient_quota" in said:
        message = "the model's endpoint says that the quota is used up (429); check the plan and billing of the key"
        return EngineError(message, permanent=True, retry_after=wait)
    if status in (408, 409, 429) or (status >= 500 and status != 501 and not _names_format(said)):
        return EngineError(f"the model's endpoint failed: {type(error).__name__}", permanent=False, retry_after=wait)
    return _RefusedError(status, said)


def _names_format(said: str) -> bool:
    """Whether a server's error is about the schema: llama.cpp and Ollama answer 500 to one they cannot compile."""
    return any(word in said.lower() for word in ("response_format", "json_schema", "grammar"))


def _unknown_model(status: int) -> str:
    return f"the model's endpoint does not know the model ({status}); check LLM_MODEL and OPENAI_BASE_URL"


def _said(body: bytes) -> str:
    """What a refusal says in the shapes of OpenAI, Azure, Ollama, vLLM, llama.cpp and FastAPI.

    Only the fields that are known to explain: others repeat the request, and so the ticket.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said: list[str] = []
    inner = found.get("error") if isinstance(found, dict) else None
    for part in (found, inner, inner.get("innererror") if isinstance(inner, dict) else None):
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, dict):
            said += [str(part[name]) for name in ("param", "code", "type", "message") if name in part]
            said += [str(item.get("loc")) for item in _items(part.get("detail")) if isinstance(item, dict)]
    return " ".join(text[:_SAID] for text in said)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
