"""What is known of a kind of helpdesk, as the profile files say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from receiver.intake.signatures.hmacs import Hmac
from receiver.intake.signatures.standard import Standard
from receiver.intake.signatures.static import Credential, Unsigned
from receiver.intake.signatures.tokens import SignedToken
from receiver.intake.sources.expressions import Expression

FIELDS = (
    "id", "short_description", "long_description", "requester_email", "created_at", "updated_at", "priority", "url",
)  # fmt: skip
Signing = Standard | Hmac | Credential | SignedToken | Unsigned


@dataclass(frozen=True)
class FieldPath:
    """Where a field of a ticket stands in an item, and what it is written in.

    `format_from` finds a content type (`text/html`) that goes before `format`; `zone` is the time zone of times that
    name none.
    """

    path: Expression
    format: str | None = None
    format_from: Expression | None = None
    zone: ZoneInfo | None = None


@dataclass(frozen=True)
class Names:
    """Where something is named: in a header, in the body, and in each item; what is found is joined by a dot."""

    header: str | None = None
    body: Expression | None = None
    item: Expression | None = None


@dataclass(frozen=True)
class Sample:
    """A delivery of this kind, as a template: `$number`, `$seconds`, `$ms` and `$iso` are filled in."""

    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """How a kind of helpdesk signs and shapes what it sends, what its API wants, and how a person connects it."""

    name: str
    title: str
    setup: str
    sample: Sample
    signings: Mapping[str, Signing] = field(default_factory=dict)
    delivery: Names = field(default_factory=Names)
    event: Names = field(default_factory=Names)
    events: tuple[str, ...] = ()
    actor: Names = field(default_factory=Names)
    items: Expression | None = None
    fields: Mapping[str, FieldPath] = field(default_factory=dict)
    lenient: bool = False
    thin: bool = False
    challenge: bool = False
    answers_head: bool = False
    api: Mapping[str, Any] | None = None
    template: str | None = None
    notes: str | None = None
    facts: tuple[str, ...] = ()

    @property
    def completes(self) -> bool:
        """Whether its deliveries lack what its API knows; the requester's address, above all."""
        return self.api is not None and "complete" in self.api
