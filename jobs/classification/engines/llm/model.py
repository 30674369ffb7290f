"""One model at the endpoint: asking it in a way it understands. The only user of the OpenAI SDK."""

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx2
import openai
from sqlalchemy.exc import SQLAlchemyError

from jobs.classification.engines.base import EngineError
from jobs.classification.engines.deadline_client import AnswerError, DeadlineClient, DeadlineError
from jobs.classification.engines.llm import capabilities, completion, endpoint, error_causes
from jobs.classification.engines.llm.answer import Answer, find
from jobs.classification.engines.llm.budget import Budget
from jobs.classification.engines.llm.capabilities import Capabilities
from jobs.classification.engines.llm.completion import Usage
from jobs.classification.engines.llm.endpoint import Address
from jobs.classification.engines.llm.error_causes import Refusal
from receiver.db import model_capabilities
from receiver.db.database import Database
from receiver.lib import egress
from receiver.lib.clock import now
from receiver.lib.retry_policy import FIRST_PAUSE, LONGEST_PAUSE, MODEL, Cause
from receiver.lib.settings import Settings

# So many tickets may try every way of asking in vain; after that it is likely not the way of asking.
_MOST_IN_VAIN = 2
# After these nothing has left this process, so the call has cost nothing.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

log = logging.getLogger(__name__)


def connect(config: Settings, on_status: Callable[[int | None], None]) -> tuple[DeadlineClient, openai.OpenAI]:
    """The connections, and the SDK's client over them, which asks once: what to ask again is decided here."""
    where = endpoint.read(config.openai_base_url)  # The SDK would read the environment itself.
    rule = egress.Policy(config.outgoing_allow, where.base)
    http = DeadlineClient(rule, on_status, limits=openai.DEFAULT_CONNECTION_LIMITS)
    return http, openai.OpenAI(
        api_key=config.openai_api_key or "none",
        base_url=where.base,
        default_query=where.query,
        timeout=config.llm_timeout,
        max_retries=0,
        http_client=http,
        default_headers={"Accept-Encoding": "gzip"},
    )


class _RefusedError(Exception):
    """The endpoint gave no answer to the request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.cause)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking has brought: the answer of this model, and what all the tries for it cost."""

    answer: Answer
    model: str
    cost_micros: int


@dataclass(slots=True)
class _Try:
    """How one ticket is asked about next: the manner, and what was tried so far.

    `is_sure` is False where what is left out was refused without a word of it, so that it may have been something else.
    """

    manner: Capabilities
    retries: int = 0
    slips: int = 0
    is_sure: bool = True


