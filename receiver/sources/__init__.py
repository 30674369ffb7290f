"""The sources: who may push tickets, and how each signs and shapes its deliveries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from marshmallow import ValidationError

from receiver import secrets, signatures
from receiver.record.deliveries import Content
from receiver.settings import Settings, SettingsError
from receiver.sources import standard


@dataclass(frozen=True)
class Profile:
    """How a kind of helpdesk signs and shapes what it sends.

    `verify(secrets, headers, body, now)` returns the delivery id or raises SignatureError; `read(body, max_batch)`
    returns what is in a genuine body and never raises.
    """

    name: str
    verify: Callable[[tuple[str, ...], Mapping[str, str], bytes, float], str]
    read: Callable[[bytes, int], Content]
    headers: tuple[str, ...]


PROFILES = {
    "standard": Profile("standard", signatures.verify_standard, standard.read, ("webhook-id", "webhook-timestamp")),
}


@dataclass(frozen=True)
class Source:
    """One helpdesk that pushes to us."""

    name: str
    profile: Profile
    secrets: tuple[str, ...]


def configured(settings: Settings) -> dict[str, Source]:
    """Every source by name: `standard`, and those of SOURCES_FILE. Raises SettingsError."""
    own = Source("standard", PROFILES["standard"], secrets.webhook_secrets(settings))
    others = _from_file(Path(settings.sources_file)) if settings.sources_file else []
    if any(source.name == own.name for source in others):
        raise SettingsError("SOURCES_FILE: `standard` is the source of WEBHOOK_SECRET; give yours another name")
    return {source.name: source for source in [own, *others]}


def _from_file(path: Path) -> list[Source]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = document["sources"].items()
    except (OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # Not the error's own text, which repeats lines of the file, and there are secrets in it.
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else type(error).__name__
        raise SettingsError(f"SOURCES_FILE: {path} is not YAML with a `sources` mapping ({where})") from None
    return [_source(str(name), entry) for name, entry in entries]


def _source(name: str, entry: Any) -> Source:
    profile = PROFILES.get(str(entry.get("profile", "standard"))) if isinstance(entry, dict) else None
    if profile is None:
        known = ", ".join(PROFILES)
        raise SettingsError(f"SOURCES_FILE: source {name!r} needs a profile this version has: {known}")
    listed = entry.get("secrets")
    found = tuple(str(secret) for secret in listed) if isinstance(listed, list) else ()
    try:
        for secret in found:
            signatures.standard_key(secret)
    except ValidationError as error:
        raise SettingsError(f"SOURCES_FILE: a secret of {name!r}: {' '.join(map(str, error.messages))}") from None
    if not found:
        raise SettingsError(f"SOURCES_FILE: source {name!r} has no list of secrets, so nothing it sends can be trusted")
    return Source(name, profile, found)
