"""One source: how its messages are verified and read."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from receiver.db.deliveries import Content
from receiver.intake.signatures import Message
from receiver.intake.signatures.static import Credential, Unsigned
from receiver.intake.sources import mapping
from receiver.intake.sources.helpdesk_profile import Profile, Signing
from receiver.intake.sources.payload_mapping import PayloadMapping
from receiver.lib.shared_secrets import Secret

_BUGS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_KEPT_HEADERS = ("content-type", "content-encoding", "user-agent")


@dataclass(frozen=True, repr=False)  # A repr would show the secrets in a log or a traceback.
class Source:
    """One helpdesk that pushes to us.

    `api`, `write_back` and `reconcile` are the mappings of these names in SOURCES_FILE, for the jobs to read.
    """

    name: str
    profile: Profile
    secrets: Sequence[Secret]
    signing: Signing
    shape: PayloadMapping
    api: Mapping[str, Any] | None = None
    write_back: Mapping[str, Any] | None = None
    reconcile: Mapping[str, Any] | None = None

    @property
    def is_signed(self) -> bool:
        """Whether what arrives is proved to come from this source."""
        return not isinstance(self.signing, Unsigned)

    @property
    def path(self) -> str:
        """Where its deliveries go."""
        return f"/webhooks/{quote(self.name, safe='')}"

    def proof(self, now: float) -> str:
        """How it proves itself, in a word or two; `now` in unix seconds."""
        if not self.is_signed:
            return "UNSIGNED"
        kind = "credential" if isinstance(self.signing, Credential) else "signed"
        return kind if any(secret.is_live(now) for secret in self.secrets) else f"{kind}, but every secret has ended"

    @property
    def completes(self) -> bool:
        """Whether tickets that arrive incomplete are completed from the helpdesk's API."""
        return self.api is not None and self.profile.completes

    def verify(self, message: Message, now: float) -> str | None:
        """The delivery id of a genuine message where it is signed; `now` in unix seconds. Raises SignatureError."""
        return self.signing.verify(tuple(iter(self.secrets)), message, now)

    def kept(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Of a message's headers, in lower case, those that are recorded: none that proves who sent it."""
        names = (*_KEPT_HEADERS, *self.signing.headers, *self.shape.headers)
        return {name: headers[name] for name in names if name in headers}

    def read(self, body: bytes, headers: Mapping[str, str], max_batch: int, max_bytes: int) -> Content:
        """What is in a genuine body; `headers` are the `kept` ones. Never raises, so that it can be done again."""
        try:
            content = mapping.read(self.shape, body, headers, max_batch, max_bytes)
        except _BUGS as error:
            # What was proved to be genuine is kept for a replay, because many a helpdesk never sends it again. Only the
            # place of the fault is told: the text of the error may repeat some of the ticket's.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            told = f"this program could not read it, which is a fault of its own ({where}); replay it after an upgrade"
            return Content(error=told)
        return self.completing(content)

    def completing(self, content: Content) -> Content:
        """The content, marked to be completed from the helpdesk's API where there is one."""
        if not self.completes:
            return content
        # Some helpdesks' events say no more of a ticket than that it has changed.
        bare = [ticket.external_id for ticket in content.tickets if self.shape.thin and not ticket.long_description]
        return replace(content, completes=True, named=bare)
