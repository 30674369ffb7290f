"""How a source's bodies are read: its profile's paths, and what SOURCES_FILE changes about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.intake.sources.expressions import Expression
from receiver.intake.sources.helpdesk_profile import FieldPath, Names, Profile


@dataclass(frozen=True)
class PayloadMapping:
    """`fields` may be empty where items are in our own form already; `events` may be, where every event is taken.

    What `own_actor` does, the user as whom we write to the helpdesk, is not taken; `actor` is where its name stands.
    """

    items: Expression | None = None
    fields: Mapping[str, FieldPath] = field(default_factory=dict)
    delivery: Names = field(default_factory=Names)
    event: Names = field(default_factory=Names)
    events: tuple[str, ...] = ()
    actor: Names = field(default_factory=Names)
    own_actor: str | None = None
    lenient: bool = False
    thin: bool = False

    @classmethod
    def of(cls, profile: Profile, changed: Mapping[str, Any] | None = None) -> "PayloadMapping":
        """The shape of a profile; what is `changed` goes before it, single fields too."""
        # What both have under one name is the profile's; own_actor is of a source alone.
        known = cls.__dataclass_fields__.keys() & Profile.__dataclass_fields__.keys()
        values = {name: getattr(profile, name) for name in known} | dict(changed or {})
        values["fields"] = dict(profile.fields) | dict((changed or {}).get("fields", {}))
        return cls(**values)

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers, in lower case, without which a recorded delivery could not be read again."""
        return tuple(name.lower() for name in (self.delivery.header, self.event.header, self.actor.header) if name)

    def is_own(self, actor: str | None) -> bool:
        """Whether an event was caused by what we wrote; never where it does not say by whom."""
        return None not in (actor, self.own_actor) and str(actor).casefold() == str(self.own_actor).casefold()

    def takes(self, event: str | None) -> bool:
        """Whether an event makes or changes a ticket; one without a name is taken, and its items must speak for it."""
        return event is None or not self.events or event in self.events
