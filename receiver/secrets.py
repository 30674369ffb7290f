"""The secrets made on the first start and kept, readable by their owner alone, in `DATA_DIR`."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from marshmallow import ValidationError

from receiver import signatures
from receiver.settings import Settings, SettingsError


def webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """Every secret that may sign for the source `standard`. Raises SettingsError, as do the others."""
    if settings.webhook_secret:
        return settings.webhook_secret
    path = settings.data_dir / "webhook_secret"
    kept = _kept(path, new_webhook_secret)
    try:
        signatures.standard_key(kept)
    except ValidationError as error:
        raise SettingsError(f"{path}: {error.messages[0]}") from None
    return (kept,)


def api_token(settings: Settings) -> str:
    """The bearer token of `/api` and `/metrics`."""
    return settings.api_token or _kept(settings.data_dir / "api_token", secrets.token_urlsafe)


def session_key(settings: Settings) -> str:
    """What signs the browser's session cookie."""
    return _kept(settings.data_dir / "session_key", secrets.token_urlsafe)


def new_webhook_secret() -> str:
    """A fresh Standard Webhooks secret of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made if the file is missing; of several processes at once the first one's stays."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(make())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # Another process was faster, and everyone must use the same secret.
        fresh.unlink()
    secret = path.read_text().strip()
    if not secret:
        raise SettingsError(f"{path} is empty; remove it to have a new secret made")
    return secret