class Model:
    """Asks one model; what it refuses is left out, and remembered in the process and in the database."""

    def __init__(
        self, name: str, sdk: openai.OpenAI, http: DeadlineClient, budget: Budget, config: Settings, db: Database | None
    ) -> None:
        self.name, self._sdk, self._http, self._budget, self._db = name, sdk, http, budget, db
        self._temperature, self._max_tokens = config.llm_temperature, config.llm_max_tokens
        self._seconds, self._key = config.llm_timeout, config.openai_api_key
        self._address: Address = endpoint.read(config.openai_base_url)
        self._endpoint = f"{self._address.name} {name}"
        self._learning = threading.Lock()
        learned: dict[str, Any] = {}
        if db is not None:
            with db.read() as session:
                learned = model_capabilities.learned(session, self._endpoint, now())
        self._in_vain = capabilities.tried_in_vain(learned)
        self._capabilities = capabilities.remembered(learned, capabilities.assumed(self._address))

    def ask(self, messages: list[dict[str, str]], schema: dict[str, Any]) -> Asked:
        """An answer that can be read, after LLM_TIMEOUT seconds at most, retries and other ways of asking included.

        Raises EngineError, and BudgetError before a call for which there is no money.
        """
        trial, cost = _Try(self._capabilities), 0
        with self._http.call(self._seconds):
            while True:
                try:
                    answer, price = self._call(messages, schema, trial)
                except _RefusedError as refused:
                    self._adapt(refused.refusal, trial)
                    continue
                cost += price
                if answer.fields is not None:
                    self._learn(trial.manner, sure=trial.is_sure, in_vain=0)
                elif answer.cut_off and (other := capabilities.after_cut(trial.manner, begun=answer.begun)):
                    trial.manner, trial.is_sure = other, False
                    if not answer.begun:  # Kept at once: the time that was spent on it may be missing for an answer.
                        self._learn(replace(self._capabilities, room=other.room), sure=False, in_vain=0)
                    continue
                answer.read()
                return Asked(answer, self.name, cost)

    def _adapt(self, refusal: Refusal, trial: _Try) -> None:
        """Change `trial` to how to ask next. Raises EngineError where there is no way, or where it would not help."""
        is_given_up = self._in_vain >= _MOST_IN_VAIN
        repeats = MODEL[refusal.cause].repeats
        if refusal.cause in (Cause.BUSY, Cause.AWAY):
            self._wait(refusal, trial, repeats)
            return
        if trial.slips < repeats and not is_given_up:
            trial.slips += 1  # A model slips now and then; how it is asked stays the same.
            return
        # The text was no longer than before; it is the room for the answer that has grown.
        if refusal.cause is Cause.TOO_LONG and trial.manner.room > 1:
            raise self._error(replace(refusal, cause=Cause.NO_ROOM))
        other = capabilities.degrade(trial.manner, refusal, self._address)
        is_format = other is not None and other.format != trial.manner.format
        if other is None or (is_format and is_given_up):
            if refusal.cause in (Cause.SLIP, Cause.REQUEST, Cause.PARAMETER) and not is_given_up:
                self._learn(self._capabilities, sure=False, in_vain=self._in_vain + 1)
            raise self._error(refusal)
        trial.manner = other
        trial.is_sure = trial.is_sure and refusal.cause not in (Cause.SLIP, Cause.REQUEST)

    def _wait(self, refusal: Refusal, trial: _Try, repeats: int) -> None:
        """Wait before the same is asked again. Raises EngineError where no repeat, or no time, is left."""
        usual = min(FIRST_PAUSE * 2**trial.retries, LONGEST_PAUSE) * random.uniform(0.75, 1)  # noqa: S311 - jitter.
        wait = usual if refusal.retry_after is None else max(refusal.retry_after, 0.0)
        trial.retries += 1
        if trial.retries > repeats or wait >= self._http.left():
            raise self._error(refusal)
        time.sleep(wait)

    def _error(self, refusal: Refusal) -> EngineError:
        return EngineError(refusal.cause, {"status": refusal.status}, retry_after=refusal.retry_after)

    def _learn(self, manner: Capabilities, *, sure: bool, in_vain: int) -> None:
        """Ask in this manner from now on, after so many tickets that were refused in every manner."""
        with self._learning:
            if (manner, in_vain) == (self._capabilities, self._in_vain):
                return
            if words := "; ".join(manner.less_than(self._capabilities)):
                lasts = "a week" if sure else "an hour"
                log.warning("The model %s %s; this is remembered for %s", self.name, words, lasts)
            self._capabilities, self._in_vain = manner, in_vain
            if self._db is None:
                return
            try:
                with self._db.write() as session:
                    learned = asdict(manner) | ({"in_vain": in_vain} if in_vain else {})
                    model_capabilities.remember(session, self._endpoint, learned, now(), sure=sure)
            except SQLAlchemyError as error:
                log.warning("What was learned of the model cannot be kept: %s", type(error).__name__)

    def _call(self, messages: list[dict[str, str]], schema: dict[str, Any], trial: _Try) -> tuple[Answer, int]:
        """One answer of the endpoint, and what it cost. Raises EngineError and _RefusedError."""
        manner = trial.manner
        options = manner.options(schema, self._temperature, self._max_tokens)
        whole = json.dumps({"model": self.name, "messages": messages} | options, ensure_ascii=False)
        request = whole.encode("utf-8", "replace")
        # A token is at least one byte, in every tokenizer that works on bytes.
        reservation = self._budget.take(self.name, Usage(len(request), 0, manner.most_tokens(self._max_tokens)))
        used: Usage | None = Usage()
        cost = 0
        try:
            response = self._sent(request, trial)
            used = None  # From here on something may have been used, until we are told how much.
            said = completion.read(response.content)
            labels: list[str] = schema["json_schema"]["schema"]["properties"]["request_type"]["enum"]
            answer = find(said, plain=manner.format == "text", labels=labels)
            is_failure = answer.fields is None and not answer.refused
            if is_failure and (said.error or said.is_page):
                used = said.usage or Usage()
                raise _RefusedError(self._in_a_200(said, response, manner))
            used = answer.usage
        except _UnknownCostError as error:
            used = None
            raise error.error from None
        finally:
            cost = self._budget.put_back(reservation, self.name, used)
        return answer, cost

    def _in_a_200(self, said: completion.Completion, response: httpx2.Response, manner: Capabilities) -> Refusal:
        """Why a good status brought no answer: an error that was passed on, or a page of the web."""
        if said.error:
            return error_causes.judge_error(said.error, response.headers)
        if manner.beginning != self._address.beginnings[-1]:
            return Refusal(Cause.MODEL, response.status_code, "")  # The page of a server whose calls are elsewhere.
        raise EngineError("unreadable.page")

    def _sent(self, request: bytes, trial: _Try) -> httpx2.Response:
        """The endpoint's answer of a good status. Raises EngineError, _RefusedError, _UnknownCostError."""
        manner = trial.manner
        headers: dict[str, Any] = {"x-stainless-retry-count": str(trial.retries)}
        if manner.key != "bearer" and self._key:
            headers["api-key"] = self._key
        if manner.key == "api-key":
            headers["Authorization"] = openai.Omit()
        try:
            # `chat.completions.create` would look through the whole schema for each ticket, which takes as long again.
            path = f"{manner.beginning}/chat/completions"
            return self._sdk.post(path, cast_to=httpx2.Response, content=request, options={"headers": headers})
        except openai.APIStatusError as error:
            answer = error.response
            raise _RefusedError(error_causes.judge(error.status_code, answer.headers, answer.content)) from None
        except egress.GuardError as error:
            raise EngineError("address.unguarded", {"library": error.library}) from None
        except egress.AddressRefusedError as error:
            raise EngineError(Cause.ADDRESS, {"host": error.host}) from None
        except (DeadlineError, openai.APITimeoutError):
            raise _UnknownCostError(EngineError(Cause.TIMEOUT)) from None
        except AnswerError as error:
            raise _UnknownCostError(EngineError(f"unreadable.{error.kind}")) from None
        except openai.OpenAIError as error:
            refused = _RefusedError(Refusal(Cause.AWAY, 0, ""))
            raise refused if isinstance(error.__cause__, _NOT_SENT) else _UnknownCostError(refused) from None


class _UnknownCostError(Exception):
    """The call failed with `error`, and nobody knows what it cost."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error
