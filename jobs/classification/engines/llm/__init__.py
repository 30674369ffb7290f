"""The LLM engine: chat completions whose answer is one of the live catalog's entries."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from jobs.classification import prompt_injection
from jobs.classification.engines import local
from jobs.classification.engines.base import SURE, EngineError, Example, Proposal, TicketText
from jobs.classification.engines.llm.answer import confidence, storable
from jobs.classification.engines.llm.budget import Budget
from jobs.classification.engines.llm.completion import Usage
from jobs.classification.engines.llm.model import Asked, Model, connect
from jobs.classification.engines.llm.prompt import SHOWN_EXAMPLES, Prompt
from jobs.classification.engines.llm.second_opinions import SecondOpinions
from receiver.catalog import Catalog
from receiver.db import circuit_breaker, classifications
from receiver.db.circuit_breaker import CallLimiter, LeftAloneError
from receiver.db.database import Database
from receiver.db.models import Classification
from receiver.lib.failures import Failure
from receiver.lib.retry_policy import Verdict
from receiver.lib.settings import Settings

_LONGEST_LABEL = 300

log = logging.getLogger(__name__)


class LlmEngine:
    """Asks the model at OPENAI_BASE_URL, and LLM_FALLBACK_MODEL where that fails. One client serves every thread.

    With a `record` it remembers what the endpoint can do, keeps to the day's budget, and, where it `repeats`, answers a
    ticket that is identical to an earlier one without asking again.
    """

    name = "llm"

    def __init__(
        self, settings: Settings, catalog: Catalog, db: Database | None = None, *, repeats: bool = True
    ) -> None:
        self.model = settings.llm_model
        self.parallel = settings.llm_concurrency
        self._catalog, self._answers = catalog, db if repeats else None
        self._prompt = Prompt(catalog, redacted=settings.redact)
        self._names = (*catalog.labels, *dict.fromkeys(kind.category for kind in catalog.request_types))
        self._limiter = CallLimiter(circuit_breaker.ENGINE, self.parallel, patience=settings.llm_timeout, db=db)
        self._purse = Budget(db, settings.llm_prices, settings.llm_daily_budget)
        http, sdk = connect(settings, self._limiter.saw)
        self._first = Model(settings.llm_model, sdk, http, self._purse, settings, db)
        fallback = settings.llm_fallback_model
        self._second = Model(fallback, sdk, http, self._purse, settings, db) if fallback else None
        self._has_examples = False
        self._harmless: dict[int, bool] = {}
        self._opinions = SecondOpinions(catalog)

    def propose(self, ticket: TicketText) -> Proposal:
        """The model's answer, after LLM_TIMEOUT seconds at most, retries included, and as many for the second model.

        Raises EngineError when there is none that can be read.
        """
        examples = self._nearest(ticket)
        key = self._prompt.cache_key(ticket, examples, self.model)
        known = self._known_answer(key)
        if known:
            proposal = self._again(known, key)
        else:
            opinion = self._opinions.begin(ticket)
            asked, failure = self._ask(self._prompt.messages(ticket, examples))
            proposal = replace(self._proposal(ticket, asked, opinion, key), stands_in_for=failure)
        return replace(proposal, example_ids=tuple(example.id for example in examples))

    def learn(self, examples: Sequence[Example]) -> None:
        """These are all the examples there are; the local engine finds those that are like a ticket."""
        local.for_catalog(self._catalog).learn(examples)
        self._has_examples, self._harmless = bool(examples), {}

    def _nearest(self, ticket: TicketText) -> list[Example]:
        found = local.for_catalog(self._catalog).nearest(ticket, SHOWN_EXAMPLES) if self._has_examples else []
        return [example for example in found if self._is_harmless(example)]

    def _is_harmless(self, example: Example) -> bool:
        """Looked at here too: where a person reviewed it before any model read it, nothing has said if it commands."""
        if example.id not in self._harmless:
            self._harmless[example.id] = not self._steers(example.text)
        return self._harmless[example.id]

    def _steers(self, text: TicketText) -> bool:
        return prompt_injection.detect(f"{text.short_description}\n{text.long_description}", self._names)

    def _ask(self, messages: list[dict[str, str]]) -> tuple[Asked, EngineError | None]:
        """An answer that can be read, and where it is the second model's, why the first gave none."""
        try:
            return self._ask_first(messages), None
        except EngineError as error:
            in_vain = error.verdict in (Verdict.PERMANENT, Verdict.ABOUT_TICKET, Verdict.BUDGET)
            if self._second is None or in_vain:
                raise
            try:
                asked = self._second.ask(messages, self._prompt.schema)
            except EngineError:
                raise error from None
            return asked, error

    def _ask_first(self, messages: list[dict[str, str]]) -> Asked:
        try:
            self._limiter.enter()
        except LeftAloneError as error:
            raise EngineError(error.failure.code, error.failure.facts, asked=False) from None
        answered: bool | None = None
        failure: Failure | None = None
        pause = 0.0
        try:
            asked = self._first.ask(messages, self._prompt.schema)
            answered = True
        except EngineError as error:
            answered = None if error.verdict is Verdict.BUDGET else error.about_ticket
            failure, pause = error.failure, _pause(error)
            raise
        else:
            return asked
        finally:
            self._limiter.leave(answered=answered, failure=failure, pause=pause)

    def _known_answer(self, key: str) -> Classification | None:
        if self._answers is None:
            return None
        with self._answers.read() as session:
            return classifications.answered(session, key)

    def _again(self, known: Classification, key: str) -> Proposal:
        """The proposal that an identical ticket was given."""
        return Proposal(
            label=self._catalog.names.get((known.category, known.request_type), ""),
            confidence=known.confidence,
            reasoning=known.reasoning,
            alternatives=tuple(known.alternatives),
            engine=self.name,
            model=known.model,
            prompt_version=known.prompt_version,
            second_opinion=known.second_opinion,
            cache_key=key,
            from_cache=True,
            fuzzy_matched=known.fuzzy_matched,
        )

    def _proposal(self, ticket: TicketText, asked: Asked, opinion: Future[Proposal] | None, key: str) -> Proposal:
        answer, usage = asked.answer.read(), asked.answer.usage or Usage()
        label = self._written(answer)
        text = f"{ticket.short_description}\n{ticket.long_description}"
        named, sureness = prompt_injection.names_entry(text, label), confidence(answer.get("confidence"))
        # Whoever is sure, and was not told what to say, is right or wrong without it.
        second = self._opinions.get(ticket, opinion, needed=named or sureness < SURE)
        # Who spells an entry's name out and gets it, against what the rest of the ticket says, may have ordered it.
        ordered = named and (second is None or second.label != label or second.steers)
        return Proposal(
            label=label,
            confidence=sureness,
            reasoning=storable(answer.get("reasoning", "")),
            alternatives=self._known(answer.get("alternatives")),
            engine=self.name,
            model=asked.model,
            prompt_version=self._prompt.version,
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cost_micros=asked.cost_micros,
            second_opinion=second.label if second else None,
            steers=ordered or self._steers(ticket),
            cache_key=key,
        )

    def _written(self, answer: dict[str, Any]) -> str:
        """The label, with the category where the model named one beside it and the label alone is no entry."""
        label, category = storable(answer.get("request_type", ""), _LONGEST_LABEL), answer.get("category")
        alone = label in self._catalog.labels or not isinstance(category, str)
        return label if alone else f"{storable(category, _LONGEST_LABEL)}: {label}"

    def _known(self, alternatives: Any) -> tuple[str, ...]:
        found = alternatives if isinstance(alternatives, list) else []
        return tuple(label for label in found if isinstance(label, str) and label in self._catalog.labels)[:2]


def _pause(error: EngineError) -> float:
    """For how long an error asks to leave the endpoint alone, where that is longer than the usual pause."""
    usual = circuit_breaker.PROBE_EVERY.total_seconds()
    wait = min(error.retry_after or 0.0, circuit_breaker.LONGEST_PAUSE.total_seconds())
    return max(wait, usual) if error.permanent or wait > usual else 0.0
