"""The secrets made on the first start and kept, readable by their owner alone, in `DATA_DIR`."""

import base64
import os
import secrets as random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from marshmallow import ValidationError

from receiver.lib.settings import Settings, SettingsError
from receiver.lib.shared_secrets import Secret, standard_key


def webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """The secrets that may sign for `standard` now, the newest first. Raises SettingsError, as do the others."""
    return tuple(secret.value for secret in standard(settings) if secret.is_live(time.time()))


def standard(settings: Settings) -> Sequence[Secret]:
    """The secrets of the source `standard`: those of WEBHOOK_SECRET, or those kept in `DATA_DIR`."""
    if settings.webhook_secret:
        return tuple(map(Secret, settings.webhook_secret))
    path = _webhook_secret_path(settings)
    _read_or_create(path, new_webhook_secret)
    return KeptSecrets(path)


def rotate(settings: Settings, until: datetime) -> str:
    """Make a new secret for the source `standard` and return it; those before it count until then."""
    fresh, path = new_webhook_secret(), _webhook_secret_path(settings)
    lines = [fresh]
    for secret in KeptSecrets(path):
        if secret.is_live(time.time()):
            # A second rotation must not prolong a secret that an earlier one is ending.
            ends = min(secret.until, until) if secret.until else until
            lines.append(f"{secret.value} until {ends.astimezone(UTC).isoformat(timespec='seconds')}")
    _replace_file(path, lines)
    return fresh


def end_old(settings: Settings) -> None:
    """Let only the newest secret of the source `standard` count from now on."""
    path = _webhook_secret_path(settings)
    _replace_file(path, [KeptSecrets(path)[0].value])


def _webhook_secret_path(settings: Settings) -> Path:
    return settings.data_dir / "webhook_secret"


class KeptSecrets(Sequence[Secret]):
    """The secrets in a file, the newest first; a line is a secret, and `until` and a time where it ends.

    The file is read again when it has changed, so that a rotation counts at once in every process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._secrets: tuple[Secret, ...] = ()
        self._reload()

    def __getitem__(self, index: Any) -> Any:
        return self._current()[index]

    def __len__(self) -> int:
        return len(self._current())

    def __iter__(self) -> Iterator[Secret]:
        return iter(self._current())  # A look at the file for all of them, where a Sequence would take one for each.

    def _current(self) -> tuple[Secret, ...]:
        # A file that is gone or broken is told at the next start; until then the last good one counts.
        with suppress(OSError, SettingsError):
            self._reload()
        return self._secrets

    def _reload(self) -> None:
        """Read the file where it has changed. Raises SettingsError, and OSError where it is gone."""
        state = self._path.stat()
        version = state.st_ino, state.st_mtime_ns
        if version == self._version:
            return
        found = []
        try:
            for line in filter(str.strip, self._path.read_text().splitlines()):
                value, _, rest = line.strip().partition(" ")
                standard_key(value)
                until = datetime.fromisoformat(rest.strip().removeprefix("until ")) if rest else None
                found.append(Secret(value, until if until is None or until.tzinfo else until.replace(tzinfo=UTC)))
        except ValidationError as error:
            raise SettingsError(f"{self._path}: {error.messages[0]}") from None
        except ValueError:
            raise SettingsError(f"{self._path}: After a secret write `until` and a time.") from None
        self._secrets = tuple(found) or _raise_empty(self._path)
        self._version = version


def _replace_file(path: Path, lines: list[str]) -> None:
    """Whole or not at all: whoever reads it meanwhile has the old one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{random.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text("\n".join(lines) + "\n")
    fresh.replace(path)


def api_token(settings: Settings) -> str:
    """The bearer token of `/api` and `/metrics`."""
    return settings.api_token or _read_or_create(settings.data_dir / "api_token", random.token_urlsafe)


def session_key(settings: Settings) -> str:
    """The key that signs the browser's session cookie."""
    return _read_or_create(settings.data_dir / "session_key", random.token_urlsafe)


def factor_cipher(settings: Settings) -> Fernet:
    """The cipher for the secrets of second factors in the database; its key is derived from the session key.

    It protects them from whoever has the database alone: a dump, a copy on another disk, a reading account on the
    server. It does not from whoever can read DATA_DIR, or a whole backup, which holds both so that it can be restored.
    """
    made = HKDF(SHA256(), length=32, salt=None, info=b"second factors").derive(session_key(settings).encode())
    return Fernet(base64.urlsafe_b64encode(made))


def new_webhook_secret() -> str:
    """A fresh Standard Webhooks secret of 32 random bytes."""
    return "whsec_" + base64.b64encode(random.token_bytes(32)).decode()


def _read_or_create(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made if the file is missing; of several processes at once the first one's stays."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(make())
        try:
            os.link(fresh, path)  # Unlike a rename, it fails where the file is there already.
        except FileExistsError:
            pass  # Another process was faster, and everyone must use the same secret.
        fresh.unlink()
    return path.read_text().strip() or _raise_empty(path)


def _raise_empty(path: Path) -> NoReturn:
    raise SettingsError(f"{path} is empty; remove it to have a new secret made")
