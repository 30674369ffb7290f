"""What every engine takes and answers, and how it fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from receiver.lib.failures import Failure
from receiver.lib.retry_policy import Cause, Verdict

# An engine that is less sure than this, and that the other one contradicts, is checked.
SURE = 0.8


@dataclass(frozen=True, slots=True)
class TicketText:
    """What an engine sees of a ticket."""

    short_description: str
    long_description: str


@dataclass(frozen=True, slots=True)
class Example:
    """A ticket that a person reviewed, and the entry they chose; `id` is new for every review."""

    id: int
    text: TicketText
    category: str
    request_type: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an engine answered, unchecked: `label` may be anything; `confidence` is between 0 and 1.

    `second_opinion` is what the local engine would have said, `steers` whether the text tries to command the model.
    `stands_in_for` is why the model that should have answered did not; `cache_key` is by what an identical ticket
    finds this answer; `from_cache` is an answer that was found so, which had been `fuzzy_matched` then. `cost_micros`
    is in millionths, and `example_ids` are of the reviewed tickets that the model was shown.
    """

    label: str
    confidence: float
    reasoning: str
    engine: str
    model: str
    alternatives: tuple[str, ...] = ()
    prompt_version: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micros: int = 0
    second_opinion: str | None = None
    steers: bool = False
    stands_in_for: "EngineError | None" = None
    cache_key: str | None = None
    from_cache: bool = False
    fuzzy_matched: bool = False
    example_ids: tuple[int, ...] = ()


class EngineError(Exception):
    """An engine has no answer; `failure` is the code and the facts, which its text is made of.

    `retry_after` is for how many seconds the engine asks to be left alone; `asked` is False where the engine was
    spared, so that the ticket has used up nothing.
    """

    def __init__(
        self,
        code: str,
        facts: Mapping[str, str | int] | None = None,
        *,
        retry_after: float | None = None,
        asked: bool = True,
    ) -> None:
        self.failure = Failure(code, facts or {})
        super().__init__(str(self.failure))
        self.retry_after, self.asked = retry_after, asked

    @property
    def cause(self) -> Cause:
        """What is counted, and what the retry policy goes by."""
        return self.failure.cause

    @property
    def verdict(self) -> Verdict:
        """What becomes of the ticket; where the engine was spared, it waits, whatever the engine was spared for."""
        verdict = self.failure.policy.verdict
        return verdict if self.asked or verdict is Verdict.BUDGET else Verdict.OUTAGE

    @property
    def permanent(self) -> bool:
        """Whether asking again, for any ticket, is in vain until an operator mends it."""
        return self.verdict is Verdict.PERMANENT

    @property
    def about_ticket(self) -> bool:
        """Whether it is this ticket's text that is refused, and will be again."""
        return self.verdict is Verdict.ABOUT_TICKET


class BudgetError(EngineError):
    """The day's budget is spent; the engine answers again on the next day (UTC)."""

    def __init__(self) -> None:
        super().__init__(Cause.BUDGET, asked=False)


class Engine(Protocol):
    """What both engines can do; `propose` is called from up to `parallel` threads."""

    name: str
    model: str
    parallel: int

    def propose(self, ticket: TicketText) -> Proposal:
        """The engine's answer to one ticket. Raises EngineError."""
        ...

    def learn(self, examples: Sequence[Example]) -> None:
        """From now on, these are all the examples there are; those that are known already cost nothing."""
        ...
