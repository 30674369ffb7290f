"""Secrets and static credentials as an operator writes them."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import marshmallow.fields as mf
from marshmallow import Schema, ValidationError, post_load
from marshmallow.validate import Length

from receiver.intake.signatures.static import Credential, basic
from receiver.lib.shared_secrets import Secret


def _parse_end(value: Any) -> datetime:
    """When a secret ends: a day, which it still counts on, or a moment; UTC where no zone is named."""
    # YAML has made a date or a moment of what it knows as one; a text of ten characters is a day in quotes.
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) and len(value) > 10 else value
        day = date.fromisoformat(found) if isinstance(found, str) else found
        if isinstance(day, datetime):
            return day if day.tzinfo else day.replace(tzinfo=UTC)
        return datetime.combine(day, time(), UTC) + timedelta(days=1)
    except (ValueError, TypeError, OverflowError):
        raise ValidationError("Not a date such as 2026-12-31.") from None


class _DatedSecret(Schema):
    secret = mf.String(required=True)
    until = mf.Function(deserialize=_parse_end)


def _parse_secret(value: object) -> Secret:
    """A secret as text, or as {secret, until}."""
    if isinstance(value, str):
        return Secret(value)
    if not isinstance(value, dict):
        raise ValidationError("Write a secret as text, or as {secret: ..., until: 2026-12-31}.")
    data: dict[str, Any] = _DatedSecret().load(value)
    return Secret(data["secret"], data.get("until"))


def secret_field() -> mf.Field[Any]:
    """A field of one secret."""
    return mf.Function(deserialize=_parse_secret)


class _OneOrMore(mf.List[Any]):
    """One value, or a list of them."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value if isinstance(value, list) else [value], *args, **kwargs)


class TokenSchema(Schema):
    """A static credential: a header and its value, or the short forms for Authorization."""

    header = mf.String(load_default="Authorization", validate=Length(1, 100))
    value = _OneOrMore(secret_field(), validate=Length(min=1))
    basic = mf.String()
    bearer = _OneOrMore(secret_field(), validate=Length(min=1))

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> tuple[Credential, tuple[Secret, ...]]:
        """How it is checked, and the values that count."""
        given = [name for name in ("value", "basic", "bearer") if name in data]
        if len(given) != 1:
            raise ValidationError("Give one of value, basic (user:password) and bearer.")
        if given == ["basic"]:
            username, colon, password = data["basic"].partition(":")
            if not (colon and len(password) >= 8):
                raise ValidationError("Write user:password, with a password of at least 8 characters.", "basic")
            return Credential(), (Secret(basic(username, password)),)
        if given == ["bearer"]:
            found = [Secret(f"Bearer {secret.value}", secret.until) for secret in data["bearer"]]
            return Credential(), tuple(found)
        return Credential(data["header"]), tuple(data["value"])
