"""The sources: who may push tickets, and how each signs and shapes its deliveries."""

from collections.abc import Mapping

from receiver.intake.signatures.standard import Standard
from receiver.intake.sources import file, profiles
from receiver.intake.sources.payload_mapping import PayloadMapping
from receiver.intake.sources.source import Source
from receiver.lib import secret_files
from receiver.lib.settings import Settings, SettingsError

__all__ = ["Source", "configured", "writing_back"]


def writing_back(sources: Mapping[str, Source]) -> dict[str, bool]:
    """The sources that are told of classifications, and whether also of uncertain ones."""
    return {name: bool(found.write_back.get("uncertain")) for name, found in sources.items() if found.write_back}


def configured(settings: Settings) -> dict[str, Source]:
    """Every source by name: `standard`, and those of SOURCES_FILE. Raises SettingsError naming every mistake."""
    profile = profiles.shipped()["standard"]
    own = Source("standard", profile, secret_files.standard(settings), Standard(), PayloadMapping.of(profile))
    others = file.load(settings) if settings.sources_file else []
    if any(source.name == own.name for source in others):
        raise SettingsError("SOURCES_FILE: `standard` is the source of WEBHOOK_SECRET; give yours another name")
    return {source.name: source for source in [own, *others]}
