"""The engines: each answers a ticket's text with a proposal, which `decide` checks before anything is stored."""

from dataclasses import dataclass
from typing import Protocol

from receiver.catalog import Catalog
from receiver.settings import Settings


@dataclass(frozen=True, slots=True)
class TicketText:
    """What an engine sees of a ticket."""

    short_description: str
    long_description: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an engine answered, unchecked: `label` may be anything; `confidence` is between 0 and 1."""

    label: str
    confidence: float
    reasoning: str
    engine: str
    model: str
    alternatives: tuple[str, ...] = ()
    prompt_version: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class EngineError(Exception):
    """An engine has no answer.

    `permanent` means that asking again, for any ticket, is in vain until it is mended; `retry_after` is for how many
    seconds the engine asks to be left alone.
    """

    def __init__(self, message: str, *, permanent: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent, self.retry_after = permanent, retry_after


class Engine(Protocol):
    """What both engines can do; `propose` is called from up to `parallel` threads."""

    name: str
    model: str
    parallel: int

    def propose(self, ticket: TicketText) -> Proposal:
        """The engine's answer to one ticket. Raises EngineError."""
        ...


def choose(settings: Settings, catalog: Catalog) -> Engine:
    """The engine the settings ask for: the LLM where an endpoint is configured, else the local engine."""
    return make("llm" if settings.uses_llm else "local", settings, catalog)


def make(name: str, settings: Settings, catalog: Catalog) -> Engine:
    """The engine of this name, `llm` or `local`."""
    if name == "llm":
        from jobs.engines import llm

        return llm.LlmEngine(settings, catalog)
    from jobs.engines import local

    return local.for_catalog(catalog)
