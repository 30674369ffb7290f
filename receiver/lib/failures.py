"""What went wrong with a model, as codes that are stored, and the sentence that is made of them where it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from receiver.lib.retry_policy import MODEL, Cause, Policy

# By cause, or by cause and kind where one cause has several sentences; `{status}` and the like are facts of a failure.
_SENTENCES = {
    "away": "the model's endpoint cannot be reached; check OPENAI_BASE_URL and whether it runs",
    "timeout": "the model's endpoint failed: Timeout; it took longer than LLM_TIMEOUT",
    "busy": "the model's endpoint failed ({status})",
    "unreadable": "the model gave no readable answer (finish_reason: {finish_reason})",
    "unreadable.page": (
        "the model's endpoint answers with a page of the web; check OPENAI_BASE_URL, and what is in between"
    ),
    "unreadable.too_large": "the model's endpoint failed: the answer is too large",
    "unreadable.compressed": "the model's endpoint failed: the answer is compressed wrongly",
    "unreadable.unknown_compression": "the model's endpoint failed: the answer is compressed in an unknown way",
    "no_room": (
        "the model's endpoint has no room for as many tokens as the model needs for its answer ({status}); lower "
        "LLM_MAX_TOKENS, or choose another LLM_MODEL"
    ),
    "no_room.cut_off": ("the model found no end within its limit (finish_reason: length); raise LLM_MAX_TOKENS"),
    "request": "the model's endpoint refuses the request ({status})",
    "parameter": "the model's endpoint refuses the request ({status})",
    "slip": "the model's endpoint refuses the request ({status})",
    "spared": "the model's endpoint is spared",
    "spared.full": "the model's endpoint takes no more calls at once",
    "budget": "LLM_DAILY_BUDGET is spent; the local engine answers until midnight UTC",
    "key": "the model's endpoint refused the key ({status}); check OPENAI_API_KEY and OPENAI_BASE_URL",
    "billing": (
        "the model's endpoint says that there is no money or quota left ({status}); check billing and plan at the "
        "provider"
    ),
    "model": "the model's endpoint does not know the model ({status}); check LLM_MODEL and OPENAI_BASE_URL",
    "region": (
        "the model's endpoint does not serve this country or region ({status}); choose another provider or region for "
        "it"
    ),
    "redirect": (
        "the model's endpoint redirects ({status}), which is not followed; write where it is in OPENAI_BASE_URL"
    ),
    "address": (
        "the model's endpoint is not asked: the host {host} is at an address that is not public; if that is meant, "
        "name it in OUTGOING_ALLOW"
    ),
    "address.unguarded": (
        "the model's endpoint is not asked: no request is sent: {library} as installed do not call what guards them; "
        "install the versions that requirements.txt names"
    ),
    "refused": "the model refused to answer for this ticket",
    "filtered": "the model's endpoint refuses this ticket's text by its content filter ({status})",
    "too_long": (
        "the model's endpoint refuses this ticket's text as too long ({status}); where it does so for every ticket, "
        "the model's context is too small for the catalog: choose another LLM_MODEL, or shorten the descriptions and "
        "examples"
    ),
    "plan": (
        "the model's endpoint says that the request is larger than the plan allows for a minute ({status}); raise the "
        "plan's limit of tokens per minute at the provider, or choose another LLM_MODEL"
    ),
    # What an earlier release kept as a sentence.
    "other": "{said}",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A code, which is a cause or `cause.kind`, and the facts that its sentence names.

    No fact repeats a ticket or a secret, for the sentence is logged, mailed and shown.
    """

    code: str
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def cause(self) -> Cause:
        """What is counted, and what the policy goes by."""
        return Cause(self.code.partition(".")[0])

    @property
    def policy(self) -> Policy:
        """What is done about it."""
        return MODEL[self.cause]

    def __str__(self) -> str:
        """In words; for a code or facts of another release at least the code."""
        try:
            return _SENTENCES[self.code].format(**self.facts)
        except KeyError:
            return f"the model's endpoint failed ({self.code})"
