"""SOURCES_FILE: the sources an operator configures, checked together, their secrets never repeated."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import marshmallow.fields as mf
from marshmallow import Schema, ValidationError
from marshmallow.validate import Length, OneOf, Range

from receiver.intake.signatures.hmacs import Hmac
from receiver.intake.signatures.static import Unsigned
from receiver.intake.sources import outgoing, profiles
from receiver.intake.sources.credentials import TokenSchema, secret_field
from receiver.intake.sources.helpdesk_profile import Names, Profile, Signing
from receiver.intake.sources.payload_mapping import PayloadMapping
from receiver.intake.sources.profiles import HmacSchema, NamesSchema, Path_, fields_of
from receiver.intake.sources.source import Source
from receiver.lib import strict_yaml
from receiver.lib.setting_kinds import Network
from receiver.lib.settings import Settings, SettingsError
from receiver.lib.shared_secrets import Secret

_SHAPE = ("items", "fields", "delivery", "event", "events", "actor", "own_actor", "lenient")
_LONGEST_SOURCE = 100


def _parse_network(value: object) -> Network:
    try:
        return ip_network(str(value))
    except ValueError:
        raise ValidationError("Not an address or a network such as 10.1.0.0/16.") from None


def _check_profile(name: str) -> None:
    if name not in profiles.shipped():
        raise ValidationError(f"This version has the profiles {', '.join(profiles.shipped())}.")


class _Entry(Schema):
    """One source as it is written."""

    profile = mf.String(
        load_default="standard",
        validate=_check_profile,
        error_messages=dict.fromkeys(("null", "invalid"), "Name a profile, such as standard, zendesk or token."),
    )
    secrets = mf.List(secret_field(), validate=Length(min=1))
    token = mf.Nested(TokenSchema)
    hmac = mf.Nested(HmacSchema)
    signing = mf.String()
    window = mf.Float(validate=Range(min=1), allow_none=True)
    unsigned = mf.Boolean(validate=OneOf([True], error="Leave it out, or write unsigned: true."))
    allow_from = mf.List(mf.Function(deserialize=_parse_network), validate=Length(min=1))
    items = Path_()
    fields: Any = fields_of()  # marshmallow has an attribute of this name; as a field it is one like the others.
    delivery = mf.Nested(NamesSchema)
    event = mf.Nested(NamesSchema)
    events = mf.List(mf.String())
    actor = mf.Nested(NamesSchema)
    own_actor = mf.String(validate=Length(1, 200))
    lenient = mf.Boolean()
    api = mf.Dict(keys=mf.String())
    write_back = mf.Dict(keys=mf.String())
    reconcile = mf.Dict(keys=mf.String())


def load(settings: Settings) -> list[Source]:
    """The sources in SOURCES_FILE. Raises SettingsError naming every mistake."""
    path = Path(settings.sources_file or "")
    try:
        entries: Mapping[object, object] = strict_yaml.part(path, "sources", dict)
    except strict_yaml.DocumentError as error:
        raise SettingsError(f"SOURCES_FILE: {error}") from None
    found, wrong = [], []
    for name, entry in entries.items():
        try:
            found.append(_read_source(settings, str(name), entry))
        except ValidationError as error:
            wrong += [f"source {str(name)!r}: {line}" for line in strict_yaml.mistakes(error.normalized_messages())]
    if wrong:
        raise SettingsError("\n  ".join([f"SOURCES_FILE: {path} has mistakes:", *wrong]))
    return found


def _read_source(settings: Settings, name: str, entry: object) -> Source:
    """One source as it is configured. Raises ValidationError."""
    # Of dots alone: clients and proxies take `..` out of an address before they send it.
    if not name.strip(". ") or name != name.strip() or not name.isprintable() or "/" in name:
        raise ValidationError("Its name is part of its address: write one without slashes and spaces around it.")
    if len(name) > _LONGEST_SOURCE:
        raise ValidationError(f"Its name is longer than {_LONGEST_SOURCE} characters.")
    if not isinstance(entry, dict):
        raise ValidationError("Not a mapping with a profile and secrets.")
    data: dict[str, Any] = _Entry().load(entry)
    if "events" in data:
        data["events"] = tuple(data["events"])
    profile = profiles.shipped()[data["profile"]]
    signing, live = _choose_signing(settings, profile, data)
    for number, secret in enumerate(live, 1):
        try:
            signing.check(secret.value)
        except ValidationError as error:
            raise ValidationError(f"secret {number}: {' '.join(map(str, error.messages))}") from None
    if signing.needs_url and not settings.public_url:
        raise ValidationError("The address is part of its signature: set PUBLIC_URL to what the helpdesk calls.")
    if data.get("own_actor") and data.get("actor", profile.actor) == Names():
        raise ValidationError("own_actor: nothing says where the events of this helpdesk name who acted; add actor.")
    shape = PayloadMapping.of(profile, {key: data[key] for key in _SHAPE if key in data})
    return Source(name, profile, live, signing, shape, **outgoing.read(profile, data))


def _choose_signing(settings: Settings, profile: Profile, data: dict[str, Any]) -> tuple[Signing, tuple[Secret, ...]]:
    """How this source proves itself, by one way only, and with which secrets. Raises ValidationError."""
    if data.get("unsigned"):
        return _allow_unsigned(settings, data), ()
    if "token" in data:
        if "secrets" in data or "hmac" in data:
            raise ValidationError("token and secrets are two ways of proving who one is; give one of them.")
        credential, live = data["token"]
        return credential, live
    if not data.get("secrets"):
        raise ValidationError("No list of secrets, so nothing it sends can be trusted; the helpdesk's page says which.")
    signing, known, name = data.get("hmac"), profile.signings, data.get("signing")
    if signing is None:
        if not known:
            raise ValidationError("This helpdesk cannot sign: give a token, or say in hmac how your script signs.")
        if name is not None and name not in known:
            raise ValidationError(f"signing: there are {', '.join(known)}.")
        signing = known[name] if name else next(iter(known.values()))
    if "window" in data and isinstance(signing, Hmac):
        signing = replace(signing, window=data["window"])
    return signing, tuple(data["secrets"])


def _allow_unsigned(settings: Settings, data: dict[str, Any]) -> Unsigned:
    """Nothing to prove, which is only for who can reach us from this machine, or from addresses that are named."""
    if {"secrets", "token", "hmac"} & set(data):
        raise ValidationError("unsigned: true and secrets contradict each other; leave one out.")
    allowed = tuple(data.get("allow_from", ()))
    try:
        is_local = ip_address(settings.host.strip("[]")).is_loopback
    except ValueError:
        is_local = settings.host == "localhost"
    if not allowed and not is_local:
        raise ValidationError("unsigned: HOST is open to others, so say in allow_from which addresses may push.")
    # Something forwards what comes to that address, and then everybody seems to be on this machine.
    if not allowed and settings.public_url:
        raise ValidationError("unsigned: PUBLIC_URL is set, so say in allow_from which addresses may push.")
    return Unsigned(allowed)
