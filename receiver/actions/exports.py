"""What somebody takes along as a file."""

from receiver.actions.context import Context
from receiver.db import audit


def note(context: Context, who: str, subject: str, form: str) -> None:
    """Write down that somebody takes `subject`, such as "digest 7", along as a file of this form.

    It comes before the file: what cannot be written down is not given out.
    """
    with context.db.write() as session:
        audit.note(session, who, "export", subject, context.clock(), {"as": form})
