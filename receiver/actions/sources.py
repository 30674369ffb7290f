"""What is done to sources: try one with a sample, and change the secret that we keep ourselves."""

from datetime import datetime, timedelta

from receiver.actions.context import Context
from receiver.actions.errors import ConflictError, NotFoundError
from receiver.db import audit
from receiver.intake import samples
from receiver.intake.samples import DryRunResult
from receiver.intake.sources import Source
from receiver.lib import secret_files


def get(context: Context, name: str) -> Source:
    """The source of this name. Raises NotFoundError."""
    found = context.sources.get(name)
    if found is None:
        raise NotFoundError("There is no source of this name; SOURCES_FILE lists them.")
    return found


def keeps_secret(context: Context, source: Source) -> bool:
    """Whether the secret is in a file that we write; if not, it is in the environment or in SOURCES_FILE."""
    return source.name == "standard" and not context.settings.webhook_secret


def rotate_secret(context: Context, who: str, source: Source, keep: timedelta) -> tuple[str, datetime]:
    """Make a new secret, and say until when those before it count. Raises ConflictError."""
    _require_own_secret(context, source)
    moment = context.clock()
    until = moment + keep
    # The file is written inside the transaction, whose lock lets one rotate at a time.
    with context.db.write() as session:
        audit.note(session, who, "rotate secret", f"source {source.name}", moment, {"old_until": until.isoformat()})
        return secret_files.rotate(context.settings, until), until


def end_old_secrets(context: Context, who: str, source: Source) -> None:
    """Let only the newest secret count. Raises ConflictError."""
    _require_own_secret(context, source)
    with context.db.write() as session:
        audit.note(session, who, "end old secrets", f"source {source.name}", context.clock())
        secret_files.end_old(context.settings)


def _require_own_secret(context: Context, source: Source) -> None:
    if not keeps_secret(context, source):
        raise ConflictError("The secret of this source stands where we cannot write; its page says what to edit.")


def try_sample(context: Context, source: Source, body: bytes | None = None) -> DryRunResult:
    """Try a source with a sample, or with this body. Raises SampleError."""
    # Nothing is stored, so there is nothing for the audit to say.
    return samples.attempt(context.db, source, context.settings, body)
