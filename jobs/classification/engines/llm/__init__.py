"""The LLM engine: chat completions whose answer is one of the live catalog's entries."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

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
from receiver.lib.failures import Failure
from receiver.lib.retry_policy import Verdict
from receiver.lib.settings import Settings

_LONGEST_LABEL = 300


class LlmEngine:
    """Asks the model at OPENAI_BASE_URL, and LLM_FALLBACK_MODEL where that fails. One client serves every thread.

    With a database it remembers what the endpoint can do, keeps to the day's budget and to the circuit breaker of all
    workers, and, where it `repeats`, answers a ticket that is identical to an earlier one without asking again.
    """

    name = "llm"

    def __init__(
        self, settings: Settings, catalog: Catalog, db: Database | None = None, *, repeats: bool = True
    ) -> None:
        self.model = settings.llm_model
        self.parallel = settings.llm_concurrency
        self._catalog, self._answers_db = catalog, db if repeats else None
        self._prompt = Prompt(catalog, redacted=settings.redact)
        self._catalog_names = (*catalog.labels, *dict.fromkeys(kind.category for kind in catalog.request_types))
        self._limiter = CallLimiter(circuit_breaker.ENGINE, self.parallel, patience=settings.llm_timeout, db=db)
        budget = Budget(db, settings.llm_prices, settings.llm_daily_budget)
        http, sdk = connect(settings, self._limiter.saw)
        self._first_model = Model(settings.llm_model, sdk, http, budget, settings, db)
        fallback = settings.llm_fallback_model
        self._fallback_model = Model(fallback, sdk, http, budget, settings, db) if fallback else None
        self._has_examples = False
        self._is_harmless: dict[int, bool] = {}
        self._opinions = SecondOpinions(catalog)

    def propose(self, ticket: TicketText) -> Proposal:
        """The model's answer, after LLM_TIMEOUT seconds at most, retries included, and as many for the second model.

        Raises EngineError when there is none that can be read.
        """
        examples = self._harmless_examples(ticket)
        key = self._prompt.cache_key(ticket, examples, self.model)
        proposal = self._earlier_answer(key)
        if proposal is None:
            # The local engine computes while the model thinks, so its opinion costs no time.
            opinion = self._opinions.begin(ticket)
            asked, failure = self._ask(self._prompt.messages(ticket, examples))
            proposal = replace(self._proposal(ticket, asked, opinion, key), stands_in_for=failure)
        return replace(proposal, example_ids=tuple(example.id for example in examples))

    def learn(self, examples: Sequence[Example]) -> None:
        """These are all the examples there are; the local engine finds those that are like a ticket."""
        local.for_catalog(self._catalog).learn(examples)
        self._has_examples, self._is_harmless = bool(examples), {}

    def _harmless_examples(self, ticket: TicketText) -> list[Example]:
        """The examples that are most like a ticket, without those whose text tries to command the model.

        Where a person reviewed a ticket before any model read it, nothing has said yet whether it does.
        """
        if not self._has_examples:
            return []
        found = local.for_catalog(self._catalog).nearest(ticket, SHOWN_EXAMPLES)
        for example in found:
            if example.id not in self._is_harmless:
                self._is_harmless[example.id] = not self._steers(example.text)
        return [example for example in found if self._is_harmless[example.id]]

    def _steers(self, text: TicketText) -> bool:
        return prompt_injection.detect(f"{text.short_description}\n{text.long_description}", self._catalog_names)

    def _earlier_answer(self, key: str) -> Proposal | None:
        """The proposal that an identical ticket was given, which costs nothing; None where there is none."""
        if self._answers_db is None:
            return None
        with self._answers_db.read() as session:
            earlier = classifications.answered(session, key)
        if earlier is None:
            return None
        return Proposal(
            label=self._catalog.names.get((earlier.category, earlier.request_type), ""),
            confidence=earlier.confidence,
            reasoning=earlier.reasoning,
            alternatives=tuple(earlier.alternatives),
            engine=self.name,
            model=earlier.model,
            prompt_version=earlier.prompt_version,
            second_opinion=earlier.second_opinion,
            cache_key=key,
            from_cache=True,
            fuzzy_matched=earlier.fuzzy_matched,
        )

    def _ask(self, messages: list[dict[str, str]]) -> tuple[Asked, EngineError | None]:
        """An answer that can be read, and where it is the second model's, why the first gave none."""
        try:
            return self._ask_first_model(messages), None
        except EngineError as error:
            # A wrong key or a refused text fares no better with another model at the same endpoint.
            in_vain = error.verdict in (Verdict.PERMANENT, Verdict.ABOUT_TICKET, Verdict.BUDGET)
            if self._fallback_model is None or in_vain:
                raise
            try:
                asked = self._fallback_model.ask(messages, self._prompt.schema)
            except EngineError:
                raise error from None  # The first model is the one that an operator chose, and mends.
            return asked, error

    def _ask_first_model(self, messages: list[dict[str, str]]) -> Asked:
        """The answer of the model whose endpoint the circuit breaker watches; its outcome is told to the limiter."""
        try:
            self._limiter.enter()
        except LeftAloneError as error:
            raise EngineError(error.failure.code, error.failure.facts, asked=False) from None
        answered: bool | None = None
        failure: Failure | None = None
        pause = 0.0
        try:
            asked = self._first_model.ask(messages, self._prompt.schema)
            answered = True
        except EngineError as error:
            # An endpoint that refuses one text is there all the same; one that was not asked has told nothing.
            answered = None if error.verdict is Verdict.BUDGET else error.about_ticket
            failure = error.failure
            usual = circuit_breaker.PROBE_EVERY.total_seconds()
            wait = min(error.retry_after or 0.0, circuit_breaker.LONGEST_PAUSE.total_seconds())
            if error.permanent or wait > usual:
                pause = max(wait, usual)
            raise
        else:
            return asked
        finally:
            self._limiter.leave(answered=answered, failure=failure, pause=pause)

    def _proposal(self, ticket: TicketText, asked: Asked, opinion: Future[Proposal] | None, key: str) -> Proposal:
        """What the model's answer says, unchecked, beside what the local engine would have said."""
        answer, usage = asked.answer.read(), asked.answer.usage or Usage()
        label, category = storable(answer.get("request_type", ""), _LONGEST_LABEL), answer.get("category")
        if label not in self._catalog.labels and isinstance(category, str):
            label = f"{storable(category, _LONGEST_LABEL)}: {label}"  # Some models split an entry's name in two.
        listed = answer.get("alternatives")
        alternatives = [
            other
            for other in (listed if isinstance(listed, list) else [])
            if isinstance(other, str) and other in self._catalog.labels
        ]
        text = f"{ticket.short_description}\n{ticket.long_description}"
        is_named, sureness = prompt_injection.names_entry(text, label), confidence(answer.get("confidence"))
        # Whoever is sure, and was not told what to say, is right or wrong without it.
        second = self._opinions.get(ticket, opinion, needed=is_named or sureness < SURE)
        # Who spells an entry's name out and gets it, against what the rest of the ticket says, may have ordered it.
        is_ordered = is_named and (second is None or second.label != label or second.steers)
        return Proposal(
            label=label,
            confidence=sureness,
            reasoning=storable(answer.get("reasoning", "")),
            alternatives=tuple(alternatives[:2]),
            engine=self.name,
            model=asked.model,
            prompt_version=self._prompt.version,
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cost_micros=asked.cost_micros,
            second_opinion=second.label if second else None,
            steers=is_ordered or self._steers(ticket),
            cache_key=key,
        )
