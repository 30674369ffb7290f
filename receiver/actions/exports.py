"""Notes in the audit who downloads what as a file."""

from receiver.actions.context import Context
from receiver.db import audit


def note(context: Context, who: str, subject: str, form: str) -> None:
    """Note that somebody downloads `subject`, such as "digest 7", as a file of this form."""
    # Called before the file is sent: what cannot be noted is not given out.
    with context.db.write() as session:
        audit.note(session, who, "export", subject, context.clock(), {"as": form})
